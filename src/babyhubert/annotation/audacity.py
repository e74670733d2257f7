"""Audacity's label tracks: one line per label, ``start<TAB>end<TAB>text``, seconds with six decimals.

Overlap and labels without length are allowed, so a recording is one file. Lines that begin with a backslash hold the
frequency range of a spectral selection and are skipped. Control characters in a label, such as a tab, are escaped as
in web addresses (:mod:`babyhubert.annotation.escapes`) and read back.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from babyhubert.annotation.escapes import CONTROL, escape, unescape
from babyhubert.annotation.recording_rows import Parts
from babyhubert.annotation.segments import Segments
from babyhubert.annotation.text import parse_ends, read_lines, shortened
from babyhubert.errors import AnnotationError
from babyhubert.files import write_text
from babyhubert.timebase import format_seconds

if TYPE_CHECKING:
    from babyhubert.annotation.formats import WrittenRecording


def format_audacity(segments: Segments) -> str:
    """Return the text of a label track; the empty string if there is no segment."""
    return "".join(
        f"{format_seconds(start)}000\t{format_seconds(end)}000\t{escape(label, CONTROL)}\n"
        for start, end, label in segments
    )


def write_file(path: Path, recording: WrittenRecording) -> Iterable[str]:
    """Write one recording's file, as :mod:`babyhubert.annotation.formats` asks for it."""
    write_audacity(path, recording.segments)
    return ()


def read_file(path: Path, recording_id: str) -> Parts:
    """As :func:`read_audacity`, under the name of the recording."""
    return {recording_id: read_audacity(path)}


def write_audacity(path: Path, segments: Segments) -> None:
    """Write one recording's segments as a label track."""
    write_text(path, format_audacity(segments))


def read_audacity(path: Path) -> Segments:
    """Read the segments of one label track. Decimal commas, which some systems write, are read as points.

    Raises:
        AnnotationError: unreadable, or a line is not a label (named).
    """
    rows = []
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip() or line.startswith("\\"):
            continue
        fields = line.split("\t")
        where = f"{path}, line {number}"
        if len(fields) < 3 or not fields[2].strip():
            raise AnnotationError(f"{where}: not an Audacity label ('start<TAB>end<TAB>text'): {shortened(line, 200)}")
        start, end = parse_ends(fields[0].replace(",", "."), fields[1].replace(",", "."), where)
        rows.append((start, end, unescape(fields[2].strip(), CONTROL)))
    return Segments.from_rows(rows)
