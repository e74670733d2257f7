"""The list of formats, and WebVTT: a format of one module and one line."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from babyhubert.annotation.formats import FORMATS, WRITTEN, WrittenRecording, format_of
from babyhubert.annotation.reading import read_annotations, read_segments
from babyhubert.annotation.segments import Segments
from babyhubert.annotation.webvtt import format_webvtt, read_webvtt
from babyhubert.audio.discovery import left_out
from babyhubert.errors import AnnotationError, counted
from commands import command

TABLE = Segments.from_rows([(16, 32_000, "KCHI"), (16_000, 48_000, "FEM"), (20_000, 48_000, "FEM")])

texts = st.one_of(st.text(max_size=12), st.text(" <>&;/v-\n\r%0A\x85a", max_size=12)).map(str.strip)
rows = st.tuples(
    st.integers(0, 31 * 24 * 3600 * 1000 - 5000), st.integers(0, 3000), st.sampled_from(("KCHI", "FEM", "tv 2")), texts
)


@pytest.mark.parametrize("name", WRITTEN)
def test_what_a_format_writes_it_reads(tmp_path, name):
    path = tmp_path / name / f"sub.day{WRITTEN[name].suffix}"
    WRITTEN[name].write(path, WrittenRecording("sub.day", TABLE, 64_000, tmp_path / "sub.day.wav"))
    assert WRITTEN[name].read(path, "sub.day") == read_segments(path) == {"sub.day": TABLE}


@pytest.mark.parametrize("one", FORMATS, ids=lambda one: one.name)
def test_files_of_a_format_are_told_by_their_suffix_and_may_lie_beside_recordings(tmp_path, one):
    path = tmp_path / f"day{one.suffix.upper()}"
    path.touch()
    assert format_of(path) is one
    assert left_out([tmp_path]) == []


def test_a_file_of_no_format_is_told_what_there_is(tmp_path):
    with pytest.raises(AnnotationError, match=r"day\.doc: unknown kind of segments file \.doc; \.rttm, .* or \.vtt "):
        read_segments(tmp_path / "day.doc")
    with pytest.raises(AnnotationError, match=r"no \.rttm, \.csv, .* or \.vtt file in this folder"):
        read_annotations(tmp_path)


def test_webvtt_is_written_as_the_standard_has_it():
    table = Segments.from_rows([(16, 32_000, "a<b&c"), (57_600_000, 57_616_000, "KCHI"), (16, 17, "short")])
    assert format_webvtt(table) == (
        "WEBVTT\n"
        "\n00:00:00.001 --> 00:00:02.000\n<v a&lt;b&amp;c>a&lt;b&amp;c\n"
        "\n01:00:00.000 --> 01:00:01.000\n<v KCHI>KCHI\n"
    )
    assert format_webvtt(Segments.empty()) == "WEBVTT\n"


@given(drawn=st.lists(rows, max_size=10))
def test_webvtt_round_trip(tmp_path_factory, drawn):
    path = tmp_path_factory.mktemp("vtt") / "day.vtt"
    start, length, label, text = (
        (np.array(one, dtype=object) for one in zip(*drawn, strict=True)) if drawn else [()] * 4
    )
    start, length = np.array(start, dtype=np.int64), np.array(length, dtype=np.int64)
    table = Segments(start * 16, (start + length) * 16, label, {"transcription": np.array(text, dtype=object)})
    notes = WRITTEN["vtt"].write(path, WrittenRecording("day", table))
    kept = table.where(table.end > table.start)
    found = read_webvtt(path)
    assert found == kept
    said = [
        "" if text == label else text for text, label in zip(kept.columns["transcription"], kept.label, strict=True)
    ]
    assert list(found.columns.get("transcription", [""] * len(found))) == said
    left = len(table) - len(kept)
    assert notes == (
        [f"{counted(left, 'segment')} shorter than 1 ms left out: a WebVTT cue cannot hold them"] if left else []
    )


def test_webvtt_of_other_tools_is_read(tmp_path):
    (tmp_path / "day.vtt").write_bytes(
        b"\xef\xbb\xbfWEBVTT - a title\r\nKind: captions\r\nLanguage: en\r\n\r\n"
        b"STYLE\r\n::cue(v) { color: red }\r\n\r\nREGION\r\nid:a\r\n\r\nNOTE\r\na comment\r\nof two lines\r\n\r\n"
        b"first\r\n00:01.000 --> 00:02.500 line:0 position:20%,line-left\r\n"
        b"<v.loud.high Mother>Good <i>morning</i> &amp; <00:00:01.500><c>hello</c>\r\nto you</v>\r\n\r\n\r\n"
        b"100:00:00.000 --> 100:00:00.000\r\n<v KCHI>ba</v> <v FEM>yes &lt;3\r\n"
    )
    found = read_webvtt(tmp_path / "day.vtt")
    hours = 100 * 3600 * 16_000
    assert list(found) == [(16_000, 40_000, "Mother"), (hours, hours, "FEM"), (hours, hours, "KCHI")]
    assert list(found.columns["transcription"]) == ["Good morning & hello\nto you", "yes <3", "ba"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "its first line is not WEBVTT"),
        ("WEBVTTX\n", "its first line is not WEBVTT"),
        ("1\n00:00:01,000 --> 00:00:02,000\nhello\n", "its first line is not WEBVTT"),
        ("WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000\n", "times are those of a stream"),
        ("WEBVTT\n\nhello\n", r"line 3: not a cue .*'hello'"),
        (
            "WEBVTT\n\n00:00:01,000 --> 00:00:02.000\n<v A>a\n",
            r"line 3: '00:00:01,000' is no time such as 01:23:45\.678",
        ),
        ("WEBVTT\n\n00:61.000 --> 00:62.000\n<v A>a\n", r"line 3: '00:61\.000' is no time"),
        ("WEBVTT\n\n1\n --> 00:02.000\n<v A>a\n", "line 4: not the times of a cue"),
        ("WEBVTT\n\n00:03.000 --> 00:02.000\n<v A>a\n", r"line 3: ends at 00:02\.000, before it starts at 00:03\.000"),
        ("WEBVTT\n\n00:03.000 --> 9999:00:00.000\n<v A>a\n", "is longer than any recording lasts"),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\nhello\n", r"line 3: no voice says 'hello'"),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\n<v A>hi</v> you\n", r"line 3: no voice says 'you'"),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\n\n", "line 3: a cue without a voice"),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\n<v  >hello\n", "line 3: a voice without a name"),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\n<v A>a\n00:03.000 --> 00:04.000\n<v A>b\n", "line 3: two cues without a"),
    ],
)
def test_webvtt_that_cannot_be_so_is_refused_with_its_place(tmp_path, text, message):
    path = tmp_path / "day.vtt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(AnnotationError, match=message) as caught:
        read_segments(path)
    assert str(path) in str(caught.value)


def test_captions_are_exported_and_evaluated(tmp_path):
    WRITTEN["rttm"].write(tmp_path / "rttm" / "sub" / "day.rttm", WrittenRecording("sub/day", TABLE))
    outcome = command("export", tmp_path / "rttm", "--to", "vtt", "-o", tmp_path / "x")
    assert outcome.code == 0, outcome.err
    assert read_annotations(tmp_path / "x" / "vtt") == {"sub/day": TABLE}
