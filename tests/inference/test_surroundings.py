"""Recordings shorter than a window: noise around them, and the answers of the same sound in a longer recording."""

import json
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from babyhubert.audio.acoustics import decibels
from babyhubert.encoder.context import window_settings_of
from babyhubert.inference.engine import Engine
from babyhubert.inference.surroundings import LOUDEST_DBFS, frames_before, surrounded
from babyhubert.inference.task_model import plan_of
from babyhubert.inference.windows import WindowPlan
from babyhubert.shipped import SMALL_MODEL
from babyhubert.tasks.voice_type.prediction import load_model
from babyhubert.timebase import FRAME_HOP, frame_count


def frame_and_window(waveforms):
    """Each frame's mean, and the level of its window."""
    frames = waveforms.unfold(1, 400, FRAME_HOP).mean(-1)
    return torch.stack((frames, waveforms.square().mean(-1, keepdim=True).expand_as(frames)), dim=-1)


@settings(deadline=None, max_examples=40)
@given(samples=st.integers(400, 9_000), seed=st.integers(0, 9))
def test_a_short_recording_has_its_own_frames_from_a_full_window(samples, seed):
    audio = np.random.default_rng(seed).standard_normal(samples).astype(np.float32)
    engine = Engine(frame_and_window, WindowPlan(8_000, 1_600, in_quiet=True))
    values = np.concatenate([event.values for event in engine.run([("a", [audio])]) if hasattr(event, "values")])
    assert len(values) == frame_count(samples)
    own = np.lib.stride_tricks.sliding_window_view(audio, 400)[::FRAME_HOP].mean(axis=1)
    assert np.allclose(values[:, 0], own, atol=1e-5)
    level = np.square(audio).sum() / 8_000 if samples < 8_000 else None
    if level is not None:
        assert values[:, 1] == pytest.approx(level, rel=1e-3)


def test_the_noise_is_a_quiet_room_or_the_recordings_own_quietest_tenth():
    def level(audio):
        return 20 * np.log10(np.sqrt(np.mean(np.square(audio, dtype=np.float64))))

    rng = np.random.default_rng(0)
    loud = (0.1 * rng.standard_normal(16_000)).astype(np.float32)
    whole = surrounded(loud, 80_000)
    first = frames_before(16_000, 80_000) * FRAME_HOP
    assert np.array_equal(whole[first : first + 16_000], loud)
    around = np.concatenate((whole[:first], whole[first + 16_000 :]))
    assert level(around) == pytest.approx(LOUDEST_DBFS, abs=0.5)
    faint = loud * np.float32(decibels(-60.0))
    assert level(surrounded(faint, 80_000)[:first]) == pytest.approx(level(faint), abs=1.0)
    assert not surrounded(np.zeros(16_000, np.float32), 80_000).any()
    assert np.isfinite(surrounded(np.ones(1_000, np.float32), 80_000)).all()


def test_a_card_asks_for_it_and_every_window_then_has_full_length():
    found = window_settings_of({"voice_type": {"context_s": 5.0, "in_quiet": True}}, {"voice_type": "frames"})
    plan = plan_of(found["voice_type"], overlap=0.0)
    assert plan.in_quiet
    assert plan.describe()["short_recordings"] == "in quiet"
    spans = plan.spans(100_000)
    assert all(80_000 <= end - start < 80_000 + FRAME_HOP for start, end in spans)
    assert "short_recordings" not in plan_of(window_settings_of({}, {"voice_type": "frames"})["voice_type"]).describe()


def test_a_clip_gets_the_scores_of_the_same_sound_in_a_quiet_minute(tmp_path):
    folder = shutil.copytree(SMALL_MODEL, tmp_path / "model")
    card = json.loads((folder / "task.json").read_text())
    card["voice_type"] |= {"context_s": 6.0, "in_quiet": True}
    (folder / "task.json").write_text(json.dumps(card))
    model = load_model(folder, device="cpu", speed="fast")
    rng = np.random.default_rng(1)
    seconds = np.arange(32_000) / 16_000
    clip = (0.2 * np.sin(2 * np.pi * (300 + 80 * np.sin(6 * seconds)) * seconds)).astype(np.float32)
    clip *= (np.sin(2 * np.pi * seconds) > 0).astype(np.float32)
    clip += (10 ** (LOUDEST_DBFS / 20) * rng.standard_normal(32_000)).astype(np.float32)
    day = surrounded(clip, 6 * 16_000 * 3)
    first = frames_before(32_000, len(day))
    alone = model.scores(clip, sampling_rate=16_000).astype(float)
    within = model.scores(day, sampling_rate=16_000)[first : first + len(alone)].astype(float)
    assert np.abs(alone - within).mean() < 0.05
    del card["voice_type"]["in_quiet"]
    (folder / "task.json").write_text(json.dumps(card))
    without = load_model(folder, device="cpu", speed="fast").scores(clip, sampling_rate=16_000).astype(float)
    assert np.abs(alone - within).mean() < np.abs(without - within).mean()
