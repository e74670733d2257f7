"""16-bit samples come back bit for bit, whatever kept them."""

from __future__ import annotations

import numpy as np
import soundfile

from babyhubert.audio.discovery import RecordingFile
from babyhubert.audio.pcm import to_pcm16
from babyhubert.audio.recording import open_recording
from babyhubert.material.audio_store import AudioStore

EVERY_VALUE = np.arange(-32_768, 32_768, dtype=np.int16)


def test_every_16_bit_value_survives_decoding_and_storing(tmp_path):
    path = tmp_path / "all.wav"
    soundfile.write(path, EVERY_VALUE, 16_000, subtype="PCM_16")
    with open_recording(path) as recording:
        read = recording.read(0, len(EVERY_VALUE))
    np.testing.assert_array_equal(to_pcm16(read), EVERY_VALUE)
    store = AudioStore.build([RecordingFile("all", path)], tmp_path / "cache")
    np.testing.assert_array_equal(store.samples, EVERY_VALUE)
    np.testing.assert_array_equal(store.read(0, 0, len(EVERY_VALUE)), read)


def test_louder_samples_are_cut():
    loud = np.array([-2.0, -1.0, 1.0, 1.5, 0.5 / 32_768, 1.5 / 32_768], dtype=np.float32)
    assert to_pcm16(loud).tolist() == [-32_768, -32_768, 32_767, 32_767, 0, 2]
