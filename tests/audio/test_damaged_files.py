"""What is wrong with a file is said in one line, and what can be read is read."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from making import RATE, babble, encode_with_av, noise, sparse_wav, wav_header

from babyhubert.audio.recording import open_recording, probe
from babyhubert.errors import AudioError, MissingExtraError

HOUR = 3600 * RATE


def count(path: Path) -> tuple[int, tuple[str, ...]]:
    """Samples that blocks() gives, and the warnings."""
    with open_recording(path) as recording:
        total = sum(len(block.samples) for block in recording.blocks())
        assert recording.n_samples == total
        return total, recording.warnings


class TestNotARecording:
    def refused(self, path: Path, message: str) -> None:
        for use in (probe, open_recording):
            with pytest.raises(AudioError, match=message) as caught:
                use(path)
            assert "\n" not in str(caught.value)
            assert str(path) in str(caught.value)

    def test_missing(self, tmp_path: Path) -> None:
        self.refused(tmp_path / "no.wav", "does not exist: check the path")

    def test_folder(self, tmp_path: Path) -> None:
        self.refused(tmp_path, "is a folder")

    def test_empty(self, tmp_path: Path) -> None:
        (tmp_path / "x.wav").touch()
        self.refused(tmp_path / "x.wav", r"empty \(0 bytes\)")

    @pytest.mark.parametrize("name", ["x.wav", "x.mp3", "x.m4a"])
    def test_text(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_text("This is not audio.\n" * 50)
        self.refused(tmp_path / name, "is a text file, not audio")

    @pytest.mark.parametrize("name", ["x.wav", "x.mp3", "x.m4a", "x.flac"])
    def test_random_bytes(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_bytes(np.random.default_rng(0).bytes(30_000))
        self.refused(tmp_path / name, "not audio, or damaged")

    @pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
    def test_annexed_content_that_is_not_here(self, tmp_path: Path) -> None:
        link = tmp_path / "day.wav"
        link.symlink_to("../.git/annex/objects/aa/bb/MD5E-s1.wav/MD5E-s1.wav")
        self.refused(link, "not here .*: run 'datalad get .*day.wav'")

    @pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
    def test_broken_link(self, tmp_path: Path) -> None:
        (tmp_path / "day.wav").symlink_to(tmp_path / "gone.wav")
        self.refused(tmp_path / "day.wav", "links to .*gone.wav, which does not exist")

    def test_annex_pointer(self, tmp_path: Path) -> None:
        (tmp_path / "day.wav").write_text("/annex/objects/MD5E-s123--abc.wav\n")
        self.refused(tmp_path / "day.wav", "git-annex pointer.*datalad get")

    def test_lfs_pointer(self, tmp_path: Path) -> None:
        (tmp_path / "day.wav").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
        self.refused(tmp_path / "day.wav", "git lfs pull")

    @pytest.mark.skipif(sys.platform == "win32" or getattr(os, "geteuid", lambda: 0)() == 0, reason="root reads all")
    def test_permissions(self, tmp_path: Path) -> None:
        soundfile.write(tmp_path / "x.wav", noise(100), RATE)
        (tmp_path / "x.wav").chmod(0)
        self.refused(tmp_path / "x.wav", "permissions")

    @pytest.mark.parametrize("name", ["x.wav", "x.aiff", "x.w64"])
    def test_zero_frames(self, tmp_path: Path, name: str) -> None:
        soundfile.write(tmp_path / name, np.zeros(0, np.float32), RATE)
        self.refused(tmp_path / name, "0 frames")

    def test_zero_frames_before_other_chunks(self, tmp_path: Path) -> None:
        (tmp_path / "x.wav").write_bytes(wav_header(0) + b"LIST" + struct.pack("<I", 70_000) + bytes(70_000))
        self.refused(tmp_path / "x.wav", "0 frames")

    def test_video_without_sound(self, tmp_path: Path) -> None:
        av = pytest.importorskip("av")
        with av.open(str(tmp_path / "x.mp4"), "w") as container:
            stream = container.add_stream("mpeg4", rate=10)
            stream.width = stream.height = 64
            for _ in range(10):
                frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        self.refused(tmp_path / "x.mp4", "no audio track")

    def test_without_the_media_extra(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = encode_with_av(tmp_path / "x.m4a", "aac", RATE, babble(RATE, RATE))
        monkeypatch.setitem(sys.modules, "av", None)
        with pytest.raises(MissingExtraError, match=r"reading .m4a files needs the 'media' extra"):
            probe(path)
        (tmp_path / "x.wav").write_bytes(np.random.default_rng(0).bytes(30_000))
        self.refused(tmp_path / "x.wav", "'media' extra")


class TestWavSizes:
    """The sizes in a header against the size of the file."""

    @pytest.mark.parametrize("announced", [0, 0xFFFFFFFF])
    def test_never_closed(self, tmp_path: Path, announced: int) -> None:
        path = sparse_wav(tmp_path / "x.wav", 2 * HOUR, {HOUR: 16384}, announced)
        total, warnings = count(path)
        assert total == 2 * HOUR
        assert "no length" in warnings[0]
        assert "2.0 h" in warnings[0]
        assert warnings[1:] == ("digital silence in 1:59:59 of 2:00:00",)

    @pytest.mark.parametrize("channels", [1, 4])
    def test_wrapped_beyond_4_gib(self, tmp_path: Path, channels: int) -> None:
        frames = (2**32 // (2 * channels)) + 5 * 60 * RATE
        where = frames - 1000
        path = sparse_wav(tmp_path / "x.wav", frames, {where: 16384}, channels=channels)
        info = probe(path)
        assert info.n_samples == frames
        assert info.exact
        assert len(info.warnings) == 1
        assert "reading all of it" in info.warnings[0]
        assert f"holds {frames / HOUR:.1f} h" in info.warnings[0]
        with open_recording(path) as recording:
            assert recording.read(where, where + 1).tolist() == [0.5]
            assert recording.read(where - 1, where + 2).tolist() == [0, 0.5, 0]

    def test_wrapped_with_a_chunk_behind(self, tmp_path: Path) -> None:
        frames = 2**31 + 60 * RATE
        path = sparse_wav(tmp_path / "x.wav", frames, {})
        with path.open("ab") as file:
            file.write(b"LIST" + struct.pack("<I", 4) + b"INFO")
        assert probe(path).n_samples == frames

    def test_header_left_behind(self, tmp_path: Path) -> None:
        path = sparse_wav(tmp_path / "x.wav", 9 * HOUR, {}, announced=HOUR * 2)
        assert probe(path).n_samples == 9 * HOUR
        assert probe(path).warnings == ("header announces 1.0 h but the file holds 9.0 h: reading all of it",)

    @pytest.mark.parametrize("subtype", ["PCM_16", "IMA_ADPCM"])
    def test_truncated(self, tmp_path: Path, subtype: str) -> None:
        path = tmp_path / "x.wav"
        soundfile.write(path, noise(60 * RATE), RATE, subtype=subtype)
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size * 2 // 3)
        total, warnings = count(path)
        assert abs(total - 40 * RATE) < 1024
        assert len(warnings) == 1
        assert warnings[0].startswith("truncated: header announces 0:01:00 but the file holds 0:00:")

    def test_chunks_and_padding_around_the_audio_are_no_reason_to_warn(self, tmp_path: Path) -> None:
        samples = (noise(RATE) * 32767).astype("<i2").tobytes()
        plain = wav_header(len(samples))
        extra = b"JUNK" + struct.pack("<I", 28) + bytes(28)
        path = tmp_path / "x.wav"
        for tail in (b"LIST" + struct.pack("<I", 70_000) + bytes(70_000), b"TAG" + bytes(125), b"\0"):
            path.write_bytes(plain[:36] + extra + plain[36:] + samples + tail)
            assert (probe(path).n_samples, probe(path).warnings) == (RATE, ())

    @pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
    @pytest.mark.parametrize("container", ["WAV", "WAVEX"])
    def test_every_pcm_width(self, tmp_path: Path, subtype: str, container: str) -> None:
        path = tmp_path / "x.wav"
        soundfile.write(path, noise(5000, 3), RATE, subtype=subtype, format=container)
        expected, _ = soundfile.read(path, dtype="float32")
        data = bytearray(path.read_bytes())
        where = data.index(b"data") + 4
        data[where : where + 4] = struct.pack("<I", 0xFFFFFFFF)
        path.write_bytes(data)
        with open_recording(path, channel=1) as recording:
            assert recording.info.codec == subtype
            np.testing.assert_array_equal(recording.read(0, 10_000), expected[:, 1])
            np.testing.assert_array_equal(recording.read(1234, 2345), expected[1234:2345, 1])


class TestLongWavSizes:
    """RF64 and W64, whose sizes are 64-bit and untrue as easily."""

    SOUND = (noise(30 * RATE) * 3000).astype("<i2")

    def rf64(self, chunk: bytes, name: bytes = b"RF64") -> bytes:
        form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
        return name + b"\xff\xff\xff\xffWAVE" + chunk + form + b"data\xff\xff\xff\xff" + self.SOUND.tobytes()

    @pytest.mark.parametrize("name", [b"RF64", b"BW64"])
    @pytest.mark.parametrize("sizes", [(0, 0, 0), (2**64 - 1,) * 3, None, (200_072, 200_000, 100_000), (2**63,) * 3])
    def test_rf64_never_closed(self, tmp_path: Path, sizes: tuple[int, int, int] | None, name: bytes) -> None:
        path = tmp_path / "x.wav"
        path.write_bytes(self.rf64(b"ds64" + struct.pack("<IQQQI", 28, *sizes, 0) if sizes else b"", name))
        with open_recording(path) as recording:
            heard = np.concatenate([block.samples for block in recording.blocks()])
            np.testing.assert_array_equal(heard, self.SOUND.astype(np.float32) / 32768)
            assert len(recording.warnings) == 1
            np.testing.assert_array_equal(recording.read(RATE, 2 * RATE), heard[RATE : 2 * RATE])

    @pytest.mark.parametrize("announced", [0, 24, 2**64 - 1, 100_024, 10**9])
    def test_w64(self, tmp_path: Path, announced: int) -> None:
        path = tmp_path / "x.w64"
        soundfile.write(path, self.SOUND, RATE, subtype="PCM_16")
        data = bytearray(path.read_bytes())
        at = data.index(b"data\xf3\xac\xd3\x11")
        data[at + 16 : at + 24] = struct.pack("<Q", announced)
        path.write_bytes(data[: at + 24 + len(self.SOUND) * 2])
        total, warnings = count(path)
        assert (total, len(warnings)) == (30 * RATE, 1)

    def test_an_odd_chunk_without_its_pad_byte(self, tmp_path: Path) -> None:
        path = tmp_path / "x.wav"
        whole = wav_header(len(self.SOUND) * 2) + self.SOUND.tobytes()
        path.write_bytes(whole[:12] + b"note" + struct.pack("<I", 3) + b"abc" + whole[12:])
        assert count(path) == (30 * RATE, ())

    def test_byte_rate_0(self, tmp_path: Path) -> None:
        path = tmp_path / "x.wav"
        head = bytearray(wav_header(0))
        head[28:32] = bytes(4)
        path.write_bytes(bytes(head) + self.SOUND.tobytes())
        total, (line,) = count(path)
        assert total == 30 * RATE
        assert "it holds 0:00:30" in line

    @pytest.mark.parametrize("rate", [RATE, 48_000])
    def test_wav_behind_wav(self, tmp_path: Path, rate: int) -> None:
        path, one, other = tmp_path / "x.wav", tmp_path / "1.wav", tmp_path / "2.wav"
        soundfile.write(one, noise(10 * RATE + 1), RATE, subtype="PCM_U8")
        soundfile.write(other, noise(20 * rate), rate)
        path.write_bytes(one.read_bytes() + other.read_bytes())
        total, (line,) = count(path)
        assert total == 30 * RATE + 1
        assert line.startswith("2 recordings joined in one file")
        with open_recording(one) as first, open_recording(other) as second, open_recording(path) as recording:
            np.testing.assert_array_equal(recording.read(5, 999), first.read(5, 999))
            start = 10 * RATE + 1 + 70_001
            np.testing.assert_allclose(recording.read(start, start + 5000), second.read(70_001, 75_001), atol=1e-4)


def test_gigabytes_of_zeros_are_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.mp3"
    with path.open("wb") as file:
        file.truncate(40 * 10**9)
    with pytest.raises(AudioError, match=r"x\.mp3 begins with zeros instead of audio"):
        probe(path)


class TestDamagedInside:
    @pytest.mark.parametrize("name", ["x.mp3", "x.flac", "x.ogg", "x.opus"])
    @pytest.mark.parametrize("damage", ["cut", "overwritten", "zeroed"])
    def test_what_can_be_read_is_read(self, tmp_path: Path, name: str, damage: str) -> None:
        path = tmp_path / name
        kind = {"format": "OGG", "subtype": "OPUS"} if name == "x.opus" else {}
        soundfile.write(path, babble(60 * RATE, RATE), RATE, **kind)
        data = bytearray(path.read_bytes())
        if damage == "cut":
            del data[len(data) * 2 // 3 :]
        else:
            middle = slice(len(data) // 2, len(data) // 2 + 20_000)
            size = len(data[middle])
            data[middle] = bytes(size) if damage == "zeroed" else np.random.default_rng(0).bytes(size)
        path.write_bytes(data)
        total, warnings = count(path)
        assert 20 * RATE < total <= 60 * RATE
        assert len(warnings) <= 2
        if total < 60 * RATE:
            cut_ogg = damage == "cut" and name in {"x.ogg", "x.opus"}  # its last page says how long it is
            assert cut_ogg or any("decoding stopped at 0:00:" in line or "truncated" in line for line in warnings)

    def test_the_samples_before_the_damage_are_the_right_ones(self, tmp_path: Path) -> None:
        path = tmp_path / "x.flac"
        samples = noise(60 * RATE)
        soundfile.write(path, samples, RATE)
        expected, _ = soundfile.read(path, dtype="float32")
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
        with open_recording(path) as recording:
            heard = np.concatenate([block.samples for block in recording.blocks()])
            assert len(heard) > 38 * RATE
            np.testing.assert_array_equal(heard, expected[: len(heard)])
            assert "decoding stopped at 0:00:" in recording.warnings[0]
            assert "of 0:01:00: damaged data" in recording.warnings[0]
            np.testing.assert_array_equal(recording.read(10 * RATE, 11 * RATE), expected[10 * RATE : 11 * RATE])
            assert recording.n_samples == len(heard)
        with open_recording(path) as recording:
            assert len(recording.read(50 * RATE, 51 * RATE)) == 0
            assert recording.warnings == ("nothing can be decoded at the end of 0:01:00: damaged data",)

    def test_flac_that_was_streamed_says_no_length(self, tmp_path: Path) -> None:
        path = tmp_path / "x.flac"
        soundfile.write(path, noise(20 * RATE), RATE)
        data = bytearray(path.read_bytes())
        data[21] &= 0xF0  # the 36-bit number of samples in the stream information
        data[22:26] = bytes(4)
        path.write_bytes(data)
        assert (probe(path).native_frames, probe(path).exact) == (None, False)
        assert count(path) == (20 * RATE, ())

    def test_nothing_decodable(self, tmp_path: Path) -> None:
        path = tmp_path / "x.flac"
        soundfile.write(path, noise(20 * RATE), RATE)
        path.write_bytes(path.read_bytes()[:200] + bytes(5000))
        with pytest.raises(AudioError, match=r"x\.flac"):
            count(path)

    def test_m4a_with_a_damaged_stretch_keeps_its_time(self, tmp_path: Path) -> None:
        samples = babble(60 * 44_100, 44_100)
        path = encode_with_av(tmp_path / "x.m4a", "aac", 44_100, samples)
        with open_recording(path) as recording:
            before = np.concatenate([block.samples for block in recording.blocks()])
        data = bytearray(path.read_bytes())
        middle = slice(len(data) // 2, len(data) // 2 + 4_000)
        data[middle] = np.random.default_rng(0).bytes(4_000)
        path.write_bytes(data)
        with open_recording(path) as recording:
            after = np.concatenate([block.samples for block in recording.blocks()])
            assert len(after) == len(before)
            np.testing.assert_allclose(after[-10 * RATE :], before[-10 * RATE :], atol=1e-3)
            assert len(recording.warnings) == 1
            assert "s are damaged or missing in the file and read as silence: 0:00:30" in recording.warnings[0]

    def test_damaged_aiff_header(self, tmp_path: Path) -> None:
        path = tmp_path / "x.aiff"
        soundfile.write(path, noise(RATE), RATE)
        path.write_bytes(path.read_bytes()[:30])
        with pytest.raises(AudioError):
            probe(path)


class TestMp3Length:
    """MP3 files whose length header is absent or wrong."""

    def make(self, path: Path, loud_first: bool, seconds: int = 60) -> tuple[np.ndarray, int]:
        """A variable bit rate MP3; its decoded samples and the size of its length header."""
        samples = noise(seconds * RATE)
        half = len(samples) // 2
        samples[half:] *= 0.001 if loud_first else 1
        samples[:half] *= 1 if loud_first else 0.001
        soundfile.write(path, samples, RATE, bitrate_mode="VARIABLE", compression_level=0.5)
        decoded, _ = soundfile.read(path, dtype="float32")
        data = path.read_bytes()
        following = data.index(data[:2], 100)
        return decoded, following

    @pytest.mark.parametrize("loud_first", [True, False])
    def test_without_a_header(self, tmp_path: Path, loud_first: bool) -> None:
        path = tmp_path / "x.mp3"
        decoded, header = self.make(path, loud_first)
        path.write_bytes(b"ID3\4\0\0\0\0\0\x0a" + bytes(10) + path.read_bytes()[header:])
        info = probe(path)
        assert abs(info.n_samples - len(decoded)) < 4 * 1152
        total, warnings = count(path)
        assert total == info.n_samples
        assert warnings == ()
        with open_recording(path) as recording:
            everything = np.concatenate([block.samples for block in recording.blocks()])
            for start in (100_000, 500_001, 900_000):
                np.testing.assert_allclose(
                    recording.read(start, start + 9000), everything[start : start + 9000], atol=1e-4
                )
            delay = len(everything) - len(decoded)
            assert any(
                np.allclose(everything[shift + 400_000 :][:8000], decoded[400_000:][:8000], atol=1e-3)
                for shift in range(delay + 1)
            )

    def test_two_files_joined(self, tmp_path: Path) -> None:
        path = tmp_path / "x.mp3"
        decoded, _ = self.make(path, loud_first=True, seconds=30)
        path.write_bytes(path.read_bytes() * 3)
        total, warnings = count(path)
        assert abs(total - 3 * len(decoded)) < 12 * 1152
        assert "joined files?" in warnings[0]

    def test_truncated_is_told_by_the_header_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "x.mp3"
        self.make(path, loud_first=True)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        assert probe(path).warnings[0].startswith("truncated: the file holds 50%")
