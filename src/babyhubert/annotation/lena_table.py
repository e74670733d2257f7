"""Segments as a table with LENA's codes and column names, for scripts written for LENA's exports.

``recording_id,spkr,startTime,endTime,duration``: seconds with three decimals; ``spkr`` is CHN (key child, near), CXN
(other child), FAN and MAN (adults). These are the attributes of the segments in an ``.its`` file. The table contains
the predictions of *this package's* model: no far voices, overlap, noise or silence, and none of the counts that LENA
estimates.
"""

from __future__ import annotations

from babyhubert.annotation.codes import TO_LENA
from babyhubert.annotation.escapes import CONTROL, escape
from babyhubert.annotation.segments import Segments
from babyhubert.annotation.table_columns import LENA
from babyhubert.files import csv_text
from babyhubert.timebase import format_length, format_seconds

LENA_HEADER = f"{LENA.recording},{LENA.label},{LENA.stretch.start},{LENA.stretch.second},duration\n"


def format_lena_rows(recording_id: str, segments: Segments) -> str:
    """Format rows of one recording; labels without a code in LENA are left unchanged."""
    return csv_text(
        (
            recording_id,
            TO_LENA.get(label, escape(label, CONTROL)),
            format_seconds(start),
            format_seconds(end),
            format_length(start, end),
        )
        for start, end, label in segments
    )
