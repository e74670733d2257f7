"""Where the encoder's time goes on a GPU, stage by stage: inference in matrix form, then a step of pre-training.

Inference: milliseconds of each stage for one batch, and of the whole as plain calls and as a replayed graph. Training:
forward and backward of each stage, convolutions as torch runs them and as products of rows, blocks as they are and
compiled; the whole step; and how much of it passes before its last kernel is even launched: where that is nearly all,
the processor is what holds the card up.

    python benchmarks/gpu_stages.py -o benchmarks/results/gpu-stages.json
    python benchmarks/gpu_stages.py --device cpu --size nano --windows 2 --rows 1 --seconds 2    # does it run?
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from alternation import Way, median, peaks, synchronise, timed
from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.cost import forward_operations
from babyhubert.encoder.hubert import HubertEncoder, initialise
from babyhubert.encoder.matrix_form import MatrixForm, use_matrix_form
from babyhubert.inference.batching import RecordedBatch
from babyhubert.pretraining.model import MaskedPrediction
from babyhubert.pretraining.settings import OptimiserSettings
from babyhubert.training.optimiser import build_optimiser
from pipeline import RATE, WINDOW, encoder_stages
from results import write_results
from training import make_batch, make_step

Measured = Iterator[tuple[str, str, float]]
"""Stage, unit, value."""


def main() -> None:
    """Measure and print."""
    options = parse()
    device, config = torch.device(options.device), HubertConfig.of_size(options.size)
    results: dict[str, Any] = {"size": options.size, "peak_gflops": {k: v / 1e9 for k, v in peaks(device).items()}}
    for name, measured in (
        ("inference", inference(config, device, options.windows, options.calls)),
        ("training", training(config, device, options)),
    ):
        results[name] = {}
        for stage, unit, value in measured:
            results[name].setdefault(unit, {})[stage] = round(value, 3)
            print(f"{name:10} {stage:45} {value:12.3f} {unit}", flush=True)
            write_results(options, results)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="base")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--windows", type=int, default=101, help="windows of 4 s in one batch of inference")
    parser.add_argument("--rows", type=int, default=11, help="segments in one batch of training")
    parser.add_argument("--seconds", type=float, default=15.9, help="length of each")
    parser.add_argument("--calls", type=int, default=6, help="calls of each stage, of which the median counts")
    parser.add_argument("-o", "--output", type=Path)
    return parser.parse_args()


def milliseconds(way: Way, calls: int) -> float:
    for _ in range(3):
        way()
    return 1000 * median([timed(way) for _ in range(calls)], "wall")


@torch.inference_mode()
def inference(config: HubertConfig, device: torch.device, windows: int, calls: int) -> Measured:
    """Stages of one batch; of the whole, times real time and operations a second."""
    encoder = initialise(HubertEncoder(config), torch.Generator().manual_seed(0)).eval().to(device)
    sound = torch.randn(windows, WINDOW, device=device) * 0.1
    plain = milliseconds(lambda: encoder(sound), calls)
    form = use_matrix_form(encoder, torch.bfloat16).inference_form
    assert isinstance(form, MatrixForm)
    for stage, way in encoder_stages(form, sound).items():
        yield stage, "ms", milliseconds(way, calls)
    operations = windows * sum(forward_operations(config, WINDOW).values())
    ways: dict[str, float] = {"exact": plain, "bfloat16": milliseconds(lambda: encoder(sound), calls)}
    if device.type == "cuda":
        graph = RecordedBatch(lambda waveforms: encoder(waveforms).last, device, (windows, WINDOW))
        ways["bfloat16, graph"] = milliseconds(lambda: graph(sound), calls)
    for name, taken in ways.items():
        yield name, "x real time", windows * WINDOW / RATE / taken * 1000
        yield name, "GFLOP/s", operations / taken / 1e6


def training(config: HubertConfig, device: torch.device, options: argparse.Namespace) -> Measured:
    """Forward and backward of each stage and of a whole step in bfloat16 autocast."""
    batch = make_batch(options.rows, options.seconds, 500, device)
    model = MaskedPrediction.fresh(config, 500, torch.Generator().manual_seed(0)).to(device).train()
    encoder, heard = model.encoder, batch.pcm.float() / 32_768
    frames = torch.randn(*batch.mask.shape, config.hidden_size, device=device, requires_grad=True)
    kept = torch.ones((), dtype=torch.bool, device=device)

    def there_and_back(run: Callable[[], Tensor]) -> float:
        def way() -> None:
            with torch.autocast(device.type, torch.bfloat16):
                y = run()
            y.backward(torch.ones_like(y))
            encoder.zero_grad(set_to_none=True)
            frames.grad = None

        return milliseconds(way, options.calls)

    def blocks() -> Tensor:
        x = frames
        for block in encoder.encoder.layers:
            x = block(x, None, kept)
        return x

    step = make_step(model, lambda one: model(one).loss, device, "bf16")
    for rows, name in ((False, "convolutions"), (True, "rows")):
        encoder.convolve_by_rows(rows)
        yield f"front-end, {name}", "ms", there_and_back(lambda: encoder.feature_extractor(heard))
        yield f"position, {name}", "ms", there_and_back(lambda: encoder.encoder.pos_conv_embed(frames))
        yield f"step, {name}", "ms", milliseconds(lambda: step(batch), options.calls)
    yield "blocks", "ms", there_and_back(blocks)
    yield from _update(model, options.calls)
    began = time.perf_counter()
    encoder.prepare_training(compiled=True)
    step(batch)
    yield "compiling", "s", time.perf_counter() - began
    yield "blocks, compiled", "ms", there_and_back(blocks)
    taken = milliseconds(lambda: step(batch), options.calls)
    yield "step, rows, compiled", "ms", taken
    yield "step, rows, compiled: until launched", "ms", _launched(lambda: step(batch), options.calls)
    operations = 3 * options.rows * sum(forward_operations(config, int(options.seconds * RATE)).values())
    yield "step, rows, compiled", "GFLOP/s", operations / taken / 1e6


def _update(model: nn.Module, calls: int) -> Measured:
    optimiser = build_optimiser(model, OptimiserSettings())
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 1e-4)
    yield "clipping", "ms", milliseconds(lambda: nn.utils.clip_grad_norm_(model.parameters(), 10.0), calls)
    yield "optimiser", "ms", milliseconds(optimiser.step, calls)
    model.zero_grad(set_to_none=True)


def _launched(way: Way, calls: int) -> float:
    """Milliseconds a call until the processor has asked for everything, without waiting for the card."""
    synchronise()
    began = time.perf_counter()
    for _ in range(calls):
        way()
    launched = time.perf_counter() - began
    synchronise()
    return 1000 * launched / calls


if __name__ == "__main__":
    main()
