"""Any format gives the same samples, streamed or by range, and says what it knows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from making import RATE, babble, encode_with_av, noise

from babyhubert.audio.recording import Recording, open_recording, parse_channel, probe
from babyhubert.errors import AudioError, ConfigError

SECONDS = 20


def whole(recording: Recording, block_samples: int = 50_001) -> np.ndarray:
    """All samples, after checking that the blocks are consecutive and of the asked size."""
    position, parts = 0, [np.zeros(0, dtype=np.float32)]
    for block in recording.blocks(block_samples):
        assert block.start == position
        assert block.samples.dtype == np.float32
        assert 0 < len(block.samples) <= block_samples
        position += len(block.samples)
        parts.append(block.samples)
    assert all(len(part) == block_samples for part in parts[1:-1])
    return np.concatenate(parts)


SNDFILE_KINDS = {
    "16k.wav": (RATE, 1, {}),
    "stereo44.wav": (44_100, 2, {}),
    "8k.wav": (8_000, 1, {}),
    "24bit.wav": (RATE, 1, {"subtype": "PCM_24"}),
    "float48.wav": (48_000, 1, {"subtype": "FLOAT"}),
    "ima.wav": (RATE, 1, {"subtype": "IMA_ADPCM"}),
    "ulaw.wav": (8_000, 1, {"subtype": "ULAW"}),
    "four.wav": (RATE, 4, {}),
    "odd.wav": (12_345, 1, {}),
    "day.rf64": (RATE, 1, {"format": "RF64"}),
    "day.w64": (22_050, 1, {}),
    "day.aiff": (32_000, 1, {}),
    "day.caf": (RATE, 1, {}),
    "stereo.flac": (48_000, 2, {}),
    "vorbis.ogg": (44_100, 1, {}),
    "day.opus": (48_000, 1, {"format": "OGG", "subtype": "OPUS"}),
    "cbr.mp3": (RATE, 1, {"bitrate_mode": "CONSTANT"}),
    "vbr.mp3": (44_100, 1, {"bitrate_mode": "VARIABLE", "compression_level": 0.5}),
}
AV_KINDS = {
    "phone.m4a": ("aac", 44_100, None),
    "video.mp4": ("aac", 48_000, None),
    "raw.aac": ("aac", RATE, None),
    "old.3gp": ("libopencore_amrnb", 8_000, None),
    "old.amr": ("libopencore_amrnb", 8_000, None),
    "office.wma": ("wmav2", 44_100, 64_000),
    "web.webm": ("libopus", 48_000, None),
    "film.mkv": ("aac", RATE, None),
}

CODEC_DELAYS = {
    ".m4a": 1600,
    ".mp4": 1600,
    ".aac": 1600,
    ".mkv": 1600,
    ".wma": 2400,
    ".3gp": 320,
    ".amr": 320,
    ".mp3": 1,
}
"""16 kHz samples by which an encoder may delay the sound."""


def make(folder: Path, name: str) -> Path:
    """One recording of ``SECONDS`` seconds and 123 frames."""
    path = folder / name
    if name in AV_KINDS:
        codec, rate, bit_rate = AV_KINDS[name]
        return encode_with_av(path, codec, rate, babble(rate * SECONDS + 123, rate), bit_rate)
    rate, channels, kind = SNDFILE_KINDS[name]
    samples = babble(rate * SECONDS + 123, rate)
    if channels > 1:
        samples = np.stack([samples * (index + 1) / channels for index in range(channels)], axis=1)
    soundfile.write(path, samples, rate, **kind)
    return path


@pytest.mark.parametrize("name", [*SNDFILE_KINDS, *AV_KINDS])
def test_a_range_is_that_slice_of_the_whole(tmp_path: Path, name: str) -> None:
    path = make(tmp_path, name)
    with open_recording(path) as recording:
        everything = whole(recording)
        assert recording.n_samples == len(everything)
        for start, stop in (
            (0, 400),
            (1, 2),
            (99_999, 131_072),
            (200_000, 264_001),
            (17_003, 80_000),
            (300_000, 10**7),
        ):
            part = recording.read(start, stop)
            assert part.dtype == np.float32
            np.testing.assert_allclose(part, everything[start:stop], atol=1e-4, rtol=0)
        assert not [line for line in recording.warnings if "kHz" not in line]


@pytest.mark.parametrize("name", [*SNDFILE_KINDS, *AV_KINDS])
def test_the_sound_comes_out_where_it_was_put_in(tmp_path: Path, name: str) -> None:
    path = make(tmp_path, name)
    with open_recording(path, channel="loudest") as recording:
        everything = whole(recording)
    slack = CODEC_DELAYS.get(path.suffix, 0)
    middle = babble(180_000, RATE)[100_000:].astype(np.float64)
    window = everything[100_000 - slack : 180_000 + slack].astype(np.float64)
    size = 1 << 18
    match = np.fft.irfft(np.fft.rfft(window, size) * np.conj(np.fft.rfft(middle, size)), size)
    heard = window[int(np.argmax(match[: 2 * slack + 1])) :][: len(middle)]
    likeness = np.dot(heard, middle) / np.linalg.norm(heard) / np.linalg.norm(middle)
    assert likeness > (0.9 if path.suffix in {".3gp", ".amr"} else 0.98)


@pytest.mark.parametrize("name", SNDFILE_KINDS)
def test_the_header_gives_the_exact_length(tmp_path: Path, name: str) -> None:
    path = make(tmp_path, name)
    info = probe(path)
    rate, channels, _ = SNDFILE_KINDS[name]
    assert (info.sample_rate, info.channels, info.exact) == (rate, channels, True)
    assert info.size_bytes == path.stat().st_size
    if "ima" not in name:  # its blocks are padded
        assert info.native_frames == rate * SECONDS + 123
    assert info.native_frames is not None
    assert info.n_samples == (info.native_frames * RATE * 2 + rate) // (2 * rate)


@pytest.mark.parametrize("name", AV_KINDS)
def test_other_containers_estimate_their_length(tmp_path: Path, name: str) -> None:
    info = probe(make(tmp_path, name))
    assert not info.exact
    assert abs(info.n_samples - SECONDS * RATE) < 0.4 * SECONDS * RATE
    if info.native_frames is not None:
        assert abs(info.n_samples - SECONDS * RATE) < 0.2 * RATE


@pytest.mark.parametrize("frames", [1, 399, 400, 16_000])
def test_short_recordings(tmp_path: Path, frames: int) -> None:
    soundfile.write(tmp_path / "short.wav", noise(frames), RATE)
    with open_recording(tmp_path / "short.wav") as recording:
        assert recording.n_samples == frames == len(whole(recording))
        assert len(recording.read(0, 10**9)) == frames
        assert len(recording.read(frames, frames + 5)) == 0
        assert len(recording.read(3, 3)) == 0


def test_16_khz_mono_passes_bit_for_bit(tmp_path: Path) -> None:
    samples = np.random.default_rng(1).integers(-(2**15), 2**15, 400_000).astype(np.int16)
    soundfile.write(tmp_path / "x.wav", samples, RATE, subtype="PCM_16")
    with open_recording(tmp_path / "x.wav") as recording:
        np.testing.assert_array_equal(whole(recording), samples.astype(np.float32) / 32768)
        np.testing.assert_array_equal(
            recording.read(12_345, 54_321), samples[12_345:54_321].astype(np.float32) / 32768
        )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rate=st.sampled_from([8_000, 11_025, RATE, 22_050, 44_100, 48_000, 96_000]),
    frames=st.integers(1, 60_000),
    begin=st.integers(0, 130_000),
    length=st.integers(0, 50_000),
    block=st.integers(1, 70_000),
)
def test_length_blocks_and_ranges_agree(
    tmp_path: Path, rate: int, frames: int, begin: int, length: int, block: int
) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, noise(frames), rate)
    with open_recording(path) as recording:
        everything = whole(recording, max(block, frames // 50))
        assert len(everything) == recording.n_samples == (2 * frames * RATE + rate) // (2 * rate)
        np.testing.assert_allclose(
            recording.read(begin, begin + length), everything[begin : begin + length], atol=1e-4, rtol=0
        )
        parts = [one.samples for one in recording.blocks(block, begin, begin + length)]
        np.testing.assert_allclose(
            np.concatenate([np.zeros(0, np.float32), *parts]), everything[begin : begin + length], atol=1e-4, rtol=0
        )


def test_silence_is_not_an_error(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(RATE, np.float32), RATE)
    with open_recording(tmp_path / "silent.wav") as recording:
        assert not whole(recording).any()
        assert recording.warnings == ("every sample is 0: digital silence (was the microphone connected?)",)


def test_8_khz_is_flagged(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", noise(8000), 8000)
    assert probe(tmp_path / "x.wav").warnings == ("8 kHz: nothing above 4 kHz reaches the model",)


def test_nan_and_infinity_read_as_silence_and_are_counted(tmp_path: Path) -> None:
    samples = noise(RATE)
    samples[[5, 9_000]], samples[77] = np.nan, np.inf
    soundfile.write(tmp_path / "x.wav", samples, RATE, subtype="FLOAT")
    with open_recording(tmp_path / "x.wav") as recording:
        everything = whole(recording)
        whole(recording)
        assert np.isfinite(everything).all()
        assert everything[5] == everything[77] == 0
        assert recording.warnings == ("3 NaN or infinite samples read as 0",)


def test_values_beyond_full_scale_stay(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", np.full(1000, 1.7, np.float32), RATE, subtype="FLOAT")
    with open_recording(tmp_path / "x.wav") as recording:
        assert (recording.read(0, 1000) == np.float32(1.7)).all()


class TestChannels:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        samples = noise(RATE * 5, 4) * np.array([0.5, 0.1, 1.5, 0.2], dtype=np.float32)
        soundfile.write(tmp_path / "four.wav", samples, RATE, subtype="FLOAT")
        return tmp_path / "four.wav"

    def test_each_choice(self, path: Path) -> None:
        samples, _ = soundfile.read(path, dtype="float32")
        expected = {"mean": samples.mean(axis=1), "first": samples[:, 0], "loudest": samples[:, 2], 3: samples[:, 3]}
        for choice, wanted in expected.items():
            with open_recording(path, channel=choice) as recording:
                np.testing.assert_allclose(whole(recording), wanted, atol=1e-7)
        with open_recording(path, channel="loudest") as recording:
            assert recording.channel == 2

    def test_out_of_range(self, path: Path) -> None:
        with pytest.raises(AudioError, match=r"four\.wav has 4 channels \(0 to 3\), not channel 4"):
            open_recording(path, channel=4)

    def test_only_the_channel_in_use_counts(self, tmp_path: Path) -> None:
        samples = noise(RATE, 2)
        samples[10, 1] = np.nan
        soundfile.write(tmp_path / "x.wav", samples, RATE, subtype="FLOAT")
        with open_recording(tmp_path / "x.wav", channel="first") as recording:
            whole(recording)
            assert recording.warnings == ()

    def test_from_the_command_line(self) -> None:
        assert [parse_channel(text) for text in ("mean", "First", " loudest", "0", "3")] == [
            *("mean", "first", "loudest"),
            *(0, 3),
        ]
        for text in ("-1", "left", "", "1.0"):
            with pytest.raises(ConfigError, match="mean, first, loudest"):
                parse_channel(text)


def test_importing_needs_neither_torch_nor_the_media_extra() -> None:
    modules = "recording, discovery, preflight, prefetch"
    code = f"import sys; from babyhubert.audio import {modules}; print('torch' in sys.modules, 'av' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "False"]


def test_misuse_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", noise(100), RATE)
    with open_recording(tmp_path / "x.wav") as recording:
        for start, stop in ((-1, 5), (5, 4)):
            with pytest.raises(ValueError, match="not a range"):
                recording.read(start, stop)
        with pytest.raises(ValueError, match="at least 1"):
            recording.blocks(0)
    with pytest.raises(ValueError, match="closed"):
        recording.read(0, 1)


def test_several_readers_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = make(tmp_path, "stereo44.wav")
    with open_recording(path) as recording:
        everything = whole(recording)
        one, two = recording.blocks(30_000), recording.blocks(20_000)
        for index in range(5):
            np.testing.assert_array_equal(next(one).samples, everything[index * 30_000 :][:30_000])
            recording.read(200_000, 210_000)
            np.testing.assert_array_equal(next(two).samples, everything[index * 20_000 :][:20_000])


@pytest.mark.parametrize("channels", [2, 3, 9])
def test_the_mean_of_channels_is_that_of_numpy_to_the_bit(channels, tmp_path):
    sound = np.random.default_rng(0).standard_normal((50_000, channels)).astype(np.float32) * 0.2
    soundfile.write(tmp_path / "x.wav", sound, 16_000, subtype="FLOAT")
    with open_recording(tmp_path / "x.wav") as recording:
        np.testing.assert_array_equal(recording.read(0, 50_000), sound.mean(axis=1, dtype=np.float32))
