"""Positions stay true at hour 15, and memory stays small."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from making import RATE, encode_with_av, noise, sparse_wav, write_silence_with_impulse

from babyhubert.audio.recording import open_recording
from babyhubert.audio.resampling import SampleStream

HOUR = 3600 * RATE
SLOW = "BABYHUBERT_SLOW_TESTS" in os.environ
slow = pytest.mark.skipif(not SLOW, reason="minutes: set BABYHUBERT_SLOW_TESTS=1")


def first_loud(samples: np.ndarray) -> int:
    """Position of the first sample above a tenth of full scale."""
    loud = np.flatnonzero(np.abs(samples) > 0.1)
    assert len(loud), "the impulse was not found"
    return int(loud[0])


def found_by_blocks(path: Path, start: int = 0) -> int:
    with open_recording(path) as recording:
        for block in recording.blocks(start=start):
            if np.abs(block.samples).max() > 0.1:
                return block.start + first_loud(block.samples)
    raise AssertionError("the impulse was not found")


def found_by_range(path: Path, around: int) -> int:
    with open_recording(path) as recording:
        return around - RATE + first_loud(recording.read(around - RATE, around + RATE))


def check(path: Path, where: int, within: int, start: int = 0) -> None:
    assert abs(found_by_range(path, where) - where) <= within
    assert abs(found_by_blocks(path, start) - where) <= within


def test_hour_15_of_a_wav(tmp_path: Path) -> None:
    check(sparse_wav(tmp_path / "day.wav", 16 * HOUR, {15 * HOUR + 7: 30_000}), 15 * HOUR + 7, within=0)


def test_hour_15_of_a_44_khz_wav_has_not_drifted(tmp_path: Path) -> None:
    rate = 44_100
    click = {15 * 3600 * rate + offset: 30_000 for offset in range(40)}
    path = sparse_wav(tmp_path / "day.wav", 16 * 3600 * rate, click, rate=rate)
    with open_recording(path) as recording:
        assert recording.n_samples == 16 * HOUR
        assert len(recording.read(16 * HOUR - 5, 16 * HOUR + 5)) == 5
    assert abs(found_by_range(path, 15 * HOUR) - 15 * HOUR) <= 1


class _Clicks:
    """A mono reader that clicks at every whole minute, however long."""

    sample_rate = 44_100

    def __init__(self, minutes: int) -> None:
        self._frames = minutes * 60 * self.sample_rate
        self._position = 0

    def seek(self, frame: int) -> None:
        self._position = frame

    def read(self, frames: int) -> np.ndarray:
        count = min(frames, self._frames - self._position)
        samples = np.zeros(count, dtype=np.float32)
        minute = 60 * self.sample_rate
        samples[(-self._position) % minute :: minute] = 1
        self._position += count
        return samples


@pytest.mark.parametrize("minutes", [10, pytest.param(16 * 60, marks=slow)])
def test_streaming_from_44_khz_does_not_drift(minutes: int) -> None:
    position, clicks = 0, []
    for chunk in SampleStream(_Clicks(minutes), 0, None):
        clicks.extend(position + np.flatnonzero(chunk > 0.2))
        position += len(chunk)
    assert position == minutes * 60 * RATE
    assert clicks == [60 * RATE * minute for minute in range(minutes)]


def test_hour_15_of_a_flac(tmp_path: Path) -> None:
    path = write_silence_with_impulse(tmp_path / "day.flac", RATE, 16 * 3600, 15 * 3600, subtype="PCM_16")
    check(path, 15 * HOUR, within=0, start=0 if SLOW else 14 * HOUR)


@pytest.mark.parametrize("name", ["x.mp3", "x.opus"])
@pytest.mark.parametrize("minutes", [10, pytest.param(60, marks=slow)])
def test_last_minutes_of_an_hour(tmp_path: Path, name: str, minutes: int) -> None:
    kind = {"format": "OGG", "subtype": "OPUS"} if name.endswith("opus") else {}
    where = (minutes - 2) * 60
    path = write_silence_with_impulse(tmp_path / name, RATE, minutes * 60, where, **kind)
    check(path, where * RATE, within=1152)


def test_minute_25_of_half_an_hour_of_m4a(tmp_path: Path) -> None:
    samples = np.zeros(1800 * RATE, dtype=np.float32)
    samples[1500 * RATE : 1500 * RATE + 40] = 0.9
    check(encode_with_av(tmp_path / "x.m4a", "aac", RATE, samples), 1500 * RATE, within=1024)


@slow
@pytest.mark.parametrize("name", ["day.mp3", "day.opus", "day44.mp3"])
def test_hour_15_of_compressed_days(tmp_path: Path, name: str) -> None:
    rate = 44_100 if "44" in name else RATE
    kind = {"format": "OGG", "subtype": "OPUS"} if name.endswith("opus") else {}
    path = write_silence_with_impulse(tmp_path / name, rate, 16 * 3600, 15 * 3600, **kind)
    check(path, 15 * HOUR, within=1152)


def test_memory_of_blocks_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, noise(10 * 60 * 44_100, 2), 44_100)
    tracemalloc.start()
    with open_recording(path) as recording:
        for block in recording.blocks(RATE):
            assert len(block.samples) <= RATE
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12e6  # the decoded file is 212 MB
