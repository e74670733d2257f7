"""The fast scorer equals pyannote.metrics and a brute-force count; intervals and confusions mean what they say."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from babyhubert.annotation.segments import VOICE_TYPES, Segments
from babyhubert.errors import AnnotationError, ConfigError
from babyhubert.evaluation.detection import compare, detection_scores

SECOND = 16_000


def segments(*rows: tuple[float, float, str]) -> Segments:
    """A table from rows in seconds."""
    return Segments.from_rows([(int(a * SECOND), int(b * SECOND), label) for a, b, label in rows])


def tables(longest: int = 60_000, unit: int = 1):
    row = st.tuples(st.integers(0, longest), st.integers(1, longest // 4), st.sampled_from((*VOICE_TYPES, "SPEECH")))
    return st.lists(row, max_size=12).map(
        lambda rows: Segments.from_rows([(unit * a, unit * (a + n), label) for a, n, label in rows])
    )


def corpora(**kind):
    return st.dictionaries(st.sampled_from("abc"), st.tuples(tables(**kind), tables(**kind)), min_size=1)


def assume_voices(*sides) -> None:
    """Not a side with other labels alone, which is refused."""
    for side in sides:
        labels = {label for table in side.values() for label in table.labels}
        assume(not labels or labels & set(VOICE_TYPES))


def pyannote_scores(reference, prediction, label, uem=None):
    """Precision, recall and F of one class, accumulated over recordings, by the library that published them."""
    from pyannote.core import Annotation, Segment, Timeline
    from pyannote.metrics.detection import DetectionPrecisionRecallFMeasure

    def annotation(table: Segments):
        made = Annotation()
        for number, (start, end, _) in enumerate(table.of(label)):
            made[Segment(start / SECOND, end / SECOND), number] = label
        return made

    metric = DetectionPrecisionRecallFMeasure()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for uri, table in reference.items():
            scored = None
            if uem is not None:
                scored = Timeline([Segment(a / SECOND, b / SECOND) for a, b in zip(*uem[uri], strict=True)])
            metric(annotation(table), annotation(prediction.get(uri, Segments.empty())), uem=scored)
    return metric.compute_metrics()


@settings(max_examples=60, deadline=None)
@given(corpora(longest=3_000, unit=16))
def test_equals_pyannote(pairs):
    reference = {uri: pair[0] for uri, pair in pairs.items()}
    prediction = {uri: pair[1] for uri, pair in pairs.items()}
    assume_voices(reference, prediction)
    report = compare(reference, prediction)
    for label, scores in zip(VOICE_TYPES, detection_scores(report.totals), strict=True):
        np.testing.assert_allclose(scores, pyannote_scores(reference, prediction, label), atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(corpora(longest=3_000, unit=16), st.lists(st.tuples(st.integers(0, 3_500), st.integers(1, 900)), min_size=1))
def test_equals_pyannote_within_a_uem(pairs, stretches):
    reference = {uri: pair[0] for uri, pair in pairs.items()}
    prediction = {uri: pair[1] for uri, pair in pairs.items()}
    starts = np.array([16 * a for a, _ in stretches])
    uem = dict.fromkeys(reference, (starts, starts + np.array([16 * n for _, n in stretches])))
    assume_voices(reference, prediction)
    report = compare(reference, prediction, uem=uem)
    for label, scores in zip(VOICE_TYPES, detection_scores(report.totals), strict=True):
        np.testing.assert_allclose(scores, pyannote_scores(reference, prediction, label, uem), atol=1e-6)


@settings(max_examples=100, deadline=None)
@given(tables(longest=60), tables(longest=60), st.booleans())
def test_equals_counting_samples(reference, prediction, with_uem):
    assume_voices({"x": reference}, {"x": prediction})
    scored = np.zeros(90, dtype=bool)
    scored[slice(10, 50) if with_uem else slice(None)] = True

    def grid(table: Segments) -> np.ndarray:
        on = np.zeros((4, 90), dtype=bool)
        for start, end, label in table:
            if label in VOICE_TYPES:
                on[VOICE_TYPES.index(label), start:end] = True
        return on & scored

    uem = {"x": (np.array([10, 20]), np.array([30, 50]))} if with_uem else None
    report = compare({"x": reference}, {"x": prediction}, uem=uem)
    r, p = grid(reference), grid(prediction)
    np.testing.assert_array_equal(report.totals, np.stack([r & p, p & ~r, r & ~p], axis=2).sum(axis=1))
    for i in range(4):
        for j in range(4):
            assert report.confusion[i, j] == (r[i] & p[j]).sum()
        assert report.confusion[i, 4] == (r[i] & ~p.any(axis=0)).sum()
        assert report.confusion[4, i] == (p[i] & ~r.any(axis=0)).sum()
    if with_uem:
        assert report.confusion[4, 4] == (scored & ~r.any(axis=0) & ~p.any(axis=0)).sum()
    crowded = r.sum(axis=0) >= 2, p.sum(axis=0) >= 2
    assert report.overlap == (crowded[0].sum(), crowded[1].sum(), (crowded[0] & crowded[1]).sum())


def test_confusion_and_overlap_of_a_small_example():
    reference = segments((0, 4, "KCHI"), (3, 6, "FEM"), (8, 9, "OCH"))
    prediction = segments((0, 2, "KCHI"), (2, 5, "OCH"), (3.5, 6, "FEM"), (10, 11, "MAL"))
    report = compare({"a": reference}, {"a": prediction})
    expected = [  # KCHI, OCH, MAL, FEM, none
        [2, 2, 0, 0.5, 0],
        [0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0],
        [0, 2, 0, 2.5, 0],
        [0, 0, 1, 0, 3],
    ]
    np.testing.assert_array_equal(report.confusion / SECOND, expected)
    assert report.overlap == (1 * SECOND, 1.5 * SECOND, 0.5 * SECOND)
    assert report.overlap.recall == 0.5
    assert report.overlap.precision == pytest.approx(1 / 3)


def test_scores_by_hand():
    report = compare({"a": segments((0, 10, "KCHI"))}, {"a": segments((5, 20, "KCHI"))}, labels=["KCHI"])
    np.testing.assert_allclose(report.scores, [[1 / 3, 1 / 2, 0.4]])
    assert report.f1 == {"KCHI": pytest.approx(0.4)}
    assert report.macro_f1 == pytest.approx(0.4)


def test_a_missing_prediction_counts_as_silent():
    reference = {"a": segments((0, 10, "KCHI")), "b": segments((0, 10, "KCHI"))}
    report = compare(reference, {"a": reference["a"]}, labels=["KCHI"])
    assert report.missing == ("b",)
    np.testing.assert_allclose(report.scores[0], [1.0, 0.5, 2 / 3])


def test_ids_that_differ_in_folders_only_are_one_recording():
    table = segments((0, 1, "KCHI"))
    report = compare({"x": table, "y": table}, {"audio/x": table, "audio/y": table})
    assert report.macro_f1 == 1
    assert report.matched == {"audio/x": "x", "audio/y": "y"}
    assert report.missing == report.without_reference == ()


def test_a_name_that_two_folders_share_is_not_guessed():
    table = segments((0, 1, "KCHI"))
    report = compare({"x": table, "y": table}, {"day1/x": table, "day2/x": table, "y": table})
    assert report.matched == {}
    assert report.missing == ("x",)
    assert report.without_reference == ("day1/x", "day2/x")


def test_an_exact_id_comes_before_a_name():
    table, nothing = segments((0, 1, "KCHI")), Segments.empty()
    report = compare({"x": table}, {"x": table, "audio/x": nothing}, ("KCHI",))
    assert report.macro_f1 == 1
    assert report.without_reference == ("audio/x",)


def test_a_silent_reference_still_costs_false_alarms():
    report = compare(
        {"a": segments((0, 1, "MAL")), "b": Segments.empty()},
        {"a": segments((0, 1, "MAL")), "b": segments((0, 1, "MAL"))},
        labels=["MAL"],
    )
    np.testing.assert_allclose(report.scores[0], [0.5, 1.0, 2 / 3])


def test_what_is_left_out_is_listed():
    reference = {"a": segments((0, 1, "KCHI"), (0, 2, "SPEECH")), "b": segments((0, 1, "KCHI"))}
    prediction = {"a": segments((0, 1, "KCHI"), (0, 3, "cry")), "z": segments((0, 1, "KCHI"))}
    report = compare(reference, prediction, uem={"a": (np.array([0]), np.array([SECOND]))})
    assert report.recordings == ("a",)
    assert report.outside_uem == ("b",)
    assert report.without_reference == ("z",)
    assert report.missing == ()
    assert report.ignored == {"reference": {"SPEECH": 2 * SECOND}, "prediction": {"cry": 3 * SECOND}}


def test_a_class_on_neither_side_has_no_score_and_is_not_in_the_mean():
    report = compare({"a": segments((0, 1, "KCHI"), (2, 3, "FEM"))}, {"a": segments((0, 1, "KCHI"))})
    np.testing.assert_array_equal(report.scores[:, 2], [1, np.nan, np.nan, 0])
    assert report.empty_classes == ("OCH", "MAL")
    assert report.macro_f1 == 0.5
    assert report.published_macro[2] == 0.75


@pytest.mark.parametrize(
    ("rows", "labels", "message"),
    [
        ([(0, 1, "CHI")], VOICE_TYPES, "label CHI is the key child in some tools"),
        ([(0, 1, "CHI"), (1, 2, "FEM")], ("KCHI", "FEM"), "replace it by KCHI or OCH"),
        ([(0, 1, "CHI"), (1, 2, "KCHI")], VOICE_TYPES, "replace it by KCHI or OCH"),
        ([(0, 1, "mother"), (1, 2, "child")], VOICE_TYPES, "has the labels child, mother, none of them to be scored"),
    ],
)
def test_labels_that_mean_something_else_are_refused_on_either_side(rows, labels, message):
    other = {"a": segments((0, 1, "KCHI"), (1, 2, "FEM"))}
    with pytest.raises(AnnotationError, match=message):
        compare({"a": segments(*rows)}, other, labels)
    with pytest.raises(AnnotationError, match=message):
        compare(other, {"a": segments(*rows)}, labels)


def test_labels_that_can_mean_one_thing_only_are_scored():
    told = {"a": segments((0, 1, "CHI"), (2, 3, "KCHI"), (4, 5, "MAL"))}
    assert compare(told, told, ("KCHI", "MAL")).macro_f1 == 1
    assert compare(told, told, ("CHI", "KCHI")).macro_f1 == 1
    assert compare({"a": segments((0, 1, "FEM"))}, told, ("KCHI",)).f1 == {"KCHI": 0.0}


def test_names_with_blanks_meet_those_that_our_files_carry():
    table = segments((0, 1, "KCHI"))
    assert compare({"home/day 1": table}, {"day_1": table}, ("KCHI",)).matched == {"day_1": "home/day 1"}


def test_no_segment_anywhere():
    report = compare({"a": Segments.empty()}, {})
    assert not report.counts.any()
    assert report.empty_classes == VOICE_TYPES


@pytest.mark.parametrize(
    ("reference", "prediction", "options", "error", "message"),
    [
        ({}, {}, {}, AnnotationError, "nothing to score"),
        ({"a": Segments.empty()}, {"b": Segments.empty()}, {}, AnnotationError, "reference has a, .* have b"),
        ({"a": Segments.empty()}, {}, {"uem": {}}, AnnotationError, "UEM names none"),
        ({"a": Segments.empty()}, {}, {"labels": []}, ConfigError, "at least one"),
        ({"a": Segments.empty()}, {}, {"labels": ["FEM", "FEM"]}, ConfigError, "each once"),
    ],
)
def test_bad_input_is_named(reference, prediction, options, error, message):
    with pytest.raises(error, match=message):
        compare(reference, prediction, **options)


def test_scores_of_many_counts_at_once():
    counts = np.random.default_rng(0).integers(0, 5, size=(50, 4, 3))
    together = detection_scores(counts)
    assert together.shape == (50, 4, 3)
    np.testing.assert_array_equal(together[7, 2], detection_scores(counts[7, 2]))
    assert np.all((together >= 0) & (together <= 1))


def random_corpus(recordings: int, rng: np.random.Generator):
    """Recordings whose quality differs: the predicted end of each segment is off by a share of its own."""
    reference, prediction = {}, {}
    for k in range(recordings):
        start = np.arange(20) * 10 * SECOND
        length = rng.integers(SECOND, 5 * SECOND, size=20)
        label = rng.choice(np.array(["KCHI", "FEM"], dtype=object), size=20)
        reference[str(k)] = Segments(start, start + length, label)
        kept = rng.random(20) < rng.beta(4, 2)
        prediction[str(k)] = reference[str(k)].where(kept)
    return reference, prediction


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    labels = ["KCHI", "FEM"]
    truth = compare(*random_corpus(400, rng), labels=labels).macro_f1
    covered = []
    for _ in range(100):
        low, high = compare(*random_corpus(20, rng), labels=labels).bootstrap(rng, 300, 0.9).macro[2]
        covered.append(low <= truth <= high)
    assert 0.78 < np.mean(covered) <= 1.0


def test_intervals_are_ordered_repeatable_and_hold_the_score():
    report = compare(*random_corpus(15, np.random.default_rng(1)))
    first = report.bootstrap(np.random.default_rng(2))
    again = report.bootstrap(np.random.default_rng(2))
    np.testing.assert_array_equal(first.classes, again.classes)
    present = report.totals.any(axis=1)
    assert np.isnan(first.classes[~present]).all()
    low, high = np.moveaxis(first.classes[present], -1, 0)
    assert np.all((low <= report.scores[present]) & (report.scores[present] <= high))


def test_bootstrap_resamples_recordings():
    """Two recordings, one perfect and one empty: a resample scores 0, 2/3 or 1."""
    reference = {"a": segments((0, 10, "KCHI")), "b": segments((0, 10, "KCHI"))}
    report = compare(reference, {"a": reference["a"]}, labels=["KCHI"])
    intervals = report.bootstrap(np.random.default_rng(0), confidence=0.95)
    np.testing.assert_allclose(intervals.macro[2], [0.0, 1.0])


def test_one_recording_has_no_interval():
    assert compare({"a": segments((0, 1, "FEM"))}, {}).bootstrap(np.random.default_rng(0)) is None


@pytest.mark.parametrize("wrong", [{"resamples": 0}, {"confidence": 1.0}])
def test_impossible_bootstrap(wrong):
    with pytest.raises(ConfigError, match="bootstrap"):
        compare({"a": segments((0, 1, "FEM"))}, {}).bootstrap(np.random.default_rng(0), **wrong)


def test_the_interval_of_the_mean_holds_it_with_a_class_that_never_occurs():
    reference = {name: segments((0, 10, "KCHI")) for name in "abcdef"}
    prediction = {name: segments((0, 5 + k, "KCHI")) for k, name in enumerate("abcdef")}
    report = compare(reference, prediction)
    intervals = report.bootstrap(np.random.default_rng(0), 200)
    assert intervals is not None
    assert np.isnan(intervals.classes[1]).all()
    assert intervals.macro[2, 0] <= report.macro_f1 <= intervals.macro[2, 1]
