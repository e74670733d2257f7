"""What other people's files hold: odd names and labels, offsets, numbers as pandas writes them, pipes."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from babyhubert.annotation import escapes
from babyhubert.annotation.audacity import write_audacity
from babyhubert.annotation.codes import FROM_LENA, OTHER_LENA_CODES, label_of_tier
from babyhubert.annotation.csv_tables import COMBINED_HEADER, format_combined_rows, write_childproject_csv
from babyhubert.annotation.eaf import read_eaf_tiers, write_eaf
from babyhubert.annotation.lena_table import LENA_HEADER, format_lena_rows
from babyhubert.annotation.parquet import read_table
from babyhubert.annotation.reading import read_annotations, read_each, read_segments
from babyhubert.annotation.rttm import format_rttm, read_rttm
from babyhubert.annotation.segments import Segments
from babyhubert.annotation.text import CsvTable
from babyhubert.annotation.textgrid import read_textgrid_tiers, write_textgrid
from babyhubert.annotation.tiers import lay_out
from babyhubert.annotation.uem import read_uem
from babyhubert.annotation.webvtt import format_webvtt
from babyhubert.errors import AnnotationError, CorpusError
from babyhubert.files import csv_text, guard, without_guard
from commands import command

NASTY = st.one_of(
    st.text(min_size=1, max_size=12),
    st.text(" %,;\"'\n\r\t\0\x1b\x85\u2028\u3000=+-@0A2<>NA", min_size=1, max_size=12),
)
labels = (
    NASTY.map(str.strip).filter(bool).filter(lambda label: label not in ("NA", "CHI", *FROM_LENA, *OTHER_LENA_CODES))
)


def one(label: str) -> Segments:
    return Segments.from_rows([(16, 32_000, label), (48_000, 64_000, "KCHI")])


@given(NASTY, st.sampled_from([escapes.CONTROL, escapes.BLANK, escapes.NOT_XML]))
@example("100%20 sure%0A", escapes.BLANK)
@example("%25%2525", escapes.CONTROL)
def test_escapes_are_undone_and_hide_what_a_format_cannot_hold(text, forbidden):
    written = escapes.escape(text, forbidden)
    assert not forbidden.search(written)
    assert escapes.unescape(written, forbidden) == text


def test_texts_of_other_people_are_left_as_they_are():
    assert escapes.unescape("100%20 of it, 5%", escapes.NOT_XML) == "100%20 of it, 5%"
    assert escapes.escape("KCHI", escapes.BLANK) == "KCHI"
    assert escapes.escape("50% off", escapes.CONTROL) == "50% off"


@given(labels)
@example("KCHI <NA> <NA>\nSPEAKER b 1 0.000 20.000 <NA> <NA> MAL")
@example('=HYPERLINK("http://x")')
@example("two, words")
@example("<NA>")
@example("--")
@example("a---")
def test_a_label_comes_back_from_every_format_that_is_written(tmp_path_factory, label):
    folder, table = tmp_path_factory.mktemp("label"), one(label)
    text = format_rttm("day", table)
    assert len(text.splitlines()) == 2
    assert all(len(line.split()) == 10 for line in text.splitlines())
    (folder / "a.rttm").write_text(text, encoding="utf-8", newline="")
    (folder / "b.csv").write_text(COMBINED_HEADER + format_combined_rows("day", table), encoding="utf-8", newline="")
    (folder / "c.csv").write_text(LENA_HEADER + format_lena_rows("day", table), encoding="utf-8", newline="")
    write_childproject_csv(folder / "d.csv", table)
    write_audacity(folder / "e.txt", table)
    (folder / "f.vtt").write_text(format_webvtt(table), encoding="utf-8", newline="")
    for file in folder.iterdir():
        assert next(iter(read_segments(file).values())) == table, file.name


@given(labels.filter(lambda label: label_of_tier(label, {label}) == label and not label.startswith("phonemes_")))
@example("a\0b\x1b\r\nc")
def test_a_label_comes_back_from_tiers(tmp_path_factory, label):
    folder, table = tmp_path_factory.mktemp("tier"), one(label)
    tiers = lay_out(table, "day", "labels").tiers
    write_eaf(folder / "a.eaf", tiers)
    write_textgrid(folder / "b.TextGrid", tiers, 5_000)
    for file in folder.iterdir():
        assert read_segments(file)[file.stem] == table, file.name


def test_no_spreadsheet_runs_a_text_and_it_is_read_back(tmp_path):
    fields = ["=1+1", "+cmd", "-x", "@sum", "'=1", "''@a", "\t=1", "plain", "-1.5", "-", "'quoted'"]
    assert [without_guard(str(guard(field))) for field in fields] == fields
    assert guard("-1.5") == "-1.5"
    assert guard(-1.5) == -1.5
    (tmp_path / "a.csv").write_text(csv_text([("text",), *([field] for field in fields)]), encoding="utf-8")
    written = (tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()[1:5]
    assert written == ["'=1+1", "'+cmd", "'-x", "'@sum"]
    assert [row["text"] for _, row in CsvTable(tmp_path / "a.csv")] == fields


@pytest.mark.parametrize(
    ("line", "uri", "label"),
    [
        ("SPEAKER day 1 1 3.080 0.360 <NA> <NA> KCHI <NA> <NA>", "day 1", "KCHI"),
        ("SPEAKER day 1 <NA> 3.080 0.360 <NA> <NA> KCHI", "day 1", "KCHI"),
        ("SPEAKER my  2nd day 1 3.080 0.360 <NA> <NA> KCHI 0.9 <NA>", "my  2nd day", "KCHI"),
        ("SPEAKER day 1 3.080 0.360 <NA> <NA> tv 2 <NA> <NA>", "day", "tv 2"),
        ("SPEAKER day 1 3.080 0.360 <NA> <NA> two words", "day", "two words"),
        ("SPEAKER day 1 3.080 0.360 <NA> <NA> two%20words <NA> <NA>", "day", "two words"),
        ("SPEAKER day 1 3.080 0.360 x y KCHI <NA> <NA>", "day", "KCHI"),
        ("SPEAKER 1 2 1 3.080 0.360 <NA> <NA> KCHI 0.5", "1 2", "KCHI"),
    ],
)
def test_rttm_fields_are_counted_from_the_times(tmp_path, line, uri, label):
    (tmp_path / "x.rttm").write_text(f"{line}\n", encoding="utf-8")
    assert {name: list(table) for name, table in read_rttm(tmp_path / "x.rttm").items()} == {
        uri: [(49_280, 55_040, label)]
    }


@pytest.mark.parametrize(
    "line",
    [
        "SPEAKER day 1 1 3.080 0.360 x y KCHI <NA> <NA>",
        "SPEAKER day 1 1 3.080 0.360 x y KCHI",
        "SPEAKER day 1 3.080 0.360 <NA> <NA> a b <NA> <NA> c",
        "SPEAKER day 1 1 3.0 <NA> <NA> 1 2 3 <NA> <NA> KCHI <NA> <NA>",
        "SPEAKER day 1 3.080 0.360",
    ],
)
def test_an_rttm_line_that_could_mean_two_things_is_refused(tmp_path, line):
    (tmp_path / "x.rttm").write_text(f"{line}\n", encoding="utf-8")
    with pytest.raises(AnnotationError, match=r"x\.rttm, line 1: not an RTTM line"):
        read_rttm(tmp_path / "x.rttm")


def test_uem_names_may_hold_blanks(tmp_path):
    (tmp_path / "x.uem").write_text("day 1 1 0.5 2\nday 2 <NA> 3 4\nday 1 1 5 6\n", encoding="utf-8")
    found = read_uem(tmp_path / "x.uem")
    assert {uri: np.transpose(spans).tolist() for uri, spans in found.items()} == {
        "day 1": [[8_000, 32_000], [80_000, 96_000]],
        "day 2": [[48_000, 64_000]],
    }
    (tmp_path / "x.uem").write_text("day 1 0.5\n", encoding="utf-8")
    with pytest.raises(AnnotationError, match="line 1: not a UEM line"):
        read_uem(tmp_path / "x.uem")


def test_childproject_tables_of_many_recordings(tmp_path):
    (tmp_path / "segments.csv").write_text(
        "recording_filename,segment_onset,segment_offset,speaker_type\n"
        "m16.wav,3080.0,3440,CHI\nsub/other.mp3,0,500,FEM\nsilent.wav,0,500,NA\n",
        encoding="utf-8",
    )
    found = {name: list(table) for name, table in read_segments(tmp_path / "segments.csv").items()}
    assert found == {"m16": [(49_280, 55_040, "KCHI")], "sub/other": [(0, 8_000, "FEM")], "silent": []}
    (tmp_path / "segments.csv").write_text(
        "recording_filename,segment_onset,segment_offset,speaker_type\nNA,0,500,CHI\n", encoding="utf-8"
    )
    with pytest.raises(AnnotationError, match="line 2: recording_filename 'NA' names no recording"):
        read_segments(tmp_path / "segments.csv")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.rttm", "SPEAKER a 1 1e15 1 <NA> <NA> KCHI <NA> <NA>\n", "line 1: start '1e15' s is longer than any"),
        ("a.rttm", "SPEAKER a 1 1_0 1 <NA> <NA> KCHI <NA> <NA>\n", "line 1: start '1_0' is not a finite number"),
        ("a.txt", "00:00:03.08\t4\tKCHI\n", "line 1: start '00:00:03.08' is not a finite number of seconds"),
        ("a.txt", "3.08\t00:00:04\tKCHI\n", "line 1: end '00:00:04' is not a finite number of seconds"),
        ("a.uem", "a 1 0 1e12\n", "line 1: end '1e12' s is longer than any"),
        (
            "a.csv",
            f"segment_onset,segment_offset,speaker_type\n0,1{'0' * 30},CHI\n",
            "line 2: segment_offset '1000000000000000000000000000000' ms is longer than any",
        ),
        ("a.csv", "segment_onset,segment_offset,speaker_type\n0,1.5,CHI\n", "'1.5' must be whole milliseconds"),
        (
            "a.csv",
            "uid,start_time_s,duration_s,label\na\0b,1,1,KCHI\n",
            "line 2: .* cannot be the name of a recording",
        ),
        ("a.csv", f"uid,start_time_s,duration_s,label\n{'x' * 200_000},1,1,KCHI\n", "line 2: not a CSV table"),
        ("a.csv", "uid,start_time_s,duration_s,label\na,1,1,two, words\n", "line 2: 5 fields under 4 columns"),
        ("a.csv", "uid,start_time_s,duration_s,label\na,1,1,\n", "line 2: a segment without a label"),
        ("a.its", "<html><Segment spkr='CHN' startTime='PT1S' endTime='PT2S'/></html>", "not a LENA .its file"),
        ("a.its", '<ITS xmlns="http://lena"><Segment spkr="CHN"/></ITS>', "not a LENA .its file"),
        ("a.its", "<ITS/>", "without segments"),
        ("a.its", "<ITS><Segment spkr='CHN' startTime='PT1S' endTime='PT1000000000S'/></ITS>", "longer than any"),
    ],
)
def test_what_cannot_be_so_is_refused_with_its_place(tmp_path, name, text, message):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(AnnotationError, match=message) as caught:
        (read_uem if name.endswith("uem") else read_segments)(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert len(str(caught.value)) < 700


def test_one_bad_row_fails_its_recording_alone(tmp_path):
    (tmp_path / "all.csv").write_text(
        "uid,start_time_s,duration_s,label\na,1,1,KCHI\nb,1e15,1,KCHI\nc,1,1,FEM\nb,1,1,FEM\n", encoding="utf-8"
    )
    (_, good), (_, bad) = read_each(tmp_path / "all.csv")
    assert sorted(good) == ["a", "c"]
    assert "line 3: start '1e15'" in str(bad)
    outcome = command("export", tmp_path / "all.csv", "--to", "csv", "-o", tmp_path / "out")
    assert outcome.code == 1
    assert sorted(path.name for path in (tmp_path / "out/csv").iterdir()) == ["a.csv", "c.csv"]
    with pytest.raises(AnnotationError, match="line 3"):
        read_annotations(tmp_path / "all.csv")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_only_regular_files_are_opened(tmp_path):
    folder = tmp_path / "ann"
    folder.mkdir()
    (folder / "a.rttm").write_text("SPEAKER r 1 0.5 1 <NA> <NA> KCHI <NA> <NA>\n", encoding="utf-8")
    os.mkfifo(folder / "x.rttm")
    (folder / "y.rttm").symlink_to("/dev/zero")
    parts = dict(read_each(folder))
    assert list(parts[folder / "a.rttm"]) == ["r"]
    for name in ("x.rttm", "y.rttm"):
        assert "not a regular file" in str(parts[folder / name])
        with pytest.raises(AnnotationError, match="not a regular file"):
            read_annotations(folder / name)
    (tmp_path / "p.parquet").symlink_to("/dev/zero")
    with pytest.raises(CorpusError, match="not a regular file"):
        read_table(tmp_path / "p.parquet", ["a"])


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    with (tmp_path / "a.TextGrid").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(AnnotationError, match="more than such a file can need"):
        read_segments(tmp_path / "a.TextGrid")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="everything is open to this user")
def test_a_closed_folder_is_told(tmp_path):
    (tmp_path / "a.rttm").write_text("SPEAKER r 1 0.5 1 <NA> <NA> KCHI <NA> <NA>\n", encoding="utf-8")
    (tmp_path / "closed").mkdir(mode=0)
    assert any("cannot be read" in str(part) for _, part in read_each(tmp_path))


GRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = {low}
xmax = 30
tiers? <exists>
size = 1
item []:
    item [1]:
        class = "IntervalTier"
        name = "CHI"
        xmin = {low}
        xmax = 30
        intervals: size = 3
        intervals [1]:
            xmin = {low}
            xmax = 5e-05
            text = ""
        intervals [2]:
            xmin = 5e-05
            xmax = 3.44
            text = "a ""b"" ! c"
        intervals [3]:
            xmin = 3.44
            xmax = 30
            text = ""
"""


def test_a_textgrid_with_what_praat_writes(tmp_path):
    (tmp_path / "x.TextGrid").write_text(GRID.format(low="-1.5"), encoding="utf-16")
    (tier,) = read_textgrid_tiers(tmp_path / "x.TextGrid")
    assert (tier.name, tier.pieces) == ("CHI", ((0, 3440, 'a "b" ! c'),))


def test_textgrid_tiers_of_one_name_are_all_read(tmp_path):
    tier = GRID.format(low="0").split("item []:\n")[1]
    twice = GRID.format(low="0").replace("size = 1", "size = 2", 1) + tier.replace("3.44", "7.5")
    (tmp_path / "x.TextGrid").write_text(twice, encoding="utf-8")
    assert list(read_segments(tmp_path / "x.TextGrid")["x"]) == [(0, 55_040, "KCHI"), (0, 120_000, "KCHI")]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('text = "a ""b"" ! c"', 'text = "a', "a quote that is not closed"),
        ("size = 3", "size = 4", "ends before .*: it was cut short"),
        ("size = 3", "size = 2", "holds more than it announces"),
        ("size = 3", "size = 99999999999", "cannot be their number in a file of this size"),
        ("xmax = 3.44", "xmax = -3", "ends at -3.0 s, before it starts"),
        ("xmin = 5e-05", "xmin = -2", "an interval starts at -2.0 s, before the recording"),
        ("xmax = 3.44", "xmax = 1e15", "longer than any recording lasts"),
        ('"TextGrid"', '"Collection"', "not a TextGrid"),
        ("IntervalTier", "PitchTier", "unknown class 'PitchTier'"),
    ],
)
def test_a_textgrid_that_is_damaged_is_refused(tmp_path, old, new, message):
    (tmp_path / "x.TextGrid").write_text(GRID.format(low="0").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(AnnotationError, match=message):
        read_textgrid_tiers(tmp_path / "x.TextGrid")


def eaf(slots: str, annotations: str, media: str = "", schema: str = "") -> str:
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT {schema}><HEADER TIME_UNITS="milliseconds">{media}</HEADER>
<TIME_ORDER>{slots}</TIME_ORDER><TIER TIER_ID="CHI" LINGUISTIC_TYPE_REF="x">{annotations}</TIER>
</ANNOTATION_DOCUMENT>"""


def slots(*times: object) -> str:
    return "".join(
        f'<TIME_SLOT TIME_SLOT_ID="ts{k}"' + ("/>" if time is None else f' TIME_VALUE="{time}"/>')
        for k, time in enumerate(times)
    )


def aligned(*pairs: tuple[int, int]) -> str:
    return "".join(
        f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a{k}" TIME_SLOT_REF1="ts{a}" TIME_SLOT_REF2="ts{b}">'
        "<ANNOTATION_VALUE>x</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>"
        for k, (a, b) in enumerate(pairs)
    )


def media(name: str, origin: int, kind: str = "audio/x-wav") -> str:
    return f'<MEDIA_DESCRIPTOR MEDIA_URL="file:///x/{name}" MIME_TYPE="{kind}" TIME_ORIGIN="{origin}"/>'


@pytest.mark.parametrize(
    ("linked", "start"),
    [
        ("", 1000),
        (media("m.wav", 5000), 6000),
        (media("v.mp4", 0, "video/mp4") + media("x.wav", 5000), 6000),
        (media("my%20day.wav", 7000) + media("x.wav", 5000), 8000),
    ],
)
def test_elan_times_are_those_of_the_recording(tmp_path, linked, start):
    path = tmp_path / "my day.eaf"
    path.write_text(eaf(slots(1000, 2000), aligned((0, 1)), linked), encoding="utf-8")
    assert read_segments(path)["my day"].start.tolist() == [16 * start]


def test_elan_media_that_begin_at_different_times_are_not_guessed(tmp_path):
    (tmp_path / "z.eaf").write_text(
        eaf(slots(0, 9), aligned((0, 1)), media("a.wav", 1) + media("b.wav", 2)), encoding="utf-8"
    )
    with pytest.raises(AnnotationError, match=r"its media \(a, b\) begin at different times \(1, 2 ms\)"):
        read_segments(tmp_path / "z.eaf")


def test_elan_annotations_without_times_lie_evenly_between_those_that_have_some(tmp_path):
    path = tmp_path / "x.eaf"
    path.write_text(eaf(slots(1000, None, None, 4000), aligned((0, 1), (1, 2), (2, 3))), encoding="utf-8")
    (tier,) = read_eaf_tiers(path)
    assert [piece[:2] for piece in tier.pieces] == [(1000, 2000), (2000, 3000), (3000, 4000)]


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ((1000, None), "annotation a0 has no times; align it"),
        ((-5, 1000), "time slot ts0: -5 ms is no time of a recording"),
        ((0, 10**15), "1000000000000000 ms is no time of a recording"),
        ((0, "1,5"), "'1,5' is no time in milliseconds"),
    ],
)
def test_elan_annotations_without_a_time_or_with_an_impossible_one_are_refused(tmp_path, times, message):
    path = tmp_path / "x.eaf"
    path.write_text(eaf(slots(*times), aligned((0, 1))), encoding="utf-8")
    with pytest.raises(AnnotationError, match=message):
        read_eaf_tiers(path)


def test_elan_knows_the_last_annotation_of_our_files(tmp_path):
    write_eaf(tmp_path / "x.eaf", lay_out(one("FEM"), "x").tiers)
    text = (tmp_path / "x.eaf").read_text(encoding="utf-8")
    assert '<PROPERTY NAME="lastUsedAnnotationId">3</PROPERTY>' in text
    assert 'ANNOTATION_ID="a3"' in text
    assert "a4" not in text


@pytest.mark.parametrize("suffix", ["eaf", "TextGrid"])
def test_many_overlapping_segments_take_no_square_of_time(tmp_path, suffix):
    """Four times as many took sixteen times as long; a machine that is busy may be slow, not that slow."""

    def seconds(count: int) -> float:
        table = Segments(np.arange(count) * 160, np.arange(count) * 160 + 80_000_000, np.full(count, "KCHI", object))
        began = time.process_time()
        path = tmp_path / f"{count}.{suffix}"
        tiers = lay_out(table, "day").tiers
        assert len(tiers) == count + 3
        if suffix == "eaf":
            write_eaf(path, tiers)
        else:
            write_textgrid(path, tiers, 1000)
        assert len(read_segments(path)[str(count)]) == count
        return time.process_time() - began

    seconds(250)
    assert seconds(2000) < 10 * seconds(500) + 0.5


def test_labels_of_a_reference_that_mean_nothing_stop_the_evaluation(tmp_path):
    for name, label in (("truth", "CHI"), ("found", "KCHI")):
        (tmp_path / f"{name}.rttm").write_text(f"SPEAKER m16 1 1 1 <NA> <NA> {label} <NA> <NA>\n", encoding="utf-8")
    outcome = command(
        "evaluate", "voice-type", "--reference", tmp_path / "truth.rttm", "--predictions", tmp_path / "found.rttm"
    )
    assert outcome.code == 2
    assert "m16: label CHI is the key child in some tools" in outcome.error


def test_another_child_of_an_rttm_does_not_become_the_key_child(tmp_path):
    (tmp_path / "a.rttm").write_text("SPEAKER a 1 1 1 <NA> <NA> CHI <NA> <NA>\n", encoding="utf-8")
    outcome = command("export", tmp_path / "a.rttm", "--to", "csv", "-o", tmp_path / "out")
    assert outcome.code == 2
    assert "a: label CHI is the key child in some tools" in outcome.err


def test_a_childproject_index_with_bad_rows_fails_these_recordings_alone(tmp_path):
    (tmp_path / "metadata").mkdir()
    folder = tmp_path / "annotations/vtc/converted"
    folder.mkdir(parents=True)
    (tmp_path / "metadata/recordings.csv").write_text("recording_filename,duration\na.wav,9000\n", encoding="utf-8")
    rows = ["vtc,a.wav,a.csv,0,9000", "vtc,b.wav,b.rttm,0,9000", "vtc,c.wav,a.csv,x,9000", "vtc,d.wav,../d.csv,0,9000"]
    (tmp_path / "metadata/annotations.csv").write_text(
        "\n".join(["set,recording_filename,annotation_filename,range_onset,range_offset", *rows]), encoding="utf-8"
    )
    (folder / "a.csv").write_text("segment_onset,segment_offset,speaker_type\n0,500,CHI\n", encoding="utf-8")
    (folder / "b.rttm").write_text("SPEAKER other 1 1 1 <NA> <NA> FEM <NA> <NA>\n", encoding="utf-8")
    found = [part for _, part in read_each(tmp_path)]
    assert [list(part) for part in found if isinstance(part, dict)] == [["a"]]
    said = "\n".join(str(part) for part in found)
    assert "names other, but the project's index says that it is of b" in said
    assert "range_onset 'x' must be whole milliseconds" in said
    assert "../d.csv" in said


@pytest.mark.parametrize("time", ["1e15", "1e308", "nan", "1_0"])
def test_times_of_training_tables_are_those_of_a_recording(tmp_path, time):
    from babyhubert.material.sources import _span

    with pytest.raises(AnnotationError, match=r"x\.csv, line 2: end_s .*(not a number|longer than any)"):
        _span({"start_s": "0", "end_s": time}, f"{tmp_path / 'x.csv'}, line 2")
