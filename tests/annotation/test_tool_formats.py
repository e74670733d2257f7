"""ELAN, Praat, Audacity, LENA and pyannote: round trips to the millisecond, and files those tools wrote."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from praatio import textgrid as praat
from praatio.data_classes.interval_tier import IntervalTier
from pyannote.core import Annotation, Segment
from pympi.Elan import Eaf

from babyhubert.annotation.audacity import format_audacity, read_audacity, write_audacity
from babyhubert.annotation.codes import label_of_tier, tier_names
from babyhubert.annotation.eaf import read_eaf_tiers, write_eaf
from babyhubert.annotation.lena_table import LENA_HEADER, format_lena_rows
from babyhubert.annotation.pyannote import from_annotation, to_annotation
from babyhubert.annotation.reading import read_annotations, read_segments
from babyhubert.annotation.rttm import format_rttm, write_rttm
from babyhubert.annotation.segments import VOICE_TYPES, Segments
from babyhubert.annotation.textgrid import read_textgrid_tiers, write_textgrid
from babyhubert.annotation.tiers import lay_out, segments_of
from babyhubert.errors import AnnotationError, MissingExtraError

DAY_MS = 16 * 3600 * 1000

rows = st.tuples(
    st.one_of(st.integers(0, 3000), st.integers(0, DAY_MS)),
    st.one_of(st.integers(0, 3), st.integers(0, 5000)),
    st.sampled_from((*VOICE_TYPES, "SPEECH", "tv 2")),
    st.sampled_from(("", "KCDS", "OCDS", "ADS", "Other", "A,T")),
    st.sampled_from(("", "b a", 'ɡ ɔ̃ "x"', "<&>")),
)


def table(drawn) -> Segments:
    """A segments table in whole milliseconds with an addressee and phonemes, from drawn rows."""
    if not drawn:
        return Segments.empty()
    start, length, label, addressee, phonemes = (np.array(column, dtype=object) for column in zip(*drawn, strict=True))
    columns = {"addressee": addressee, "phonemes": phonemes}
    return Segments(start * 16, (start + length) * 16, label, columns)


tables = st.lists(rows, max_size=15).map(table)


def content(segments: Segments) -> list[tuple]:
    """Rows with their columns, in an order that does not depend on which tier they were on."""
    columns = [segments.columns.get(name, [""] * len(segments)) for name in ("addressee", "phonemes")]
    return sorted(
        zip(segments.start.tolist(), segments.end.tolist(), segments.label, *map(list, columns), strict=True)
    )


def long_enough(segments: Segments) -> Segments:
    """What tiers can hold."""
    return segments.where(segments.end > segments.start)


@given(segments=tables, naming=st.sampled_from(("aclew", "labels")))
def test_eaf_round_trip(tmp_path_factory, segments, naming):
    path = tmp_path_factory.mktemp("eaf") / "day.eaf"
    layout = lay_out(segments, "day", naming)
    write_eaf(path, layout.tiers)
    assert content(segments_of(read_eaf_tiers(path))) == content(long_enough(segments))
    assert layout.too_short == len(segments) - len(long_enough(segments))


@given(segments=tables, naming=st.sampled_from(("aclew", "labels")))
def test_textgrid_round_trip(tmp_path_factory, segments, naming):
    path = tmp_path_factory.mktemp("grid") / "day.TextGrid"
    write_textgrid(path, lay_out(segments, "day", naming).tiers, 1000)
    assert content(segments_of(read_textgrid_tiers(path))) == content(long_enough(segments))


@given(segments=tables)
def test_audacity_and_lena_round_trips(tmp_path_factory, segments):
    folder = tmp_path_factory.mktemp("labels")
    write_audacity(folder / "day.txt", segments)
    assert read_segments(folder / "day.txt") == {"day": segments}
    (folder / "lena.csv").write_text(LENA_HEADER + format_lena_rows("a, b", segments), encoding="utf-8")
    assert read_segments(folder / "lena.csv") == ({"a, b": segments} if len(segments) else {})


@given(segments=tables)
def test_pyannote_round_trip(segments):
    assert from_annotation(to_annotation(segments, "a b")) == long_enough(segments)


def test_tiers_are_disjoint_and_overlap_goes_to_further_tiers():
    spans = [(0, 100), (50, 150), (60, 70), (100, 120), (150, 160)]
    segments = Segments.from_rows([(start * 16, end * 16, label) for start, end in spans for label in VOICE_TYPES])
    layout = lay_out(segments, "day")
    assert [tier.name for tier in layout.tiers] == [
        *("CHI", "CHI*", "CHI**", "OC0", "UC1", "UC2", "MA0", "MA1", "MA2", "FA0", "FA1", "FA2")
    ]
    for tier in layout.tiers:
        assert all(one.end <= next_.start for one, next_ in zip(tier.pieces, tier.pieces[1:], strict=False))
    assert [(piece.start, piece.end) for piece in layout.tiers[0].pieces] == [(0, 100), (100, 120), (150, 160)]
    assert "further tiers: CHI*, CHI**, UC1" in " ".join(layout.notes())


def test_a_silent_recording_has_its_tiers(tmp_path):
    layout = lay_out(Segments.empty(), "day")
    write_eaf(tmp_path / "day.eaf", layout.tiers)
    write_textgrid(tmp_path / "day.TextGrid", layout.tiers, 0)
    assert list(Eaf(str(tmp_path / "day.eaf")).get_tier_names()) == ["CHI", "OC0", "MA0", "FA0"]
    grid = praat.openTextgrid(str(tmp_path / "day.TextGrid"), includeEmptyIntervals=True)
    assert grid.tierNames == ("CHI", "OC0", "MA0", "FA0")
    assert [len(tier) for tier in grid.tiers] == [1, 1, 1, 1]
    assert len(read_segments(tmp_path / "day.eaf")["day"]) == len(read_segments(tmp_path / "day.TextGrid")["day"]) == 0


def test_elan_finds_the_recording_and_the_addressee(tmp_path):
    media = tmp_path / "audio" / "Zoé 1.wav"
    segments = table([(10, 500, "FEM", "KCDS", ""), (700, 100, "FEM", "", ""), (600, 50, "KCHI", "", "b a")])
    write_eaf(tmp_path / "eaf" / "Zoé 1.eaf", lay_out(segments, "Zoé 1").tiers, media)
    eaf = Eaf(str(tmp_path / "eaf" / "Zoé 1.eaf"))
    (link,) = eaf.get_linked_files()
    assert link["MEDIA_URL"] == media.as_uri()
    assert (link["RELATIVE_MEDIA_URL"], link["MIME_TYPE"]) == ("../audio/Zoé 1.wav", "audio/x-wav")
    assert eaf.get_annotation_data_for_tier("FA0") == [(10, 510, ""), (700, 800, "")]
    assert eaf.get_ref_annotation_data_for_tier("xds@FA0") == [(10, 510, "T", "")]
    assert eaf.get_ref_annotation_data_for_tier("phonemes_CHI") == [(600, 650, "b a", "")]
    assert eaf.get_parameters_for_linguistic_type("XDS")["CONSTRAINTS"] == "Symbolic_Association"


def test_an_aclew_transcript_written_by_pympi(tmp_path):
    eaf = Eaf()
    eaf.add_linguistic_type("XDS", "Symbolic_Association", timealignable=False)
    for name in ("CHI", "MA1", "FA3", "OC0", "UC2", "EE1", "code_num", "notes"):
        eaf.add_tier(name)
    eaf.add_tier("xds@FA3", "XDS", parent="FA3")
    eaf.add_tier("remarks@FA3", "XDS", parent="FA3")
    spans = {"CHI": (0, 90), "MA1": (5, 30), "FA3": (40, 77), "OC0": (1, 2), "UC2": (50, 60), "EE1": (70, 80)}
    for name, span in (spans | {"code_num": (0, 99), "notes": (0, 50)}).items():
        eaf.add_annotation(name, *span, value="0." if name == "CHI" else "mum says")
    eaf.add_ref_annotation("xds@FA3", "FA3", 50, "T")
    eaf.add_ref_annotation("remarks@FA3", "FA3", 50, "hm")
    eaf.to_file(str(tmp_path / "x.eaf"))
    segments = read_annotations(tmp_path)["x"]
    labels = {"CHI": "KCHI", "MA1": "MAL", "FA3": "FEM", "OC0": "OCH", "UC2": "OCH", "EE1": "EE1"}
    assert segments == Segments.from_rows([(a * 16, b * 16, labels[name]) for name, (a, b) in spans.items()])
    assert segments.of("FEM").columns["addressee"].tolist() == ["KCDS"]
    assert segments.of("KCHI").columns["transcription"].tolist() == ["0."]


def test_values_below_values_and_below_pieces_of_a_tier_below(tmp_path):
    eaf = Eaf()
    eaf.add_linguistic_type("VCM", "Symbolic_Association", timealignable=False)
    eaf.add_linguistic_type("PARTS", "Included_In")
    for name, kind, parent in (
        *(("CHI", "default-lt", None), ("vcm@CHI", "VCM", "CHI"), ("lex@CHI", "VCM", "vcm@CHI")),
        *(("SAMPLER", "default-lt", None), ("code_periodic", "PARTS", "SAMPLER"), ("remark", "VCM", "code_periodic")),
    ):
        eaf.add_tier(name, kind, parent)
    eaf.add_annotation("CHI", 100, 200)
    eaf.add_annotation("CHI", 300, 400)
    eaf.add_ref_annotation("vcm@CHI", "CHI", 350, "C")
    eaf.add_ref_annotation("lex@CHI", "vcm@CHI", 350, "W")
    eaf.add_annotation("code_periodic", 0, 5000)
    eaf.add_ref_annotation("remark", "code_periodic", 300, "noisy")
    path = tmp_path / "x.eaf"
    eaf.to_file(str(path))
    segments = read_segments(path)["x"]
    assert list(segments) == [(1600, 3200, "KCHI"), (4800, 6400, "KCHI")]
    assert segments.columns["vcm_type"].tolist() == ["", "C"]
    assert segments.columns["lex_type"].tolist() == ["", "W"]
    assert {tier.name: tier.pieces for tier in read_eaf_tiers(path)}["remark"] == ((0, 5000, "noisy"),)
    (reference,) = eaf.tiers["vcm@CHI"][1].values()
    path.write_text(path.read_text().replace(f'ANNOTATION_REF="{reference[0]}"', 'ANNOTATION_REF="a99"'))
    with pytest.raises(AnnotationError, match=r"tier vcm@CHI: a value refers to annotation a99, which is absent"):
        read_segments(path)


@pytest.mark.parametrize("kind", ["long_textgrid", "short_textgrid"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_textgrid_written_by_praatio(tmp_path, kind, encoding):
    grid = praat.Textgrid(0, 100)
    grid.addTier(IntervalTier("FEM", [(0.0005, 1.25, 'Zoé "x"'), (1.25, 2.0004, "yes")], 0, 100))
    grid.addTier(IntervalTier("KCHI", [(99.9, 100, "KCHI")], 0, 100))
    grid.addTier(praat.PointTier("clicks", [(3.0, "tick")], 0, 100))
    path = tmp_path / "x.TextGrid"
    grid.save(str(path), format=kind, includeBlankSpaces=True)
    path.write_text(path.read_text(encoding="utf-8"), encoding=encoding)
    segments = read_segments(path)["x"]
    assert list(segments) == [(16, 20_000, "FEM"), (20_000, 32_000, "FEM"), (1_598_400, 1_600_000, "KCHI")]
    assert segments.columns["transcription"].tolist() == ['Zoé "x"', "yes", ""]


def test_a_corrected_textgrid_keeps_what_is_said_of_a_segment(tmp_path):
    grid = praat.Textgrid(0, 10)
    grid.addTier(IntervalTier("FA0", [(1.0, 2.2, "FEM"), (5.0, 6.0, "FEM")], 0, 10))
    grid.addTier(IntervalTier("xds@FA0", [(1.1, 2.0, "A"), (3.0, 4.0, "T"), (5.0, 6.0, "T")], 0, 10))
    grid.save(str(tmp_path / "x.TextGrid"), format="long_textgrid", includeBlankSpaces=True)
    segments = read_segments(tmp_path / "x.TextGrid")["x"]
    assert segments.columns["addressee"].tolist() == ["ADS", "KCDS"]


def test_labels_written_by_audacity(tmp_path):
    text = "0.500000\t1.250000\tKCHI\n\\\t200.000000\t3000.000000\n2,000000\t2,000000\tcry\r\n"
    (tmp_path / "day.txt").write_text(text, encoding="utf-8")
    assert list(read_audacity(tmp_path / "day.txt")) == [(8000, 20_000, "KCHI"), (32_000, 32_000, "cry")]
    assert format_audacity(Segments.from_rows([(8, 20_000, "a\tb")])) == "0.001000\t1.250000\ta%09b\n"


def test_an_annotation_of_pyannote_with_float_times():
    annotation = Annotation(uri="x")
    annotation[Segment(0.1 + 0.2, 1.7), "a"] = "FEM"
    annotation[Segment(0.1 + 0.2, 1.7), "b"] = 3
    assert list(from_annotation(annotation)) == [(4800, 27_200, "3"), (4800, 27_200, "FEM")]


def test_without_pyannote_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyannote.core", None)
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[pyannote\]'"):
        to_annotation(Segments.empty())


def test_what_lena_marks_besides_near_voices_is_no_segment(tmp_path):
    lines = [LENA_HEADER, "d,CHN,0,1,1\n", "d,OLN,1,2,1\n", "d,FAN,2.5,3,0.5\n", "d,SIL,3,4,1\n"]
    (tmp_path / "x.csv").write_text("".join(lines), encoding="utf-8")
    assert list(read_segments(tmp_path / "x.csv")["d"]) == [(0, 16_000, "KCHI"), (40_000, 48_000, "FEM")]


def test_tier_names_come_back_as_their_label():
    for label in (*VOICE_TYPES, "SPEECH"):
        for naming in ("aclew", "labels"):
            names = [name for name, _ in zip(tier_names(label, naming), range(12), strict=False)]
            assert [label_of_tier(name, names) for name in names] == [label] * 12
    assert label_of_tier("P-2", ["P-2"]) == "P-2"


@pytest.mark.parametrize("write", [format_rttm, lambda name, segments: lay_out(segments, name)])
def test_a_label_that_would_silently_change_its_meaning_is_refused(write):
    with pytest.raises(AnnotationError, match=r"day: label CHI .* replace it by KCHI or OCH"):
        write("day", Segments.from_rows([(0, 160, "CHI")]))


def test_an_eaf_whose_times_are_out_of_order_is_refused(tmp_path):
    write_eaf(tmp_path / "x.eaf", lay_out(table([(10, 500, "FEM", "", "")]), "x").tiers)
    text = (tmp_path / "x.eaf").read_text(encoding="utf-8")
    (tmp_path / "x.eaf").write_text(text.replace('TIME_VALUE="510"', 'TIME_VALUE="5"'), encoding="utf-8")
    with pytest.raises(AnnotationError, match=r"x\.eaf, tier FA0: annotation a2 ends at 5 ms, before"):
        read_segments(tmp_path / "x.eaf")


def test_a_link_without_content_says_what_to_fetch(tmp_path):
    (tmp_path / "x.eaf").symlink_to(Path(".git/annex/objects/aa/bb/MD5-x"))
    (tmp_path / "y.rttm").symlink_to(Path(".git/annex/objects/aa/bb/MD5-y"))
    for name in ("x.eaf", "y.rttm"):
        with pytest.raises(AnnotationError, match=r"content of .* is not here .* run 'datalad get"):
            read_annotations(tmp_path / name)


def test_a_folder_takes_the_first_kind_it_holds_and_silent_ids_are_those_of_rttm(tmp_path):
    write_audacity(tmp_path / "notes.txt", Segments.from_rows([(0, 160, "x")]))
    write_eaf(tmp_path / "sub" / "a b.eaf", lay_out(Segments.empty(), "a b").tiers)
    assert list(read_annotations(tmp_path)) == ["sub/a b"]
    write_rttm(tmp_path / "sub" / "a b.rttm", "sub/a b", Segments.empty())
    assert list(read_annotations(tmp_path)) == ["sub/a_b"]


def test_further_columns_of_tables_are_kept(tmp_path):
    lines = ["uid,start_time_s,duration_s,label,addressee", "d,2,1,FEM,ADS", "d,0,1,KCHI,NA"]
    (tmp_path / "a.csv").write_text("\n".join(lines), encoding="utf-8")
    assert read_segments(tmp_path / "a.csv")["d"].columns["addressee"].tolist() == ["", "ADS"]


def test_labels_that_name_another_tier_are_told():
    layout = lay_out(Segments.from_rows([(0, 160, name) for name in ("FEM", "FA3", "notes", "a@b", "x")]), "day")
    assert layout.misread == ("FA3", "a@b", "notes")
    assert any("something else" in note and "FA3, a@b, notes" in note for note in layout.notes())


def test_rows_of_childproject_that_are_nobodys_voice_are_no_segments(tmp_path):
    lines = ["segment_onset,segment_offset,speaker_type", "0,100,CHI", "100,9000,NA", "9000,9100,", "9100,9200,FEM"]
    (tmp_path / "day.csv").write_text("\n".join(lines), encoding="utf-8")
    assert [label for _, _, label in read_segments(tmp_path / "day.csv")["day"]] == ["KCHI", "FEM"]
