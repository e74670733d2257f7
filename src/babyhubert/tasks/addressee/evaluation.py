"""Evaluation of addressees: the published classes, scored as any classes of utterances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from babyhubert.annotation.intervals import Intervals
from babyhubert.annotation.segments import Segments
from babyhubert.tasks.classification.evaluation import (
    ClassEvaluation,
    Question,
    SegmentsAre,
    evaluate_classes,
    read_classes,
)

ADDRESSEES = ("ADS", "KCDS", "Other")
"""To adults, to the key child, to others: the published classes in their order."""

PUBLISHED_MAP = {"OCDS": "Other"}
"""Speech to other children is Other, as published."""

QUESTION = Question("addressee", ("FEM", "MAL"), "adult turns", "it says to whom each adult turn is")


def read_addressees(path: Path) -> dict[str, Segments]:
    """Read segments with a column ``addressee``: a file or folder; of ``rttm_addressee.csv`` in an output folder.

    Raises:
        AnnotationError: unreadable, or no table in it has that column.
    """
    return read_classes(path, QUESTION)


def evaluate_addressee(
    reference: Mapping[str, Segments],
    prediction: Mapping[str, Segments],
    *,
    segments: SegmentsAre | None = None,
    labels: Sequence[str] = ADDRESSEES,
    rewrite: Mapping[str, str] = PUBLISHED_MAP,
    uem: Mapping[str, Intervals] | None = None,
) -> ClassEvaluation:
    """Score addressees; see :func:`~babyhubert.tasks.classification.evaluation.evaluate_classes`."""
    return evaluate_classes(
        QUESTION, reference, prediction, labels=labels, segments=segments, rewrite=rewrite, uem=uem
    )
