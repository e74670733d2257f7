"""Made-up everyday sounds, other voices, and recorded backgrounds."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

from babyhubert.audio.everyday_sounds import KINDS, synthesised_sound
from babyhubert.errors import AudioError
from babyhubert.simulation.backgrounds import LEVELS_DBFS, recorded_backgrounds
from babyhubert.simulation.voice_conversion import move_resonances, whisper
from commands import command

RATE = 16_000


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("samples", [400, 3 * RATE + 7])
def test_every_kind_has_any_length_and_one_level_and_its_seed_decides(kind, samples):
    sounds = [synthesised_sound(kind, samples, np.random.default_rng(seed)) for seed in (*range(6), 0)]
    for sound in sounds:
        assert sound.shape == (samples,)
        assert sound.dtype == np.float32
        assert np.sqrt(np.mean(np.square(sound, dtype=np.float64))) == pytest.approx(1, rel=1e-3)
    np.testing.assert_array_equal(sounds[0], sounds[-1])
    assert len({sound.tobytes() for sound in sounds}) == 6


def buzz(pitch_hz: float, resonance_hz: float, seconds: float = 2.0):
    """Harmonics of a pitch, strongest around one frequency."""
    time, partials = np.arange(int(seconds * RATE)) / RATE, np.arange(1, int(7500 / pitch_hz))
    weights = 1 / (1 + ((partials * pitch_hz - resonance_hz) / 150) ** 2)
    return (weights[:, None] * np.sin(2 * np.pi * pitch_hz * partials[:, None] * time)).sum(axis=0).astype(np.float32)


def strongest_hz(sound):
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
    smooth = np.convolve(power, np.hanning(400), "same")
    return float(np.argmax(smooth) * RATE / len(sound))


def period_s(sound):
    spectrum = np.abs(np.fft.rfft(sound, 2 * len(sound))) ** 2
    likeness = np.fft.irfft(spectrum)[: RATE // 50]
    return (80 + int(np.argmax(likeness[80:]))) / RATE


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_resonances_move_and_pitch_stays(factor):
    voice = buzz(120.0, 1500.0)
    moved = move_resonances(voice, factor)
    assert len(moved) == len(voice)
    assert strongest_hz(moved) == pytest.approx(1500 * factor, rel=0.06)
    assert period_s(moved) == pytest.approx(1 / 120, rel=0.01)


def test_a_factor_of_one_changes_nothing_and_one_near_it_hardly():
    voice = buzz(200.0, 1000.0)
    assert move_resonances(voice, 1.0) is voice
    difference = move_resonances(voice, 1 + 1e-9) - voice
    assert np.abs(difference).max() < 1e-4 * np.abs(voice).max()


def test_a_whisper_keeps_the_resonance_and_has_no_pitch():
    voice = buzz(125.0, 2000.0)
    breath = whisper(voice, np.random.default_rng(0))
    assert strongest_hz(breath) == pytest.approx(2000, rel=0.15)

    def tonality(sound):
        power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
        near = np.zeros(len(power), dtype=bool)
        for partial in range(8, 24):
            middle = round(partial * 125 * len(sound) / RATE)
            near[middle - 4 : middle + 5] = True
        inside = slice(round(1000 * len(sound) / RATE), round(3000 * len(sound) / RATE))
        return power[inside][near[inside]].sum() / power[inside].sum()

    assert tonality(voice) > 0.9
    assert tonality(breath) < 0.3


@pytest.fixture
def dogs(tmp_path):
    """Two recordings of a tone, the second with silence around it."""
    folder = tmp_path / "dogs"
    folder.mkdir()
    tone = 0.1 * np.sin(2 * np.pi * 700 * np.arange(RATE) / RATE)
    soundfile.write(folder / "a.wav", tone, RATE)
    soundfile.write(folder / "b.wav", np.concatenate([np.zeros(RATE), tone]), RATE)
    return folder


def test_backgrounds_come_in_order_at_their_rate_and_level(dogs):
    paths = [str(path) for path in sorted(dogs.glob("*.wav"))]
    sounds = recorded_backgrounds(paths, 6.0, np.random.default_rng(0))
    found = [next(sounds) for _ in range(120)]
    starts = [start for start, _ in found]
    assert starts == sorted(starts)
    assert starts[-1] / RATE / 60 == pytest.approx(20, rel=0.3)
    for _, sound in found:
        assert len(sound) <= 30 * RATE
        audible = sound[np.abs(sound) > 1e-3 * np.abs(sound).max()]
        level = 20 * np.log10(np.sqrt(np.square(audible).mean()))
        assert LEVELS_DBFS[0] - 1 < level < LEVELS_DBFS[1] + 1
    assert not list(recorded_backgrounds([], 6.0, np.random.default_rng(0)))


def test_an_unreadable_background_is_named(tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_text("no sound", encoding="utf-8")
    with pytest.raises(AudioError, match=r"bad\.wav"):
        next(recorded_backgrounds([str(bad)], 6.0, np.random.default_rng(0)))


def test_backgrounds_are_heard_and_carry_no_label(dogs, tmp_path):
    shared = ("--minutes", "0.5", "--recordings", "1", "--knocks", "0", "--noises", "0", "--television-share", "0")
    command("simulate", "-o", tmp_path / "without", *shared)
    with_dogs = ("--backgrounds", dogs, "--backgrounds-per-minute", "20")
    command("simulate", "-o", tmp_path / "with", *shared, *with_dogs)
    without, heard = (soundfile.read(tmp_path / name / "audio/scene_000.wav")[0] for name in ("without", "with"))
    added = heard - without
    power = np.abs(np.fft.rfft(added)) ** 2
    hertz = np.fft.rfftfreq(len(added), 1 / RATE)
    assert power[(hertz > 650) & (hertz < 750)].sum() > 0.9 * power.sum()
    rttm = [(tmp_path / name / "rttm/scene_000.rttm").read_bytes() for name in ("without", "with")]
    assert rttm[0] == rttm[1]
    settings = json.loads((tmp_path / "with" / "simulation.json").read_text(encoding="utf-8"))
    assert len(settings["scene"]["backgrounds"]) == 2
