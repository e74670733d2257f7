"""One run of a command over recordings: check the audio, compute, and print the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import typer
from rich.console import Console

from babyhubert.cli.messages import quiet
from babyhubert.timebase import format_clock

if TYPE_CHECKING:
    from babyhubert.audio.discovery import RecordingFile
    from babyhubert.audio.preflight import PreflightReport
    from babyhubert.cli.groups import Run
    from babyhubert.progress import RunProgress
    from babyhubert.runs.distribution import Distribution, RecordingJob
    from babyhubert.runs.execution import Execution
    from babyhubert.runs.record import RunSummary

    class RecordingRun(RecordingJob, Protocol):
        """A run over recordings with its model loaded."""

        @property
        def bytes_per_second(self) -> float:
            """Maximum bytes on disk of the results of a second of audio."""

        def execute(
            self,
            checked: PreflightReport,
            progress: RunProgress | None = None,
            *,
            force: bool = False,
            distribution: Distribution = ...,
        ) -> RunSummary:
            """Process every readable recording that is not complete."""


RunT = TypeVar("RunT", bound="RecordingRun")


def run(
    make: Callable[..., RunT],
    given: Run,
    execution: Execution,
    *,
    decides: bool,
    before: Callable[[RunT], object] | None = None,
    prepare: Callable[[RunT, PreflightReport], PreflightReport] | None = None,
    after: Callable[[RunT, PreflightReport], object] | None = None,
) -> RunSummary:
    """Run a command over the given recordings, and print the result at the end.

    Args:
        make: Makes the run, given ``device`` and ``part``.
        given: The options.
        execution: Distribution of the recordings.
        decides: True if results depend on the kind of device, so that this process must have the workers' kind.
        before: Called with the run before the recordings are checked.
        prepare: The recordings to compute, from those that were found.
        after: Called at the end, before the closing lines.
    """
    from babyhubert.audio.discovery import require_there
    from babyhubert.cli.endings import print_run

    require_there(given.recordings.audio)
    if given.dry_run:
        from babyhubert.cli.dry_run import dry_run

        raise typer.Exit(dry_run(make, given, execution, decides=decides))
    opened = make(device=execution.own_device(decides=decides), part=execution.part)
    if before is not None:
        before(opened)
    output = given.recordings.output
    checked = check_inputs(given.recordings.audio, output, bytes_per_second=opened.bytes_per_second)
    if prepare is not None:
        checked = prepare(opened, checked)
    summary = execute(opened, make, checked, execution, force=given.workload.force)
    if after is not None:
        after(opened, checked)
    print_run(summary, output, execution.part, given.recordings.audio)
    return summary


def execute(
    opened: RunT, make: Callable[..., RunT], checked: PreflightReport, execution: Execution, *, force: bool = False
) -> RunSummary:
    """Compute with progress display, in this process or by workers that make the same run."""
    from babyhubert.cli.progress import RunProgressDisplay

    distribution = execution.distribution(partial(make, device=execution.device))
    with opened.folder, RunProgressDisplay(opened.folder.command) as progress:
        return opened.execute(checked, progress, force=force, distribution=distribution)


def check_inputs(audio: Sequence[Path], output: Path, bytes_per_second: float) -> PreflightReport:
    """Find recordings in files and folders, read their headers, and print the findings.

    Raises:
        AudioError: nothing to process, or two recordings would get one name.
        OutputError: the output cannot be written or will not fit.
    """
    from babyhubert.audio.discovery import discover, left_out
    from babyhubert.runs.earlier import known_ids

    files = discover(audio, known=known_ids(output), tell_apart=True)
    return check_files(files, output, bytes_per_second, left_out(audio))


def check_files(
    files: Sequence[RecordingFile], output: Path, bytes_per_second: float, others: Sequence[Path] = ()
) -> PreflightReport:
    """Read the headers of recordings, and print the findings.

    Args:
        files: Recordings.
        output: Output folder.
        bytes_per_second: Bytes on disk of the results of a second of audio.
        others: Files beside them that are not known as audio by name.

    Raises:
        OutputError: the output cannot be written or will not fit.
    """
    from babyhubert.audio.discovery import id_notes, skipped_note
    from babyhubert.audio.preflight import check_recordings
    from babyhubert.errors import counted

    console = Console(stderr=True, highlight=False)
    report = check_recordings(files, output, bytes_per_second)
    given = counted(len(report.good), "recording")
    if not quiet():
        console.print(f"{given}, {format_clock(report.total_samples)} of audio", soft_wrap=True)
        for note in (*([skipped_note(others)] if others else []), *id_notes(files), *report.warnings):
            console.print(f"note: {note}", style="yellow", soft_wrap=True, markup=False)
    for _, error in report.bad:
        console.print(f"cannot read: {error}", style="red", soft_wrap=True, markup=False)
    return report
