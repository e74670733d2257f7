"""The synthesiser says what it means to, at the pitch it means to."""

from __future__ import annotations

import time

import numpy as np
import pytest

from babyhubert.simulation.phone_table import PHONES
from babyhubert.simulation.utterances import Utterance, active_spans
from babyhubert.simulation.voices import SyntheticSpeaker, SyntheticVoices, _resonances

PUBLISHED = {
    *"abdefhijklmnoprstuvwxyz",
    *"æçðõøĩŋœũɐɑɔəɛɜɡɥɨɪɲɹɾʁʃʊʌʎʒθ",
    *("œ̃", "ɐ̃", "ɑ̃", "ɔ̃", "ɛ̃"),
}
"""The symbols of the published phoneme recogniser."""


def measured_pitch(waveform: np.ndarray) -> float:
    """Median over 40-ms frames of the strongest autocorrelation between 70 and 600 Hz."""
    frames = np.lib.stride_tricks.sliding_window_view(waveform, 640)[::320]
    frames = frames[np.square(frames).mean(axis=1) > 0.3]
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(640), 2048)) ** 2
    correlation = np.fft.irfft(spectrum)[:, :640]
    correlation /= np.fft.irfft(np.abs(np.fft.rfft(np.hanning(640), 2048)) ** 2)[:640].clip(1e-3)
    lags = np.arange(16_000 // 600, 16_000 // 70)
    scores = correlation[:, lags]
    first_good = (scores > 0.85 * scores.max(axis=1, keepdims=True)).argmax(axis=1)
    near = lags[first_good][:, None] + np.arange(12)
    best = np.take_along_axis(near, np.take_along_axis(correlation, near, 1).argmax(axis=1)[:, None], 1)
    return float(np.median(16_000 / best))


@pytest.mark.parametrize("voice", ["toddler", "child", "woman", "man"])
def test_the_pitch_heard_is_the_pitch_meant(voice):
    rng = np.random.default_rng(1)
    for k in range(4):
        speaker = SyntheticSpeaker.draw(f"s{k}", voice, rng)
        said = [speaker.utter(rng) for _ in range(6)]
        heard = np.median([measured_pitch(u.waveform) for u in said if u.phones])
        assert heard == pytest.approx(speaker.pitch_hz, rel=0.2)


def test_kinds_of_people_do_not_overlap_in_pitch_and_tract():
    rng = np.random.default_rng(2)
    people = {v: [SyntheticSpeaker.draw("s", v, rng) for _ in range(50)] for v in ("man", "woman", "child", "toddler")}
    for lower, higher in (("man", "woman"), ("woman", "child"), ("child", "toddler")):
        assert max(p.pitch_hz for p in people[lower]) < min(p.pitch_hz for p in people[higher])
        assert max(p.tract_scale for p in people[lower]) < min(p.tract_scale for p in people[higher])


def test_child_directed_speech_is_higher():
    rng = np.random.default_rng(3)
    woman = SyntheticSpeaker.draw("w", "woman", rng)
    to_adult = np.median([measured_pitch(woman.utter(rng).waveform) for _ in range(8)])
    to_child = np.median([measured_pitch(woman.utter(rng, to_child=True).waveform) for _ in range(8)])
    assert to_child > 1.08 * to_adult


def test_resonators_peak_at_their_formants():
    response = np.abs(_resonances(np.array([[500.0, 1500.0, 2500.0, 3500.0, 4500.0]]), np.full(5, 60.0)))[0]
    peaks = np.flatnonzero((response[1:-1] > response[:-2]) & (response[1:-1] > response[2:])) + 1
    np.testing.assert_allclose(peaks * 16_000 / 512, [500, 1500, 2500, 3500, 4500], atol=32)


def test_phones_tile_the_utterance_and_are_published_symbols():
    rng = np.random.default_rng(4)
    assert len(PUBLISHED) == 57
    assert set(PHONES) <= PUBLISHED
    for voice in ("toddler", "woman"):
        for _ in range(20):
            said = SyntheticSpeaker.draw("s", voice, rng).utter(rng)
            if not said.phones:
                assert voice == "toddler"
                continue
            assert said.phone_start[0] == 0
            assert len(said.phones) == len(said.phone_start) == len(said.phone_end)
            np.testing.assert_array_equal(said.phone_start[1:], said.phone_end[:-1])
            assert len(said.waveform) - said.phone_end[-1] < 160
            assert np.all(said.phone_end >= said.phone_start)


def test_sibilants_lie_above_vowels():
    rng = np.random.default_rng(5)
    man = SyntheticSpeaker.draw("s", "man", rng)
    said = man._say(["s", "a", "s", "a"], rng, stretch=2.0, raised=1.0, movement=0.0)

    def centroid(k: int) -> float:
        piece = said.waveform[said.phone_start[k] : said.phone_end[k]]
        power = np.abs(np.fft.rfft(piece)) ** 2
        return float((np.fft.rfftfreq(len(piece), 1 / 16_000) * power).sum() / power.sum())

    assert centroid(2) > 4000
    assert centroid(1) < 1500


def test_the_same_generator_gives_the_same_sound():
    def say() -> Utterance:
        rng = np.random.default_rng(6)
        return SyntheticVoices().cast(0, rng).women[0].utter(rng)

    np.testing.assert_array_equal(say().waveform, say().waveform)


def test_active_spans_find_sound_between_silences():
    waveform = np.zeros(16_000, dtype=np.float32)
    waveform[3_210:6_789] = 0.5 * np.sin(np.arange(3_579))
    start, end = active_spans(waveform)
    assert len(start) == 1
    assert abs(start[0] - 3_210) <= 64
    assert abs(end[0] - 6_789) <= 64
    assert start[0] % 16 == end[0] % 16 == 0


def test_silence_is_no_utterance():
    with pytest.raises(ValueError, match="silent"):
        Utterance.from_clean(np.zeros(16_000, dtype=np.float32))


def test_faster_than_thirty_times_real_time():
    rng = np.random.default_rng(7)
    speaker = SyntheticSpeaker.draw("s", "woman", rng)
    began = time.process_time()
    samples = sum(len(speaker.utter(rng).waveform) for _ in range(30))
    assert samples / 16_000 / (time.process_time() - began) > 30
