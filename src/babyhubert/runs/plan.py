"""Recordings of a run: those it is given, those of one shard, and those of earlier runs that keep their state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from babyhubert.audio.discovery import RecordingFile
from babyhubert.hashing import fingerprint
from babyhubert.runs.shard import Shard


@dataclass(frozen=True)
class Planned:
    """A recording of a run.

    Attributes:
        position: Its position among the given recordings.
        file: The recording.
        samples: Its length at 16 kHz according to its header; 0 if it cannot be read.
        error: Reason why it cannot be read, if known before the run.
    """

    position: int
    file: RecordingFile
    samples: int
    error: str | None = None


@dataclass(frozen=True)
class Plan:
    """The recordings of a run.

    Attributes:
        good: Those that can be read, in the order given.
        bad: Those that cannot.
        inputs: Hash of all given recordings, of any shard.
        given: Number of these.
        given_samples: Their total length.
    """

    good: tuple[Planned, ...]
    bad: tuple[Planned, ...]
    inputs: str
    given: int
    given_samples: int


def plan_run(
    part: Shard | None, good: Sequence[tuple[RecordingFile, int]], bad: Sequence[tuple[RecordingFile, str]]
) -> Plan:
    """Select the recordings of a shard of a run (None: all).

    Args:
        part: The shard.
        good: Readable recordings and their lengths in samples.
        bad: The others, with reasons.
    """
    lengths = {file.recording_id: samples for file, samples in good} | {file.recording_id: 0 for file, _ in bad}
    mine = set(lengths) if part is None else part.share(lengths)
    return Plan(
        tuple(Planned(i, file, n) for i, (file, n) in enumerate(good) if file.recording_id in mine),
        tuple(Planned(i, file, 0, error) for i, (file, error) in enumerate(bad) if file.recording_id in mine),
        fingerprint(sorted(lengths.items())),
        len(lengths),
        sum(lengths.values()),
    )


@dataclass(frozen=True)
class EarlierRecordings:
    """Recordings of earlier runs of a command that the present run was not given.

    Attributes:
        complete: Those with results.
        failed: Those that failed, with their errors.
        left: Those that no run has come to.
    """

    complete: tuple[Planned, ...] = ()
    failed: tuple[Planned, ...] = ()
    left: tuple[Planned, ...] = ()

    @property
    def failures(self) -> tuple[tuple[Path, str], ...]:
        """Path and one-line error of each that failed."""
        return tuple((planned.file.path, planned.error or "") for planned in self.failed)


NO_EARLIER = EarlierRecordings()


def failures_in_order(plan: Plan, errors: Mapping[str, str]) -> tuple[tuple[Path, str], ...]:
    """Path and error of all failures: first the recordings that could not be read at all, each in the order given."""
    bad = [(planned.file.path, planned.error or "") for planned in sorted(plan.bad, key=_position)]
    late = [planned for planned in sorted(plan.good, key=_position) if planned.file.recording_id in errors]
    return (*bad, *((planned.file.path, errors[planned.file.recording_id]) for planned in late))


def _position(planned: Planned) -> int:
    return planned.position
