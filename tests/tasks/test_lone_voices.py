"""Windows with a lone voice: where the labels are, what is left open, and that training learns from them."""

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from babyhubert.errors import ConfigError
from babyhubert.material.lone_voices import LoneVoices, LoneVoicesSettings, frames_with_voice
from babyhubert.material.made_up_sounds import NonSpeech, NonSpeechSettings
from babyhubert.timebase import FRAME_HOP, frame_count

LABELS = ("KCHI", "OCH", "MAL", "FEM")
RATE = 16_000


@pytest.fixture(scope="module")
def voices(tmp_path_factory):
    """A folder a class: recordings of a tone in their middle third, silent before and after."""
    folder = tmp_path_factory.mktemp("voices")
    for label, pitch in (("KCHI", 2000), ("FEM", 300)):
        (folder / label).mkdir()
        for number, seconds in enumerate((1.2, 3.0, 8.0)):
            time = np.arange(int(seconds * RATE)) / RATE
            sounding = (time > seconds / 3) & (time < 2 * seconds / 3)
            soundfile.write(folder / label / f"{number}.wav", 0.3 * np.sin(2 * np.pi * pitch * time) * sounding, RATE)
    return folder


def opened(voices, tmp_path, non_speech=None, **changes) -> LoneVoices:
    given_ = {"folders": {"KCHI": str(voices / "KCHI"), "FEM": [str(voices / "FEM")]}, **changes}
    return LoneVoices.prepare(LoneVoicesSettings(**given_), LABELS, tmp_path, non_speech)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([400, 8000, 33_333, 320 * 500]))
def test_windows_are_of_one_class_and_of_the_level_asked_for(voices, tmp_path_factory, seed, samples):
    lone = opened(voices, tmp_path_factory.mktemp("cache"), behind=0.0, level_dbfs=(-30.0, -30.0))
    waveforms, targets, valid = lone.windows(6, samples, LABELS, np.random.default_rng(seed))
    assert (waveforms.shape, waveforms.dtype) == ((6, samples), np.float32)
    assert targets.shape == (6, frame_count(samples), 4)
    assert valid.shape == targets.shape[:2]
    assert set(np.unique(targets)) <= {0.0, 1.0}
    assert (targets.any(axis=1).sum(axis=1) <= 1).all()
    assert not targets[:, :, [1, 2]].any()
    level = np.sqrt(np.square(waveforms).mean(axis=1))
    there = level > 0  # a short window may hold a silent stretch
    assert there.any() or samples < 8000
    assert level[there] == pytest.approx(np.full(there.sum(), 10 ** (-30 / 20)), rel=0.01)


def test_labels_are_where_the_voice_is(voices, tmp_path):
    lone = opened(voices, tmp_path, behind=0.0)
    waveforms, targets, valid = lone.windows(40, 16 * RATE, LABELS, np.random.default_rng(0))
    power = np.square(waveforms[:, : targets.shape[1] * FRAME_HOP]).reshape(40, -1, FRAME_HOP).mean(axis=2)
    sounding = targets.any(axis=2)
    assert 0.02 < sounding.mean() < 0.6
    for row in range(40):
        if not sounding[row].any():
            continue
        quietest, floor = (
            np.percentile(power[row][sounding[row]], 20),
            np.median(power[row][~sounding[row] & valid[row]]),
        )
        assert quietest > 3 * floor
    for label, pitch in (("KCHI", 2000), ("FEM", 300)):
        rows = np.flatnonzero(targets[:, :, LABELS.index(label)].any(axis=1))
        assert len(rows)
        spectrum = np.abs(np.fft.rfft(waveforms[rows], axis=1)).mean(axis=0)
        spectrum[: 16 * 200] = 0  # the floor may be brown
        assert np.argmax(spectrum) / 16 == pytest.approx(pitch, rel=0.17)


def test_a_pause_of_a_recording_is_no_voice(tmp_path):
    """Two recordings in one: a loud voice for a second, then breath 50 dB below it for nine."""
    rng = np.random.default_rng(0)
    sound = rng.standard_normal(10 * RATE) * np.where(np.arange(10 * RATE) < RATE, 0.1, 0.1 * 10 ** (-50 / 20))
    (tmp_path / "KCHI").mkdir()
    soundfile.write(tmp_path / "KCHI/a.wav", sound, RATE, subtype="FLOAT")
    lone = opened(tmp_path, tmp_path / "cache", folders={"KCHI": str(tmp_path / "KCHI")}, behind=0.0, shortest_s=0.3)
    _, targets, _ = lone.windows(40, 12 * RATE, LABELS, np.random.default_rng(1))
    seconds = targets.sum(axis=(1, 2)) / 50
    assert seconds.max() < 3.8  # three times the second, stretched
    assert (seconds == 0).any()


def test_stretches_are_as_short_as_asked_for(tmp_path):
    (tmp_path / "KCHI").mkdir()
    soundfile.write(tmp_path / "KCHI/a.wav", 0.3 * np.sin(np.arange(2 * RATE)), RATE, subtype="FLOAT")
    folders = {"KCHI": str(tmp_path / "KCHI")}
    for shortest in (0.7, 2.0):
        lone = opened(tmp_path, tmp_path / "cache", folders=folders, behind=0.0, shortest_s=shortest)
        _, targets, _ = lone.windows(24, 12 * RATE, LABELS, np.random.default_rng(2))
        sounding = np.diff(np.pad(targets.any(axis=2), ((0, 0), (1, 1))).astype(int), axis=1)
        lengths = np.concatenate([np.flatnonzero(row < 0) - np.flatnonzero(row > 0) for row in sounding]) / 50
        assert lengths.min() > shortest / 1.2 - 0.1
        assert shortest == 2.0 or lengths.min() < 1.0


def test_frames_between_loud_and_silent_are_doubtful():
    levels = np.repeat(10 ** (np.array([0.0, -10.0, -25.0, -60.0]) / 20), 50 * FRAME_HOP)
    sounding, doubtful = frames_with_voice((levels * np.sin(np.arange(len(levels)))).astype(np.float32))
    middles = [25, 75, 125, 175]
    assert sounding[middles].tolist() == [True, True, False, False]
    assert doubtful[middles].tolist() == [False, False, True, False]
    assert not (sounding & doubtful).any()


def test_silence_and_the_shortest_sound_have_no_voice():
    for length in (0, 100, 5 * FRAME_HOP):
        sounding, doubtful = frames_with_voice(np.zeros(length, dtype=np.float32))
        assert not sounding.any()
        assert not doubtful.any()


def test_everyday_sounds_behind_carry_no_label(voices, tmp_path):
    non_speech = NonSpeech(NonSpeechSettings(sounds_share=1.0, silent_share=0.0, tones_share=0.0))
    plain = opened(voices, tmp_path, behind=0.0).windows(4, RATE * 4, LABELS, np.random.default_rng(3))
    behind = opened(voices, tmp_path, non_speech, behind=1.0).windows(4, RATE * 4, LABELS, np.random.default_rng(3))
    np.testing.assert_array_equal(plain[1], behind[1])
    np.testing.assert_array_equal(plain[2], behind[2])
    assert np.abs(plain[0] - behind[0]).max() > 1e-3


def test_an_unknown_class_is_named(voices, tmp_path):
    with pytest.raises(ConfigError, match=r"alone\.folders: no class 'BABY': one of KCHI, OCH, MAL, FEM"):
        opened(voices, tmp_path, folders={"BABY": str(voices / "KCHI")})
