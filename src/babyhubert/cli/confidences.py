"""Fitting of confidences on reviewed segments, shown and written: shared by ``tune confidence`` and ``estimate``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from babyhubert.evaluation.confidence_fit import ConfidenceFit, FitSettings
    from babyhubert.measures.results import RunResults


def fit_on_reviewed(
    results: RunResults,
    references: Sequence[Path],
    reviewed: Sequence[Path],
    uem: Path | None,
    settings: FitSettings,
) -> ConfidenceFit:
    """Fit, and print tables and notes.

    Args:
        results: The run.
        references: Annotations by people; of a folder with annotated stretches, these count.
        reviewed: Files ``reviewed_segments.csv``.
        uem: Stretches that count instead; None: those of each reference.
        settings: Folds and intervals.

    Raises:
        AnnotationError: something cannot be read, or there are too few segments.
    """
    from babyhubert.annotation.uem import read_uem
    from babyhubert.cli.endings import print_notes
    from babyhubert.cli.scores import scored_uem, show
    from babyhubert.evaluation import confidence_report as shown
    from babyhubert.evaluation.confidence_fit import fit_confidence
    from babyhubert.evaluation.presentation import read_side
    from babyhubert.evaluation.reviewed_segments import ReviewedSegments, read_reviews, review_by_reference

    parts = []
    for reference in references:
        stretches = scored_uem(reference, uem)
        inside = None if stretches is None else read_uem(stretches)
        parts.append(review_by_reference(results, read_side(reference), inside))
    if reviewed:
        parts.append(read_reviews(reviewed, results))
    print_notes(note for _, notes in parts for note in notes)
    result = fit_confidence(ReviewedSegments.join([rows for rows, _ in parts]), results.classes, settings)
    show(shown.confidence_tables(result), shown.confidence_notes(result))
    return result


def write_fit(output: Path, result: ConfidenceFit, results: RunResults, about: Mapping[str, Any]) -> None:
    """Write the calibration, its reliability and, with matplotlib, the picture; print their names."""
    from babyhubert.cli.endings import print_notes
    from babyhubert.cli.scores import say_written
    from babyhubert.evaluation import confidence_report as shown
    from babyhubert.report.reliability import plot_reliability

    files = shown.write_confidence(output, result, {**about, **shown.origin_of(results.run)})
    figure, missing = plot_reliability(output / "reliability.png", result)
    say_written([*files, *figure])
    print_notes(missing)
