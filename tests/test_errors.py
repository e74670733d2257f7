"""Errors serve both readers: Python code is told the remedy in words, the command line the option as well."""

import ast
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import babyhubert
from babyhubert.annotation.columns import COLUMNS
from babyhubert.encoder.conversion import convert_checkpoint
from babyhubert.errors import AudioError, ConfigError, OutputError, on_command_line, one_line
from babyhubert.inference.quiet import check_margin
from commands import command, write_small_model, write_sounds

ROOT = Path(babyhubert.__file__).parent
BELOW_COMMANDS = ("audio", "annotation", "compute", "encoder", "phonology", "inference")
"""Packages that Python code reaches through the public names."""
OPTION = re.compile(r"(?<![\w'-])--[a-z]|^--[a-z]")
COMMAND = re.compile(r"'[a-z ]+ --[^']*'")
"""A whole command in quotes is an instruction for a terminal, whoever reads it."""


def texts(tree: ast.AST) -> Iterator[ast.Constant]:
    """String constants that a user may see: no docstrings, and not what `option=` holds."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "option":
            skipped |= {id(inner) for inner in ast.walk(node.value)}
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(id(node.value))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node


def test_no_message_below_the_commands_speaks_of_options():
    found, commands = [], {column.command for column in COLUMNS}
    for path in (path for package in BELOW_COMMANDS for path in sorted((ROOT / package).rglob("*.py"))):
        for node in texts(ast.parse(path.read_text(encoding="utf-8"))):
            text = node.value
            if OPTION.search(text) and not COMMAND.search(text):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {text}")
    # the name of a command with its option, which commands print; and quoted commands with values in them
    allowed = (" --task ", "run 'segment --min-on ", " --min-off ")
    assert commands
    assert [line for line in found if not line.endswith(allowed)] == []


CUDA = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


@CUDA
def test_a_missing_gpu(tmp_path):
    with pytest.raises(ConfigError, match=r"no CUDA; use cpu$") as raised:
        babyhubert.load_model(device="cuda")
    assert raised.value.option == "--device cpu"
    sounds = write_sounds(tmp_path / "audio", ["a.wav"])
    done = command("segment", sounds, "-o", tmp_path / "out", "--device", "cuda")
    assert done.error.endswith("no CUDA; use cpu (--device cpu)")


def test_an_existing_copy(tmp_path):
    model = write_small_model(tmp_path / "model")
    (tmp_path / "copy").mkdir()
    with pytest.raises(OutputError, match=r"choose another place, or overwrite it$"):
        convert_checkpoint(model, tmp_path / "copy", "transformers")
    assert command("convert", model, tmp_path / "copy").error.endswith("or overwrite it (--force)")


def test_quiet_without_a_margin(tmp_path):
    with pytest.raises(ConfigError, match=r"a margin of 0: more than 0 decibels.*such as 10$"):
        check_margin(0)
    sounds = write_sounds(tmp_path / "audio", ["a.wav"])
    done = command("segment", sounds, "-o", tmp_path / "out", "--skip-quiet", "0")
    assert done.error.endswith("such as 10 (--skip-quiet 10)")


def test_lists_of_failures_are_for_the_command_line():
    error = ConfigError("too large;\nuse float32", option="--dtype float32")
    assert str(error) == "too large;\nuse float32"
    assert one_line(Path("a.wav"), error) == "too large; use float32 (--dtype float32)"
    assert on_command_line(ValueError("x")) == "x"
    again = pickle.loads(pickle.dumps(error))  # as workers send it
    assert on_command_line(again) == on_command_line(error)


def test_python_s_own_refusals_name_arguments():
    with pytest.raises(AudioError) as raised:
        babyhubert.load_model(device="cpu")(np.zeros(480), 0)
    assert "sampling_rate is 0" in str(raised.value)
    with pytest.raises(ConfigError, match="has its device and speed already"):
        babyhubert.embed(np.zeros(480), None, 16_000, model=babyhubert.load_encoder("playroom"), speed="fast")
