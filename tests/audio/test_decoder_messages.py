"""Damaged MP3 frames: found and named, while the decoder's own messages stay off the terminal."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from babyhubert.audio.opening import open_source
from babyhubert.audio.recording import open_recording

RATE = 44_100
SECONDS = 12


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An intact MP3 of stereo noise."""
    path = tmp_path_factory.mktemp("mp3") / "whole.mp3"
    sf.write(path, 0.1 * np.random.default_rng(0).standard_normal((SECONDS * RATE, 2)), RATE)
    return path


def _damaged(whole: Path, path: Path, size: int, zeros: bool) -> Path:
    """The same with five damaged places, or one hole."""
    data = bytearray(whole.read_bytes())
    random = np.random.default_rng(0)
    for place in (3,) if zeros else (1, 2, 3, 4, 5):
        begin = len(data) * place // 7 + 50
        data[begin : begin + size] = bytes(size) if zeros else random.bytes(size)
    path.write_bytes(bytes(data))
    return path


def test_the_decoder_prints_nothing_and_its_damage_is_in_the_warnings(whole: Path, tmp_path: Path) -> None:
    path = _damaged(whole, tmp_path / "damaged.mp3", 300, zeros=False)
    code = (
        "import sys; from babyhubert.audio.recording import open_recording\n"
        f"with open_recording({str(path)!r}) as r:\n  sum(1 for _ in r.blocks()); print(r.warnings)\n"
        "print('own words', file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "own words\n"
    assert "damaged or missing in the file and read as silence" in done.stdout


def test_errors_of_the_decoder_are_lost_stretches_alike_in_ranges_and_blocks(whole: Path, tmp_path: Path) -> None:
    path = _damaged(whole, tmp_path / "damaged.mp3", 300, zeros=False)
    random = np.random.default_rng(1)
    with open_recording(path) as recording:
        samples = np.concatenate([block.samples for block in recording.blocks()])
        assert recording.lost
        for start in random.integers(0, len(samples) - 8000, 25).tolist():
            np.testing.assert_allclose(recording.read(start, start + 8000), samples[start : start + 8000], atol=1e-6)


def test_frames_that_need_bytes_of_a_hole_are_silent_instead_of_loud(whole: Path, tmp_path: Path) -> None:
    """Without care the frames after a hole are decoded with foreign bytes, to 9 times full scale."""
    path = _damaged(whole, tmp_path / "hole.mp3", 3000, zeros=True)
    source, intact = open_source(path), open_source(whole)
    found, wanted = (each.read(SECONDS * RATE) for each in (source, intact))
    (lost,) = source.lost
    source.close(), intact.close()
    assert 0.18 < (lost[1] - lost[0]) / RATE < 0.3
    assert np.abs(found).max() < 0.7
    assert len(found) == len(wanted)
    after = lost[1] + 2 * 1152
    np.testing.assert_allclose(found[after:], wanted[after:], atol=1e-5)
    np.testing.assert_allclose(found[: lost[0] - 1152], wanted[: lost[0] - 1152], atol=1e-5)


def test_damage_is_blamed_on_the_damaged_file_where_threads_read_others(whole: Path, tmp_path: Path) -> None:
    damaged = _damaged(whole, tmp_path / "damaged.mp3", 300, zeros=False)

    def read(path: Path) -> tuple[str, ...]:
        with open_recording(path) as recording:
            for _ in recording.blocks(16_000):
                pass
            return recording.warnings

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(read, [whole, damaged] * 4))
    assert found[::2] == [()] * 4
    assert len(set(found[1::2])) == 1
    assert "read as silence" in found[1][0]


def test_layer_two_has_an_estimated_length_and_no_damaged_end(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "recorder.mp2"
    noise = (3000 * np.random.default_rng(0).standard_normal(2 * 10 * RATE)).astype(np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mp2", rate=RATE)
        stream.layout = "stereo"
        for start in range(0, 10 * RATE, 1152):
            frame = av.AudioFrame.from_ndarray(noise[None, 2 * start : 2 * start + 2304], "s16", "stereo")
            frame.sample_rate, frame.pts = RATE, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with open_recording(path) as recording:
        assert not recording.info.exact
        count = sum(len(block.samples) for block in recording.blocks())
        assert recording.warnings == ()
        assert recording.n_samples == count
        assert abs(count / 16_000 - 10) < 0.1
