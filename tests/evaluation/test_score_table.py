"""One module shows the scores of every evaluation: on the terminal, as JSON and as CSV."""

import io
import json
import math

import numpy as np
import pytest
from rich.console import Console

from babyhubert.evaluation.detection import BootstrapIntervals
from babyhubert.evaluation.score_table import (
    ClassScores,
    bootstrap_json,
    confusion,
    decimal,
    number,
    percent,
    span,
    span_or_dash,
    table_of_rows,
    write_scores,
)

NAN = math.nan
SCORES = np.array([[0.5, 0.25, 1 / 3], [NAN, 0, NAN]])
MEAN = np.array([0.5, 0.125, 1 / 3])
ENDS = np.stack([SCORES - 0.125, SCORES + 0.125], axis=-1)
INTERVALS = BootstrapIntervals(200, 0.95, ENDS, np.stack([MEAN - 0.1, MEAN + 0.1], axis=-1), 7)


def printed(table) -> list[str]:
    """Lines of a table, cells divided by ``|``."""
    console = Console(file=io.StringIO(), width=200)
    console.print(table)
    lines = console.file.getvalue().replace("\u2503", "\u2502").splitlines()
    return ["|".join(part.strip() for part in line.strip()[1:-1].split("\u2502")) for line in lines]


@pytest.mark.parametrize(
    ("value", "shown", "in_csv", "in_json"),
    [
        (0.12345678, "12.3", "0.12346", 0.12345678),
        (1, "100.0", "1.00000", 1.0),
        (0.0, "0.0", "0.00000", 0.0),
        (NAN, "-", "", None),
    ],
)
def test_one_number_everywhere(value, shown, in_csv, in_json):
    assert (percent(value), decimal(value), number(value)) == (shown, in_csv, in_json)


def test_intervals():
    assert span((0.1, 0.25)) == span_or_dash((0.1, 0.25)) == "10.0 to 25.0"
    assert (span((NAN, NAN)), span_or_dash((NAN, NAN))) == ("- to -", "-")
    assert span_or_dash((0.1, 0.25), lambda value: f"{value:.3f}") == "0.100 to 0.250"
    assert bootstrap_json(INTERVALS, "child_id") == {"over": "child_id", "resamples": 200, "confidence": 0.95}
    assert bootstrap_json(None, "child_id") is None


def test_scores_of_classes_on_the_terminal():
    lines = printed(ClassScores(("A", "B"), SCORES, MEAN, INTERVALS).table("Two", ["3", "4"], ["5", "6"]))
    assert lines[2] == "class|F1 %|95 % interval|precision %|recall %|reference|predicted"
    assert lines[4] == "A|33.3|20.8 to 45.8|50.0|25.0|3|5"
    assert lines[5] == "B|-|- to -|-|0.0|4|6"
    assert "\u253c" in lines[6]
    assert lines[7] == "mean|33.3|23.3 to 43.3|50.0|12.5||"
    without = printed(ClassScores(("A", "B"), SCORES, MEAN).table("Two", ["3", "4"], ["5", "6"]))
    assert without[4] == "A|33.3|50.0|25.0|3|5"


def test_scores_of_classes_as_json_and_csv(tmp_path):
    scores = ClassScores(("A", "B"), SCORES, MEAN, INTERVALS)
    assert scores.json(0)["f1_interval"] == [1 / 3 - 0.125, 1 / 3 + 0.125]
    assert scores.json(1) == {
        "precision": None,
        "recall": 0.0,
        "f1": None,
        "precision_interval": [None, None],
        "recall_interval": [-0.125, 0.125],
        "f1_interval": [None, None],
    }
    assert ClassScores(("A", "B"), SCORES, MEAN).mean_json() == {"precision": 0.5, "recall": 0.125, "f1": 1 / 3}
    written = write_scores(tmp_path, {"mean": scores.mean_json()}, {"scores.csv": scores.csv_rows()})
    assert [path.name for path in written] == ["evaluation.json", "scores.csv"]
    assert json.loads(written[0].read_text())["mean"]["f1"] == 1 / 3
    assert written[1].read_text().splitlines() == [
        "class,precision,recall,f1,f1_low,f1_high",
        "A,0.50000,0.25000,0.33333,0.20833,0.45833",
        "B,,0.00000,,,",
        "mean,0.50000,0.12500,0.33333,0.23333,0.43333",
    ]


def test_confusion_and_rows():
    lines = printed(confusion("C", (("A",), ("A", "none")), np.array([[3, 1]]), lambda count: f"{count} s"))
    assert (lines[2], lines[4]) == ("|A|none", "A|3 s|1 s")
    rows = [("a", "1", "b"), ("long", "2")]
    lines = printed(table_of_rows("R", ("name", "x", "why"), rows, left=(0, 2), breaks={1}))
    assert (lines[2], lines[4], lines[6]) == ("name|x|why", "a|1|b", "long|2|")
