"""Tuning equals an exhaustive loop over the real post-processing and the real metric, and is never worse than 0.5."""

from __future__ import annotations

import itertools
import tomllib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babyhubert.annotation.segments import Segments
from babyhubert.errors import AnnotationError, ConfigError
from babyhubert.evaluation import tuning
from babyhubert.evaluation.detection import compare, detection_scores
from babyhubert.evaluation.score_folder import ScoreFolder, find_scores
from babyhubert.evaluation.tuning import (
    choose_high_precision,
    choose_high_recall,
    choose_thresholds,
    coarse_grid,
    measure_thresholds,
    split_recordings,
    threshold_grid,
)
from babyhubert.evaluation.tuning_presentation import tuning_notes, write_tuning
from babyhubert.evaluation.tuning_run import TuningSettings, tune_voice_type
from babyhubert.files import write_json
from babyhubert.inference.post_processing import MinimumDurations, active_runs, clean_up
from babyhubert.inference.thresholds import select_thresholds

LABELS = ("KCHI", "FEM")


def case(seed: int, recordings: int = 3, frames: int = 60):
    """Random scores that wander, and references whose ends lie off the frame grid."""
    rng = np.random.default_rng(seed)
    scores, reference, uem = {}, {}, {}
    known = False  # whether any segment has a label that is scored; a reference of others alone is refused
    for name in "abcdef"[:recordings]:
        n = int(rng.integers(0, frames))
        walk = np.cumsum(rng.normal(0, rng.choice([0.05, 0.5]), (n, 2)), axis=0)
        scores[name] = np.round(1 / (1 + np.exp(-walk)), int(rng.integers(1, 5))).astype(np.float16)
        starts = rng.integers(0, frames * 320, 6)
        rows = [(int(a), int(a + rng.integers(1, 9_000)), str(rng.choice([*LABELS, "OTHER"]))) for a in starts]
        rows = rows[: rng.integers(0, 7)]
        known = known or any(label in LABELS for *_, label in rows)
        reference[name] = Segments.from_rows(rows if known else [])
        a = int(rng.integers(0, 5_000))
        uem[name] = (np.array([a]), np.array([a + int(rng.integers(1, 12_000))]))
    return scores, reference, uem


def f_beta(precision, recall):
    """Recall counting half as much again as precision; 0 where nothing is found."""
    return 3.25 * precision * recall / (2.25 * precision + recall) if precision and recall else 0.0


def real_scores(scores, reference, uem, threshold: float, minimum: MinimumDurations) -> np.ndarray:
    """Precision, recall and F1 from the functions that segment and evaluate use, (C, 3)."""
    decided = {
        name: clean_up(active_runs(values, dict.fromkeys(LABELS, threshold)), minimum)
        for name, values in scores.items()
    }
    return detection_scores(compare(reference, decided, LABELS, uem).totals)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.sampled_from([(0, 0), (1600, 1600), (700, 3000), (3200, 321)]))
def test_every_threshold_equals_the_real_metric_after_the_real_post_processing(seed, with_uem, durations):
    scores, reference, uem = case(seed)
    minimum, grid = MinimumDurations(*durations), threshold_grid(0.05)
    curves = measure_thresholds(
        reference,
        scores.__getitem__,
        list(scores),
        LABELS,
        folds=split_recordings(list(reference), 2),
        grid=grid,
        minimums=[MinimumDurations(), minimum],
        uem=uem if with_uem else None,
    )
    expected = [real_scores(scores, reference, uem if with_uem else None, t, minimum) for t in grid.tolist()]
    np.testing.assert_allclose(curves.scores()[1], np.stack(expected, axis=1), atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_the_choice_is_the_best_of_an_exhaustive_search_and_never_below_a_half(seed):
    scores, reference, _ = case(seed)
    minimums = [MinimumDurations(), MinimumDurations(0, 0), MinimumDurations(3200, 1600)]
    grid = threshold_grid(0.1)
    curves = measure_thresholds(
        reference,
        scores.__getitem__,
        list(scores),
        LABELS,
        folds=[sorted(reference)],
        grid=grid,
        minimums=minimums,
    )
    choice = choose_thresholds(curves)
    every = np.stack(
        [[real_scores(scores, reference, None, t, m) for t in grid.tolist()] for m in minimums]
    )  # (M, K, C, 3)
    present = curves.occurs()
    half = every[:, grid.tolist().index(0.5), :, 2]
    best = np.where(present, every[..., 2].max(axis=1), half).mean(axis=1)
    assert choice.scores[:, 2].mean() == pytest.approx(best.max())
    assert choice.scores[:, 2].mean() >= half[0].mean() - 1e-12
    decided = {
        name: clean_up(active_runs(values, choice.thresholds), choice.minimum) for name, values in scores.items()
    }
    found = detection_scores(compare(reference, decided, LABELS).totals)
    np.testing.assert_allclose(found, choice.scores, atol=1e-12)
    precise = choose_high_precision(curves, choice.minimum)
    rows = every[minimums.index(choice.minimum)]
    for c in np.flatnonzero(present):
        allowed = rows[rows[:, c, 1] >= 0.5, c]
        if len(allowed):
            assert precise.scores[c, 1] >= 0.5
            assert precise.scores[c, 0] == pytest.approx(allowed[:, 0].max())
        else:
            assert precise.scores[c, 1] == pytest.approx(rows[:, c, 1].max())
    generous = choose_high_recall(curves, choice.minimum)
    for c in np.flatnonzero(present):
        assert f_beta(*generous.scores[c, :2]) == pytest.approx(max(f_beta(p, r) for p, r, _ in rows[:, c]))
    assert all(generous.thresholds[LABELS[c]] == 0.5 for c in np.flatnonzero(~present))


def test_blocks_and_batches_change_nothing(monkeypatch):
    scores, reference, _ = case(7, recordings=6, frames=300)
    folds = [sorted(reference)]
    whole = measure_thresholds(reference, scores.__getitem__, list(scores), LABELS, folds=folds)
    monkeypatch.setattr(tuning, "_FRAMES_AT_ONCE", 1)
    monkeypatch.setattr(tuning, "_THRESHOLDS_AT_ONCE", 999)
    parts = measure_thresholds(reference, scores.__getitem__, list(scores), LABELS, folds=folds)
    np.testing.assert_array_equal(whole.hit, parts.hit)
    np.testing.assert_array_equal(whole.predicted, parts.predicted)
    assert whole.hit.any()


def test_float32_scores_are_decided_as_they_are():
    scores, reference, _ = case(3)
    exact = {name: values.astype(np.float32) for name, values in scores.items()}
    folds = [sorted(reference)]
    half = measure_thresholds(reference, scores.__getitem__, list(scores), LABELS, folds=folds)
    single = measure_thresholds(reference, exact.__getitem__, list(exact), LABELS, folds=folds)
    np.testing.assert_array_equal(half.predicted, single.predicted)


@pytest.mark.parametrize("step", [0.001, 0.01, 0.1, 0.3, 0.0333, 0.5])
def test_a_half_is_always_tried(step):
    grid = threshold_grid(step)
    assert 0.5 in grid
    assert (np.diff(grid) > 0).all()
    assert grid[0] > 0
    assert grid[-1] < 1


def test_the_grid_of_a_thousandth_has_999_thresholds():
    assert len(threshold_grid()) == 999
    with pytest.raises(ConfigError, match="step 0"):
        threshold_grid(0)


def test_scores_that_are_logits_are_refused():
    scores = {"a": np.array([[0.1, 3.5]], dtype=np.float32)}
    with pytest.raises(AnnotationError, match=r"score 3.5 of frame 0"):
        measure_thresholds({"a": Segments.empty()}, scores.__getitem__, ["a"], LABELS, folds=[["a"]])
    scores = {"a": np.array([[0.1, np.nan]], dtype=np.float16)}
    with pytest.raises(AnnotationError, match="nan"):
        measure_thresholds({"a": Segments.empty()}, scores.__getitem__, ["a"], LABELS, folds=[["a"]])


def test_folds_are_disjoint_and_complete():
    folds = split_recordings([f"r{n:02d}" for n in range(23)], 10)
    assert sorted(name for fold in folds for name in fold) == [f"r{n:02d}" for n in range(23)]
    assert len(folds) == 10
    assert max(map(len, folds)) - min(map(len, folds)) <= 1
    assert split_recordings(["b", "a"], 10) == [["a"], ["b"]]


@pytest.fixture
def kept(tmp_path):
    """The folder that --save-probs writes, with scores that know KCHI well and FEM badly."""
    rng = np.random.default_rng(0)
    reference = {}
    for name in ("day/a", "day/b", "day/c"):
        active = np.repeat(rng.random(60) < 0.4, 25)
        scores = np.clip(np.where(active, 0.4, 0.15) + rng.normal(0, 0.1, len(active)), 0, 1)
        columns = np.stack([scores, rng.random(len(active))], axis=1).astype(np.float16)
        path = tmp_path / "probs" / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, columns)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], active, [0]]))) * 320
        reference[name] = Segments.from_rows([(int(a), int(b), "KCHI") for a, b in edges.reshape(-1, 2)])
    write_json(tmp_path / "probs/format.json", {"classes": list(LABELS)})
    return tmp_path, reference


class TestLimitOfFalseVoices:
    @pytest.fixture
    def with_silence(self, kept):
        """The same with two recordings in which nobody speaks and KCHI has scores up to 0.45."""
        folder, reference = kept
        for number, name in enumerate(("rain", "dog")):
            scores = np.random.default_rng(number).uniform(0, 0.45, (1500, 2))
            np.save(folder / "probs" / f"{name}.npy", scores.astype(np.float16))
        return folder, {**reference, "rain": Segments.empty(), "dog": Segments.empty()}

    def false_voices(self, folder, reference, thresholds) -> float:
        """Seconds an hour of KCHI by the functions of segment, in the recordings without a segment."""
        scores, spoken, total_s = find_scores(folder), 0, 0.0
        for name in (name for name, segments in reference.items() if not len(segments)):
            found = clean_up(active_runs(scores.load(name), thresholds), MinimumDurations())
            spoken += sum(end - start for start, end, label in found if label == "KCHI")
            total_s += len(scores.load(name)) * 0.02
        return spoken / 16_000 / total_s * 3600

    def test_thresholds_rise_until_silent_recordings_keep_to_it(self, with_silence):
        folder, reference = with_silence
        free = tune_voice_type(reference, find_scores(folder), TuningSettings(resamples=0))
        before = self.false_voices(folder, reference, free.best.choice.thresholds)
        assert before > 60
        limited = tune_voice_type(reference, find_scores(folder), TuningSettings(resamples=0, false_limit=60.0))
        for tuned in (limited.best, limited.high_precision):
            assert self.false_voices(folder, reference, tuned.choice.thresholds) <= 60
        assert limited.best.choice.thresholds["KCHI"] > free.best.choice.thresholds["KCHI"]
        assert limited.high_recall.choice.thresholds == free.high_recall.choice.thresholds
        grid, f1 = limited.curves.grid, limited.curves.scores()[0, 0, :, 2]
        allowed = np.array(
            [self.false_voices(folder, reference, {"KCHI": float(k), "FEM": 0.5}) <= 60 * 499 / 500 for k in grid]
        )
        assert limited.best.choice.scores[0, 2] >= f1[allowed].max()

    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, 10_000), st.integers(1, 3), st.integers(2, 7), st.booleans())
    def test_classes_share_it_as_the_best_of_all_combinations(self, seed, classes, thresholds, ties):
        """Against every combination of thresholds: the sum of merits is the best that the limit allows."""
        rng = np.random.default_rng(seed)
        merit, cost = rng.random((classes, thresholds)), rng.integers(0, 700, (classes, thresholds)) / 500
        if ties:
            merit = np.round(merit, 1)
        cost[:, -1] = 0
        occurs, distance = np.ones(classes, dtype=bool), np.abs(np.linspace(0.1, 0.9, thresholds) - 0.5)
        at = tuning._within_limit(merit, cost, occurs, distance)
        rows = np.arange(classes)
        assert cost[rows, at].sum() <= 1 + 1e-9
        every = [list(one) for one in itertools.product(range(thresholds), repeat=classes)]
        possible = [merit[rows, one].sum() for one in every if cost[rows, one].sum() <= 1 + 1e-9]
        assert merit[rows, at].sum() == pytest.approx(max(possible), abs=1e-6)

    def test_a_class_that_never_occurs_keeps_a_half_and_costs_the_others_nothing(self):
        merit, cost = np.array([[0.9, 0.5, 0.1], [0.0, 0.0, 0.0]]), np.array([[0.9, 0.5, 0.0], [0.9, 0.9, 0.0]])
        at = tuning._within_limit(merit, cost, np.array([True, False]), np.array([0.2, 0.0, 0.2]))
        assert at.tolist() == [0, 1]

    def test_a_limit_that_changes_nothing_gives_the_same_thresholds(self, with_silence):
        folder, reference = with_silence
        free = tune_voice_type(reference, find_scores(folder), TuningSettings(resamples=0))
        wide = tune_voice_type(reference, find_scores(folder), TuningSettings(resamples=0, false_limit=7200.0))
        assert wide.best.choice.thresholds == free.best.choice.thresholds

    def test_only_scored_stretches_count(self, with_silence):
        folder, reference = with_silence
        uem = {name: (np.array([0]), np.array([1500 * 320])) for name in reference}
        uem["rain"] = (np.array([0]), np.array([320 * 100]))
        result = tune_voice_type(reference, find_scores(folder), TuningSettings(resamples=0, false_limit=60.0), uem)
        scores, samples, spoken = find_scores(folder), 1600 * 320, 0
        for name in ("rain", "dog"):
            found = clean_up(active_runs(scores.load(name), result.best.choice.thresholds), MinimumDurations())
            last = int(uem[name][1][0])
            spoken += sum(max(min(end, last) - start, 0) for start, end, label in found if label == "KCHI")
        assert spoken / samples * 3600 <= 60

    def test_without_silent_recordings_it_is_refused(self, kept):
        folder, reference = kept
        with pytest.raises(ConfigError, match="empty RTTM"):
            tune_voice_type(reference, find_scores(folder), TuningSettings(false_limit=60.0))


class TestEqualRecordings:
    def test_thresholds_are_those_of_short_recordings_repeated_to_the_length_of_the_longest(self, kept):
        """One of a fifth of the others' length counts as five of it do; the reported scores stay those of time."""
        folder, reference = kept
        rng = np.random.default_rng(9)
        short = np.stack([rng.uniform(0.2, 0.3, 300), rng.random(300)], axis=1).astype(np.float16)
        more = {f"short{n}": Segments.from_rows([(0, 96_000, "KCHI")]) for n in range(5)}
        for name in more:
            np.save(folder / "probs" / f"{name}.npy", short)
        one = {**reference, "short0": more["short0"]}
        equal = tune_voice_type(one, find_scores(folder), TuningSettings(resamples=0, equal_recordings=True))
        repeated = tune_voice_type({**reference, **more}, find_scores(folder), TuningSettings(resamples=0))
        plain = tune_voice_type(one, find_scores(folder), TuningSettings(resamples=0))
        for kind in ("best", "high_precision", "high_recall"):
            found, expected = getattr(equal, kind).choice, getattr(repeated, kind).choice
            assert found.thresholds == expected.thresholds
            np.testing.assert_allclose(found.scores, expected.scores)
        assert equal.best.choice.thresholds != plain.best.choice.thresholds
        np.testing.assert_allclose(equal.half.scores, plain.half.scores)

    def test_recordings_of_one_length_give_the_same_thresholds_as_without(self, kept):
        folder, reference = kept
        found = [
            tune_voice_type(reference, find_scores(folder), TuningSettings(resamples=0, equal_recordings=equal))
            for equal in (False, True)
        ]
        assert found[0].best.choice.thresholds == found[1].best.choice.thresholds


class TestRun:
    def test_results_are_what_the_real_functions_give(self, kept):
        folder, reference = kept
        result = tune_voice_type(reference, find_scores(folder), TuningSettings(resamples=50))
        assert result.best.report.f1["KCHI"] > result.half.f1["KCHI"] + 0.2
        np.testing.assert_allclose(result.best.report.scores[0], result.best.choice.scores[0])
        assert result.never == ("FEM",)
        assert result.best.choice.thresholds["FEM"] == 0.5
        assert result.high_precision.report.scores[0, 1] >= 0.5
        assert result.high_recall.report.scores[0, 1] >= result.best.report.scores[0, 1]
        assert result.held_out is not None
        assert result.held_out.f1["KCHI"] <= result.best.report.f1["KCHI"] + 1e-12
        assert [list(fold) for fold in result.folds] == [["day/a"], ["day/b"], ["day/c"]]

    def test_held_out_thresholds_are_chosen_without_the_fold(self, kept):
        folder, reference = kept
        scores = find_scores(folder)
        result = tune_voice_type(reference, scores)
        decided = {}
        for name in reference:
            others = {uri: table for uri, table in reference.items() if uri != name}
            alone = tune_voice_type(others, scores).best.choice
            decided[name] = clean_up(active_runs(scores.load(name), alone.thresholds), alone.minimum)
        np.testing.assert_allclose(result.held_out.scores, compare(reference, decided, LABELS).scores)

    def test_joint_tuning_is_as_good_as_it_promises(self, kept):
        folder, reference = kept
        scores = find_scores(folder)
        minimums = [MinimumDurations(on, off) for on in (1600, 0, 8000) for off in (1600, 0, 8000)]
        joint = tune_voice_type(reference, scores, TuningSettings(step=0.02, minimums=minimums))
        alone = tune_voice_type(reference, scores, TuningSettings(step=0.02))
        assert joint.best.report.macro_f1 >= alone.best.report.macro_f1
        every = measure_thresholds(
            reference,
            scores.load,
            list(scores.paths),
            LABELS,
            folds=[sorted(reference)],
            grid=coarse_grid(threshold_grid(0.02)),
            minimums=minimums,
        )
        assert joint.best.report.macro_f1 >= choose_thresholds(every).scores[:, 2].mean() - 1e-12
        assert joint.best.choice.minimum != MinimumDurations()
        assert joint.half.macro_f1 == alone.half.macro_f1
        for n, fold in enumerate(joint.folds):
            others = {uri: reference[uri] for part in joint.folds if part is not fold for uri in part}
            again = tune_voice_type(others, scores, TuningSettings(step=0.02, minimums=minimums)).best
            decided = {
                uri: clean_up(active_runs(scores.load(uri), again.choice.thresholds), again.choice.minimum)
                for uri in fold
            }
            counts = compare({uri: reference[uri] for uri in fold}, decided, LABELS).counts
            np.testing.assert_array_equal(joint.held_out.counts[n : n + 1], counts)

    def test_written_thresholds_are_read_by_segment(self, kept, tmp_path):
        folder, reference = kept
        result = tune_voice_type(reference, find_scores(folder), TuningSettings(calibrate="temperature-bias"))
        write_tuning(tmp_path / "tuned", result, {})
        for name, tuned in (
            ("f1", result.best),
            ("high-precision", result.high_precision),
            ("high-recall", result.high_recall),
        ):
            path = tmp_path / f"tuned/{name}.toml"
            assert select_thresholds(str(path), LABELS) == tuned.choice.thresholds
        assert set(tomllib.loads((tmp_path / "tuned/calibration.toml").read_text(encoding="utf-8"))) == set(LABELS)
        curves = (tmp_path / "tuned/curves.csv").read_text(encoding="utf-8").splitlines()
        assert len(curves) == 1 + 2 * 999

    def test_a_missing_recording_counts_as_silent_and_is_named(self, kept):
        folder, reference = kept
        more = reference | {"day/z": Segments.from_rows([(0, 160_000, "KCHI")])}
        result = tune_voice_type(more, find_scores(folder))
        assert result.best.report.missing == ("day/z",)
        np.testing.assert_allclose(result.best.report.scores[0], result.best.choice.scores[0])
        assert any("counted as silent: day/z" in note for note in tuning_notes(result))

    def test_the_uem_limits_what_is_tuned_on(self, kept):
        folder, reference = kept
        uem = {"day/a": (np.array([0]), np.array([160_000]))}
        result = tune_voice_type(reference, find_scores(folder), uem=uem)
        assert result.half.recordings == ("day/a",)
        assert result.held_out is None
        np.testing.assert_allclose(result.best.report.scores[0], result.best.choice.scores[0])
        assert any("one recording" in note for note in tuning_notes(result))

    def test_ids_that_an_rttm_cannot_carry_or_with_other_folders_match(self, kept):
        folder, reference = kept
        (folder / "probs/day/a.npy").rename(folder / "probs/day/a 1.npy")
        renamed = {name.rpartition("/")[2]: table for name, table in reference.items()}
        renamed["a_1"] = renamed.pop("a")
        assert set(find_scores(folder).named_as(renamed).paths) == {"a_1", "b", "c"}
        np.save(folder / "probs/day/a_1.npy", np.zeros((5, 2), dtype=np.float16))
        with pytest.raises(AnnotationError, match=r"both belong to day/a_1"):
            find_scores(folder).named_as(renamed)

    def test_a_reference_without_any_class_of_the_model_is_refused(self, kept):
        folder, _ = kept
        wrong = dict.fromkeys(["day/a"], Segments.from_rows([(0, 9_000, "CHI")]))
        with pytest.raises(AnnotationError, match="replace it by KCHI or OCH"):
            tune_voice_type(wrong, find_scores(folder))
        with pytest.raises(AnnotationError, match="no segment at all"):
            tune_voice_type({"day/a": Segments.empty()}, find_scores(folder))

    def test_a_class_that_never_reaches_the_recall_is_told(self, kept):
        folder, reference = kept
        for name in reference:
            np.save(folder / "probs" / f"{name}.npy", np.zeros((1500, 2), dtype=np.float16))
        result = tune_voice_type(reference, find_scores(folder))
        assert result.best.report.f1["KCHI"] == 0
        assert any("KCHI: no threshold reaches a recall of 0.5" in note for note in tuning_notes(result))


class TestScoreFolder:
    def test_nothing_there(self, tmp_path):
        for path in (tmp_path, tmp_path / "nowhere"):
            with pytest.raises(AnnotationError, match="output folder of 'babyhubert segment'"):
                find_scores(path)

    def test_a_file_cut_short_or_of_other_classes_is_named(self, kept):
        folder, _ = kept
        path = folder / "probs/day/a.npy"
        path.write_bytes(path.read_bytes()[:200])
        with pytest.raises(AnnotationError, match=r"a\.npy"):
            find_scores(folder).load("day/a")
        np.save(path, np.zeros((5, 3), dtype=np.float16))
        with pytest.raises(AnnotationError, match=r"shape \(5, 3\)"):
            find_scores(folder).load("day/a")

    def test_scores_of_two_models_are_not_mixed(self, tmp_path):
        state = tmp_path / ".babyhubert/segment"
        write_json(tmp_path / "run.json", {"model": {"classes": ["KCHI"], "source": "m"}})
        for name in ("a", "b"):
            (state / "scores").mkdir(parents=True, exist_ok=True)
            np.save(state / "scores" / f"{name}.npy", np.zeros((3, 1), dtype=np.float16))
            write_json(state / "records" / f"{name}.json", {"recording_id": name, "scores": "same"})
        found = find_scores(tmp_path)
        assert (found.labels, set(found.paths), found.model) == (("KCHI",), {"a", "b"}, {"source": "m"})
        write_json(state / "records/b.json", {"recording_id": "b", "scores": "other"})
        with pytest.raises(AnnotationError, match="scores of a and b"):
            find_scores(tmp_path)


def test_a_score_folder_is_plain_data(tmp_path):
    folder = ScoreFolder(tmp_path, LABELS, {}, {})
    with pytest.raises(AnnotationError, match="nothing to score"):
        folder.named_as([])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 9), st.integers(0, 9))
def test_post_processing_equals_pyannote(seed, on, off):
    """Gaps closed by pyannote's support, short segments dropped by duration: half a frame away from every tie."""
    from pyannote.core import Annotation, Segment

    rng = np.random.default_rng(seed)
    active = np.repeat(rng.random(60) < 0.5, rng.integers(1, 6, 60))
    runs = active_runs(active[:, None].astype(np.float16), {"KCHI": 0.5})
    least = MinimumDurations(max(on * 320 - 160, 0), max(off * 320 - 160, 0))
    found = [(start, end) for start, end, _ in clean_up(runs, least)]
    made = Annotation()
    for number, (start, end) in enumerate(zip(*(edge.tolist() for edge in runs["KCHI"]), strict=True)):
        made[Segment(start / 16_000, end / 16_000), number] = "KCHI"
    joined = made.support(collar=least.off / 16_000).itersegments()
    expected = [(s.start, s.end) for s in joined if s.duration >= least.on / 16_000]
    np.testing.assert_allclose(np.array(found).reshape(-1, 2) / 16_000, np.array(expected).reshape(-1, 2), atol=1e-9)
