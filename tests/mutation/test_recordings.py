"""Mutated recordings of every kind are read, or refused by an error of ours, soon and in little memory."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import mutated, mutation_settings, survives

from babyhubert.audio.recording import open_recording, probe

RATE = 16_000
KINDS = {
    "x.wav": {},
    "x.rf64": {"format": "RF64"},
    "x.w64": {},
    "x.flac": {},
    "x.mp3": {"bitrate_mode": "VARIABLE"},
    "x.ogg": {},
    "x.opus": {"format": "OGG", "subtype": "OPUS"},
    "x.m4a": {},
}
LONGEST_S = 600


@cache
def original(name: str) -> bytes:
    """Two seconds of noise."""
    from tempfile import TemporaryDirectory

    samples = (np.random.default_rng(0).standard_normal(2 * RATE) * 0.1).astype(np.float32)
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        if name.endswith("m4a"):
            av = pytest.importorskip("av")
            with av.open(str(path), "w") as container:
                stream = container.add_stream("aac", rate=RATE)
                stream.layout = "mono"
                frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
                frame.sample_rate, frame.pts = RATE, 0
                container.mux([*stream.encode(frame), *stream.encode(None)])
        else:
            soundfile.write(path, samples, RATE, **KINDS[name])
        return path.read_bytes()


def read(path: Path) -> None:
    """Read a recording as a run does: its header, a range, and a bounded number of blocks."""
    probe(path)
    with open_recording(path) as recording:
        assert np.isfinite(recording.read(RATE // 2, RATE)).all()
        taken = 0
        for block in recording.blocks():
            assert np.isfinite(block.samples).all()
            taken += len(block.samples)
            if taken > LONGEST_S * RATE:
                break
        assert all(isinstance(line, str) for line in recording.warnings)


@pytest.mark.parametrize("name", KINDS)
def test_mutated_recordings(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    path = tmp_path_factory.mktemp("mutated") / name
    content = original(name)

    @settings(mutation_settings, max_examples=100 if name.endswith(("opus", "m4a")) else 150)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        path.write_bytes(data.draw(mutated(content)))
        survives(lambda: read(path))

    check()
