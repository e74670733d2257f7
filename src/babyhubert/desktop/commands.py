"""Commands that the page runs: the same that a person types in a terminal, so that a paper can state them."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from babyhubert.desktop.workspace import Analysis


def analyze(analysis: Analysis) -> list[str]:
    """Arguments of the command of an analysis: voice types (and what else the model can), measures, report."""
    options = analysis.options
    words = ["analyze", *map(str, analysis.audio), "-o", str(analysis.output), "--speed", options.speed]
    if options.model:
        words += ["--model", options.model]
    if options.thresholds != "f1":
        words += ["--thresholds", options.thresholds]
    return words


def export(analysis: Analysis, form: str) -> list[str]:
    """Arguments of the command that writes a format for another program."""
    return ["export", str(analysis.output), "--to", form]


def sample(analysis: Analysis, clips: Path, number: int, length_s: float) -> list[str]:
    """Arguments of the command that cuts clips to check."""
    counts = ["--clips", str(number), "--length", f"{length_s:g}"]
    audio = [word for path in analysis.audio for word in ("--audio", str(path))]
    return ["sample", str(analysis.output), "-o", str(clips), "--method", "random", *counts, "--context", "2", *audio]


def review(clips: Path, annotator: str) -> list[str]:
    """Arguments of the command that serves the page on which clips are corrected."""
    return ["review", str(clips), "--no-browser", *(["--annotator", annotator] if annotator else [])]


def corrected_totals(analysis: Analysis, clips: Path, annotator: str) -> list[list[str]]:
    """Arguments of the commands that read corrected clips back, and correct the totals by them."""
    reference, who = analysis.output / "reference", ["--annotator", annotator] if annotator else []
    return [
        ["sample", "--collect", str(clips), "-o", str(reference), *who],
        ["estimate", str(analysis.output), "--reference", str(reference), "-o", str(analysis.output / "estimates")],
    ]


def as_typed(words: Sequence[str]) -> str:
    """The command as a person types it."""
    line = ["babyhubert", *words]
    return subprocess.list2cmdline(line) if os.name == "nt" else shlex.join(line)


def as_process(words: Sequence[str]) -> list[str]:
    """The command as a process of this Python."""
    return [sys.executable, "-m", "babyhubert", *words]
