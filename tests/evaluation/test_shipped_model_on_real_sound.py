"""The default model on real sound: its card's claims, with some room, on clips that its training did not have."""

from __future__ import annotations

import numpy as np
import pytest

import babyhubert
from babyhubert.annotation.reading import read_annotations
from babyhubert.evaluation.detection import compare
from babyhubert.evaluation.robustness import alarms_in_clips
from babyhubert.tasks.voice_type.robustness import kinds_of

SECONDS = 5 * 16_000


@pytest.fixture(scope="module")
def model():
    return babyhubert.load_model(device="cpu", speed="fast")


def clips(corpora, kind):
    """The clips of one kind that are kept for validation."""
    from babyhubert.audio.recording import open_recording

    sounds = corpora / "real" / "sounds"
    if not sounds.is_dir():
        pytest.skip(f"no real sounds at {sounds}")
    found = []
    for file in kinds_of(sounds)[kind]:
        if file.path.name.startswith("4-"):
            with open_recording(file.path) as recording:
                found.append(recording.read(0, min(SECONDS, recording.n_samples)))
    return found


@pytest.mark.parametrize(("kind", "most_percent"), [("rain", 3), ("rooster", 20), ("dog-bark", 12)])
def test_few_voices_are_found_where_nobody_speaks(model, corpora, kind, most_percent):
    alone, in_day = alarms_in_clips(model, kind, clips(corpora, kind), seed=0)
    assert 100 * alone.any_s / alone.seconds < most_percent
    assert 100 * in_day.any_s / in_day.seconds < most_percent


def test_cries_are_found_as_the_key_child(model, corpora):
    alone, in_day = alarms_in_clips(model, "baby-cry", clips(corpora, "baby-cry"), seed=0)
    assert in_day.found_s["KCHI"] / in_day.seconds > 0.45  # parts of the clips are silent
    assert alone.found_s["KCHI"] / alone.seconds > 0.5


def test_adults_at_the_microphone_are_adults(model, corpora):
    meetings = corpora / "real" / "ami"
    if not meetings.is_dir():
        pytest.skip(f"no meetings at {meetings}")
    reference = read_annotations(meetings / "rttm")
    predictions = {name: model(meetings / "audio" / f"{name}.wav") for name in reference}
    report = compare(reference, predictions, model.labels, None)
    assert report.f1["MAL"] > 0.4
    assert report.f1["FEM"] > 0.6
    child = np.array([label == "KCHI" for segments in predictions.values() for label in segments.label])
    assert child.mean() < 0.5
