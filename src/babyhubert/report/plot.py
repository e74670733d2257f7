"""A figure for publications: a recording's timeline with a lane per voice type, and minutes of speech per hour.

Over more than half an hour the lanes show the fraction of each stretch with speech; over less, the segments
themselves. Within a single hour, the minutes are a bar per voice type.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babyhubert.errors import ConfigError, MissingExtraError, OutputError
from babyhubert.files import atomic_path
from babyhubert.measures.hours import DAY, HOUR, Hours, hours_of, parse_clock
from babyhubert.measures.results import RecordingResult
from babyhubert.measures.speech import samples_by_hour
from babyhubert.timebase import SAMPLE_RATE

FORMATS = (".pdf", ".png", ".svg")
COLOURS = {"KCHI": "#d55e00", "OCH": "#e69f00", "FEM": "#009e73", "MAL": "#0072b2"}
"""Colours of Okabe and Ito, distinguishable with every kind of colour vision, as in ``page.css``; top lane first."""

NAMES = {"KCHI": "key child", "OCH": "other\nchildren", "FEM": "women", "MAL": "men"}
_SEGMENTS_UP_TO = HOUR // 2
_BINS = 240
_MINUTE = 60 * SAMPLE_RATE


@dataclass(frozen=True)
class FigureSettings:
    """Content and size of the figure.

    Attributes:
        start: First sample shown.
        stop: Sample after the last shown.
        size: Width and height in inches.
        dpi: Dots per inch of a PNG.
        title: Title above the figure; none if empty.
    """

    start: int
    stop: int
    size: tuple[float, float] = (7.2, 4.2)
    dpi: int = 300
    title: str = ""


def require_matplotlib() -> Any:
    """Import matplotlib's figure class, which needs no display and keeps no global state.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("a figure", "plot") from None
    return Figure


def parse_size(text: str) -> tuple[float, float]:
    """Width and height in inches from ``WIDTHxHEIGHT``.

    Raises:
        ConfigError: not two numbers from 1 to 50.
    """
    parts = text.lower().replace("×", "x").split("x")
    try:
        width, height = (float(part) for part in parts)
    except ValueError:
        width = height = 0.0
    if not (1 <= width <= 50 and 1 <= height <= 50):
        raise ConfigError(f"--size {text}: write width x height in inches, such as 7.2x4.2")
    return width, height


def parse_moment(option: str, text: str, hours: Hours) -> int:
    """Parse a moment of the figure into a sample.

    Args:
        option: Name of the option, for messages.
        text: ``H:MM`` or ``H:MM:SS``; time of day if the beginning is known, else time since the beginning.
        hours: Hours of the recording.

    Raises:
        ConfigError: not such a time, or not within the recording.
    """
    samples = int(hours.edges[-1])
    match = re.fullmatch(r"(\d+):([0-5]\d)(?::([0-5]\d))?", text.strip())
    if match is None:
        raise ConfigError(f"{option} {text}: write H:MM or H:MM:SS")
    told = parse_clock(text, option) if hours.start is not None and int(match[1]) < 24 else None
    if told is not None and hours.start is not None:
        place = (told - hours.start) % DAY
    else:
        hour, minute, second = (int(part or 0) for part in match.groups())
        place = ((hour * 60 + minute) * 60 + second) * SAMPLE_RATE
    if not 0 <= place <= samples:
        first = "the recording" if hours.start is None else "the day's recording"
        raise ConfigError(f"{option} {text}: {first} runs from {_clock(0, hours)} to {_clock(samples, hours)}")
    return place


def draw_figure(path: Path, recording: RecordingResult, settings: FigureSettings, start: int | None = None) -> None:
    """Draw the figure and write it.

    Args:
        path: Its file; the suffix (.pdf, .png or .svg) decides the format.
        recording: Results of the recording.
        settings: Content and size.
        start: Samples from midnight to the beginning of the recording, if known.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OutputError: another suffix, or the file cannot be written.
    """
    if path.suffix.lower() not in FORMATS:
        raise OutputError(f"{path}: a figure is written as .pdf, .png or .svg")
    import matplotlib

    figure = require_matplotlib()(figsize=settings.size, layout="constrained")
    lanes, minutes = figure.subplots(2, 1, height_ratios=(3, 2))
    hours = hours_of(recording.samples, start)
    _draw_lanes(lanes, recording, settings, hours)
    _draw_minutes(minutes, recording, settings, hours)
    if settings.title:
        figure.suptitle(settings.title, fontsize=9)
    # Text stays text, so that a journal's editor can set it; no date, so that equal figures are equal files.
    with matplotlib.rc_context({"svg.fonttype": "none", "pdf.fonttype": 42, "svg.hashsalt": "babyhubert"}):
        dated = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}, ".png": {}}[path.suffix.lower()]
        with atomic_path(path) as temporary:
            figure.savefig(temporary, dpi=settings.dpi, metadata=dated)


def _draw_lanes(axis: Any, recording: RecordingResult, settings: FigureSettings, hours: Hours) -> None:
    by_segment = settings.stop - settings.start <= _SEGMENTS_UP_TO
    edges = np.linspace(settings.start, settings.stop, _BINS + 1).astype(np.int64)
    for row, (label, colour) in enumerate(COLOURS.items()):
        own = recording.segments.of(label)
        seen = (own.end > settings.start) & (own.start < settings.stop)
        start = np.maximum(own.start[seen], settings.start)
        end = np.minimum(own.end[seen], settings.stop)
        bottom = len(COLOURS) - 1 - row
        if by_segment:
            axis.broken_barh(list(zip(start, end - start, strict=True)), (bottom + 0.12, 0.76), color=colour, lw=0)
        else:
            share = samples_by_hour(start, end, edges) / np.maximum(np.diff(edges), 1)
            top = bottom + 0.9 * np.minimum(share, 1)
            axis.stairs(top, edges, baseline=bottom, fill=True, color=colour, lw=0)
            axis.axhline(bottom, color="0.7", lw=0.5)
    axis.set(xlim=(settings.start, settings.stop), ylim=(0, len(COLOURS)))
    axis.set_yticks(np.arange(len(COLOURS)) + 0.5, [NAMES[label] for label in reversed(COLOURS)], fontsize=8)
    places = _ticks(settings.start, settings.stop, hours.start or 0)
    seconds = any((place + (hours.start or 0)) % _MINUTE for place in places)
    axis.set_xticks(places, [_clock(place, hours, seconds) for place in places], fontsize=8)
    axis.tick_params(axis="y", length=0)
    told = "segments" if by_segment else f"share of each {_step(settings)} that is spoken"
    axis.set_xlabel(f"{'time of day' if hours.start is not None else 'time from the beginning'} ({told})", fontsize=8)
    _bare(axis)


def _draw_minutes(axis: Any, recording: RecordingResult, settings: FigureSettings, hours: Hours) -> None:
    """Minutes of speech within the range: the first and the last bar may cover less than an hour."""
    inside = np.flatnonzero((hours.edges[1:] > settings.start) & (hours.edges[:-1] < settings.stop))
    bounds = np.clip(hours.edges[np.append(inside, inside[-1:] + 1)], settings.start, settings.stop)
    minutes = {}
    for label in COLOURS:
        own = recording.segments.of(label)
        start, end = np.clip(own.start, *bounds[[0, -1]]), np.clip(own.end, *bounds[[0, -1]])
        minutes[label] = samples_by_hour(start, end, bounds) / _MINUTE
    if len(inside) > 1:
        names = [name.removesuffix(":00") for name in hours.names]
        _draw_hours(axis, minutes, [names[hour] for hour in inside])
        axis.set_xlabel("hour of the day" if hours.start is not None else "hour from the beginning", fontsize=8)
    else:
        _draw_totals(axis, {label: float(value.sum()) for label, value in minutes.items()})
    _bare(axis)


def _draw_hours(axis: Any, minutes: Mapping[str, NDArray[np.float64]], names: Sequence[str]) -> None:
    base = np.zeros(len(names))
    for label, value in minutes.items():
        axis.bar(np.arange(len(names)), value, 0.8, base, color=COLOURS[label], label=NAMES[label].replace("\n", " "))
        base += value
    axis.set_xlim(-0.7, max(len(names), 6) - 0.3)
    axis.set_xticks(np.arange(len(names)), names, fontsize=8)
    axis.tick_params(axis="y", labelsize=8)
    axis.set_ylabel("speech, min", fontsize=8)
    axis.legend(fontsize=7, frameon=False, ncols=4, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)


def _draw_totals(axis: Any, minutes: Mapping[str, float]) -> None:
    """A bar per voice type, with its minutes, in the order of the lanes."""
    places = np.arange(len(minutes))[::-1]
    bars = axis.barh(places, list(minutes.values()), 0.7, color=[COLOURS[label] for label in minutes])
    axis.bar_label(bars, fmt="%.1f", padding=3, fontsize=8)
    axis.set_yticks(places, [NAMES[label] for label in minutes], fontsize=8)
    axis.tick_params(axis="y", length=0)
    axis.tick_params(axis="x", labelsize=8)
    axis.set_xlim(0, 1.1 * max(*minutes.values(), 0.1))
    axis.set_xlabel("speech, min", fontsize=8)


def _bare(axis: Any) -> None:
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _ticks(start: int, stop: int, shift: int) -> NDArray[np.int64]:
    """Six to twelve round times between two samples; ``shift``: samples from midnight to the beginning."""
    steps = [s * SAMPLE_RATE for s in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600)]
    step = next((step for step in steps if (stop - start) / step <= 12), steps[-1])
    first = -(-(start + shift) // step) * step - shift
    return np.arange(first, stop + 1, step, dtype=np.int64)


def _clock(place: int, hours: Hours, seconds: bool = False) -> str:
    total = (int(place) + (hours.start or 0)) // SAMPLE_RATE
    hour = total // 3600 % 24 if hours.start is not None else total // 3600
    text = f"{hour:02d}:{total // 60 % 60:02d}" if hours.start is not None else f"{hour}:{total // 60 % 60:02d}"
    return f"{text}:{total % 60:02d}" if seconds else text


def _step(settings: FigureSettings) -> str:
    seconds = (settings.stop - settings.start) / _BINS / SAMPLE_RATE
    return f"{seconds / 60:.3g} min" if seconds >= 60 else f"{seconds:.3g} s"
