"""Progress display of long runs: a bar on a terminal, one line per minute in a log file."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from babyhubert.cli.messages import quiet
from babyhubert.errors import counted
from babyhubert.timebase import format_clock, samples_to_seconds

_SECONDS_BETWEEN_LINES = 60.0
_WIDE, _WIDEST = 110, 150  # columns


class _AudioHours(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__(Column(no_wrap=True))
        self._unit = unit

    def render(self, task: Task) -> Text:
        total = format_clock(int(task.total)) if task.total else "?"
        return Text(f"{format_clock(int(task.completed))} of {total}{self._unit}")


class _TimesRealTime(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if not speed else f"{samples_to_seconds(int(speed)):.1f} x real time")


class _TimeLeft(TimeRemainingColumn):
    def render(self, task: Task) -> Text:
        return super().render(task).append(" left", style="progress.remaining")


class RunProgressDisplay:
    """Shows recordings done, audio done, speed as a multiple of real time, and time left. Use as a context manager.

    A terminal of 80 columns has room for all of it; one of 110 also for the words.
    """

    _noun = "recording"

    def __init__(self, verb: str, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._verb = verb
        self._wide = self._console.width >= _WIDE or not self._console.is_terminal
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=40 if self._console.width >= _WIDEST else None),
            _AudioHours(" audio" if self._wide else ""),
            _TimesRealTime(Column(no_wrap=True)),
            _TimeLeft(table_column=Column(no_wrap=True)),
            console=self._console,
            disable=quiet() or not self._console.is_terminal,
        )
        self._task = self._bar.add_task(verb, total=None)
        self._recordings = self._finished = self._samples = self._total = 0
        self._began = self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        if not self._console.is_terminal and self._recordings and kind is None:
            self._line()

    def start(self, recordings: int, samples: int, skipped: int) -> None:
        """Begin with a number of recordings and samples to do, and a number of recordings that need no computation."""
        self._recordings, self._total = recordings, samples
        self._began = self._last_line = time.monotonic()
        if skipped and not quiet():
            self._console.print(f"{counted(skipped, self._noun)} computed in an earlier run")
        self._bar.update(self._task, total=samples, description=self._description())

    def advance(self, recording_id: str, samples: int) -> None:
        """Add samples of a recording that have been read."""
        self._samples += samples
        self._bar.advance(self._task, samples)
        if not self._console.is_terminal and time.monotonic() - self._last_line > _SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            self._line()

    def done(self, recording_id: str, error: str | None) -> None:
        """Count a recording as complete or failed."""
        self._finished += 1
        if error is not None:
            self._console.print(f"failed: {error}", style="red", soft_wrap=True, markup=False)
        self._bar.update(self._task, description=self._description())

    def shorten(self, samples: int) -> None:
        """Subtract samples that will not be read after all."""
        self._total -= samples
        self._bar.update(self._task, total=self._total)

    def note(self, text: str) -> None:
        """Print a message, unless the command is quiet."""
        if quiet():
            return
        self._console.print(f"note: {text}", style="yellow", soft_wrap=True, markup=False)

    def _description(self) -> str:
        what = f" {self._noun}s" if self._wide else ""
        return f"{self._verb} {self._finished}/{self._recordings}{what}"

    def _line(self) -> None:
        if quiet():
            return
        elapsed = max(time.monotonic() - self._began, 1e-9)
        speed = samples_to_seconds(self._samples) / elapsed
        left = (self._total - self._samples) / max(self._samples / elapsed, 1e-9)
        self._console.print(
            f"{self._description()}, {format_clock(self._samples)} of {format_clock(self._total)} audio, "
            f"{speed:.1f} x real time, {format_clock(int(max(left, 0) * 16_000))} left",
            soft_wrap=True,
        )
