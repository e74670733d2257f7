"""The segments table as Python code uses it: printed, indexed, as data frames and files."""

import io
import pickle
from xml.etree import ElementTree

import numpy as np
import pandas
import pytest

from babyhubert import Segments
from babyhubert.annotation.segments import Segment
from babyhubert.errors import AnnotationError

ROWS = [(1_601, 16_000, "KCHI"), (8_000, 24_016, "FEM"), (48_000, 48_001, "OCH")]


def table() -> Segments:
    rows = Segments.from_rows(ROWS)
    timed = np.empty(3, dtype=object)
    timed[:] = [(), (("a", 1),), (("b", 2), ("a", 3))]
    columns = {
        "addressee": np.array(["", "ADS", ""], dtype=object),
        "p_ADS": np.array([np.nan, 0.91234, np.nan]),
        "timed": timed,
    }
    return Segments(rows.start, rows.end, rows.label, columns)


def equal(one: Segments, other: Segments) -> bool:
    return (
        list(one) == list(other)
        and list(one.columns) == list(other.columns)
        and all(pandas.Series(one.columns[name]).equals(pandas.Series(other.columns[name])) for name in one.columns)
    )


def test_it_prints_as_a_table_in_seconds():
    assert repr(table()).splitlines() == [
        "Segments: 3, from 0:00:00 to 0:00:03 (FEM 1, KCHI 1, OCH 1)",
        "   start_s  end_s  label  addressee  p_ADS  timed",
        "0    0.100  1.000  KCHI                     0 values",
        "1    0.500  1.501  FEM    ADS        0.912  1 value",
        "2    3.000  3.000  OCH                      2 values",
    ]
    assert repr(Segments.empty()) == "Segments: none"


def test_long_tables_are_cut_in_the_middle():
    many = Segments.from_rows((n * 16_000, n * 16_000 + 8_000, "FEM") for n in range(50_000))
    lines = repr(many).splitlines()
    assert lines[0] == "Segments: 50000, from 0:00:00 to 13:53:20 (FEM 50000)"
    assert len(lines) == 13
    assert lines[7].split() == ["..."] * 4
    assert lines[-1].split() == ["49999", "49999.000", "49999.500", "FEM"]


def test_a_notebook_shows_an_html_table():
    rows = Segments.from_rows([(0, 16_000, "<b>&")])
    shown = rows._repr_html_()
    assert "<td>&lt;b&gt;&amp;</td>" in shown
    assert "<b>" not in shown
    rows = [[cell.text for cell in row] for row in ElementTree.fromstring(table()._repr_html_()).iter("tr")]
    assert rows[0] == [None, "start_s", "end_s", "label", "addressee", "p_ADS", "timed"]
    assert rows[2] == ["1", "0.500", "1.501", "FEM", "ADS", "0.912", "1 value"]
    assert Segments.empty()._repr_html_() == "<p>Segments: none</p>"


def test_rows_are_taken_like_those_of_an_array():
    rows = table()
    assert rows[0] == Segment(1_601, 16_000, "KCHI")
    assert rows[np.int64(-1)].label == "OCH"
    assert equal(rows[1:], rows.where(np.array([False, True, True])))
    assert equal(rows[rows.label == "FEM"], rows.of("FEM"))
    assert rows[1:].columns["addressee"].tolist() == ["ADS", ""]
    with pytest.raises(IndexError):
        rows[3]
    assert (rows[1].start_s, rows[1].end_s, rows[1].duration_s) == (0.5, 24_016 / 16_000, 16_016 / 16_000)


class TestPandas:
    def test_all_columns_are_there_in_seconds(self):
        frame = table().to_pandas("day1")
        assert list(frame.columns) == ["recording_id", "start_s", "end_s", "label", "addressee", "p_ADS", "timed"]
        assert frame["start_s"].tolist() == [1_601 / 16_000, 0.5, 3.0]
        assert frame["p_ADS"].isna().tolist() == [True, False, True]
        assert (frame["recording_id"] == "day1").all()
        assert list(Segments.empty().to_pandas().columns) == ["start_s", "end_s", "label"]

    def test_there_and_back_gives_the_same(self):
        assert equal(Segments.from_pandas(table().to_pandas()), table())
        assert equal(Segments.from_pandas(table().to_pandas("day1")), table())
        assert len(Segments.from_pandas(Segments.empty().to_pandas("day1"))) == 0

    def test_every_sample_of_a_month_survives(self):
        start = np.random.default_rng(0).integers(0, 31 * 24 * 3600 * 16_000 - 5_000, 10_000)
        rows = Segments(start, start + 4_999, np.full(10_000, "FEM", object))
        assert list(Segments.from_pandas(rows.to_pandas())) == list(rows)

    def test_one_recording_of_several_is_taken(self):
        both = pandas.concat([table().to_pandas("a"), Segments.from_rows([(0, 16, "MAL")]).to_pandas("b")])
        assert list(Segments.from_pandas(both, "b")) == [(0, 16, "MAL")]
        with pytest.raises(AnnotationError, match=r"2 recordings \(a, b\); name one: recording_id="):
            Segments.from_pandas(both)
        with pytest.raises(AnnotationError, match="no recording c; it has a, b"):
            Segments.from_pandas(both, "c")
        with pytest.raises(AnnotationError, match="no column of recordings"):
            Segments.from_pandas(table().to_pandas(), "a")

    @pytest.mark.parametrize(
        "text",
        [
            "start_time_s,duration_s,label\n0.1,0.9,KCHI\n2,1.5,FEM\n",
            "segment_onset,segment_offset,speaker_type\n100,1000,CHI\n2000,3500,FEM\n2000,2100,NA\n",
            "filename,onset,offset,speaker\nday.wav,0.1,1.0,KCHI\nday.wav,2,3.5,FEM\n",
        ],
    )
    def test_tables_of_every_layout_are_read(self, tmp_path, text):
        frame = pandas.read_csv(io.StringIO(text), keep_default_na=False)
        want = [(1_600, 16_000, "KCHI"), (32_000, 56_000, "FEM")]
        assert list(Segments.from_pandas(frame)) == want
        frame = pandas.read_csv(io.StringIO(text))
        assert list(Segments.from_pandas(frame)) == want

    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            ({"onset": [0.0], "label": ["FEM"]}, "has the columns onset, label; one of these sets is needed"),
            ({"start_s": [np.nan], "end_s": [1.0], "label": ["FEM"]}, "row 0: start_s is nan"),
            ({"start_s": [0.0, -1.0], "end_s": [1.0, 1.0], "label": ["FEM"] * 2}, "row 1: start_s is -1"),
            ({"start_s": [0.0], "end_s": [1e9], "label": ["FEM"]}, "end_s is 1e\\+09"),
            ({"start_s": [2.0], "end_s": [1.0], "label": ["FEM"]}, "row 0: ends at 1 s, before it starts"),
            ({"start_s": ["0,5"], "end_s": [1.0], "label": ["FEM"]}, "start_s holds something that is no number"),
            ({"start_s": [0.0], "end_s": [1.0], "label": [None]}, "row 0: no label"),
        ],
    )
    def test_tables_without_meaning_are_refused(self, columns, message):
        with pytest.raises(AnnotationError, match=message):
            Segments.from_pandas(pandas.DataFrame(columns))

    def test_a_column_that_would_hide_another_is_refused(self):
        rows = Segments.from_rows(ROWS)
        twice = Segments(rows.start, rows.end, rows.label, {"start_s": np.zeros(3)})
        with pytest.raises(AnnotationError, match="column start_s"):
            twice.to_pandas()


class TestFiles:
    def test_rttm_there_and_back(self, tmp_path):
        rows = Segments.from_rows([(1_600, 16_000, "KCHI"), (8_000, 24_000, "FEM")])
        rows.to_rttm(tmp_path / "day1.rttm")
        assert (tmp_path / "day1.rttm").read_text().startswith("SPEAKER day1 1 0.100 0.900 <NA> <NA> KCHI")
        assert list(Segments.from_rttm(str(tmp_path / "day1.rttm"))) == list(rows)
        rows.to_rttm(tmp_path / "x.rttm", "day1")
        assert list(Segments.from_rttm(tmp_path / "x.rttm", "day1")) == list(rows)
        Segments.empty().to_rttm(tmp_path / "empty.rttm")
        assert len(Segments.from_rttm(tmp_path / "empty.rttm")) == 0

    def test_one_recording_of_a_file_of_several(self, tmp_path):
        lines = [f"SPEAKER {name} 1 {at} 1.0 <NA> <NA> FEM <NA> <NA>\n" for name, at in (("a", "0.0"), ("b", "5.0"))]
        (tmp_path / "both.rttm").write_text("".join(lines))
        assert list(Segments.from_rttm(tmp_path / "both.rttm", "b")) == [(80_000, 96_000, "FEM")]
        with pytest.raises(AnnotationError, match=r"both\.rttm: 2 recordings \(a, b\)"):
            Segments.from_rttm(tmp_path / "both.rttm")
        with pytest.raises(AnnotationError, match=r"both\.rttm: no recording c"):
            Segments.from_rttm(tmp_path / "both.rttm", "c")

    def test_a_frame_written_as_csv_is_read_again(self, tmp_path):
        table().to_pandas("day1").to_csv(tmp_path / "t.csv", index=False)
        read = Segments.from_csv(tmp_path / "t.csv")
        assert list(read) == list(table())
        assert read.columns["addressee"].tolist() == ["", "ADS", ""]
        (tmp_path / "own.csv").write_text("segment_onset,segment_offset,speaker_type\n0,1000,CHI\n")
        assert list(Segments.from_csv(tmp_path / "own.csv", "any")) == [(0, 16_000, "KCHI")]


def test_it_can_be_pickled():
    assert equal(pickle.loads(pickle.dumps(table())), table())
