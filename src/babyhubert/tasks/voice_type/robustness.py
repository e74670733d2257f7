"""Both robustness tests of a voice-type model, on sounds and a scene made from a seed, or on a recording given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from babyhubert.audio.recording import open_recording
from babyhubert.errors import AudioError
from babyhubert.evaluation.robustness import false_alarms, join_peaks, start_shifts
from babyhubert.evaluation.robustness_presentation import RobustnessResult
from babyhubert.tasks.voice_type.prediction import VoiceTypeClassifier
from babyhubert.timebase import FRAME_HOP, SAMPLE_RATE, frame_count


def run_robustness(
    model: VoiceTypeClassifier, *, recording: Path | None, seconds: float, level_dbfs: float, seed: int
) -> RobustnessResult:
    """Test a model with its windows, thresholds and rules.

    Args:
        model: The model.
        recording: For the window test; a simulated scene when absent.
        seconds: Of each sound, and at most of the recording.
        level_dbfs: RMS level of the sounds.
        seed: Draws sounds and scene.

    Raises:
        AudioError: the recording cannot be read, or is too short to begin later.
    """
    audio = _scene(seconds, seed) if recording is None else _beginning(recording, seconds)
    name = f"a simulated scene (seed {seed})" if recording is None else str(recording)
    hop = model.settings.plan.hop // FRAME_HOP
    shifts = sorted({1, max(hop // 4, 1), max(hop // 2, 1), hop})
    if frame_count(len(audio)) <= hop:
        raise AudioError(f"{name}: {len(audio) / SAMPLE_RATE:.2f} s are too short; more than {hop * 0.02:g} s needed")
    return RobustnessResult(
        model.labels,
        false_alarms(model, seconds, level_dbfs, seed),
        start_shifts(model, audio, shifts),
        join_peaks(model, audio, hop),
        hop,
        name,
    )


def _beginning(path: Path, seconds: float) -> NDArray[np.float32]:
    with open_recording(path) as recording:
        return recording.read(0, min(round(seconds * SAMPLE_RATE), recording.n_samples))


def _scene(seconds: float, seed: int) -> NDArray[np.float32]:
    from babyhubert.simulation.scene import SceneConfig, simulate_scene
    from babyhubert.simulation.voices import SyntheticVoices

    scene = simulate_scene(SceneConfig(minutes=seconds / 60), SyntheticVoices(), np.random.default_rng(seed))
    return scene.render().waveform
