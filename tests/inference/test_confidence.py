"""Scores of segments and their meaning, against loops over frames and SciPy's logistic function."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from babyhubert.annotation.segments import VOICE_TYPES, Segments
from babyhubert.errors import ConfigError
from babyhubert.inference import confidence as module
from babyhubert.inference.confidence import (
    ClassFit,
    SegmentCalibration,
    parse_confidence,
    segment_scores,
    with_confidence,
)

HOP = 320
LEAST, MOST = 2.0**-25, 1 - 2.0**-12


def mean_log_odds(scores: np.ndarray, start: int, end: int, column: int) -> float:
    frames = scores[start // HOP : end // HOP, column].astype(np.float64)
    return float(np.mean(logit(np.clip(frames, LEAST, MOST))))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 90))
def test_scores_are_mean_log_odds_in_stretches_of_any_length(seed, stretch):
    rng = np.random.default_rng(seed)
    scores = rng.choice([0, 0.25, 0.5, 0.9, 1], size=(200, 4)).astype(np.float16)
    first = np.sort(rng.integers(0, 190, 12))
    rows = [(int(f) * HOP, int(f + rng.integers(1, 10)) * HOP, str(rng.choice(VOICE_TYPES))) for f in first]
    segments = Segments.from_rows(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_FRAMES_AT_ONCE", stretch)
        found = segment_scores(scores, segments, VOICE_TYPES)
    expected = [mean_log_odds(scores, start, end, VOICE_TYPES.index(label)) for start, end, label in segments]
    assert found == pytest.approx(expected, abs=1e-9)


def test_confidence_grows_with_every_frame_and_is_missing_where_no_frame_or_class_is():
    scores = np.full((50, 4), 0.3, dtype=np.float16)
    segments = Segments.from_rows([(0, 3200, "KCHI"), (0, 3200, "laugh"), (50 * HOP, 60 * HOP, "KCHI")])
    before = with_confidence(segments, scores, VOICE_TYPES).columns["confidence"]
    assert before[0] == pytest.approx(float(np.float16(0.3)))
    assert np.isnan(before[1:]).all()
    scores[4, 0] = 0.4
    assert with_confidence(segments, scores, VOICE_TYPES).columns["confidence"][0] > before[0]


def test_a_calibration_gives_the_logistic_function_of_the_score():
    scores = np.full((100, 2), [0.75, 0.5], dtype=np.float16)
    segments = Segments.from_rows([(0, 16_000, "KCHI"), (16_000, 24_000, "FEM")])
    fit = SegmentCalibration({"KCHI": ClassFit(-1.0, 2.0), "FEM": ClassFit(0.5, 0.0)})
    found = with_confidence(segments, scores, ("KCHI", "FEM"), fit).columns["confidence"]
    assert found == pytest.approx([expit(-1 + 2 * np.log(3)), expit(0.5)])
    again = parse_confidence(fit.as_record(), ("KCHI", "FEM"), "x")
    assert again.classes == fit.classes


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ([], "not a calibration"),
        ({"format": 1, "classes": {}}, "has no class KCHI"),
        ({"format": 1, "classes": {"KCHI": {"intercept": 0, "slope": -1}}}, "slope is -1; 0 or more"),
        ({"format": 1, "classes": {"KCHI": {"intercept": "0", "slope": 1}}}, "'0', not a number"),
        ({"format": 1, "classes": {"KCHI": {"slope": 1}}}, "needs the numbers intercept, slope"),
    ],
)
def test_what_is_no_calibration_is_named(record, told):
    with pytest.raises(ConfigError, match=r"^x") as failure:
        parse_confidence(record, ("KCHI",), "x")
    assert told in str(failure.value)
