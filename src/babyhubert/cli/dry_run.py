"""``--dry-run``: what a run would do, how long it would take and how much room it needs, without writing anything."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from babyhubert.audio.discovery import RecordingFile
    from babyhubert.cli.groups import Run
    from babyhubert.inference.throughput import EncoderPass
    from babyhubert.runs.execution import Execution
    from babyhubert.runs.pipeline import RecordingRun

_WORDS = {
    "process": "to do",
    "remake": "to make again from stored results, in seconds",
    "segments": "to do, after their segments have been found (not counted in the time)",
    "none": "complete already",
    "not wanted": "without segments, left out",
}


def dry_run(make: Callable[..., Any], given: Run, execution: Execution, *, decides: bool) -> int:
    """Print the work, time and space of a run; return the exit code of the command.

    Args:
        make: Makes the run, given ``device`` and ``part``.
        given: The options.
        execution: Distribution of the recordings.
        decides: True if results depend on the kind of device.
    """
    from babyhubert.cli.recordings import check_inputs
    from babyhubert.errors import ModelAccessError
    from babyhubert.timebase import SAMPLE_RATE, format_clock

    typer.echo("dry run: nothing is computed or written")
    output = given.recordings.output
    try:
        opened: RecordingRun = make(device=execution.own_device(decides=decides), part=None)
    except ModelAccessError as error:
        check_inputs(given.recordings.audio, output, bytes_per_second=0)
        typer.echo(f"the model is not on this machine, so that time and space are not known: {error}")
        return 2
    checked = check_inputs(given.recordings.audio, output, bytes_per_second=opened.bytes_per_second)
    lengths = {file: info.n_samples for file, info in checked.good}
    work = {file: _work(opened, file, force=given.workload.force) for file in lengths}
    for kind, count in Counter(work.values()).items():
        samples = sum(length for file, length in lengths.items() if work[file] == kind)
        typer.echo(f"  {count:6}  {format_clock(samples):>10} of audio  {_WORDS[kind]}")
    if checked.bad:
        typer.echo(f"  {len(checked.bad):6}  {'':>10}           cannot be read")
    todo = [file for file in lengths if work[file] in ("process", "segments")]
    seconds = sum(lengths[file] for file in todo) / SAMPLE_RATE
    if todo:
        typer.echo(_time(opened.passes, seconds, execution))
    typer.echo(_space(output, seconds * opened.bytes_per_second))
    return 0 if checked.good else 2


def _work(opened: RecordingRun, file: RecordingFile, *, force: bool) -> str:
    """Work that is left for a recording. One whose segments are not there yet is to be done."""
    if opened.lacks_input(file):
        return "segments"
    if not opened.wants(file):
        return "not wanted"
    return "process" if force else opened.state(file).work


def _time(passes: Sequence[EncoderPass], seconds: float, execution: Execution) -> str:
    """Line about the time, from the speed of the model on this machine as measured now."""
    from babyhubert.runs.pools import LocalPool
    from babyhubert.timebase import format_clock, seconds_to_samples

    speeds = [each.times_real_time() for each in passes]
    needed = sum(seconds / speed for speed in speeds)
    device = next(passes[0].encoder.parameters()).device
    told = f"time: about {format_clock(seconds_to_samples(needed))} on this machine ({device}"
    told += f", {seconds / needed:.0f} x real time, measured just now)"
    if execution.part is not None:
        told += ", all shards together"
    elif execution.pool is not None and not isinstance(execution.pool, LocalPool):
        told += "; other workers divide it among them"
    return told


def _space(output: Path, needed: float) -> str:
    existing = next(folder for folder in (output.absolute(), *output.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(existing).free
    return f"space: at most {_bytes(needed)} in {output} ({_bytes(free)} free)"


def _bytes(size: float) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size / 1e3:.0f} kB"
