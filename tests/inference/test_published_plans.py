"""The two published window plans through the engine, against a plain loop over windows written from their description.

Up to VTC 2.1: windows of 64,000 samples every 63,680, whose 199 frames tile, then what remains if it is 400 samples or
more. VTC 2.2: windows of four seconds every second, probabilities averaged over the windows that cover a frame.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from making import noise
from numpy.typing import NDArray

from babyhubert.inference.engine import Finished, Frames
from babyhubert.inference.windows import WindowPlan
from babyhubert.tasks.voice_type.prediction import VoiceTypeSettings, load_model


@pytest.fixture(scope="module")
def classifier(small_model):
    return load_model(small_model, device="cpu")


def run(classifier, audio: NDArray[np.float32], overlap: float, block: int, batch_size: int) -> NDArray[np.float32]:
    settings = VoiceTypeSettings(plan=WindowPlan.from_overlap(4.0, overlap))
    engine = classifier.with_settings(settings).with_batch_size(batch_size).engine()
    blocks = [audio[at : at + block] for at in range(0, len(audio), block)]
    *frames, end = engine.run([("a", blocks)])
    assert end == Finished("a", len(audio))
    assert all(isinstance(event, Frames) for event in frames)
    return np.concatenate([np.empty((0, 4), dtype=np.float32), *(event.values for event in frames)])


def probabilities(classifier, window: NDArray[np.float32]) -> NDArray[np.float32]:
    return classifier.model.probabilities(torch.from_numpy(window.copy())[None])[0].numpy()


def tiled(classifier, audio: NDArray[np.float32]) -> NDArray[np.float32]:
    parts, start = [np.empty((0, 4), dtype=np.float32)], 0
    while start + 64_000 <= len(audio):
        parts.append(probabilities(classifier, audio[start : start + 64_000]))
        assert len(parts[-1]) == 199
        start += 63_680
    if len(audio) - start >= 400:
        parts.append(probabilities(classifier, audio[start:]))
    return np.concatenate(parts)


def averaged(classifier, audio: NDArray[np.float32]) -> NDArray[np.float64]:
    n = len(audio)
    frames = max(0, (n - 400) // 320 + 1)
    if n < 64_000:
        return probabilities(classifier, audio) if frames else np.empty((0, 4))
    starts = list(range(0, n - 64_000 + 1, 16_000))
    ends = [start + 64_000 for start in starts]
    if starts[-1] // 320 + 199 < frames:  # what remains is seen by one more window, which ends with the recording
        starts.append((n - 64_000) // 320 * 320)
        ends.append(n)
    total, count = np.zeros((frames, 4)), np.zeros((frames, 1))
    for start, end in zip(starts, ends, strict=True):
        values = probabilities(classifier, audio[start:end])
        total[start // 320 : start // 320 + len(values)] += values
        count[start // 320 : start // 320 + len(values)] += 1
    assert count.min() >= 1
    assert count.max() <= 5
    return total / count


LENGTHS = [399, 400, 63_999, 64_000, 64_079, 64_080, 64_320, 80_000, 127_680, 200_123]


@pytest.mark.parametrize("samples", LENGTHS)
@pytest.mark.parametrize(("overlap", "plain"), [(0.0, tiled), (0.75, averaged)])
def test_published_plan_equals_a_plain_loop(classifier, samples, overlap, plain):
    audio = noise(samples, seed=samples)
    expected = plain(classifier, audio)
    assert len(expected) == max(0, (samples - 400) // 320 + 1)
    if len(expected) > 1:
        assert expected.std(axis=0).min() > 0.01, "a constant would prove nothing"
    for block, batch_size in ((160_000, 1), (9_999, 3)):
        found = run(classifier, audio, overlap, block, batch_size)
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)
