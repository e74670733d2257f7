"""Tidy tables of a run: one workbook, or CSV files, that join by one column and explain theirs."""

from __future__ import annotations

import csv
import sys

import openpyxl
import pytest
from results_folders import write_run

from babyhubert.annotation.columns import Column
from babyhubert.exchange import workbook
from babyhubert.measures.dictionary import measure_notes
from babyhubert.measures.tables import columns
from commands import command

NAMES = ["recordings", "hours", "segments", "failures", "settings", "columns"]


@pytest.fixture
def run(tmp_path):
    rows = {"day 1": [(0, 16_000, "FEM"), (32_000, 40_000, "KCHI")], "=sub/day2": [(8_000, 24_008, "MAL")]}
    write_run(tmp_path / "out", rows, 5400, failures=[("x.wav", "=cannot be read")])
    return tmp_path / "out"


def sheet(book, name):
    header, *rows = book[name].iter_rows(values_only=True)
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_one_workbook_whose_sheets_join(run):
    done = command("table", run, "--to", "xlsx")
    assert done.code == 0, done.err
    book = openpyxl.load_workbook(run / "tables.xlsx")
    assert book.sheetnames == NAMES
    recordings = {row["recording_id"]: row for row in sheet(book, "recordings")}
    assert set(recordings) == {"day 1", "=sub/day2"}
    assert recordings["day 1"]["fem_speech_min"] == round(1 / 60, 4)
    assert recordings["day 1"]["kcds_min"] is None
    assert [row["hour"] for row in sheet(book, "hours")] == ["0", "1", "0", "1"]
    segments = sheet(book, "segments")
    assert {row["recording_id"] for row in segments} == set(recordings)
    first = next(row for row in segments if row["recording_id"] == "=sub/day2")
    assert (first["start_s"], first["end_s"], first["duration_s"], first["label"]) == (0.5, 1.501, 1.001, "MAL")
    assert sheet(book, "failures") == [{"path": "x.wav", "error": "=cannot be read"}]
    assert {"command": "segment", "setting": "model.sha256", "value": "0" * 64} in sheet(book, "settings")
    described = {(row["table"], row["column"]): row for row in sheet(book, "columns")}
    for name in NAMES[:-1]:
        for column in next(book[name].iter_rows(values_only=True)):
            assert described[name, column]["meaning"], (name, column)
    assert all(cell.data_type != "f" for each in book for row in each.iter_rows() for cell in row)


def test_csv_files_hold_the_same_as_measures(run):
    command("measures", run, "--vocalisation-gap", 5000)
    assert command("table", run, "--to", "csv").code == 0
    with (
        (run / "measures.csv").open(newline="") as ours,
        (run / "tables" / "recordings.csv").open(newline="") as other,
    ):
        first, second = list(csv.reader(ours)), list(csv.reader(other))
    assert first == second
    with (run / "hourly.csv").open(newline="") as ours, (run / "tables" / "hours.csv").open(newline="") as other:
        assert ours.read() == other.read()
    assert sorted(path.stem for path in (run / "tables").iterdir()) == sorted(NAMES)


def test_more_rows_than_a_sheet_go_on_in_the_next(run, monkeypatch):
    monkeypatch.setattr(workbook, "MOST_ROWS", 2)
    command("table", run)
    book = openpyxl.load_workbook(run / "tables.xlsx")
    assert [len(sheet(book, name)) for name in ("segments", "segments 2")] == [2, 1]


def test_every_measure_is_described():
    own = (
        Column("mood", "mood@", "mood", "classification", ("calm", "loud")),
        Column("vowels", "vowels_", "vowels", "ctc"),
    )
    assert set(columns(own)) <= set(measure_notes(own))


def test_without_the_extra_one_sentence_names_it(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    assert "needs the 'excel' extra" in command("table", run).error
    assert not (run / "tables.xlsx").exists()
    assert "a workbook ends with .xlsx" in command("table", run, "-o", run / "t.xls").error
