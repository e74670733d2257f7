"""Thresholds from histograms equal thresholds from trying each one."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from babyhubert.material.threshold_counts import best_point, count_levels


def best_thresholds(scores, targets, labels):
    counts = count_levels(scores, targets > 0)
    return {label: best_point(counts[k])[:2] for k, label in enumerate(labels)}


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 60))
def test_equals_trying_every_threshold(seed, count):
    rng = np.random.default_rng(seed)
    scores = np.round(rng.random((count, 2)), rng.integers(1, 5))
    targets = rng.random((count, 2)) < 0.4
    targets[0] = True
    found = best_thresholds(scores, targets, ["A", "B"])
    for k, label in enumerate(["A", "B"]):
        results = {}
        for threshold in np.round(np.arange(1, 1000) * 0.001, 3):
            active = scores[:, k] > threshold
            hits = (active & targets[:, k]).sum()
            results[threshold] = 2 * hits / (active.sum() + targets[:, k].sum())
        threshold, f1 = found[label]
        assert np.isclose(f1, max(results.values()))
        assert np.isclose(results[threshold], f1)


def test_a_half_is_on_the_grid_and_a_class_that_never_occurs_keeps_it():
    scores = np.array([[0.4, 0.1], [0.6, 0.9]])
    found = best_thresholds(scores, np.array([[0, 0], [1, 0]]), ["A", "B"])
    assert found["A"] == (0.5, 1.0)
    assert found["B"][0] == 0.5
    assert np.isnan(found["B"][1])
