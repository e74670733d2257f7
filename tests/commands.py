"""Commands as a user runs them, on a small model and on recordings made on the spot."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import typer.main
from making import RATE, babble
from small_encoders import fresh, generator
from typer.core import TyperGroup

from babyhubert.cli.app import app, main
from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.model_folder import save_model_folder
from babyhubert.encoder.multitask import VoiceTypeModel

SMALL = HubertConfig(
    conv_dim=(6,) * 7, hidden_size=32, layers=3, heads=2, feed_forward=48, position_kernel=16, position_groups=4
)


def write_small_model(folder: Path, seed: int = 0) -> Path:
    """A random encoder with a voice-type head whose logits over :func:`babble` have mean 0 and deviation 2."""
    model = VoiceTypeModel(fresh(SMALL, seed)).eval()
    with torch.no_grad():
        sound = torch.from_numpy(babble(6 * RATE, RATE, seed=0))
        features = model.encoder(sound[None]).last[0]
        weight = torch.randn(model.head("voice_type").weight.shape, generator=generator(seed + 1))
        logits = features @ weight.T
        model.head("voice_type").weight.copy_(weight * (2 / logits.std(dim=0))[:, None])
        model.head("voice_type").bias.copy_(-logits.mean(dim=0) * 2 / logits.std(dim=0))
    save_model_folder(folder, model.to_checkpoint(), {"licence": "none", "lineage": ["drawn at random"]})
    return folder


def write_sounds(folder: Path, names: Iterable[str], seconds: float = 5.0) -> Path:
    """Recordings of different content, 16 kHz mono, in a folder; their names may hold sub-folders."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        frames = round((seconds + 0.37 * number) * RATE)
        sound = babble(frames, RATE, seed=number)[::-1] if number % 2 else babble(frames, RATE, seed=number)
        soundfile.write(path, sound, RATE)
    return folder


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that says why nothing was done."""
        lines = [line for line in self.err.splitlines() if line.startswith("babyhubert: error: ")]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[0].removeprefix("babyhubert: error: ")


def command(*arguments: object) -> Outcome:
    """Run ``babyhubert`` in this process through its entry point; exit codes and messages are the real ones."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["babyhubert", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return Outcome(code, out.getvalue(), err.getvalue())


def parse(words: list[str]) -> None:
    """Parse a command as the command line does, and run nothing."""
    command = typer.main.get_command(app)
    context = command.context_class(command)
    while isinstance(command, TyperGroup) and words and not words[0].startswith("-"):
        name, *words = words if not words[0].endswith(".toml") else ["tasks", *words]  # finetune CONFIG.toml
        found = command.get_command(context, name)
        assert found is not None, f"no command {name}"
        command, context = found, found.context_class(found, parent=context)
    parser = command.make_parser(context)
    parser.parse_args([word for word in words if word not in ("...", "[...]")])


def start(*arguments: object) -> subprocess.Popen[str]:
    """Start ``babyhubert`` as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "babyhubert", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONUTF8": "1"},
    )


def contents(folder: Path) -> dict[str, bytes]:
    """Every file that a user sees below an output folder; what tells of time and place is left out."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".babyhubert" not in path.relative_to(folder).parts and path.name != "run.json"
    }


def spoken(output: Path) -> set[str]:
    """Classes found in a run, so that a test can make sure that it compares something."""
    with (output / "rttm.csv").open(encoding="utf-8", newline="") as table:
        return {row["label"] for row in csv.DictReader(table)}


def samples_of(path: Path) -> np.ndarray:
    """A 16 kHz mono file as the model hears it."""
    return soundfile.read(path, dtype="float32")[0]
