"""What skipping windows saves and costs: our level detector and silero-vad, at several thresholds, one row each.

A window is encoded where the detector finds anything in it. Recall is the share of labelled time of a class that lies
in encoded windows; F1 is that of `segment --speed fast` with the rest counted as without voices. One thread; the
detector's own speed, reading included, is given beside.

    python benchmarks/skipping.py --audio playroom/dev/audio --reference playroom/dev/rttm -o skipping.json
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from babyhubert.audio.recording import Recording, open_recording
from babyhubert.corpus.silero import STEP, SileroDetector
from babyhubert.evaluation.detection import compare
from babyhubert.evaluation.presentation import read_side
from babyhubert.inference.engine import Engine, Failed, Frames
from babyhubert.inference.quiet import FRAMES_A_STEP, levels_in_voice_band, steps_above_floor
from babyhubert.inference.windows import WindowPlan
from babyhubert.tasks.voice_type.prediction import VoiceTypeClassifier, VoiceTypeSettings, load_model
from babyhubert.timebase import FRAME_HOP, SAMPLE_RATE, frame_count
from labelled import parser_for, read, recordings_of
from results import write_results

MARGINS_DB = (6.0, 10.0, 15.0, 20.0)
PROBABILITIES = (0.01, 0.1, 0.5)
Found = dict[str, NDArray[np.bool_]]
"""By recording: the frames in which a detector finds something."""


def main() -> None:
    """Measure and print."""
    options = parser_for(__doc__).parse_args()
    torch.set_num_threads(1)
    paths = recordings_of(options.audio)
    audio = {name: read(path) for name, path in paths.items()}
    reference = read_side(options.reference)
    model = load_model(options.model, device="cpu", speed="fast")
    rows: list[dict[str, Any]] = []
    exact_plan = VoiceTypeSettings.for_speed("exact", window_settings=model.window_settings).plan
    plans = {"4 s every second": WindowPlan.from_overlap(4.0, 0.75), "the model's, --speed exact": exact_plan}
    for name, speed, found in detections(paths, audio):
        predicted = {key: model.decide(scores(model, sound, found[key])) for key, sound in audio.items()}
        report = compare(reference, predicted, model.labels, None)
        row: dict[str, Any] = {"detector": name, "times_real_time": speed, "f1": round(100 * report.macro_f1, 2)}
        for plan_name, plan in plans.items():
            row[plan_name] = coverage(plan, found, audio, reference, model.labels)
        rows.append(row)
        print(json.dumps(row), flush=True)
    seconds = sum(map(len, audio.values())) / SAMPLE_RATE
    write_results(options, {"audio_s": seconds, "model": model.name, "model_sha256": model.hash, "rows": rows})


def detections(paths: dict[str, Path], audio: dict[str, NDArray[np.float32]]) -> Iterator[tuple[str, float, Found]]:
    """Name, speed (x real time) and what is found, of every detector."""
    everything = {name: np.ones(frame_count(len(sound)), dtype=bool) for name, sound in audio.items()}
    yield "none: all is encoded", 0.0, everything
    levels, speed = timed(paths, audio, in_voice_band)
    for margin in MARGINS_DB:
        steps = {name: steps_above_floor(values, margin) for name, values in levels.items()}
        found = {name: on_frames(steps[name], FRAMES_A_STEP * FRAME_HOP, audio[name]) for name in audio}
        yield f"level, {margin:g} dB", speed, found
    voices, speed = timed(paths, audio, SileroDetector())
    for threshold in PROBABILITIES:
        found = {name: on_frames(values > threshold, STEP, audio[name]) for name, values in voices.items()}
        yield f"silero, {threshold:g}", speed, found


def in_voice_band(recording: Recording) -> NDArray[np.float32]:
    return levels_in_voice_band(block.samples for block in recording.blocks())


def timed(
    paths: dict[str, Path], audio: dict[str, NDArray[np.float32]], detect: Callable[[Recording], NDArray[np.float32]]
) -> tuple[dict[str, NDArray[np.float32]], float]:
    """What a detector gives for each recording, and its speed, reading included."""
    values = {}
    began = time.process_time()
    for name, path in paths.items():
        with open_recording(path) as recording:
            values[name] = detect(recording)
    return values, round(sum(map(len, audio.values())) / SAMPLE_RATE / (time.process_time() - began))


def on_frames(steps: NDArray[np.bool_], step: int, sound: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Frames any part of whose 20 ms lies in a step that is on."""
    begins = np.arange(frame_count(len(sound))) * FRAME_HOP
    last = len(steps) - 1
    return steps[np.minimum(begins // step, last)] | steps[np.minimum((begins + FRAME_HOP - 1) // step, last)]


def scores(model: VoiceTypeClassifier, sound: NDArray[np.float32], found: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Scores of a recording of which only windows with something in them are encoded, the rest 0."""

    def wanted(key: Hashable, first: int, stop: int) -> bool:
        return bool(found[first:stop].any())

    engine: Engine = replace(model.engine(), wanted=wanted)
    values = np.zeros((frame_count(len(sound)), len(model.labels)), dtype=np.float32)
    for event in engine.run([("", [sound])]):
        if isinstance(event, Failed):
            raise event.error
        if isinstance(event, Frames):
            values[event.first : event.first + len(event.values)] = event.values
    return values


def coverage(
    plan: WindowPlan, found: Found, audio: dict[str, NDArray[np.float32]], reference: Any, labels: tuple[str, ...]
) -> dict[str, Any]:
    """Share of windows that are skipped, and recall by class."""
    windows = skipped = 0
    kept, labelled = dict.fromkeys(labels, 0), dict.fromkeys(labels, 0)
    for name, sound in audio.items():
        covered = np.zeros(frame_count(len(sound)), dtype=bool)
        for start, stop in plan.spans(len(sound)):
            frames = slice(start // FRAME_HOP, start // FRAME_HOP + frame_count(stop - start))
            windows += 1
            if found[name][frames].any():
                covered[frames] = True
            else:
                skipped += 1
        for segment in reference.get(name, ()):
            frames = slice(segment.start // FRAME_HOP, min(segment.end // FRAME_HOP, len(covered)))
            if segment.label in kept:
                labelled[segment.label] += frames.stop - frames.start
                kept[segment.label] += int(covered[frames].sum())
    recall = {label: round(100 * kept[label] / labelled[label], 2) for label in labels if labelled[label]}
    return {"windows_skipped": round(skipped / windows, 3), "recall": recall}


if __name__ == "__main__":
    main()
