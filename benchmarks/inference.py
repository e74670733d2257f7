"""Voice type over a recording: our engine against the usual way, in one run, as ratios.

The usual way is what the published tool does since its version 2.2: transformers' ``HubertModel`` on windows of 4 s
at a hop of 1 s, batch after batch, outputs averaged. Both sides get the same weights and the same samples, take turns,
and are compared by the median over rounds; the largest difference between their hidden states is reported too.

    python benchmarks/inference.py --size base --minutes 1 -o inference.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.hubert import HubertEncoder, initialise
from babyhubert.encoder.model_folder import save_model_folder
from babyhubert.inference.voice_type import VoiceTypeClassifier, VoiceTypeSettings
from babyhubert.inference.windows import WindowPlan
from babyhubert.tasks.voice_type import VoiceTypeModel

RATE = 16_000
WINDOW, HOP = 4 * RATE, RATE
FRAMES, HOP_FRAMES = 199, 50


def main() -> None:
    """Measure and print."""
    options = parse()
    torch.set_num_threads(options.threads)
    encoder = initialise(HubertEncoder(HubertConfig.of_size(options.size)), torch.Generator().manual_seed(0))
    model = VoiceTypeModel(encoder).eval()
    reference = as_transformers(model, options.folder)
    model.encoder.fold_weight_norm()
    sound = np.random.default_rng(0).standard_normal(round(options.minutes * 60) * RATE).astype(np.float32) * 0.1
    difference = hidden_difference(reference, model, sound[:WINDOW])
    ways: dict[str, Callable[[], NDArray[np.float32]]] = {
        f"transformers, 1 s hop, {n} windows a call": lambda n=n: usual_way(reference, model, sound, n)
        for n in options.reference_batch
    }
    for overlap in (0.75, 0.0):
        settings = VoiceTypeSettings(plan=WindowPlan.from_overlap(4.0, overlap))
        ours = VoiceTypeClassifier(model, "benchmark", "", settings)
        ways[f"ours, overlap {overlap}"] = lambda ours=ours: ours.scores(sound)
    scores = {name: way() for name, way in ways.items()}  # the first call of each also warms it up
    seconds = measure(ways, options.rounds)
    names = list(ways)
    best_usual = min(names[:-2], key=lambda name: float(np.median(seconds[name])))
    medians = {name: float(np.median(times)) for name, times in seconds.items()}
    result = {
        "size": options.size,
        "audio_s": len(sound) / RATE,
        "rounds": options.rounds,
        "machine": {
            "cores": os.cpu_count(),
            "threads": options.threads,
            "system": platform.platform(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "median_seconds": medians,
        "times_real_time": {name: len(sound) / RATE / value for name, value in medians.items()},
        "speed_over_best_usual_way": {name: medians[best_usual] / medians[name] for name in names[-2:]},
        "best_usual_way": best_usual,
        "max_difference_hidden_states": difference,
        "max_difference_scores_same_overlap": float(
            np.abs(scores[best_usual] - scores[names[-2]][: len(scores[best_usual])].astype(np.float32)).max()
        ),
    }
    text = json.dumps(result, indent=2)
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="base", help="encoder size: nano, small, base, large")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--reference-batch", type=int, nargs="+", default=[1, 8], help="the best of these counts")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/benchmark-model"), help="scratch model folder")
    parser.add_argument("-o", "--output", type=Path)
    return parser.parse_args()


def as_transformers(model: VoiceTypeModel, folder: Path) -> transformers.HubertModel:
    save_model_folder(folder, model.to_checkpoint(), {})
    return transformers.HubertModel.from_pretrained(folder).eval()


@torch.inference_mode()
def hidden_difference(reference: transformers.HubertModel, model: VoiceTypeModel, sound: NDArray[np.float32]) -> float:
    waveform = torch.from_numpy(sound)[None]
    theirs = reference(waveform, output_hidden_states=True).hidden_states
    ours = model.encoder(waveform, layers=range(len(theirs))).hidden
    return max(float((ours[k] - theirs[k]).abs().max()) for k in range(len(theirs)))


@torch.inference_mode()
def usual_way(
    reference: transformers.HubertModel, model: VoiceTypeModel, sound: NDArray[np.float32], batch: int
) -> NDArray[np.float32]:
    starts = range(0, len(sound) - WINDOW + 1, HOP)
    windows = torch.from_numpy(np.stack([sound[start : start + WINDOW] for start in starts]))
    scores = [
        torch.sigmoid(model.head("voice_type")(reference(part).last_hidden_state)).numpy()
        for part in torch.split(windows, batch)
    ]
    frames = (len(starts) - 1) * HOP_FRAMES + FRAMES
    total, count = np.zeros((frames, len(model.labels)), np.float32), np.zeros((frames, 1), np.float32)
    for index, part in enumerate(np.concatenate(scores)):
        where = slice(index * HOP_FRAMES, index * HOP_FRAMES + FRAMES)
        total[where] += part
        count[where] += 1
    return total / count


def measure(ways: dict[str, Callable[[], NDArray[np.float32]]], rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        order = list(ways) if number % 2 == 0 else list(ways)[::-1]
        for name in order:
            began = time.perf_counter()
            ways[name]()
            seconds[name].append(time.perf_counter() - began)
    return seconds


if __name__ == "__main__":
    main()
