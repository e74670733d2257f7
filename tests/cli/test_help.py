"""Help answers at once and for every command: without torch, and with defaults and units."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
import typer.main

import babyhubert
from babyhubert.cli.app import app
from babyhubert.encoder.multitask import VoiceTypeModel
from commands import command, write_sounds


def paths_of_commands(group=None, before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command and group of commands, as the words a user types."""
    group = group or typer.main.get_command(app)
    found = [before]
    for name, entry in group.commands.items():
        found += paths_of_commands(entry, (*before, name)) if hasattr(entry, "commands") else [(*before, name)]
    return found


def test_the_fixed_names_are_there():
    names = {path for path in paths_of_commands() if path}
    assert {("segment",), ("embed",), ("convert",), ("simulate",), ("demo",), ("evaluate", "voice-type")} <= names


def test_no_help_imports_torch_or_numpy():
    # One process for all: what one command imports stays imported, and the last line would show it.
    lines = [
        "import sys",
        "import babyhubert",
        "assert not {'torch', 'numpy', 'typer'} & set(sys.modules), 'import babyhubert'",
        "from typer.testing import CliRunner",
        "from babyhubert.cli.app import app",
        f"for path in {paths_of_commands()!r}:",
        "    result = CliRunner().invoke(app, [*path, '--help'])",
        "    assert result.exit_code == 0, result.output",
        "    assert 'Usage' in result.output, path",
        "    loaded = {'torch', 'numpy', 'soundfile', 'transformers', 'pandas'} & set(sys.modules)",
        "    assert not loaded, (path, loaded)",
        "print('checked', len(sys.modules))",
    ]
    result = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("checked")


@pytest.mark.parametrize("verb", ["segment", "embed"])
def test_help_of_a_run_gives_every_option_with_default_and_unit(verb, monkeypatch):
    for name, value in {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}.items():
        monkeypatch.setenv(name, value)
    text = command(verb, "--help").out
    shared = ["AUDIO...", "--output", "--model", "--window", "--overlap", "--channel", "--device", "--batch-size"]
    own = {
        "segment": ["--thresholds", "--min-on", "--min-off", "--save-probs", "--keep-raw", "--speed", "0.75"],
        "embed": ["--layers", "--segments", "--pool", "--dtype", "[default: float32]"],
    }
    for word in [*shared, *own[verb], "--force", "in seconds", "coml/"]:
        assert word in text


def test_version_and_no_arguments():
    assert command("--version").out == f"babyhubert {babyhubert.__version__}\n"
    assert "segment" in command().out + command().err
    wrong = command("segmnt")
    assert wrong.code == 2
    assert "segmnt" in wrong.err


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate"), ["memory ran out", "--batch-size"]),
        (ZeroDivisionError("no\nidea"), ["unexpected ZeroDivisionError: no idea", "--debug"]),
    ],
)
def test_what_nobody_foresaw_is_one_line_too(small_model, tmp_path, monkeypatch, error, words):
    def fail(*_):
        raise error

    audio = write_sounds(tmp_path / "audio", ["a.wav"], seconds=1)
    with monkeypatch.context() as patch:
        patch.setattr(VoiceTypeModel, "probabilities", fail)
        result = command("segment", audio, "-o", tmp_path / "out", "--model", small_model)
    assert result.code == 2
    assert all(word in result.error for word in words)
    assert command("segment", audio, "-o", tmp_path / "out", "--model", small_model).code == 0


def test_the_traceback_is_shown_on_request_alone(small_model, tmp_path):
    arguments = ("segment", tmp_path / "nowhere", "-o", tmp_path / "out", "--model", small_model)
    plain, asked = command(*arguments), command(*arguments, "--debug")
    assert (plain.code, asked.code) == (2, 2)
    assert "Traceback" not in plain.err
    assert "Traceback" in asked.err
    assert "nowhere does not exist" in asked.err
