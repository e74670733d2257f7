"""Verdict of `quality` on a recording, for the page: faults, usable hours, and where it is bad."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from babyhubert.audio.identity import same_content
from babyhubert.measures.results import RecordingResult
from babyhubert.measures.speech import samples_by_hour
from babyhubert.quality.tables import verdict_of
from babyhubert.report.packing import pack_bytes
from babyhubert.timebase import samples_to_ms

PARTS = 240
"""Parts of a recording in the picture of its bad stretches."""

_LONGEST = 12
"""Stretches that are listed with their times: the longest of each kind."""


def quality_of(recording: RecordingResult, found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Verdict on a recording as a JSON object; None if `quality` was not run on this file.

    Args:
        recording: Its results.
        found: Its record of `quality`.
    """
    if found is None or not same_content(recording.record.get("audio") or {}, found.get("audio") or {}):
        return None
    figures = found["figures"]
    return {
        "verdict": verdict_of(found),
        "usable_h": figures["usable_h"],
        "duration_h": figures["duration_h"],
        "snr_db": figures["snr_db"],
        "findings": [{"severity": each["severity"], "told": each["told"]} for each in found["findings"]],
        "stretches": {kind: _stretches(spans, recording.samples) for kind, spans in found["stretches"].items()},
    }


def _stretches(spans: list[list[int]], samples: int) -> dict[str, Any]:
    """Share of each 240th part in 255ths, packed; their number; the longest in milliseconds, by time."""
    start, end = np.array(spans, dtype=np.int64).T
    edges = np.linspace(0, max(samples, 1), PARTS + 1).astype(np.int64)
    shares = samples_by_hour(start, end, edges) / np.maximum(np.diff(edges), 1)
    longest = np.sort(np.argsort(start - end, kind="stable")[:_LONGEST])
    return {
        "shares": pack_bytes(np.clip(np.ceil(255 * shares), 0, 255)),
        "count": len(start),
        "ms": samples_to_ms(int((end - start).sum())),
        "longest": [[samples_to_ms(start[row]), samples_to_ms(end[row])] for row in longest.tolist()],
    }
