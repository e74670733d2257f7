"""Totals are the measures that add up over time: found anew from the numbers of recordings and of their hours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from results_folders import random_rows

from babyhubert.annotation.columns import ADDRESSEE, PHONEMES, Column
from babyhubert.annotation.segments import Segments
from babyhubert.measures.result_tables import Utterance
from babyhubert.measures.results import RecordingResult
from babyhubert.measures.speech import samples_by_hour
from babyhubert.measures.tables import MeasureSettings, columns, measure
from babyhubert.measures.totals import totals

HOUR = 3600 * 16_000
OWN = (
    Column("mood", "mood@", "mood", "classification", ("happy", "min")),
    Column("tones", "tones@", "tones", "ctc", voices=("KCHI",)),
)


def result_of(seed: int) -> RecordingResult:
    draw = np.random.default_rng(seed)
    segments = Segments.from_rows(random_rows(draw, 900, 3 * 3600))
    adults = segments.where(np.isin(segments.label.astype(str), ["FEM", "MAL"]))

    def told(table: Segments, name: str, classes: tuple[str, ...]) -> Segments:
        return Segments(table.start, table.end, table.label, {name: draw.choice(classes, len(table)).astype(object)})

    spoken = tuple(
        Utterance(start, end, ("b", "a") * int(draw.integers(0, 3)), 2, 1) for start, end, _ in segments.of("KCHI")
    )
    classified = {
        ADDRESSEE.name: told(adults, ADDRESSEE.name, ("KCDS", "ADS", "OCDS")),
        "mood": told(segments, "mood", OWN[0].classes),
    }
    transcribed = {PHONEMES.name: spoken, "tones": spoken}
    return RecordingResult("a", Path(), 3 * HOUR, segments, classified, transcribed, own_columns=OWN)


def test_totals_are_the_measures_whose_hours_add_up_to_the_recording():
    additive = set(columns(OWN))
    for seed in range(3):
        found = measure(result_of(seed), MeasureSettings(shuffles=3))
        apart = [name for name, value in found.whole.items() if not np.isclose(found.hourly[name].sum(), value)]
        additive -= set(apart)
    not_from_clips = {"duration_h", *(f"turns_{rule}_chance" for rule in ("lena", "simple_ctc", "floor"))}
    assert {one.name for one in totals(OWN)} == additive - not_from_clips


def test_samples_by_hour_are_those_counted_one_by_one():
    draw = np.random.default_rng(0)
    start = draw.integers(0, 90, 50)
    end = start + draw.integers(0, 20, 50)
    edges = np.array([0, 30, 31, 70, 100])
    counted = [
        sum(max(min(e, last) - max(s, first), 0) for s, e in zip(start, end, strict=True))
        for first, last in zip(edges[:-1], [*edges[1:-1], 200], strict=True)
    ]
    assert samples_by_hour(start, end, edges).tolist() == counted
