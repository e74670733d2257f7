"""Training segments of a whole corpus, and the distribution of their lengths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.intervals import Intervals, intersect, total
from babyhubert.annotation.preparation_lists import vad_meaning
from babyhubert.corpus.inventory import read_inventory
from babyhubert.corpus.regions import REGIONS
from babyhubert.corpus.segments import SegmentSettings, training_segments
from babyhubert.corpus.spans import Spans, read_spans, write_spans
from babyhubert.corpus.summary import StepSummary, write_summary
from babyhubert.files import atomic_path
from babyhubert.timebase import SAMPLE_RATE, samples_to_hours

SEGMENTS = "segments.parquet"


def cut_segments(corpus: Path, settings: SegmentSettings, *, own_list: Path | None = None) -> StepSummary:
    """Make ``segments.parquet`` from ``regions.parquet``, or from a list of training segments given by the user.

    Args:
        corpus: Folder of the corpus.
        settings: Settings of cutting.
        own_list: Segments to use as they are; checked row by row, and never changed.

    Raises:
        CorpusError: no inventory or regions, or an impossible row (named).
    """
    rows = read_inventory(corpus)
    lengths = {row.recording_id: row.samples for row in rows}
    if own_list is not None:
        regions = read_spans(own_list, lengths, disjoint=True)
        segments = regions
    else:
        regions = read_spans(corpus / REGIONS, lengths, disjoint=False)
        segments = {name: training_segments(speech, lengths[name], settings) for name, speech in regions.items()}
    write_spans(corpus / SEGMENTS, segments)
    seconds = _seconds(segments)
    facts = {
        "segments": len(seconds),
        "percentiles of their lengths, s": _percentiles(seconds),
        "shorter than the shortest": int((seconds < settings.shortest_s - 1e-9).sum()),
        "share of all audio": float(seconds.sum()) * SAMPLE_RATE / sum(lengths.values()),
        **(_speech(regions, segments) if own_list is None else _meaning(own_list)),
    }
    hours_in = float(_seconds(regions).sum()) / 3600
    summary = StepSummary(len(rows), (), hours_in, float(seconds.sum()) / 3600, facts)
    told = {**settings.model_dump(), "list": None if own_list is None else str(own_list)}
    write_summary(corpus / "segments.json", told, summary)
    _draw(seconds, settings, corpus / "segments.png")
    return summary


def _meaning(own_list: Path) -> dict[str, str]:
    meaning = vad_meaning(own_list)
    return {} if meaning is None else {"second column of the detector's table read as": meaning}


def _percentiles(seconds: NDArray[np.float64]) -> dict[str, float]:
    percentiles = (5, 25, 50, 75, 95)
    values = np.percentile(seconds, percentiles).round(2).tolist() if len(seconds) else []
    return dict(zip(map(str, percentiles), values, strict=False))


def _speech(regions: Spans, segments: Spans) -> dict[str, float]:
    """Amount of speech in the segments, and amount of speech outside all of them (published settings lose some)."""
    covered = sum(total(*intersect(speech, segments[name])) for name, speech in regions.items())
    kept = sum(total(*part) for part in segments.values())
    lost = sum(total(*speech) for speech in regions.values()) - covered
    return {"share of them that is speech": covered / max(kept, 1), "hours of speech lost": samples_to_hours(lost)}


def _seconds(spans: dict[str, Intervals]) -> NDArray[np.float64]:
    found = [end - start for start, end in spans.values()]
    return np.concatenate([np.zeros(0), *found]) / SAMPLE_RATE


def _draw(seconds: NDArray[np.float64], settings: SegmentSettings, path: Path) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return  # the same figures are in segments.json
    figure = Figure(figsize=(8, 4), layout="constrained")
    axis = figure.subplots()
    bins = np.arange(0, max(settings.longest_s, seconds.max() if len(seconds) else 1) + 1, 0.5)
    axis.hist(seconds, bins=bins.tolist(), weights=seconds / 3600, color="#3b6ea5")
    for limit in (settings.shortest_s, settings.longest_s):
        axis.axvline(limit, color="0.3", linestyle=":", linewidth=1)
        axis.text(limit, 0.99, f" {limit:g} s", transform=axis.get_xaxis_transform(), va="top", color="0.3")
    axis.set(
        xlabel="length of a training segment, s",
        ylabel="hours",
        title=f"{len(seconds):,} segments, {seconds.sum() / 3600:,.1f} h",
    )
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
