"""`babyhubert convert`, as a user runs it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

from babyhubert.cli.convert import LAYOUTS, convert
from babyhubert.encoder.flavours import FLAVOURS
from babyhubert.errors import ConfigError, OutputError

sys.path.append(str(Path(__file__).parents[1] / "encoder"))
import published_layouts as published

app = typer.Typer()
app.command()(convert)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_layouts_offered_are_the_layouts_known():
    assert LAYOUTS == FLAVOURS


def test_conversion_says_what_it_read_and_wrote(tmp_path):
    source = published.write("vtc-2.1", tmp_path / "best.ckpt")
    result = run(source, tmp_path / "model")
    assert result.exit_code == 0, result.output
    assert "vtc-2.1" in result.output
    assert "voice_type head" in result.output
    assert "verified equal" in result.output
    back = run(tmp_path / "model", tmp_path / "back.ckpt", "--to", "vtc-2.1")
    assert back.exit_code == 0, back.output
    one, two = (torch.load(file, weights_only=True)["state_dict"] for file in (source, tmp_path / "back.ckpt"))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_refusals(tmp_path):
    source = published.write("torchaudio", tmp_path / "best.ckpt")
    assert isinstance(run(source, source, "--to", "torchaudio").exception, OutputError)
    assert isinstance(run(source, tmp_path / "x", "--to", "onnx").exception, ConfigError)
    assert "no such file" in str(run(tmp_path / "nowhere.ckpt", tmp_path / "x").exception)


def test_loss_is_told(tmp_path):
    source = published.write("fairseq", tmp_path / "f.pt")
    result = run(source, tmp_path / "t.ckpt", "--to", "torchaudio")
    assert result.exit_code == 0, result.exception
    assert "left out" in result.output
    assert "special_label_embeddings" in result.output


@pytest.mark.parametrize("word", ["--to", "--force", "--allow-loss", "transformers", "babar"])
def test_help(word):
    result = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})
    assert word in result.output
