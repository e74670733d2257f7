"""Voice types of a recording: ours in each speed mode beside the alternatives, in turns, in one run.

- `vtc loop`: what VTC 2.2 does, on transformers: windows of 4 s every second, 32 a call, float32, scores averaged;
- `transformers`, `minimal_hubert`: one pass, windows of 4 s end to end, one a call (fastest on a CPU; 32 on a GPU);
- `onnxruntime`, `openvino`: the same pass by transformers' encoder exported to them, where they are installed (CPU),
  in float32, and `openvino bfloat16`, which is its own default on processors with matrix units;
- `ours ...`: the three speed modes, then one pass (no overlap) in each precision, to be compared with the former.

All carry the same random weights (speed does not depend on them) and hear the same noise. On a CPU, rates are also
given by CPU time: that of one core. minimal_hubert is measured where a folder is given that holds it and spidr.

    python benchmarks/inference.py --size base --seconds 20 --threads 1 -o benchmarks/results/inference-base-1.json
    python benchmarks/inference.py --size base --seconds 3600 --device cuda -o benchmarks/results/inference-gpu.json
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch import Tensor, nn

from alternation import Way, alternate, clocks, peaks, ratio, row
from babyhubert.compute.device import resolve_device
from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.cost import forward_operations
from babyhubert.encoder.hubert import HubertEncoder, initialise
from babyhubert.encoder.model_folder import save_model_folder
from babyhubert.encoder.multitask import VoiceTypeModel
from babyhubert.encoder.precision import Precision, use_precision
from babyhubert.inference.speed import SPEEDS, Speed
from babyhubert.tasks.voice_type.prediction import VoiceTypeClassifier, VoiceTypeSettings
from memory import peak_mb
from results import write_results

RATE = 16_000
WINDOW, HOP = 4 * RATE, RATE
TILE = 199 * 320
FRAMES, HOP_FRAMES = 199, 50
VTC_BATCH = 32
LOOP = "vtc loop"


def main() -> None:
    """Measure and print."""
    options = parse()
    device = resolve_device(options.device)
    torch.set_num_threads(options.threads)
    tiles = max(1, round((options.seconds * RATE - WINDOW) / TILE))  # so that windows end to end end with the sound
    sound = np.random.default_rng(0).standard_normal(WINDOW + tiles * TILE).astype(np.float32) * 0.1
    contest = Contest(options, device, sound)
    if options.only:
        contest.ways()[options.only]()
        print(peak_mb())
        return
    ways = chosen(contest.ways(), options.ways)
    for way in contest.warm_up(ways):
        way()
    before = peaks(device)
    seconds = alternate(ways, options.rounds)
    after = peaks(device)
    peak = {name: max(before[name], after[name]) for name in before}
    rows = {}
    for name in ways:
        encoded, dtype = contest.encoded(name)
        operations = encoded * sum(forward_operations(contest.config, WINDOW).values())
        rows[name] = row(seconds[name], len(sound) / RATE, operations, device)
        rows[name]["encoded_windows"] = encoded
        rate = rows[name][f"gflops_{clocks(device)[-1]}"] * 1e9
        rows[name]["share_of_peak"] = round(rate / peak[dtype], 3)
        if LOOP in ways:
            rows[name]["faster_than_vtc_loop"] = {c: ratio(seconds, LOOP, name, c) for c in clocks(device)}
        if not options.no_memory and device.type == "cpu":
            rows[name]["peak_mb"] = memory_of(name)
        print(name, json.dumps(rows[name]), flush=True)
    results = {
        "size": options.size,
        "weights": "random",
        "audio_s": len(sound) / RATE,
        "threads": options.threads,
        "matrix_product_peak_gflops": {name: round(value / 1e9, 1) for name, value in peak.items()},
        "ways": rows,
        "error_of_last_layer": contest.errors(),
    }
    if device.type == "cuda":
        results["peak_gpu_mb"] = round(torch.cuda.max_memory_allocated() / 1e6)
    write_results(options, results)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="base", help="encoder size: nano, small, base, large")
    parser.add_argument("--seconds", type=float, default=20.0, help="audio to run over")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--minimal-hubert", type=Path, help="folder that holds minimal_hubert and spidr, not ours")
    parser.add_argument("--no-memory", action="store_true", help="skip the peak memory of each way, a process each")
    parser.add_argument("--ways", nargs="+", help="measure these only; 'vtc loop' among them: compared with it")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", type=Path)
    return parser.parse_args()


def chosen(ways: dict[str, Way], names: Collection[str] | None) -> dict[str, Way]:
    """The ways to measure.

    Raises:
        SystemExit: a name that is none of them.
    """
    unknown = [name for name in names or () if name not in ways]
    if unknown:
        raise SystemExit(f"--ways {unknown[0]!r}: no such way here; there are {', '.join(ways)}")
    return {name: way for name, way in ways.items() if not names or name in names}


def memory_of(name: str) -> int:
    """Peak resident memory of a process that does this way once."""
    command = [sys.executable, __file__, *sys.argv[1:], "--only", name]
    return round(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1]))


class Contest:
    """Who takes part, with the same weights, over the same sound."""

    def __init__(self, options: argparse.Namespace, device: torch.device, sound: NDArray[np.float32]) -> None:
        self.device = device
        self.sound = sound
        self.config = HubertConfig.of_size(options.size)
        encoder = initialise(HubertEncoder(self.config), torch.Generator().manual_seed(0))
        self.model = VoiceTypeModel(encoder).to(device).eval()
        self.model.encoder.fold_weight_norm()
        self.modes = {speed: mode.precision(device, self.config.hidden_size) for speed, mode in SPEEDS.items()}
        self.precisions: list[Precision] = list(dict.fromkeys(("exact", "float32", *self.modes.values())))
        self.models = {precision: copy.deepcopy(self.model) for precision in self.precisions}
        for precision, model in self.models.items():
            use_precision(model.encoder, precision)
        with tempfile.TemporaryDirectory() as folder:
            save_model_folder(Path(folder), self.model.to_checkpoint(), {})
            self.reference = transformers.HubertModel.from_pretrained(folder).to(device).eval()
        self.anchor = self._minimal_hubert(options.minimal_hubert) if options.minimal_hubert else None
        self.exported = exported(LastHiddenState(self.reference), options) if device.type == "cpu" else {}

    def ways(self) -> dict[str, Way]:
        """What is measured, by name."""
        tiles = VTC_BATCH if self.device.type == "cuda" else 1
        reference = LastHiddenState(self.reference)
        ways: dict[str, Way] = {
            LOOP: lambda: self.loop(reference, HOP, VTC_BATCH),
            "transformers": lambda: self.loop(reference, TILE, tiles),
        }
        if self.anchor is not None:
            anchor = self.anchor
            ways["minimal_hubert"] = lambda: self.loop(anchor, TILE, tiles)
        for name, encoder in self.exported.items():
            ways[name] = lambda encoder=encoder: self.loop(encoder, TILE, 1)
        for speed, precision in self.modes.items():
            ways[f"ours {speed}"] = lambda speed=speed, precision=precision: self.ours(speed, precision)
        for precision in self.precisions:
            ways[f"ours {precision}, one pass"] = lambda precision=precision: self.ours("exact", precision, 0.0)
        return ways

    def warm_up(self, names: Collection[str]) -> list[Way]:
        """The same over two windows: kernels are chosen, memory is taken."""
        short = Contest.__new__(Contest)
        short.__dict__.update(self.__dict__, sound=self.sound[: 2 * TILE + 400])
        return [way for name, way in short.ways().items() if name in names]

    def encoded(self, name: str) -> tuple[int, str]:
        """Windows of 4 s that a way encodes, and the type of its products."""
        if not name.startswith("ours"):
            hop = HOP if name == LOOP else TILE
            products = "bfloat16" if name.endswith("bfloat16") else "float32"
            return len(range(0, len(self.sound) - WINDOW + 1, hop)), products
        kind = name.removeprefix("ours ").removesuffix(", one pass")
        speed: Speed = kind if kind in SPEEDS else "exact"  # type: ignore[assignment]
        overlap = 0.0 if name.endswith("one pass") else None
        precision = self.modes[speed] if kind in SPEEDS else kind
        plan = VoiceTypeSettings.for_speed(speed, overlap=overlap).plan
        return len(plan.spans(len(self.sound))), "bfloat16" if precision == "bfloat16" else "float32"

    def ours(self, speed: Speed, precision: Precision, overlap: float | None = None) -> NDArray[np.float16]:
        """Ours as a user gets it."""
        settings = VoiceTypeSettings.for_speed(speed, overlap=overlap)
        model = VoiceTypeClassifier(self.models[precision], "", "", settings, speed=speed, precision=precision)
        return model.scores(self.sound)

    @torch.inference_mode()
    def loop(self, encoder: nn.Module, hop: int, batch: int) -> NDArray[np.float32]:
        """The usual loop: batches of windows, scores added up where they overlap."""
        starts = range(0, len(self.sound) - WINDOW + 1, hop)
        head = self.model.head("voice_type")
        scores = []
        for first in range(0, len(starts), batch):
            windows = np.stack([self.sound[start : start + WINDOW] for start in starts[first : first + batch]])
            scores.append(torch.sigmoid(head(encoder(torch.from_numpy(windows).to(self.device)))).cpu().numpy())
        frames = starts[-1] // 320 + FRAMES
        total, count = np.zeros((frames, 4), np.float32), np.zeros((frames, 1), np.float32)
        for start, part in zip(starts, np.concatenate(scores), strict=True):
            where = slice(start // 320, start // 320 + FRAMES)
            total[where] += part
            count[where] += 1
        return total / count

    @torch.inference_mode()
    def errors(self) -> dict[str, dict[str, float]]:
        """Last layer of one window against the plain encoder: relative, and largest beside the largest value."""
        window = torch.from_numpy(self.sound[:WINDOW])[None].to(self.device)
        plain = self.model.encoder(window).last
        others = {"transformers": self.reference(window).last_hidden_state}
        others |= {name: encoder(window) for name, encoder in self.exported.items()}
        others |= {name: model.encoder(window).last for name, model in self.models.items() if name != "exact"}
        return {
            name: {
                "relative": float((value - plain).norm() / plain.norm()),
                "mean": float((value - plain).abs().mean()),
                "largest": float((value - plain).abs().max()),
                "largest_value": float(plain.abs().max()),
            }
            for name, value in others.items()
        }

    def _minimal_hubert(self, folder: Path) -> nn.Module:
        sys.path.insert(0, str(folder))
        from minimal_hubert.model import HuBERT

        model = HuBERT("base")
        model.load_state_dict(dict(self.reference.cpu().state_dict()))
        self.reference.to(self.device)
        return model.to(self.device).eval()


class LastHiddenState(nn.Module):
    """transformers' encoder, giving the tensor alone."""

    def __init__(self, model: transformers.HubertModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, waveforms: Tensor) -> Tensor:
        """(B, n) -> (B, T, D)."""
        return self.model(waveforms).last_hidden_state


class Exported(nn.Module):
    """An encoder that another runtime has compiled, for one window of 4 s.

    Args:
        run: From and to arrays.
    """

    def __init__(self, run: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> None:
        super().__init__()
        self._run = run

    def forward(self, waveforms: Tensor) -> Tensor:
        """(1, n) -> (1, T, D)."""
        return torch.from_numpy(self._run(waveforms.numpy()))


def exported(encoder: nn.Module, options: argparse.Namespace) -> dict[str, nn.Module]:
    """The encoder in the runtimes that are installed, of those that are to be measured."""
    measured = [options.only] if options.only else options.ways or RUNTIMES
    return {
        name: Exported(compiled(encoder.eval(), options.threads))
        for name, (packages, compiled) in RUNTIMES.items()
        if name in measured and all(map(importlib.util.find_spec, packages))
    }


def with_onnxruntime(encoder: nn.Module, threads: int) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "encoder.onnx"
        torch.onnx.export(encoder, (torch.zeros(1, WINDOW),), dynamo=True).save(path)
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda waveforms: session.run(None, {name: waveforms})[0]


def with_openvino(
    encoder: nn.Module, threads: int, precision: str = "f32"
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    import openvino

    graph = openvino.convert_model(encoder, example_input=torch.zeros(1, WINDOW))
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
    model = openvino.compile_model(graph, "CPU", settings)
    return lambda waveforms: model(waveforms)[0].copy()


RUNTIMES = {
    "onnxruntime": (("onnxruntime", "onnxscript"), with_onnxruntime),
    "openvino": (("openvino",), with_openvino),
    "openvino bfloat16": (("openvino",), partial(with_openvino, precision="bf16")),
}


if __name__ == "__main__":
    main()
