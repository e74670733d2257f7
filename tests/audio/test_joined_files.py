"""Recordings that were joined end to end are read to the last of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from making import RATE, babble
from test_lost_sound import everything, write

from babyhubert.audio.recording import open_recording, probe

KINDS = {
    "flac": {},
    "ogg": {},
    "opus": {"format": "OGG", "subtype": "OPUS"},
}


@pytest.mark.parametrize("suffix", KINDS)
@pytest.mark.parametrize(
    ("seconds", "rates", "channels"),
    [((8, 16), (RATE, RATE), (1, 1)), ((12, 12), (RATE, RATE), (2, 2)), ((14, 6, 6), (RATE, 48_000, RATE), (1, 2, 1))],
)
def test_every_piece_is_read(
    tmp_path: Path, suffix: str, seconds: tuple[int, ...], rates: tuple[int, ...], channels: tuple[int, ...]
) -> None:
    alone, joined = [], b""
    for number, (length, rate, count) in enumerate(zip(seconds, rates, channels, strict=True)):
        path = tmp_path / f"{number}.{suffix}"
        samples = babble(length * rate, rate, seed=number)
        joined += write(path, samples if count == 1 else np.stack([samples] * count, axis=1), rate, KINDS[suffix])
        with open_recording(path) as recording:
            alone.append(everything(recording))
    path = tmp_path / f"joined.{suffix}"
    path.write_bytes(joined)
    expected = np.concatenate(alone)
    assert probe(path).n_samples == len(expected) == sum(seconds) * RATE
    with open_recording(path) as recording:
        np.testing.assert_allclose(everything(recording), expected, atol=1e-4)
        assert recording.warnings[0].startswith(f"{len(seconds)} recordings joined in one file")
        for position in (0, len(alone[0]) - 5_000, len(alone[0]) + 30_000, len(expected) - 9_000):
            np.testing.assert_allclose(
                recording.read(position, position + 10_000), expected[position : position + 10_000], atol=1e-4
            )


def test_mp3_of_two_rates(tmp_path: Path) -> None:
    one = write(tmp_path / "1.mp3", babble(10 * RATE, RATE), RATE, {})
    other = write(tmp_path / "2.mp3", babble(20 * 48_000, 48_000), 48_000, {})
    path = tmp_path / "joined.mp3"
    path.write_bytes(one + other)
    with open_recording(path) as recording, open_recording(tmp_path / "2.mp3") as second:
        heard = everything(recording)
        assert len(heard) == recording.n_samples
        assert abs(len(heard) - 30 * RATE) < 0.1 * RATE
        assert any(line.startswith("2 recordings joined in one file") for line in recording.warnings)
        np.testing.assert_allclose(heard[-5 * RATE :], everything(second)[-5 * RATE :], atol=1e-3)
