"""Presentation of noise, near-voice and window tests: tables on the terminal, JSON and CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from babyhubert.evaluation.robustness import PEAK_CHANCE, PEAK_RATIO, FalseAlarms, NearVoices, Peak, Shift
from babyhubert.evaluation.score_table import number, percent, table_of_rows, write_scores


@dataclass(frozen=True)
class RobustnessResult:
    """All tests of one model.

    Attributes:
        labels: Classes.
        alarms: Noise test, one entry per sound.
        shifts: Window test: decisions from later starts.
        peaks: Window test: borders and lengths at the joins.
        hop_frames: Frames between the starts of windows.
        recording: Recording of the window test.
        near: Near-voice test, one entry per kind of people; empty if it was not run.
    """

    labels: tuple[str, ...]
    alarms: Sequence[FalseAlarms]
    shifts: Sequence[Shift]
    peaks: Sequence[Peak]
    hop_frames: int
    recording: str
    near: Sequence[NearVoices] = ()


def tables(result: RobustnessResult) -> Iterator[Table]:
    """Noise test, near-voice test if it was run, shifts, peaks."""
    yield _noise_table(result)
    if result.near:
        rows = [
            [row.voice, str(row.speakers), f"{row.seconds:.0f}"]
            + [percent(row.shares[name]) for name in result.labels]
            for row in result.near
        ]
        headings = ("voice", "speakers", "seconds", *(f"{label} %" for label in result.labels))
        yield table_of_rows("Voices at the microphone: share of their time found as", headings, rows)
    yield _shift_table(result)
    yield _join_table(result)


def _noise_table(result: RobustnessResult) -> Table:
    rows = []
    for alarm in result.alarms:
        rates = (alarm.per_hour(label) for label in result.labels)
        found = (f"{seconds:.0f} ({segments:.0f})" for seconds, segments in rates)
        rows.append((alarm.sound, *found, f"{alarm.any_per_hour:.0f}"))
    return table_of_rows("False alarms: seconds an hour (segments an hour)", ("sound", *result.labels, "any"), rows)


def _shift_table(result: RobustnessResult) -> Table:
    rows = []
    for shift in result.shifts:
        by = f"{shift.frames * 0.02:.2f} s" + (" (a hop)" if shift.frames == result.hop_frames else "")
        rows.append((by, percent(shift.changed), *(percent(shift.disagreement[label]) for label in result.labels)))
    headings = ("by", "of all frames %", *(f"{label} %" for label in result.labels))
    return table_of_rows("Recording begun later: frames decided otherwise", headings, rows, left=())


def _join_table(result: RobustnessResult) -> Table:
    rows = [
        (
            peak.what,
            str(peak.count),
            str(peak.at_joins),
            f"{peak.expected:.1f}",
            f"{peak.ratio:.1f}",
            f"{peak.chance:.1g}",
            peak.verdict,
        )
        for peak in result.peaks
    ]
    headings = ("", "all", "at joins", "expected", "ratio", "chance", "verdict")
    title = f"Joins of windows, every {result.hop_frames * 0.02:g} s"
    return table_of_rows(title, headings, rows, left=(0, len(headings) - 1))


def notes(result: RobustnessResult) -> Iterator[str]:
    """Notes that are needed to interpret the tables."""
    yield f"the window test ran on {result.recording}; class columns: frames that differ over frames active in either"
    yield "a start later by a whole hop has the same windows: what differs there is at the ends of the recording"
    yield (
        f"a peak: at least {PEAK_RATIO:g} times as many at the joins as expected, with a chance below "
        f"{PEAK_CHANCE:g}; counted before gaps are closed and short segments dropped"
    )


def as_json(result: RobustnessResult) -> dict[str, Any]:
    """The complete result as JSON values."""
    return {
        "false_alarms": {
            alarm.sound: {
                "seconds": alarm.seconds,
                "any_seconds_per_hour": alarm.any_per_hour,
                "classes": {
                    label: {
                        "found_s": alarm.found_s[label],
                        "segments": alarm.segments[label],
                        "seconds_per_hour": alarm.per_hour(label)[0],
                        "segments_per_hour": alarm.per_hour(label)[1],
                    }
                    for label in result.labels
                },
            }
            for alarm in result.alarms
        },
        "near_voices": {
            row.voice: {
                "speakers": row.speakers,
                "seconds": row.seconds,
                "shares": {label: number(share) for label, share in row.shares.items()},
            }
            for row in result.near
        },
        "recording": result.recording,
        "hop_frames": result.hop_frames,
        "shifts": [
            {
                "frames": shift.frames,
                "changed": shift.changed,
                "disagreement": {label: number(value) for label, value in shift.disagreement.items()},
            }
            for shift in result.shifts
        ],
        "joins": {
            peak.what: {
                "count": peak.count,
                "at_joins": peak.at_joins,
                "expected": number(peak.expected),
                "ratio": number(peak.ratio),
                "chance": peak.chance,
                "verdict": peak.verdict,
            }
            for peak in result.peaks
        },
        "peak_rule": {"ratio": PEAK_RATIO, "chance": PEAK_CHANCE},
    }


def write_report(output: Path, result: RobustnessResult, settings: Mapping[str, Any]) -> list[Path]:
    """Write ``evaluation.json``, ``false_alarms.csv`` and, with near voices, ``near_voices.csv`` into a folder.

    Raises:
        OutputError: they cannot be written.
    """
    rows = (
        (alarm.sound, label, *(f"{rate:.3f}" for rate in alarm.per_hour(label)))
        for alarm in result.alarms
        for label in result.labels
    )
    header = ("sound", "class", "seconds_per_hour", "segments_per_hour")
    written = {"false_alarms.csv": [header, *rows]}
    if result.near:
        shares = [
            (row.voice, str(row.speakers), f"{row.seconds:.3f}", label, f"{share:.4f}")
            for row in result.near
            for label, share in row.shares.items()
        ]
        written["near_voices.csv"] = [("voice", "speakers", "seconds", "class", "share"), *shares]
    return write_scores(output, {**settings, **as_json(result)}, written)
