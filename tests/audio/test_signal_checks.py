"""Sound in which nobody can be found is told, and the better channel is taken where there is one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from making import RATE, babble, noise

from babyhubert.audio.recording import open_recording

LEFT = babble(8 * RATE, RATE)
OTHER = babble(8 * RATE, RATE, seed=1)[::-1]


def read(path: Path, samples: np.ndarray, channel: str | int = "mean", subtype: str = "FLOAT"):
    soundfile.write(path, samples, RATE, subtype=subtype)
    with open_recording(path, channel) as recording:
        return np.concatenate([block.samples for block in recording.blocks(RATE)]), recording


@pytest.mark.parametrize(
    ("channels", "taken", "told"),
    [
        ([LEFT, -LEFT], 0, "opposite phase, their mean cancels out: channel 0 is taken"),
        ([-0.8 * LEFT, LEFT], 1, "channel 1 is taken"),
        ([LEFT + noise(len(LEFT), level=0.01), -LEFT], 0, "opposite phase"),
        ([LEFT, -LEFT, 0.1 * OTHER], 0, "opposite phase"),
        ([LEFT, 0 * LEFT], 0, "channel 1 is silent: channel 0 is taken, not the mean"),
        ([0 * LEFT + 0.25, LEFT], 1, "channel 0 is silent: channel 1 is taken, not the mean"),
        ([0 * LEFT, 0 * LEFT, LEFT, 0 * LEFT], 2, "channels 0, 1 and 3 are silent: channel 2 is taken"),
        ([LEFT, OTHER, 0 * LEFT], "mean", "channel 2 is silent and part of the mean"),
        ([LEFT, np.where(np.arange(len(LEFT)) < 6 * RATE, LEFT, -LEFT)], "mean", "cancel each other out in 0:00:02"),
        ([LEFT, LEFT], "mean", None),
        ([LEFT, OTHER], "mean", None),
        ([LEFT, 0.05 * OTHER], "mean", None),
    ],
)
def test_the_mean_is_taken_where_there_is_one(channels, taken, told, tmp_path):
    samples = np.stack(channels, axis=1).astype(np.float32)
    found, recording = read(tmp_path / "x.wav", samples)
    assert recording.channel == taken
    expected = samples.mean(axis=1) if taken == "mean" else samples[:, taken]
    assert np.abs(found - expected).max() < 1e-6
    if told is None:
        assert recording.warnings == ()
    else:
        assert len(recording.warnings) == 1
        assert told in recording.warnings[0]
    chosen, recording = read(tmp_path / "x.wav", samples, 1)  # what was asked for is what is taken
    assert np.array_equal(chosen, samples[:, 1])


@pytest.mark.parametrize(
    ("samples", "told"),
    [
        (0 * LEFT, "every sample is 0: digital silence"),
        (0 * LEFT + 0.25, "every sample is 0.25: no sound"),
        (np.stack([0 * LEFT, 0 * LEFT], 1), "every sample is 0: digital silence"),
        (LEFT * 1e-5, "nothing rises above the smallest step"),
        (LEFT * 10 ** (-70 / 20), "very quiet: -8"),
        (np.concatenate([LEFT[: 2 * RATE], 0 * LEFT]), "digital silence in 0:00:08 of 0:00:10"),
        (LEFT * 1e30, "times full scale"),
        (LEFT * 20, "samples reach 8 times full scale"),
        (LEFT, None),
        (LEFT * 0.02, None),
    ],
)
def test_sound_without_speech_in_it_is_told(samples, told, tmp_path):
    found, recording = read(tmp_path / "x.wav", samples)
    assert np.isfinite(found).all()
    if told is None:
        assert recording.warnings == ()
    else:
        assert len(recording.warnings) == 1
        assert told in recording.warnings[0]


def test_impossible_samples_are_damage(tmp_path):
    samples = LEFT.copy()
    samples[[RATE, 3 * RATE]] = [1e4, -1e30]
    found, recording = read(tmp_path / "x.wav", samples)
    expected = LEFT.copy()
    expected[[RATE, 3 * RATE]] = 0
    assert np.array_equal(found, expected)
    assert recording.warnings == ("2 impossibly large samples read as 0",)


@pytest.mark.parametrize("bits", [16, 24, 32])
def test_whole_numbers_stored_as_floating_point_are_read_as_such(bits, tmp_path):
    full = 2.0 ** (bits - 1)
    samples = np.rint(LEFT / np.abs(LEFT).max() * 0.9 * full)
    found, recording = read(tmp_path / "x.wav", samples)
    assert np.array_equal(found, (samples / full).astype(np.float32))
    assert f"read as {bits}-bit numbers" in recording.warnings[0]
