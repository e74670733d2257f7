"""RTTM and CSV: dialects read, round trips; malformed files of every format named."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from babyhubert.annotation.csv_tables import (
    COMBINED_HEADER,
    format_childproject_csv,
    format_combined_rows,
    write_childproject_csv,
)
from babyhubert.annotation.reading import read_annotations, read_segments
from babyhubert.annotation.rttm import format_rttm, read_rttm, write_rttm
from babyhubert.annotation.segments import VOICE_TYPES, Segments
from babyhubert.errors import AnnotationError

ms_segments = st.lists(
    st.tuples(st.integers(0, 10**8), st.integers(0, 10**5), st.sampled_from(VOICE_TYPES)).map(
        lambda row: (row[0] * 16, (row[0] + row[1]) * 16, row[2])
    ),
    max_size=20,
).map(Segments.from_rows)


def test_rttm_line_is_as_published():
    segments = Segments.from_rows([(320, 16_320, "KCHI")])
    assert format_rttm("day1", segments) == "SPEAKER day1 1 0.020 1.000 <NA> <NA> KCHI <NA> <NA>\n"
    assert len(format_rttm("a b", segments).split()) == 10


@pytest.mark.parametrize(
    "line",
    [
        "SPEAKER day1 1 0.02 1.0 <NA> <NA> KCHI <NA> <NA>",
        "SPEAKER day1 <NA> 0.02 1.0 <NA> <NA> KCHI <NA> <NA>",
        "SPEAKER day1 1 0.02 1.0 <NA> <NA> KCHI <NA>",
        "SPEAKER\tday1\t1\t0.02\t1.0\t<NA>\t<NA>\tKCHI\t0.93\t<NA>",
        "\ufeffSPEAKER day1 1 0.02 1.00000000 <NA> <NA> KCHI <NA> <NA>",
        ";; a comment\n\nSPKR-INFO day1 1 <NA> <NA> <NA> unknown KCHI <NA>\nSPEAKER day1 1 .02 1 <NA> <NA> KCHI",
    ],
)
def test_every_dialect_is_read(tmp_path, line):
    path = tmp_path / "day1.rttm"
    path.write_text(line + "\n", encoding="utf-8")
    assert list(read_rttm(path)["day1"]) == [(320, 16_320, "KCHI")]


@given(segments=ms_segments)
def test_rttm_round_trip(tmp_path_factory, segments):
    path = tmp_path_factory.mktemp("rttm") / "x.rttm"
    write_rttm(path, "x", segments)
    assert read_segments(path) == {"x": segments}


@given(segments=ms_segments)
def test_csv_round_trips(tmp_path_factory, segments):
    folder = tmp_path_factory.mktemp("csv")
    write_childproject_csv(folder / "sub.day.csv", segments)
    assert read_segments(folder / "sub.day.csv") == {"sub.day": segments}
    (folder / "all.csv").write_text(COMBINED_HEADER + format_combined_rows('a,"b"', segments), encoding="utf-8")
    assert read_segments(folder / "all.csv") == ({'a,"b"': segments} if len(segments) else {})


def test_childproject_csv_names_the_key_child_chi_and_silence_is_a_header():
    assert format_childproject_csv(Segments.empty()) == "segment_onset,segment_offset,speaker_type\n"
    assert format_childproject_csv(Segments.from_rows([(0, 160, "KCHI")])).splitlines()[1] == "0,10,CHI"


def test_no_rttm_contains_chi():
    assert " CHI " not in format_rttm("x", Segments.from_rows([(0, 160, label) for label in VOICE_TYPES]))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.rttm", "SPEAKER a 1 x 1 <NA> <NA> KCHI\n", "line 1"),
        ("a.rttm", "SPEAKER a 1 nan 1 <NA> <NA> KCHI\n", "finite"),
        ("a.rttm", "SPEAKER a 1 -1 1 <NA> <NA> KCHI\n", "negative"),
        ("a.rttm", "\nhello world\n", "line 2: not an RTTM"),
        ("a.csv", "foo,bar\n1,2\n", "unknown header"),
        ("a.csv", "segment_onset,segment_offset,speaker_type\n1.5,2,CHI\n", "whole milliseconds"),
        ("a.csv", "recording_id,start_s,end_s,label\na,2,1,KCHI\n", "before it starts"),
        ("a.doc", "", "unknown kind"),
        ("a.eaf", "hello", "not an ELAN file"),
        ("a.eaf", "<ANNOTATION_DOCUMENT/>", "not an ELAN file"),
        ("a.TextGrid", "hello", "not a TextGrid"),
        ("a.TextGrid", "ooBinaryFile\x08TextGrid", "a binary TextGrid"),
        ("a.txt", "1.0\t0.5\tKCHI\n", "line 1: ends at 0.5 s, before it starts at 1.0 s"),
        ("a.txt", "Remember the milk\n", "line 1: not an Audacity label"),
        ("a.csv", "recording_id,spkr,startTime,endTime\nd,CHN,4,3\n", "line 2: ends at 3 s"),
        ("a.csv", "filename,onset,offset,speaker\nd,4,x,KCHI\n", "line 2: end 'x'"),
    ],
)
def test_malformed_files_are_named(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(AnnotationError, match=message) as caught:
        read_segments(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_keeps_sub_folders_in_ids_and_silent_recordings(tmp_path):
    write_rttm(tmp_path / "sub" / "day.1.rttm", "sub/day.1", Segments.from_rows([(0, 1600, "FEM")]))
    write_rttm(tmp_path / "silent.rttm", "silent", Segments.empty())
    found = read_annotations(tmp_path)
    assert sorted(found) == ["silent", "sub/day.1"]
    assert len(found["silent"]) == 0


def test_one_recording_in_two_files_is_refused(tmp_path):
    for name in ("a", "b"):
        write_rttm(tmp_path / f"{name}.rttm", "same", Segments.from_rows([(0, 1600, "FEM")]))
    with pytest.raises(AnnotationError, match="annotated by both"):
        read_annotations(tmp_path)


def test_segments_are_sorted_and_checked():
    segments = Segments.from_rows([(10, 20, "MAL"), (0, 30, "FEM"), (0, 30, "KCHI")])
    assert [s.label for s in segments] == ["FEM", "KCHI", "MAL"]
    with pytest.raises(ValueError, match="before it starts"):
        Segments(np.array([5]), np.array([4]), np.array(["KCHI"], dtype=object))
