"""The simulate command as a user runs it."""

from __future__ import annotations

import typer
from typer.testing import CliRunner

from babyhubert.cli.simulate import simulate
from babyhubert.errors import ConfigError

app = typer.Typer()
app.command()(simulate)


def test_simulate_writes_recordings_and_truth(tmp_path):
    result = CliRunner().invoke(
        app, ["-o", str(tmp_path / "out"), "--minutes", "0.2", "--recordings", "2", "--seed", "5", "--prefix", "toy"]
    )
    assert result.exit_code == 0, result.output
    assert "2 recordings" in result.output
    names = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert names == [
        "audio/toy_000.wav",
        "audio/toy_001.wav",
        "phonemes.csv",
        "recordings.csv",
        "rttm/toy_000.rttm",
        "rttm/toy_001.rttm",
        "segments.csv",
        "simulation.json",
    ]


def test_simulate_names_an_impossible_setting(tmp_path):
    result = CliRunner().invoke(app, ["-o", str(tmp_path), "--speech-share", "0.95"])
    assert isinstance(result.exception, ConfigError)
    assert "0.95" in str(result.exception)


def test_help_gives_defaults_and_units():
    result = CliRunner().invoke(app, ["--help"])
    assert "minutes" in result.output
    assert "0.25" in result.output
