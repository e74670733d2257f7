"""Segments from and to ``pyannote.core.Annotation``, for those who work with pyannote.

Reading asks nothing of pyannote but the object itself; writing needs the package ``pyannote.core``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from babyhubert.annotation.segments import Segments
from babyhubert.errors import MissingExtraError
from babyhubert.timebase import samples_to_seconds, seconds_to_samples

if TYPE_CHECKING:
    from pyannote.core import Annotation


def from_annotation(annotation: Annotation) -> Segments:
    """Segments of an annotation: every track, to the nearest sample."""
    return Segments.from_rows(
        (seconds_to_samples(segment.start), seconds_to_samples(segment.end), str(label))
        for segment, _, label in annotation.itertracks(yield_label=True)
    )


def to_annotation(segments: Segments, uri: str | None = None) -> Annotation:
    """An annotation with one track a segment, numbered in the order of the table.

    Segments without length are absent from it: pyannote takes them for nothing.

    Raises:
        MissingExtraError: ``pyannote.core`` is not installed.
    """
    try:
        from pyannote.core import Annotation, Segment
    except ImportError:
        raise MissingExtraError("pyannote annotations", "pyannote") from None
    annotation = Annotation(uri=uri)
    for track, (start, end, label) in enumerate(segments):
        if end > start:
            annotation[Segment(samples_to_seconds(start), samples_to_seconds(end)), track] = label
    return annotation
