"""Reports as files and sentences, and UEM files."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from babyhubert.annotation.rttm import write_rttm
from babyhubert.annotation.segments import Segments
from babyhubert.annotation.uem import read_uem
from babyhubert.errors import AnnotationError
from babyhubert.evaluation.detection import compare
from babyhubert.evaluation.presentation import as_json, fscore_rows, notes, read_side, write_report
from babyhubert.files import csv_text

REFERENCE = {
    "a": Segments.from_rows([(0, 160_000, "KCHI"), (80_000, 240_000, "FEM")]),
    "b": Segments.from_rows([(0, 160_000, "KCHI"), (0, 16_000, "SPEECH")]),
}
PREDICTION = {"a": Segments.from_rows([(0, 160_000, "KCHI"), (0, 80_000, "FEM")]), "z": Segments.empty()}


def test_fscore_csv_is_the_published_table():
    rows = list(csv.reader(csv_text(fscore_rows(compare(REFERENCE, PREDICTION))).splitlines()))
    assert rows[0] == ["item", "KCHI", "OCH", "MAL", "FEM"]
    assert [row[0] for row in rows[1:]] == ["a", "b", "TOTAL"]
    assert rows[1][1:] == ["1.00000", "1.00000", "1.00000", "0.00000"]
    assert rows[3][1:] == ["0.66667", "1.00000", "1.00000", "0.00000"]


def test_json_says_everything_and_is_valid(tmp_path):
    report = compare(REFERENCE, PREDICTION)
    intervals = report.bootstrap(np.random.default_rng(0), 100)
    write_report(tmp_path / "out", report, intervals, {"seed": 0})

    def refuse(constant: str) -> float:
        raise AssertionError(f"{constant} is not JSON")

    content = json.loads((tmp_path / "out/evaluation.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert content["seed"] == 0
    assert content["mean"]["f1"] == pytest.approx(report.macro_f1)
    assert content["classes"]["KCHI"]["false_negative_s"] == 10.0
    assert content["classes"]["MAL"]["f1_interval"] == [None, None]
    assert content["classes"]["KCHI"]["f1_interval"] == [0.0, 1.0]
    assert content["confusion_s"]["KCHI"]["none"] == 10.0
    assert content["missing_predictions"] == ["b"]
    assert content["predictions_without_reference"] == ["z"]
    assert content["ignored_labels_s"] == {"reference": {"SPEECH": 1.0}, "prediction": {}}
    assert content["files"]["a"]["FEM"]["true_positive_s"] == 0.0
    assert as_json(report, None)["bootstrap"] is None


def test_notes_tell_what_a_reader_must_know():
    report = compare(REFERENCE, PREDICTION)
    said = "\n".join(notes(report, report.bootstrap(np.random.default_rng(0), 10)))
    for expected in ("counted as silent: b", "left out: z", "SPEECH", "OCH, MAL", "only 2 recordings", "two classes"):
        assert expected in said


def test_read_side_prefers_the_rttm_folder_of_a_run(tmp_path):
    write_rttm(tmp_path / "rttm/a.rttm", "a", REFERENCE["a"])
    write_rttm(tmp_path / "raw_rttm/a.rttm", "a", REFERENCE["b"])
    assert read_side(tmp_path) == {"a": REFERENCE["a"]}


def test_uem_files(tmp_path):
    file = tmp_path / "scored.uem"
    file.write_text(";; comment\n\na 1 0.5 1.0\na\t1\t0.75\t2.0\nb NA 0 10\n", encoding="utf-8")
    uem = read_uem(file)
    assert [edge.tolist() for edge in uem["a"]] == [[8_000], [32_000]]
    assert [edge.tolist() for edge in uem["b"]] == [[0], [160_000]]


@pytest.mark.parametrize("line", ["a 1 0.5", "a 1 x 2", "a 1 3 2", "a 1 -1 2", "a 1 0 inf", "a 1 nan 2"])
def test_a_bad_uem_line_is_named(tmp_path, line):
    file = tmp_path / "scored.uem"
    file.write_text(f"a 1 0 1\n{line}\n", encoding="utf-8")
    with pytest.raises(AnnotationError, match="line 2"):
        read_uem(file)


def test_an_empty_uem_is_an_error(tmp_path):
    file = tmp_path / "scored.uem"
    file.write_text(";; nothing\n", encoding="utf-8")
    with pytest.raises(AnnotationError, match="names no recording"):
        read_uem(file)
