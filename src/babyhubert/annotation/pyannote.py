"""Conversion of segments from and to ``pyannote.core.Annotation``.

Reading requires nothing of pyannote but the object itself; writing needs the package ``pyannote.core``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from babyhubert.annotation.segments import Segments
from babyhubert.errors import MissingExtraError
from babyhubert.timebase import samples_to_seconds, seconds_to_samples

if TYPE_CHECKING:
    from pyannote.core import Annotation


def from_annotation(annotation: Annotation) -> Segments:
    """Convert an annotation to segments: every track, to the nearest sample."""
    return Segments.from_rows(
        (seconds_to_samples(segment.start), seconds_to_samples(segment.end), str(label))
        for segment, _, label in annotation.itertracks(yield_label=True)
    )


def to_annotation(segments: Segments, uri: str | None = None) -> Annotation:
    """Convert segments to an annotation with one track per segment, numbered in the order of the table.

    Segments without length are skipped: pyannote ignores them.

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
