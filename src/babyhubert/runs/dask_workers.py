"""Execution of a run's recordings on Dask workers: one task per recording, longest first, one at a time per worker.

A worker that dies loses one recording, which another one takes; a recording whose workers keep dying is given up and
reported. Results are on the shared disk; only names, progress and error lines go through Dask.
"""

from __future__ import annotations

import os
import queue
import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

from babyhubert.errors import ConfigError, DiskFullError, OutputError
from babyhubert.progress import RunProgress
from babyhubert.runs.distribution import RecordingJob
from babyhubert.runs.journal import Planned
from babyhubert.runs.pools import DEATHS, WorkerPool

_TICK_SECONDS = 1.0
_SECONDS_BETWEEN_NOTES = 60.0
_VISIBLE_SECONDS = 120.0


class DaskWorkers:
    """Distributes the recordings of a run to workers.

    Args:
        pool: Source of the workers.
        make: Makes the job in a worker; a partial of a module's function with small arguments.
    """

    def __init__(self, pool: WorkerPool, make: Callable[[], RecordingJob]) -> None:
        self._pool = pool
        self._make = make

    def run(self, job: RecordingJob, recordings: Sequence[Planned], progress: RunProgress) -> None:
        """Process all recordings; ``progress`` is notified of each exactly once.

        Raises:
            ConfigError: there are no workers, or they are unsuitable.
            DiskFullError: the disk is full.
            OutputError: files of the workers are not visible here.
        """
        if not recordings:
            return
        from babyhubert.runs.worker import Ticket, decisive_versions, forget_run

        run = f"babyhubert-{secrets.token_hex(8)}"
        ticket = Ticket(run, self._make, job.identity, decisive_versions(), os.getcwd(), self._pool.threads)  # noqa: PTH109
        with ExitStack() as stack:
            client = self._pool.open(stack, job.folder.state / "scratch")
            flight = _Flight(client, self._pool, ticket, job, progress, recordings)
            try:
                flight.complete()
            finally:
                flight.stop()
                with suppress(Exception):  # courtesy to workers that live on
                    client.run(forget_run, run, wait=False)
        if flight.deaths and job.folder.part is None:
            job.folder.remove_leftovers()


@dataclass
class _Flight:
    """Recordings in progress. All results pass one queue, read by one thread."""

    client: Any
    pool: WorkerPool
    ticket: Any
    job: RecordingJob
    progress: RunProgress
    recordings: Sequence[Planned]
    deaths: int = 0
    waiting: deque[Planned] = field(init=False)
    flying: dict[Any, Planned] = field(default_factory=dict)
    unseen: dict[str, tuple[Planned, float]] = field(default_factory=dict)
    events: queue.SimpleQueue = field(default_factory=queue.SimpleQueue)
    heard: dict[str, int] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    acquittals: dict[str, int] = field(default_factory=dict)
    slots: int = 0
    slots_known: float = -_TICK_SECONDS
    worker_seen: float = field(default_factory=time.monotonic)
    noted: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        longest_first = sorted(self.recordings, key=lambda planned: (-planned.samples, planned.file.recording_id))
        self.waiting = deque(longest_first)
        self.client.subscribe_topic(self.ticket.run, self.events.put)

    def complete(self) -> None:
        """Wait for all recordings."""
        while self.waiting or self.flying or self.unseen:
            self._count_slots()
            while self.waiting and len(self.flying) < self.slots:
                self._send(self.waiting.popleft())
            try:
                event = self.events.get(timeout=0.1 if self.unseen else _TICK_SECONDS)
            except queue.Empty:
                self._tick()
            else:
                if isinstance(event, tuple):
                    self._receive(event[1])
                else:
                    self._land(event)
            self._look_for_unseen()

    def stop(self) -> None:
        """Cancel the recordings in progress."""
        with suppress(Exception):
            self.client.cancel(list(self.flying), force=True)
            self.client.unsubscribe_topic(self.ticket.run)

    def _send(self, planned: Planned) -> None:
        from babyhubert.runs.worker import process_recording

        future = self.client.submit(process_recording, self.ticket, planned.file, pure=False)
        self.flying[future] = planned
        future.add_done_callback(self.events.put)

    def _receive(self, message: dict[str, Any]) -> None:
        """Report progress of a recording; samples read before a worker died are not counted twice."""
        name, heard = message["id"], message["heard"]
        planned = next((planned for planned in self.flying.values() if planned.file.recording_id == name), None)
        if planned is None:
            return
        if message["began"]:
            self.attempts[name] = self.attempts.get(name, 0) + 1
            if self.attempts[name] > 1:
                self.deaths += 1
                self.progress.note(
                    f"{planned.file.path}: the worker that processed it died; another tries again "
                    f"({self.attempts[name]} of {DEATHS})"
                )
        news = heard - self.heard.get(name, 0)
        if news > 0:
            self.heard[name] = heard
            self.progress.advance(name, news)

    def _land(self, future: Any) -> None:
        planned = self.flying.pop(future)
        name = planned.file.recording_id
        if future.status == "cancelled" or future.status == "lost":
            raise ConfigError("the Dask scheduler is gone; run the same command again to continue")
        if future.status == "error" and self._was_a_bystander(name, future.exception()):
            self._send(planned)
            return
        if future.status == "error":
            self.progress.done(name, self._explain(planned, future.exception()))
            return
        report = future.result()
        if report.kind == "unfit":
            raise ConfigError(report.message)
        if report.kind == "full":
            raise DiskFullError(report.message)
        if report.kind == "failed":
            self.progress.done(name, report.message)
        else:
            self.unseen[name] = (planned, time.monotonic())

    def _was_a_bystander(self, name: str, error: BaseException) -> bool:
        """True if the scheduler gave a recording up only because others killed its workers; it is then resubmitted.

        Dask counts a dead worker against all its recordings; only one that had begun there (a worker has one thread)
        can be at fault. The message that it began may be lost with the worker, so resubmissions are limited.
        """
        from distributed import KilledWorker

        if not isinstance(error, KilledWorker) or self.attempts.get(name, 0) >= DEATHS:
            return False
        self.acquittals[name] = self.acquittals.get(name, 0) + 1
        return self.acquittals[name] < DEATHS

    def _explain(self, planned: Planned, error: BaseException) -> str:
        """One line about a recording that no worker finished.

        Raises:
            ConfigError: the workers are at fault.
        """
        from distributed import KilledWorker

        if isinstance(error, KilledWorker):
            self.deaths += 1
            return (
                f"{planned.file.path}: every worker that processed it died ({DEATHS} tries): memory ran out, or it "
                "crashes the decoder; look at it, then run the command again"
            )
        text = " ".join(str(error).split())
        raise ConfigError(f"the workers cannot run this ({type(error).__name__}: {text}); install babyhubert there")

    def _look_for_unseen(self) -> None:
        """Wait for records of finished recordings: network disks may show them some seconds later."""
        for name, (planned, since) in list(self.unseen.items()):
            if self.job.folder.record(name) is not None:
                del self.unseen[name]
                self.progress.done(name, None)
            elif time.monotonic() - since > _VISIBLE_SECONDS:
                raise OutputError(
                    f"{self.job.folder.output}: a worker has completed {planned.file.path}, but nothing of it is seen "
                    "here; the output must be on a disk that all workers share"
                )

    def _count_slots(self) -> None:
        if time.monotonic() - self.slots_known < _TICK_SECONDS:
            return
        try:
            self.slots = sum(self.client.nthreads().values())
        except Exception as error:  # whatever a lost connection raises
            raise ConfigError("the Dask scheduler is gone; run the same command again to continue") from error
        self.slots_known = time.monotonic()
        if self.slots:
            self.worker_seen = self.slots_known
        self.pool.renew()

    def _tick(self) -> None:
        """Handle a pause without results: give a sign of life, and a message while there are no workers."""
        planned = next(iter(self.flying.values()), None) or next(iter(self.waiting), None)
        if planned is not None:
            self.progress.advance(planned.file.recording_id, 0)
        waited = time.monotonic() - self.worker_seen
        if self.pool.patience_s is not None and waited > self.pool.patience_s:
            raise ConfigError(f"no worker has come in {waited:.0f} s; --workers 1 needs none")
        if waited > _SECONDS_BETWEEN_NOTES and time.monotonic() - self.noted > _SECONDS_BETWEEN_NOTES:
            self.noted = time.monotonic()
            self.progress.note(f"waiting for a worker, for {waited / 60:.0f} min now")
