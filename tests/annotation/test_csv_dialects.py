"""Tables as spreadsheets save them: semicolons, tabs, byte order marks, decimal commas."""

from __future__ import annotations

from pathlib import Path

import pytest

from babyhubert.annotation.columns import check_column
from babyhubert.annotation.reading import read_annotations
from babyhubert.annotation.segments import Segments
from babyhubert.annotation.text import CsvTable
from babyhubert.errors import AnnotationError, ConfigError
from babyhubert.measures.hours import read_start_times

EXPECTED = Segments.from_rows([(24_000, 40_000, "FEM"), (48_160, 64_000, "KCHI")])


@pytest.mark.parametrize(
    "text",
    [
        "uid,start_time_s,duration_s,label\na,1.5,1.0,FEM\na,3.01,0.99,KCHI\n",
        "uid;start_time_s;duration_s;label\na;1,5;1,0;FEM\na;3,01;0,99;KCHI\n",
        "\ufeffuid;start_time_s;duration_s;label\r\na;1,5;1;FEM\r\na;3,01;0,99;KCHI\r\n",
        "sep=;\nuid;start_time_s;duration_s;label\na;1.5;1.0;FEM\na;3.01;0.99;KCHI\n",
        "uid\tstart_time_s\tduration_s\tlabel\na\t1,5\t1,0\tFEM\na\t3,01\t0,99\tKCHI\n",
    ],
    ids=["commas", "semicolons", "excel", "named", "tabs"],
)
def test_one_table_in_every_dialect(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rttm.csv"
    path.write_bytes(text.encode())
    assert read_annotations(path) == {"a": EXPECTED}


def test_start_times_of_a_german_spreadsheet(tmp_path: Path) -> None:
    path = tmp_path / "starts.csv"
    path.write_bytes("\ufeffrecording_id;start_time\r\nday1;7:30\r\n".encode())
    assert read_start_times(path) == {"day1": 27_000 * 16_000}


def test_a_comma_in_a_text_is_no_decimal_point(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("recording_id;note\na;dogs, 2,5 m away\n", encoding="utf-8")
    assert [row["note"] for _, row in CsvTable(path)] == ["dogs, 2,5 m away"]


def test_a_decimal_comma_between_commas_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rttm.csv"
    path.write_text('uid,start_time_s,duration_s,label\na,"1,5",1.0,FEM\n', encoding="utf-8")
    with pytest.raises(AnnotationError, match=r"line 2: start '1,5' is not a finite number of seconds"):
        read_annotations(path)


@pytest.mark.parametrize("name", ["start_s", "end_s", "duration", "recording_id"])
def test_columns_of_times_are_no_names_for_tasks(name: str) -> None:
    with pytest.raises(ConfigError, match="means something else in tables"):
        check_column(name, "task.json")
