"""One vocabulary of columns: the published layouts, their units, and the modules that write or read them."""

import pytest

from babyhubert.annotation.csv_tables import COMBINED_HEADER, format_childproject_csv
from babyhubert.annotation.lena_table import LENA_HEADER
from babyhubert.annotation.reading import read_segments
from babyhubert.annotation.segments import Segments
from babyhubert.annotation.table_columns import (
    BABAR,
    CHILDPROJECT,
    COMBINED,
    LENA,
    STRETCHES,
    TINYVOX,
    TRUTH,
    Layout,
    Stretch,
)
from babyhubert.errors import AnnotationError
from babyhubert.material.settings import DataSource, SkippedMaterial
from babyhubert.material.sources import read_source
from babyhubert.simulation.writer import PHONEME_COLUMNS, SEGMENT_COLUMNS
from babyhubert.tasks.phonemes.tables import read_transcriptions
from babyhubert.units.phones import COLUMNS as PHONE_COLUMNS
from commands import write_sounds

LAYOUTS = {
    "uid,start_time_s,duration_s,label": (COMBINED, "1.5", "0.5"),
    "recording_id,start_s,end_s,label": (TRUTH, "1.5", "2"),
    "segment_onset,segment_offset,speaker_type": (CHILDPROJECT, "1500", "2000"),
    "filename,onset,offset,speaker": (BABAR, "1.5", "2.0"),
    "recording_id,startTime,endTime,spkr": (LENA, "1.5", "2.000"),
}
"""Published headers, and the same stretch of a recording in their units."""


@pytest.mark.parametrize("header", LAYOUTS)
def test_layouts_are_the_published_ones_and_know_their_units(tmp_path, header):
    layout, first, second = LAYOUTS[header]
    assert ",".join(layout.columns) == header
    row = {layout.stretch.start: first, layout.stretch.second: second}
    assert layout.stretch.parse(row, "here") == (24_000, 32_000)
    name = [] if layout.recording is None else ["day"]
    (tmp_path / "day.csv").write_text(f"{header}\n{','.join([*name, first, second, 'FEM'])}\n", encoding="utf-8")
    assert read_segments(tmp_path / "day.csv") == {"day": Segments.from_rows([(24_000, 32_000, "FEM")])}


@pytest.mark.parametrize(
    ("layout", "second", "message"),
    [
        (TRUTH, "0.5", r"here: ends at 0\.5 s, before it starts at 1\.5 s"),
        (COMBINED, "-1", r"here: duration '-1' s must not be negative"),
        (BABAR, "x", r"here: end 'x' is not a finite number of seconds"),
    ],
)
def test_stretches_that_cannot_be_are_refused(layout, second, message):
    with pytest.raises(AnnotationError, match=message):
        layout.stretch.parse({layout.stretch.start: "1.5", layout.stretch.second: second}, "here")
    with pytest.raises(AnnotationError, match="here: ends at 5 ms, before it starts at 10 ms"):
        CHILDPROJECT.stretch.parse({"segment_onset": "10", "segment_offset": "5"}, "here")
    with pytest.raises(ValueError, match="no table gives durations in milliseconds"):
        Layout(None, Stretch("a", "b", "ms", lasting=True), "c")


def test_headers_that_are_written_are_published():
    assert COMBINED_HEADER == "uid,start_time_s,duration_s,label\n"
    assert LENA_HEADER == "recording_id,spkr,startTime,endTime,duration\n"
    assert format_childproject_csv(Segments.empty()) == "segment_onset,segment_offset,speaker_type\n"
    assert SEGMENT_COLUMNS[:5] == ("recording_id", "start_s", "end_s", "label", "speaker_id")
    assert PHONEME_COLUMNS == ("recording_id", "start_s", "end_s", "speaker_id", "label", "phones", "phone_times")
    assert PHONE_COLUMNS == ("recording_id", "start_s", "end_s", "phone")


@pytest.mark.parametrize("stretch", STRETCHES, ids=lambda one: f"{one.start},{one.second}")
def test_training_tables_take_every_stretch(tmp_path, stretch):
    write_sounds(tmp_path, ["day.wav"])
    first, second = ("1500", "2000") if stretch.unit == "ms" else ("1.5", "0.5" if stretch.lasting else "2")
    (tmp_path / "a.csv").write_text(f"recording_id,{stretch.start},{stretch.second},label\nday,{first},{second},FEM\n")
    (found,) = read_source(DataSource(path=str(tmp_path / "a.csv")), SkippedMaterial())
    assert [(row.start, row.end) for row in found.rows] == [(24_000, 32_000)]


def test_onsets_are_seconds_beside_a_filename_and_milliseconds_in_lists_of_utterances(tmp_path):
    (tmp_path / "b.csv").write_text("filename,onset,offset,phonemes\nday.wav,1.5,2,b a\n", encoding="utf-8")
    (utterance,) = read_transcriptions(tmp_path / "b.csv")
    assert (utterance.name, utterance.span) == ("day", (24_000, 32_000))
    assert TINYVOX.parse({"onset": "1500", "offset": "2000"}, "here") == (24_000, 32_000)


@pytest.mark.parametrize("name", ["uid", "recording_id"])
def test_tables_of_tasks_are_read_in_either_spelling(tmp_path, name):
    (tmp_path / "t.csv").write_text(
        f"{name},start_time_s,duration_s,label,mood\nday,1.5,0.5,FEM,calm\n", encoding="utf-8"
    )
    (read,) = read_segments(tmp_path / "t.csv").values()
    assert list(read.columns["mood"]) == ["calm"]
    (tmp_path / "p.csv").write_text(
        "recording_id,onset,offset,speaker,phonemes\nday,1.5,2.0,KCHI,a b\n", encoding="utf-8"
    )
    assert [each.phones for each in read_transcriptions(tmp_path / "p.csv")] == [("a", "b")]
    assert list(read_segments(tmp_path / "p.csv")) == ["day"]


def test_one_id_column_in_tables_of_this_package():
    from babyhubert.annotation.columns import layout_of_all, layout_of_symbols
    from babyhubert.tasks.classification.outputs import COLUMNS as CLASSES
    from babyhubert.tasks.phonemes.outputs import TIME_COLUMNS

    own = (CLASSES, TIME_COLUMNS, layout_of_all("mood").columns, layout_of_symbols("vowels").columns)
    assert {columns[0] for columns in own} == {"recording_id"}
    published = (layout_of_all("addressee"), layout_of_symbols("phonemes"))
    assert [layout.columns[0] for layout in published] == ["uid", "filename"]
