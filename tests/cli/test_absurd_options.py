"""Options beyond all reason end in one line that names them, or in results; never in an error of Python's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from babyhubert.files import write_json
from commands import command, write_small_model, write_sounds

OPTIONS = {
    "segment": ("--window", "--overlap", "--skip-quiet", "--min-on", "--min-off", "--simultaneous", "--batch-size"),
    "embed": ("--window", "--overlap", "--batch-size", "--layers"),
}
VALUES = ("nan", "inf", "-1", "1e308", "99999999999999999999999999")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_small_model(tmp_path_factory.mktemp("model") / "m")


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> Path:
    return write_sounds(tmp_path_factory.mktemp("sounds"), ["a.wav"], 1.0)


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(("name", "option"), [(name, option) for name, each in OPTIONS.items() for option in each])
def test_absurd_numbers(name, option, value, model, sounds, tmp_path):
    ended = command(name, sounds, "-o", tmp_path / "out", "--model", model, option, value)
    for word in ("unexpected", "Traceback", "Aborted", "memory ran out"):
        assert word not in ended.out + ended.err
    assert ended.code in (0, 2)
    for file in (tmp_path / "out").rglob("*.json"):
        text = file.read_text()
        assert "NaN" not in text
        assert "Infinity" not in text


def test_json_has_no_nan(tmp_path):
    write_json(tmp_path / "x.json", {"a": float("nan"), "b": [1.5, float("inf")], "c": {"d": (-float("inf"), "NaN")}})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": None, "b": [1.5, None], "c": {"d": [None, "NaN"]}}
