"""What each speed mode costs in accuracy: F1 on labelled recordings, one row a mode, then the parts a mode is made of.

The parts: arithmetic alone (bfloat16 at the published overlap), overlap alone, other ways of joining windows, longer
windows. One thread; CPU seconds tell the relative cost. Scores are computed in memory, decisions are those of
`segment`.

    python benchmarks/speed_accuracy.py --audio playroom/dev/audio --reference playroom/dev/rttm -o accuracy.json
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from babyhubert.encoder.context import WindowSettings
from babyhubert.encoder.precision import Precision, fastest_precision, has_byte_products, use_precision
from babyhubert.evaluation.detection import compare
from babyhubert.evaluation.presentation import read_side
from babyhubert.inference.speed import SPEEDS, Speed
from babyhubert.tasks.voice_type.prediction import VoiceTypeSettings, load_model
from babyhubert.timebase import SAMPLE_RATE
from labelled import parser_for, read, recordings_of
from results import write_results

BLENDS = ("mean", "taper")


def main() -> None:
    """Measure and print."""
    options = parse()
    torch.set_num_threads(1)
    audio = {name: read(path) for name, path in recordings_of(options.audio).items()}
    reference = read_side(options.reference)
    model = load_model(options.model, device="cpu")
    seconds = sum(map(len, audio.values())) / SAMPLE_RATE
    rows: list[dict[str, Any]] = []
    exact = np.empty(0)
    for name, precision, settings in trials(
        model.window_settings, model.model.encoder.config.hidden_size, options.modes_only
    ):
        use_precision(model.model.encoder, precision)
        ours = replace(model, settings=settings, precision=precision)
        began = time.process_time()
        scores = {key: ours.scores(samples) for key, samples in audio.items()}
        cpu = time.process_time() - began
        report = compare(reference, {key: ours.decide(values) for key, values in scores.items()}, ours.labels, None)
        joined = np.concatenate([values.astype(np.float64) for values in scores.values()])
        exact = joined if not rows else exact
        rows.append(
            {
                "name": name,
                "precision": precision,
                "f1": round(100 * report.macro_f1, 2),
                "f1_by_class": {label: round(100 * value, 1) for label, value in report.f1.items()},
                "f1_change": round(100 * report.macro_f1 - rows[0]["f1"], 2) if rows else 0.0,
                "score_difference": {
                    "mean": round(float(np.abs(joined - exact).mean()), 5),
                    "largest": round(float(np.abs(joined - exact).max()), 3),
                },
                "times_real_time_a_core": round(seconds / cpu, 1),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    write_results(options, {"audio_s": seconds, "model": model.name, "model_sha256": model.hash, "rows": rows})


def parse() -> argparse.Namespace:
    parser = parser_for(__doc__)
    parser.add_argument("--modes-only", action="store_true", help="leave the parts out")
    return parser.parse_args()


def trials(
    window_settings: WindowSettings, width: int, modes_only: bool
) -> list[tuple[str, Precision, VoiceTypeSettings]]:
    """Name, precision and settings of each row for a model that listens so; exact comes first."""
    cpu, own = torch.device("cpu"), window_settings.context_s
    found: list[tuple[str, Precision, VoiceTypeSettings]] = [
        (
            f"--speed {speed}",
            mode.precision(cpu, width),
            VoiceTypeSettings.for_speed(speed, window_settings=window_settings),
        )
        for speed, mode in SPEEDS.items()
    ]
    if modes_only:
        return found
    quick, speed = fastest_precision(cpu), "balanced"

    def part(name: str, precision: Precision = quick, **how: Any) -> None:
        mode: Speed = speed  # type: ignore[assignment]
        found.append((name, precision, VoiceTypeSettings.for_speed(mode, window_settings=window_settings, **how)))

    part("arithmetic alone: overlap 0.75", overlap=0.75)
    if has_byte_products():
        part("int8 alone: overlap 0.75", "int8", overlap=0.75)
    for overlap in (0.75, 0.5, 0.25):
        for blend in BLENDS:
            if (overlap, blend) != (0.75, "mean"):
                part(f"{own:g} s, overlap {overlap}, {blend}", overlap=overlap, blend=blend)
    part(f"{own:g} s, overlap 0", overlap=0.0)
    for window in sorted({4.0, 8.0, 16.0, 30.0} - {own}):
        part(f"{window:g} s, overlap 0.25, taper", window_s=window, overlap=0.25, blend="taper")
    return found


if __name__ == "__main__":
    main()
