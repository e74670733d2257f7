"""Reliability of confidences as a picture: probabilities against the share of segments that are right, by class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from babyhubert.errors import MissingExtraError, OutputError
from babyhubert.evaluation.confidence_fit import ConfidenceFit, Measured
from babyhubert.evaluation.confidence_report import wilson
from babyhubert.files import atomic_path
from babyhubert.report.plot import COLOURS, require_matplotlib

_OTHER_COLOUR = "#555555"


def plot_reliability(path: Path, result: ConfidenceFit) -> tuple[list[Path], list[str]]:
    """Draw one panel a class, uncalibrated and held-out, with intervals of 95 %.

    Returns:
        The file, and no note; or no file, and the note that matplotlib is missing.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        figure_of = require_matplotlib()
    except MissingExtraError as error:
        return [], [str(error)]
    panels = {label: (fit.before, fit.held_out) for label, fit in result.classes.items() if fit.segments}
    panels["all"] = result.all
    figure = figure_of(figsize=(2.6 * len(panels), 3.4), layout="constrained")
    for place, (label, (before, held)) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(1, len(panels), place)
        _draw(axes, before, "o--", _OTHER_COLOUR, "as it is", shift=-0.01)
        _draw(axes, held, "o-", COLOURS.get(label, "#000000"), "held out", shift=0.01)
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=0.8, zorder=0)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal", title=label, xlabel="confidence")
        axes.legend(fontsize=7, frameon=False, loc="upper left")
        if place == 1:
            axes.set_ylabel("share of segments that are right")
    try:
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format="png", dpi=150)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error})") from error
    return [path], []


def _draw(axes: Any, found: Measured, style: str, colour: str, label: str, shift: float) -> None:
    """Points with intervals."""
    bins = found.bins.bins
    if not bins:
        return
    means, right = [row.confidence + shift for row in bins], [row.observed for row in bins]
    ends = [wilson(row.observed, row.frames) for row in bins]
    reach = [[max(share - low, 0) for share, (low, _) in zip(right, ends, strict=True)]]
    reach.append([max(high - share, 0) for share, (_, high) in zip(right, ends, strict=True)])
    axes.errorbar(means, right, yerr=reach, fmt=style, color=colour, markersize=3, linewidth=1, label=label)
