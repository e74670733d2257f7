"""Sound that is lost inside a file becomes silence of the same length; what follows keeps its time and its samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from making import RATE, babble, noise

from babyhubert.audio.recording import Recording, open_recording

SECONDS = 30
KINDS = {
    "x.flac": (RATE, 1, {}),
    "deep.flac": (44_100, 2, {"subtype": "PCM_24"}),
    "x.ogg": (RATE, 1, {}),
    "stereo.ogg": (44_100, 2, {}),
    "x.opus": (48_000, 1, {"format": "OGG", "subtype": "OPUS"}),
}


def write(path: Path, samples: np.ndarray, rate: int, kind: dict[str, str]) -> bytes:
    """Write a recording in small steps (libvorbis cannot take a minute at once); its bytes."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    with soundfile.SoundFile(path, "w", samplerate=rate, channels=channels, **kind) as sound:
        for begin in range(0, len(samples), 4096):
            sound.write(samples[begin : begin + 4096])
    return path.read_bytes()


def make(path: Path) -> bytes:
    """A recording in which every instant differs."""
    rate, channels, kind = KINDS[path.name]
    samples = babble(SECONDS * rate, rate) + noise(SECONDS * rate, level=0.01)
    if channels == 2:
        samples = np.stack([samples, samples / 2], axis=1)
    return write(path, samples, rate, kind)


def everything(recording: Recording) -> np.ndarray:
    return np.concatenate([block.samples for block in recording.blocks(40_000)])


def zeroed(data: bytes, *stretches: tuple[float, int]) -> bytes:
    """The bytes with stretches, each at a fraction of the file and so many bytes long, overwritten by zeros."""
    changed = bytearray(data)
    for fraction, size in stretches:
        at = int(len(data) * fraction)
        changed[at : at + size] = bytes(len(changed[at : at + size]))
    return bytes(changed)


DAMAGE = {
    "a bit": lambda data: data[: len(data) // 3] + bytes([data[len(data) // 3] ^ 8]) + data[len(data) // 3 + 1 :],
    "200 bytes": lambda data: zeroed(data, (1 / 3, 200)),
    "sectors": lambda data: zeroed(data, (0.25, 4096), (0.5, 8192), (0.75, 4096)),
    "foreign bytes": lambda data: (
        data[: len(data) // 2] + np.random.default_rng(0).bytes(6000) + data[len(data) // 2 + 6000 :]
    ),
    "removed": lambda data: data[: len(data) // 2] + data[len(data) // 2 + 9000 :],
    "inserted": lambda data: data[: len(data) // 2] + bytes(3000) + data[len(data) // 2 :],
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("damage", DAMAGE)
def test_only_what_is_damaged_is_silent(tmp_path: Path, name: str, damage: str) -> None:
    path = tmp_path / name
    data = make(path)
    with open_recording(path) as recording:
        before = everything(recording)
        assert recording.warnings == () == recording.lost
    path.write_bytes(DAMAGE[damage](data))
    with open_recording(path) as recording:
        after = everything(recording)
        (line,) = recording.warnings
        assert line.endswith(tuple("0123456789"))
        assert "s are damaged or missing in the file and read as silence" in line
        lost, rate = recording.lost, recording.info.sample_rate
    assert len(after) == len(before) == SECONDS * RATE
    assert 0 < sum(stop - start for start, stop in lost) <= 8 * rate
    settled = round(0.25 * RATE) if name.endswith("opus") else 600  # until a codec has what it leans on
    undamaged = np.ones(len(before), dtype=bool)
    for start, stop in lost:
        first, last = start * RATE // rate, stop * RATE // rate
        undamaged[max(0, first - 600) : last + settled] = False
        np.testing.assert_allclose(after[first + 100 : last - 100], 0, atol=1e-6)
    np.testing.assert_allclose(after[undamaged], before[undamaged], atol=2e-4)
    for position in (0, 90_001, len(after) // 3 - 3000, len(after) // 2 - 9000, len(after) - 20_000):
        with open_recording(path) as recording:
            part = recording.read(position, position + 20_000)
            np.testing.assert_allclose(part, after[position : position + 20_000], atol=1e-4)


@pytest.mark.parametrize("name", ["x.flac", "deep.flac"])
def test_flac_damaged_at_its_head(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    data = make(path)
    with open_recording(path) as recording:
        before = everything(recording)
    path.write_bytes(bytes(300) + data[300:])
    with open_recording(path) as recording:
        after = everything(recording)
        assert "s are damaged or missing" in " ".join(recording.warnings)
    assert len(after) >= len(before) - 4096
    np.testing.assert_allclose(after[RATE : RATE * 20], before[RATE : RATE * 20], atol=1e-4)


def test_flac_damaged_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "x.flac"
    data = make(path)
    path.write_bytes(data[:-20_000] + bytes(20_000))
    with open_recording(path) as recording:
        after = everything(recording)
        assert len(after) == SECONDS * RATE
        assert recording.lost[-1][1] == SECONDS * RATE
        assert not after[recording.lost[-1][0] :].any()


@pytest.mark.parametrize("name", ["x.ogg", "x.opus"])
def test_ogg_without_its_first_pages(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    data = make(path)
    with open_recording(path) as recording:
        before = everything(recording)
    pages = [at for at in range(len(data)) if data.startswith(b"OggS", at)]
    path.write_bytes(data[: pages[2]] + data[pages[4] :])
    with open_recording(path) as recording:
        after = everything(recording)
        assert recording.lost[0][0] == 0
        assert RATE < recording.lost[0][1] * RATE // recording.info.sample_rate < 3 * RATE
    assert len(after) == len(before)
    np.testing.assert_allclose(after[4 * RATE :], before[4 * RATE :], atol=1e-4)


@pytest.mark.parametrize("name", ["x.ogg", "x.opus"])
def test_ogg_that_was_cut_says_so(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    data = make(path)
    path.write_bytes(data[: len(data) * 2 // 3])
    with open_recording(path) as recording:
        assert recording.warnings[0].startswith("cut off or damaged: nothing can be read from its last")
        assert 15 * RATE < len(everything(recording)) < 25 * RATE


MP3_DAMAGE = {
    "1 kB": lambda data: zeroed(data, (1 / 3, 1000)),
    "20 kB": lambda data: zeroed(data, (1 / 3, 20_000)),
    "foreign bytes": lambda data: (
        data[: len(data) // 2] + np.random.default_rng(0).bytes(6000) + data[len(data) // 2 + 6000 :]
    ),
    "removed": lambda data: data[: len(data) // 2] + data[len(data) // 2 + 5000 :],
    "inserted": lambda data: data[: len(data) // 2] + bytes(5000) + data[len(data) // 2 :],
    "end": lambda data: data[:-8000] + bytes(8000),
}


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
@pytest.mark.parametrize("damage", MP3_DAMAGE)
def test_damaged_mp3_keeps_its_time(tmp_path: Path, damage: str, mode: str) -> None:
    path = tmp_path / "x.mp3"
    samples = babble(SECONDS * RATE, RATE) + noise(SECONDS * RATE, level=0.01)
    soundfile.write(path, samples, RATE, bitrate_mode=mode)
    data = path.read_bytes()
    with open_recording(path) as recording:
        before = everything(recording)
    path.write_bytes(MP3_DAMAGE[damage](data))
    with open_recording(path) as recording:
        after = everything(recording)
    assert len(after) == len(before)
    np.testing.assert_allclose(after[: 9 * RATE], before[: 9 * RATE], atol=1e-4)
    if damage != "end":
        np.testing.assert_allclose(after[-8 * RATE :], before[-8 * RATE :], atol=1e-4)
    for position in (9 * RATE, 14 * RATE, len(after) - 30_000):
        with open_recording(path) as recording:
            part = recording.read(position, position + 20_000)
            np.testing.assert_allclose(part, after[position : position + 20_000], atol=1e-4)


def test_mp3_header_that_understates_its_frames(tmp_path: Path) -> None:
    path = tmp_path / "x.mp3"
    soundfile.write(path, noise(SECONDS * RATE), RATE, bitrate_mode="CONSTANT")
    data = bytearray(path.read_bytes())
    tag = max(data.find(b"Xing", 0, 400), data.find(b"Info", 0, 400))
    data[tag + 8 : tag + 12] = (200).to_bytes(4, "big")
    path.write_bytes(data)
    with open_recording(path) as recording:
        assert abs(len(everything(recording)) - SECONDS * RATE) < 2000
        assert "reading all of it" in recording.warnings[0]
