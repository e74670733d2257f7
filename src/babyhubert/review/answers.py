"""Answers of people on single segments, in ``reviewed_segments.csv``: a row for each segment and person."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from babyhubert.annotation.segments import VOICE_TYPES
from babyhubert.annotation.table_columns import TRUTH
from babyhubert.annotation.text import CsvTable
from babyhubert.errors import AnnotationError, OutputError
from babyhubert.evaluation.reviewed_segments import NO_VOICE, RIGHT, UNSURE, WRONG
from babyhubert.files import csv_text, make_folder, write_text
from babyhubert.review.segments_to_ask import SegmentToAsk
from babyhubert.runs.folder import STATE_FOLDER

REVIEWED_SEGMENTS = "reviewed_segments.csv"
COLUMNS = (*TRUTH.columns, "score", "answer", "annotator", "time")
ANSWERS = (RIGHT, WRONG, NO_VOICE, UNSURE, *VOICE_TYPES)
_LOCK_S = 10.0

Key = tuple[str, str, str, str]
"""Recording, start, end and label of a row."""


class Answers:
    """Answers of one person, among those of others in the same file.

    Args:
        folder: Folder of ``reviewed_segments.csv``; it is made.
        annotator: Name of the person; empty: no name.

    Raises:
        AnnotationError: the file is malformed.
        OutputError: the folder cannot be made.
    """

    def __init__(self, folder: Path, annotator: str = "") -> None:
        self.path = Path(folder) / REVIEWED_SEGMENTS
        self.annotator = annotator
        state = make_folder(Path(folder) / STATE_FOLDER / "review")
        self._lock, self._thread = FileLock(state / "lock", timeout=_LOCK_S), threading.Lock()
        self._rows()

    def all(self) -> dict[Key, str]:
        """The person's answers by segment."""
        return {key: row[5] for (key, who), row in self._rows().items() if who == self.annotator}

    def store(self, segment: SegmentToAsk, answer: str) -> None:
        """Store an answer at once, in place of an earlier one of the person; an empty one takes it back.

        Raises:
            AnnotationError: an answer that cannot be given, or the file is malformed.
            OutputError: it cannot be written.
        """
        if answer and (answer not in ANSWERS or answer == segment.label):
            raise AnnotationError(f"{answer[:40]!r} is no answer; {', '.join(ANSWERS[:4])} or another voice is one")
        try:
            with self._thread, self._lock:
                rows = self._rows()
                rows.pop((key_of(segment), self.annotator), None)
                if answer:
                    score = "" if segment.score != segment.score else f"{segment.score:.4f}"
                    now = datetime.now(UTC).isoformat(timespec="seconds")
                    rows[key_of(segment), self.annotator] = [*key_of(segment), score, answer, self.annotator, now]
                write_text(self.path, csv_text([COLUMNS, *rows.values()]), durable=True)
        except Timeout:
            raise OutputError(f"{self.path}: another program holds its lock; try again") from None

    def _rows(self) -> dict[tuple[Key, str], list[str]]:
        if not self.path.is_file():
            return {}
        table = CsvTable(self.path)
        table.require(*COLUMNS)
        rows = ([row[name] for name in COLUMNS] for _, row in table)
        return {((row[0], row[1], row[2], row[3]), row[6]): row for row in rows}


def key_of(segment: SegmentToAsk) -> Key:
    """Key of the row on a segment."""
    return segment.recording_id, f"{segment.start / 1000:.3f}", f"{segment.end / 1000:.3f}", segment.label
