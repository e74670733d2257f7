"""What commands over recordings share: finding and checking the audio before any work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from babyhubert.timebase import format_clock

if TYPE_CHECKING:
    from babyhubert.audio.preflight import PreflightReport


def check_inputs(audio: Sequence[Path], output: Path, bytes_per_second: float) -> PreflightReport:
    """Find recordings in files and folders, read their headers, and say what was found.

    Raises:
        AudioError: nothing to process, or two recordings would get one name.
        OutputError: the output cannot be written or will not fit.
    """
    from babyhubert.audio.discovery import discover, left_out, left_out_note
    from babyhubert.audio.preflight import check_recordings

    console = Console(stderr=True, highlight=False)
    report = check_recordings(discover(audio), output, bytes_per_second)
    console.print(f"{len(report.good)} recordings, {format_clock(report.total_samples)} of audio", soft_wrap=True)
    others = left_out(audio)
    if others:
        console.print(f"note: {left_out_note(others)}", style="yellow", soft_wrap=True, markup=False)
    for warning in report.warnings:
        console.print(f"note: {warning}", style="yellow", soft_wrap=True, markup=False)
    for _, error in report.bad:
        console.print(f"cannot read: {error}", style="red", soft_wrap=True, markup=False)
    return report
