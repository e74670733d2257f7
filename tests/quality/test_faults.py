"""Each fault is found in a recording that has it, and none in the recording before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from babyhubert.quality.run import measure_recording
from babyhubert.simulation import degradations as faults
from babyhubert.simulation.scene import SceneConfig, simulate_scene
from babyhubert.simulation.voices import SyntheticVoices

RATE = 16_000
SPEECH_DBFS = -25.0


@pytest.fixture(scope="module")
def clean() -> np.ndarray:
    """Two minutes of a simulated scene."""
    config = SceneConfig(minutes=2.0, television_share=0.0)
    sound = simulate_scene(config, SyntheticVoices(), np.random.default_rng(3), 0).render().waveform
    return (sound / np.abs(sound).max() * 0.5).astype(np.float32)


def assess(folder: Path, sound: np.ndarray, rate: int = RATE, **settings):
    path = folder / "sound.wav"
    soundfile.write(path, np.clip(sound, -1, 1 - 1 / 32768), rate, subtype="PCM_16")
    return measure_recording(path, **settings)


def found(assessment, severity: str = "fault") -> list[str]:
    return [finding.kind for finding in assessment.findings if finding.severity == severity]


def test_a_clean_recording_has_no_fault(clean, tmp_path):
    result = assess(tmp_path, clean)
    assert found(result) == []
    assert result.figures["usable_h"] == pytest.approx(2 / 60)
    assert result.figures["snr_db"] > 10


RNG = np.random.default_rng(0)
CHANGES = {
    "clipped": lambda x: faults.clipped(x, 0.01),
    "muffled": lambda x: faults.covered(x, 1000),
    "hum": lambda x: faults.humming(x, 60.0, 5, SPEECH_DBFS),
    "dropouts": lambda x: faults.with_dropouts(x, 8, 0.05, RNG),
    "repeated": lambda x: faults.with_repeats(x, 8, 0.05, RNG),
    "noisy": lambda x: faults.noisy(x, -3, SPEECH_DBFS, RNG),
    "silent": lambda x: np.zeros_like(x),
    "silent_channel": lambda x: np.stack((x, np.zeros_like(x)), axis=1),
    "opposite_phase": lambda x: np.stack((x, -x), axis=1),
    "speed": lambda x: faults.at_speed(faults.humming(x, 50.0, 10, SPEECH_DBFS), 1.088),
    "not_worn": lambda x: faults.in_a_drawer(600 * RATE, -70, -45, RNG),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_fault_is_found(clean, tmp_path, kind):
    assert kind in found(assess(tmp_path, CHANGES[kind](clean)))


def test_a_night_of_a_child_who_wears_the_recorder_is_no_fault(tmp_path):
    assert found(assess(tmp_path, faults.worn_night(600 * RATE, -70, np.random.default_rng(1)))) == []


def test_a_still_hour_of_a_worn_day_is_named_and_counts_as_usable(clean, tmp_path):
    sound = np.concatenate([clean] * 6 + [faults.in_a_drawer(720 * RATE, -70, -45, np.random.default_rng(1))])
    result = assess(tmp_path, sound)
    assert found(result) == []
    start, end = result.stretches["still"]
    assert (start / RATE).tolist() == [720]
    assert (end / RATE).tolist() == [1440]
    assert result.figures["usable_h"] == pytest.approx(0.4, abs=0.001)


def test_a_metadata_table_with_another_duration_is_a_fault(clean, tmp_path):
    assert found(assess(tmp_path, clean, announced_s=120.5)) == []
    assert found(assess(tmp_path, clean, announced_s=120 * 1.088)) == ["duration"]


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_dropouts_and_repeats_are_counted_at_their_places(clean, tmp_path, rate):
    rng = np.random.default_rng(5)
    sound = (0.02 * rng.standard_normal(60 * rate)).astype(np.float32)
    for second, length in ((10, 0.03), (31, 0.2), (50, 1.5)):
        sound[second * rate : int((second + length) * rate)] = 0
    for second, length in ((20, 0.02), (42, 0.5)):
        size = int(length * rate)
        sound[second * rate : second * rate + size] = sound[second * rate - size : second * rate]
    result = assess(tmp_path, sound, rate)
    assert result.figures["dropouts_per_h"] == pytest.approx(3 * 60)
    assert result.figures["repeats_per_h"] == pytest.approx(2 * 60)
    starts = {kind: (result.stretches[kind][0] / RATE).tolist() for kind in ("dropouts", "repeated")}
    assert starts == {"dropouts": [10, 31, 50], "repeated": [20, 42]}
    assert (result.stretches["dropouts"][1] / RATE).tolist() == [11, 32, 52]


def test_a_stuck_buffer_is_one_repeated_block(tmp_path):
    rng = np.random.default_rng(5)
    sound = (0.02 * rng.standard_normal(20 * RATE)).astype(np.float32)
    sound[8 * RATE : 9 * RATE] = np.tile(sound[8 * RATE - 1000 : 8 * RATE], 16)
    result = assess(tmp_path, sound)
    assert result.figures["repeats_per_h"] == pytest.approx(180)


def test_the_ratio_of_speech_to_noise_is_right(tmp_path):
    rng = np.random.default_rng(2)
    noise = rng.standard_normal(120 * RATE) * 0.003
    bursts = np.repeat(np.arange(240) % 4 == 0, RATE // 2)
    for ratio in (10, 20, 30):
        sound = noise + bursts * rng.standard_normal(len(noise)) * 0.003 * 10 ** (ratio / 20)
        assert assess(tmp_path, sound).figures["snr_db"] == pytest.approx(ratio, abs=0.5)


def test_voices_of_a_model_decide_what_is_speech(tmp_path):
    rng = np.random.default_rng(2)
    sound = rng.standard_normal(60 * RATE) * np.repeat([0.002, 0.02, 0.002, 0.01], 15 * RATE)
    voices = np.repeat([False, False, False, True], 150)
    noise = (0.002**2 + 0.02**2 + 0.002**2) / 3
    assert assess(tmp_path, sound, voices=~voices).figures["snr_db"] == pytest.approx(
        10 * np.log10((noise - 0.01**2) / 0.01**2), abs=0.2
    )


def test_clean_recordings_pass(corpora):
    for path in (
        *sorted((corpora / "real/ami/audio").glob("*.wav")),
        corpora / "playroom/dev/audio/playroom_dev_02.opus",
    ):
        assert found(measure_recording(path)) == [], path


@pytest.mark.parametrize("hertz", [90, 160, 440, 1000, 3000])
def test_a_loud_tone_is_not_clipped(tmp_path, hertz):
    sound = 0.5 * np.sin(2 * np.pi * hertz * np.arange(10 * RATE) / RATE)
    assert "clipped" not in found(assess(tmp_path, sound)) + found(assess(tmp_path, sound), "note")
    if hertz <= 1000:  # the plateaus of higher tones have fewer than three samples
        assert "clipped" in found(assess(tmp_path, np.clip(sound, -0.4, 0.4)))
