"""Times count from where a player's clock begins: late sound, edit lists, what encoders put before the sound."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from making import RATE
from numpy.typing import NDArray

from babyhubert.audio.recording import open_recording

av = pytest.importorskip("av")

SECONDS = 4
LONG = 30
BURST = 2.0


def burst(rate: int, seconds: int = SECONDS) -> NDArray[np.float32]:
    """Silence with a tone of a tenth of a second that begins at 2 s, and a fainter one a second before the end."""
    sound = np.zeros(seconds * rate, dtype=np.float32)
    length = rate // 10
    for second in (BURST, seconds - BURST / 2):
        loudness = 0.7 if second == BURST else 0.5
        sound[int(second * rate) :][:length] = loudness * np.sin(2 * np.pi * 600 * np.arange(length) / rate)
    return sound


def write(
    path: Path, codec: str, rate: int = RATE, late: float = 0.0, *, picture: bool = False, seconds: int = SECONDS
) -> Path:
    """A file whose sound begins ``late`` seconds after its beginning, with a picture from 0 on or without."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=10) if picture else None
        if video:
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream(codec, rate=rate, layout="mono")
        resampler = av.AudioResampler(audio.format.name, "mono", rate)
        packets = []
        for number in range(int((seconds + late) * 10) if video else 0):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), dtype=np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            packets += video.encode(frame)
        packets += video.encode(None) if video else []
        sound, offset = burst(rate, seconds), round(late * rate)
        for first in range(0, len(sound), 1024):
            frame = av.AudioFrame.from_ndarray(sound[None, first : first + 1024], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, first + offset, Fraction(1, rate)
            packets += [packet for part in resampler.resample(frame) for packet in audio.encode(part)]
        packets += audio.encode(None)
        for packet in sorted(packets, key=lambda each: float((each.dts or 0) * each.time_base)):
            container.mux(packet)
    return path


def begins(path: Path) -> tuple[float, tuple[str, ...], NDArray[np.float32]]:
    """Seconds at which the tone begins, by correlation; warnings; all samples."""
    with open_recording(path) as recording:
        found = np.concatenate([block.samples for block in recording.blocks()])
        for start in range(0, len(found) - RATE, RATE + 77):  # by range as by streaming
            part = recording.read(start, start + RATE)
            assert np.abs(part - found[start : start + RATE]).max() < 1e-3
        warnings = recording.warnings
    tone = np.sin(2 * np.pi * 600 * np.arange(RATE // 10) / RATE).astype(np.float32)
    return int(np.argmax(np.correlate(found, tone))) / RATE, warnings, found


LATE = [
    ("late.mp4", "aac", RATE, True),
    ("late.mov", "pcm_s16le", RATE, True),
    ("late.mkv", "pcm_s16le", RATE, True),
    ("late.mkv", "aac", 44_100, True),
    ("late.ts", "mp2", 48_000, True),
    ("alone.m4a", "aac", RATE, False),
]


@pytest.mark.parametrize(("name", "codec", "rate", "picture"), LATE)
def test_late_sound_stands_where_a_player_shows_it(name, codec, rate, picture, tmp_path):
    path = write(tmp_path / name, codec, rate, late=1.5, picture=picture)
    at, warnings, found = begins(path)
    assert at == pytest.approx(1.5 + BURST, abs=0.05)
    assert not found[: int(1.3 * RATE)].any()
    assert any("begins 1." in line and "silence is inserted" in line for line in warnings), warnings


DECLARED = [
    ("a.mp3", "libmp3lame", RATE),
    ("a.mp3", "libmp3lame", 44_100),
    ("a.m4a", "aac", RATE),
    ("a.m4a", "aac", 44_100),
    ("a.opus", "libopus", 48_000),
    ("a.webm", "libopus", 48_000),
    ("a.mka", "aac", RATE),
    ("a.mp4", "libopus", 48_000),
    ("a.mkv", "libmp3lame", 44_100),
]


@pytest.mark.parametrize(("name", "codec", "rate"), DECLARED)
def test_what_encoders_put_before_the_sound_is_taken_off_where_the_file_declares_it(name, codec, rate, tmp_path):
    at, warnings, found = begins(write(tmp_path / name, codec, rate))
    assert at == pytest.approx(BURST, abs=0.002)
    assert len(found) == pytest.approx(SECONDS * RATE, abs=0.07 * RATE)
    assert not warnings


def trim(path: Path, seconds: float) -> None:
    """What a phone does when its user cuts the beginning off: the edit list begins later."""
    data = bytearray(path.read_bytes())
    entries = data.index(b"elst") + 12
    duration, media_time = struct.unpack_from(">Ii", data, entries)
    assert media_time == 1024
    struct.pack_into(">Ii", data, entries, duration - round(1000 * seconds), media_time + round(seconds * RATE))
    path.write_bytes(data)


def test_a_trimmed_phone_recording_begins_at_its_edit(tmp_path):
    path = write(tmp_path / "trimmed.m4a", "aac")
    trim(path, 1.2)
    at, _, found = begins(path)
    assert at == pytest.approx(BURST - 1.2, abs=0.002)
    assert len(found) == pytest.approx((SECONDS - 1.2) * RATE, abs=0.07 * RATE)


@pytest.mark.parametrize("change", ["late", "trimmed"])
def test_places_behind_a_seek_are_the_same(change, tmp_path):
    path = write(tmp_path / "long.mp4", "aac", late=1.5 if change == "late" else 0.0, seconds=LONG)
    if change == "trimmed":
        trim(path, 1.2)
    shift = 1.5 if change == "late" else -1.2
    with open_recording(path) as recording:
        start = round((LONG - 1 + shift - 0.2) * RATE)
        part = recording.read(start, start + RATE // 2)
    tone = np.sin(2 * np.pi * 600 * np.arange(RATE // 10) / RATE).astype(np.float32)
    assert int(np.argmax(np.correlate(part, tone))) / RATE == pytest.approx(
        0.2, abs=0.05 if change == "late" else 0.002
    )
