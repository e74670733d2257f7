"""Recordings of every kind, made on the spot."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

RATE = 16_000


def noise(frames: int, channels: int = 1, seed: int = 0, level: float = 0.1) -> NDArray[np.float32]:
    """White noise, float32, shape (frames,) or (frames, channels)."""
    shape = (frames,) if channels == 1 else (frames, channels)
    return (np.random.default_rng(seed).standard_normal(shape) * level).astype(np.float32)


def babble(frames: int, rate: int, seed: int = 0) -> NDArray[np.float32]:
    """A sound that codecs keep and whose every instant differs: drifting tones, alternately loud and faint."""
    time = np.arange(frames) / rate
    phase = 2 * np.pi * (300 * time + 40 * np.sin(2 * np.pi * 0.31 * time) + 4.5 * time**2)
    loudness = np.where(np.sin(2 * np.pi * 0.4 * time + seed) > 0, 0.4, 0.004)
    return (np.sin(phase) * loudness).astype(np.float32)


def wav_header(
    data_bytes: int, rate: int = RATE, channels: int = 1, bits: int = 16, tag: int = 1, riff_bytes: int | None = None
) -> bytes:
    """The 44 bytes of a plain WAV header with any announced size."""
    frame = channels * bits // 8
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, tag, channels, rate, rate * frame, frame, bits)
    riff = (36 + data_bytes) % 2**32 if riff_bytes is None else riff_bytes
    return b"RIFF" + struct.pack("<I", riff) + b"WAVE" + form + b"data" + struct.pack("<I", data_bytes % 2**32)


def sparse_wav(
    path: Path, frames: int, marks: dict[int, int], announced: int | None = None, channels: int = 1, rate: int = RATE
) -> Path:
    """A 16-bit WAV of silence, taking no disk, with the value ``marks[frame]`` on every channel of some frames."""
    size = frames * 2 * channels
    with path.open("wb") as file:
        file.write(wav_header(size if announced is None else announced, rate, channels))
        for frame, value in marks.items():
            file.seek(44 + frame * 2 * channels)
            file.write(struct.pack("<h", value) * channels)
        file.truncate(44 + size)
    return path


def write_silence_with_impulse(path: Path, rate: int, seconds: int, at_second: int, **kind: object) -> Path:
    """A mono recording, silent but for a click of 20 samples that starts at a second, written in a stream."""
    minute = np.zeros(60 * rate, dtype=np.float32)
    with soundfile.SoundFile(path, "w", samplerate=rate, channels=1, **kind) as sound:
        for begin in range(0, seconds, 60):
            block = minute[: (min(seconds, begin + 60) - begin) * rate].copy()
            if begin <= at_second < begin + 60:
                first = (at_second - begin) * rate
                block[first : first + 20] = 0.9
            sound.write(block)
    return path


def encode_with_av(
    path: Path, codec: str, rate: int, samples: NDArray[np.float32], bit_rate: int | None = None
) -> Path:
    """Encode mono float32 with FFmpeg, or skip the test where this build cannot."""
    av = pytest.importorskip("av")
    try:
        _encode(av, path, codec, rate, samples, bit_rate)
    except (av.FFmpegError, ValueError) as error:
        pytest.skip(f"this FFmpeg cannot encode {codec}: {error}")
    return path


def _encode(av: object, path: Path, codec: str, rate: int, samples: NDArray[np.float32], bit_rate: int | None) -> None:
    with av.open(str(path), "w") as container:  # type: ignore[attr-defined]
        fixed = {"aac_pns": "0"} if codec == "aac" else {}  # else decoders draw some bands at random
        stream = container.add_stream(codec, rate=rate, options=fixed)
        stream.layout = "mono"
        if bit_rate:
            stream.bit_rate = bit_rate
        for begin in range(0, len(samples), rate):
            frame = av.AudioFrame.from_ndarray(  # type: ignore[attr-defined]
                samples[None, begin : begin + rate], format="fltp", layout="mono"
            )
            frame.sample_rate, frame.pts = rate, begin
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
