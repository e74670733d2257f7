"""Noise and window tests on models whose behaviour is known, and sounds that are what they say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from babyhubert.errors import ConfigError
from babyhubert.evaluation.probe_sounds import PROBES, probe
from babyhubert.evaluation.robustness import (
    alarms_in_clips,
    binomial_tail,
    border_peak,
    false_alarms,
    join_peaks,
    length_peak,
    near_voices,
    start_shifts,
)
from babyhubert.evaluation.robustness_presentation import RobustnessResult, as_json, notes, tables
from babyhubert.inference.post_processing import MinimumDurations, active_runs, clean_up
from babyhubert.timebase import FRAME_HOP, frame_count

RATE = 16_000
HOP = 50


class Loudness:
    """Voices where it is loud; every ``period`` frames (from the start of what it hears) it looks away."""

    labels = ("KCHI", "FEM")

    def __init__(self, period: int | None = None) -> None:
        self._period = period

    def scores(self, audio, sampling_rate=None):
        count = frame_count(len(audio))
        cells = np.stack([audio[320 * t : 320 * t + 400] for t in range(count)]) if count else np.zeros((0, 400))
        loud = np.sqrt((cells.astype(float) ** 2).mean(axis=1)) if count else np.zeros(0)
        found = np.stack([loud > 0.02, loud > 0.2], axis=1).astype(np.float16)
        if self._period is not None:
            found[self._period - 1 :: self._period] = 0
        return found

    def decide(self, scores, *, clean=True):
        minimum = MinimumDurations() if clean else MinimumDurations(0, 0)
        return clean_up(active_runs(scores, dict.fromkeys(self.labels, 0.5)), minimum)


def bursts(seconds: float = 40, seed: int = 0) -> np.ndarray:
    """Noise that comes and goes at random."""
    rng = np.random.default_rng(seed)
    cells = int(seconds * 50)
    on = np.repeat(rng.random(cells // 8 + 1) < 0.4, rng.integers(3, 15, cells // 8 + 1))[:cells]
    on = np.pad(on, (0, cells - len(on)))
    return (np.repeat(on, FRAME_HOP) * rng.standard_normal(cells * FRAME_HOP) * 0.1).astype(np.float32)


class TestSounds:
    @pytest.mark.parametrize("name", PROBES)
    def test_same_seed_same_sound_at_the_level_asked_for(self, name):
        sound = probe(name, 3 * RATE, -30, seed=4)
        np.testing.assert_array_equal(sound, probe(name, 3 * RATE, -30, seed=4))
        assert (sound.dtype, sound.shape) == (np.float32, (3 * RATE,))
        if name == "silence":
            assert not sound.any()
        else:
            level = 20 * np.log10(np.sqrt((sound.astype(float) ** 2).mean()))
            assert -31 < level < -29.9
            if np.abs(sound).max() < 1:  # clicks clip
                assert level == pytest.approx(-30, abs=0.1)
            assert not np.array_equal(sound, probe(name, 3 * RATE, -30, seed=5))

    def test_spectra(self):
        def band(name, low, high):
            power = np.abs(np.fft.rfft(probe(name, 8 * RATE, -30, 0))) ** 2
            hertz = np.fft.rfftfreq(8 * RATE, 1 / RATE)
            return power[(hertz >= low) & (hertz < high)].sum()

        assert band("white noise", 4000, 8000) == pytest.approx(band("white noise", 0, 4000), rel=0.05)
        assert band("pink noise", 2000, 4000) == pytest.approx(band("pink noise", 500, 1000), rel=0.1)
        assert band("hum", 49, 51) > 0.2 * band("hum", 0, 8000)
        assert band("hum", 1010, 8000) < 1e-6 * band("hum", 0, 8000)
        assert band("music", 60, 4000) > 0.9 * band("music", 0, 8000)


def test_false_alarms_are_counted_an_hour():
    found = {alarm.sound: alarm for alarm in false_alarms(Loudness(), 3.0, -25, 0)}
    assert set(found) == set(PROBES)
    assert found["silence"].per_hour("KCHI") == (0, 0)
    seconds, segments = found["white noise"].per_hour("KCHI")
    assert segments == pytest.approx(1200)
    assert seconds == pytest.approx(3600, rel=0.01)
    assert found["white noise"].per_hour("FEM") == (0, 0)


def test_clips_are_tried_alone_and_in_a_quiet_room_and_only_what_lies_in_them_counts():
    loud = (0.3 * np.random.default_rng(0).standard_normal(2 * RATE)).astype(np.float32)
    quiet = np.zeros(RATE, dtype=np.float32)
    alone, inside = alarms_in_clips(Loudness(), "dog", [loud, quiet], 0)
    assert (alone.sound, inside.sound) == ("dog", "dog, in a day")
    for alarm in (alone, inside):
        assert alarm.seconds == 3.0
        assert alarm.found_s["KCHI"] == pytest.approx(2.0, abs=0.05)
        assert alarm.found_s["FEM"] == pytest.approx(2.0, abs=0.05)
        assert alarm.any_s == pytest.approx(2.0, abs=0.05)
        assert alarm.any_per_hour == pytest.approx(2400, rel=0.03)
        assert alarm.segments == {"KCHI": 1, "FEM": 1}


def test_what_near_voices_are_taken_for_is_a_share_of_their_time():
    audio = np.zeros(4 * RATE, dtype=np.float32)
    audio[RATE : 2 * RATE] = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    speech = (np.array([RATE]), np.array([3 * RATE]))  # the second half of it is silent
    found = near_voices(Loudness(), "MAL", [(audio, speech), (audio, speech)])
    assert (found.voice, found.speakers, found.seconds) == ("MAL", 2, 4.0)
    assert found.shares["KCHI"] == pytest.approx(0.5, abs=0.03)
    assert found.shares["FEM"] == 0
    result = RobustnessResult(("KCHI", "FEM"), [], [], [], HOP, "nothing", [found])
    assert [table.row_count for table in tables(result)] == [0, 1, 0, 0]
    assert as_json(result)["near_voices"]["MAL"]["shares"]["KCHI"] == found.shares["KCHI"]


def test_a_model_without_windows_does_not_mind_where_a_recording_begins():
    audio = bursts()
    for shift in start_shifts(Loudness(), audio, [1, 13, 50]):
        # A segment cut at the new start may fall below the minimum; nothing else may change.
        assert shift.changed < 0.01
    assert start_shifts(Loudness(), audio, [1])[0].disagreement["KCHI"] < 0.02
    assert np.isnan(start_shifts(Loudness(), audio, [1])[0].disagreement["FEM"])


def test_a_model_that_looks_away_at_joins_is_found_out():
    audio = bursts(120)
    blinking = Loudness(HOP)
    changed = {shift.frames: shift.changed for shift in start_shifts(blinking, audio, [13, 25, HOP])}
    steady = start_shifts(Loudness(), audio, [13])[0].changed
    assert changed[HOP] <= steady + 0.005
    borders, _ = join_peaks(blinking, audio, HOP)
    assert borders.verdict == "peaks"
    assert borders.ratio > 5
    assert join_peaks(Loudness(), audio, HOP)[0].verdict == "no peak"


def test_lengths_of_a_hop_are_found_out():
    rng = np.random.default_rng(0)
    plain = rng.integers(1, 300, 3000)
    assert length_peak(plain, HOP).verdict == "no peak"
    cut = np.concatenate([plain, np.full(200, HOP), np.full(60, 2 * HOP)])
    found = length_peak(cut, HOP)
    assert found.verdict == "peaks"
    assert found.at_joins == ((np.abs(cut - np.maximum(np.round(cut / HOP), 1) * HOP)) <= 1).sum()
    assert length_peak(np.array([HOP]), HOP).verdict == "too few"
    assert border_peak(np.array([], dtype=np.int64), HOP).verdict == "too few"


@pytest.mark.parametrize(("least", "trials", "share"), [(3, 10, 0.1), (0, 5, 0.3), (7, 7, 0.5), (40, 2000, 0.01)])
def test_the_tail_equals_scipy(least, trials, share):
    expected = binomtest(least, trials, share, alternative="greater").pvalue
    assert binomial_tail(least, trials, share) == pytest.approx(expected, rel=1e-9)
    assert binomial_tail(trials + 1, trials, share) == 0


def test_a_shift_that_leaves_nothing_is_refused():
    with pytest.raises(ConfigError, match="a shift of 60 frames of a recording of 49"):
        start_shifts(Loudness(), np.zeros(RATE, dtype=np.float32), [60])


def test_what_is_shown_and_written():
    audio, model = bursts(), Loudness(HOP)
    result = RobustnessResult(
        model.labels,
        false_alarms(model, 1.0, -25, 0),
        start_shifts(model, audio, [1, HOP]),
        join_peaks(model, audio, HOP),
        HOP,
        "bursts",
    )
    noise, shifted, joins = tables(result)
    assert (noise.row_count, shifted.row_count, joins.row_count) == (len(PROBES), 2, 2)
    assert any("bursts" in note for note in notes(result))
    content = as_json(result)
    assert content["joins"]["borders"]["verdict"] == "peaks"
    assert content["shifts"][0]["disagreement"]["FEM"] is None
    assert content["false_alarms"]["silence"]["classes"]["KCHI"]["seconds_per_hour"] == 0
