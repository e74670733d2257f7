"""Where the time of `segment` goes, stage by stage: from a file on disk to segments, one core.

Each stage runs alone over the same audio, so that their sum is what one core needs; in `segment` decoding runs in a
thread of its own. Reading is measured from an MP3 at 44.1 kHz in stereo (decode, mix, resample) and from a FLAC at
16 kHz. The encoder's stages are those of its matrix form in the fastest precision of the machine: for each its
operations a second, and what share of the machine's own matrix-product peak that is. A stage far below the peak whose
operations are few is bound by memory, not by arithmetic.

    python benchmarks/pipeline.py --size base --windows 8 -o benchmarks/results/pipeline-base.json
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from alternation import Way, alternate, median, peaks
from babyhubert.audio.recording import open_recording
from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.cost import by_stage, forward_operations
from babyhubert.encoder.hubert import HubertEncoder, initialise
from babyhubert.encoder.matrix_form import MatrixForm, use_matrix_form
from babyhubert.encoder.precision import fastest_precision
from babyhubert.inference.engine import Engine
from babyhubert.inference.post_processing import MinimumDurations, decide
from babyhubert.inference.speed import SPEEDS
from babyhubert.tasks.voice_type.prediction import VoiceTypeSettings
from results import write_results

RATE = 16_000
WINDOW = 4 * RATE
FRAMES = 199
CLASSES = ("KCHI", "OCH", "MAL", "FEM")
STAGES = ("convolution 0", "later convolutions", "projection", "position", "blocks")


def main() -> None:
    """Measure and print."""
    options = parse()
    torch.set_num_threads(1)
    device = torch.device("cpu")
    config = HubertConfig.of_size(options.size)
    dtype = {"bfloat16": torch.bfloat16}.get(fastest_precision(device), torch.float32)
    encoder = initialise(HubertEncoder(config), torch.Generator().manual_seed(0)).eval()
    form = use_matrix_form(encoder, dtype).inference_form
    assert isinstance(form, MatrixForm)
    audio_s = options.minutes * 60
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        ways = {**reading(Path(folder), options.minutes), **after_the_encoder(audio_s)}
        sound = torch.randn(1, WINDOW, generator=torch.Generator().manual_seed(0)) * 0.1
        steps = encoder_stages(form, sound, options.windows)
        for way in (*ways.values(), *steps.values()):
            way()
        seconds = alternate({**ways, **steps}, options.rounds)
        peak = peaks(device)[str(dtype).removeprefix("torch.")]
    operations = counted(config)
    rows: dict[str, dict[str, Any]] = {}
    for name in ways:
        rows[name] = {"ms_per_audio_s": 1000 * median(seconds[name], "cpu") / audio_s}
    for name in steps:
        taken = median(seconds[name], "cpu") / options.windows
        encoded = 1 / (1 - (SPEEDS[options.speed].overlap or 0.75))
        rate = operations[name] / taken
        rows[name] = {
            "ms_per_audio_s": 1000 * taken / (WINDOW / RATE) * encoded,
            "gflops": round(rate / 1e9, 1),
            "share_of_peak": round(rate / peak, 3),
        }
    total = sum(one["ms_per_audio_s"] for name, one in rows.items() if not name.startswith("read flac"))
    for name, one in rows.items():
        one["share_of_time"] = round(one["ms_per_audio_s"] / total, 4)
        one["ms_per_audio_s"] = round(one["ms_per_audio_s"], 4)
        print(name, json.dumps(one))
    results = {"size": options.size, "precision": str(dtype), "speed": options.speed, "peak_gflops": peak / 1e9}
    write_results(options, {**results, "stages": rows})


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="base", help="encoder size: nano, small, base, large")
    parser.add_argument("--speed", default="balanced", choices=list(SPEEDS), help="how often a second is encoded")
    parser.add_argument("--windows", type=int, default=8, help="windows of 4 s a turn, for the encoder's stages")
    parser.add_argument("--minutes", type=float, default=2.0, help="audio a turn, for the other stages")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path)
    return parser.parse_args()


def reading(folder: Path, minutes: float) -> dict[str, Way]:
    """Decode, mix and resample."""
    rng = np.random.default_rng(0)
    stereo = (rng.standard_normal((round(minutes * 60 * 44_100), 2)) * 0.05).astype(np.float32)
    soundfile.write(folder / "day.mp3", stereo, 44_100)
    soundfile.write(folder / "day.flac", stereo[: round(minutes * 60 * RATE), 0], RATE)

    def read(path: Path) -> Way:
        def whole() -> None:
            with open_recording(path) as recording:
                for _ in recording.blocks():
                    pass

        return whole

    return {
        "read mp3 44.1 kHz stereo": read(folder / "day.mp3"),
        "read flac 16 kHz mono": read(folder / "day.flac"),
    }


def after_the_encoder(audio_s: float) -> dict[str, Way]:
    """Cutting and joining windows around a model that costs nothing; thresholds and clean-up."""
    sound = np.zeros(round(audio_s * RATE), np.float32)
    outputs = torch.rand(16, FRAMES, len(CLASSES), generator=torch.Generator().manual_seed(0))
    settings = VoiceTypeSettings.for_speed("balanced")
    engine = Engine(lambda windows: outputs[: len(windows), : windows.shape[1] // 320], settings.plan, 8)
    blocks = [sound[start : start + 10 * RATE] for start in range(0, len(sound) - 80_000, 10 * RATE)]
    rng = np.random.default_rng(0)
    wander = np.cumsum(rng.standard_normal((round(audio_s * 50), len(CLASSES))), axis=0)
    scores: NDArray[np.float64] = 1 / (1 + np.exp(-wander / 5))

    def windows() -> None:
        for _ in engine.run([("day", blocks)]):
            pass

    def segments() -> None:
        decide(scores, dict.fromkeys(CLASSES, 0.5), MinimumDurations())

    return {"windows and stitching": windows, "thresholds and clean-up": segments}


def encoder_stages(form: MatrixForm, sound: torch.Tensor, times: int = 1) -> dict[str, Way]:
    """Each stage over the output of the one before, a batch of windows (B, WINDOW) a call, so many times."""
    first = form.first(sound, form.later_stride)[0]

    def convolve(x: torch.Tensor = first) -> torch.Tensor:
        for convolution in form.convolutions:
            x = convolution(x)
        return x

    features = convolve().unflatten(0, (len(sound), -1))[:, :FRAMES]

    def project() -> torch.Tensor:
        return form.projection(form.projection_norm(features))

    projected = project()

    def place() -> torch.Tensor:
        x = projected + form.position(projected)
        return x if form.pre_norm else form.layer_norm(x)

    placed = place()

    def attend() -> torch.Tensor:
        x = placed
        for block in form.blocks:
            x = block(x, None)
        return x

    def often(stage: Callable[[], object]) -> Way:
        def way() -> None:
            for _ in range(times):
                stage()

        return way

    stages = (lambda: form.first(sound, form.later_stride), convolve, project, place, attend)
    return {name: often(stage) for name, stage in zip(STAGES, stages, strict=True)}


def counted(config: HubertConfig) -> dict[str, int]:
    parts = forward_operations(config, WINDOW)
    sums = by_stage(parts, ["convolution", "projection", "position", "block"])
    first = parts["convolution 0"]
    return dict(zip(STAGES, (first, sums["convolution"] - first, *list(sums.values())[1:]), strict=True))


if __name__ == "__main__":
    main()
