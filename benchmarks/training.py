"""A step of pre-training: ours, a plain transformers loop, and one built the way the published recipe is.

All train the same shape on the same audio, masks and labels, AdamW, clipped gradients, one after the other in every
round; what counts is the ratio within a round.

- ours: `babyhubert.pretraining`: masked frames through one matrix product, convolutions as matrix products (and on
  a GPU, by its trainer's default, `--compile`);
- ours, replayed: the same, forward and backward passes replayed as a CUDA graph (its trainer's way with
  `batches.lengths`); on a GPU only;
- ours, convolutions: the first with torch's convolutions;
- plain: transformers' HubertModel, the same head as a matrix product over all frames, of which masked ones count;
- published: transformers' HubertModel with a dense additive mask in attention, and the logits of masked frames, and of
  all others, as a (K + 1, N, 256) tensor of cosine similarities each;
- minimal_hubert: its own model, where a folder is given that holds it and spidr. It computes masked frames only.

Operations are counted as three forward passes of the encoder; their rate is set beside the machine's own peak.

    python benchmarks/training.py --size nano --rows 4 --seconds 10 --rounds 5 -o benchmarks/results/training-nano.json
    python benchmarks/training.py --size base --rows 11 --seconds 15.9 --device cuda --precision bf16 --compile -o ...

With `--compile`, ours compiles its blocks and minimal_hubert its whole model, each as its own trainer does.
"""

# ruff: noqa: D102  (the class says what its forward takes and gives)

from __future__ import annotations

import argparse
import copy
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from torch import Tensor, nn

from alternation import Way, alternate, clocks, peaks, ratio, row
from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.cost import forward_operations
from babyhubert.encoder.pretraining_head import PretrainingHead
from babyhubert.pretraining.batches import Batch
from babyhubert.pretraining.masking import MaskSettings, most_masked, span_mask
from babyhubert.pretraining.model import MaskedPrediction
from babyhubert.pretraining.settings import OptimiserSettings
from babyhubert.training.optimiser import build_optimiser
from babyhubert.training.recorded_gradients import FlatGradients, RecordedGradients
from results import write_results

Step = Callable[[Batch], Tensor]
REPLAYED = "ours, replayed"
WARM_UP = 3  # steps: kernels are chosen, what is to be compiled is compiled


class Plain(nn.Module):
    """transformers' encoder and a head over every frame."""

    def __init__(self, config: HubertConfig, units: int) -> None:
        super().__init__()
        settings = {**config.to_transformers(), "mask_time_prob": 0.05, "apply_spec_augment": True}
        self.hubert = transformers.HubertModel(transformers.HubertConfig(**settings))
        self.head = PretrainingHead(config.hidden_size, units)

    def frames(self, batch: Batch) -> tuple[Tensor, Tensor]:
        features = self.hubert.feature_extractor(batch.pcm.float() / 32_768)
        hidden = self.hubert.feature_projection(features.transpose(1, 2))
        hidden = torch.where(batch.mask[..., None], self.head.mask_embedding, hidden)
        return self.hubert.encoder(hidden).last_hidden_state, features.float().pow(2).mean()

    def forward(self, batch: Batch) -> Tensor:
        frames, penalty = self.frames(batch)
        logits = self.head.logits(frames)[batch.mask]
        return F.cross_entropy(logits, batch.units[batch.mask], reduction="sum") + 10 * penalty * len(logits)


class Published(Plain):
    """The same encoder with a dense mask and the published logits, of masked and of all other frames."""

    def frames(self, batch: Batch) -> tuple[Tensor, Tensor]:
        features = self.hubert.feature_extractor(batch.pcm.float() / 32_768)
        hidden = self.hubert.feature_projection(features.transpose(1, 2))
        hidden = torch.where(batch.mask[..., None], self.head.mask_embedding, hidden)
        encoder, rows, frames = self.hubert.encoder, *hidden.shape[:2]
        dense = hidden.new_zeros(rows, 1, frames, frames)
        x = encoder.dropout(encoder.layer_norm(hidden + encoder.pos_conv_embed(hidden)))
        for layer in encoder.layers:
            output = layer(x, attention_mask=dense)
            x = output[0] if isinstance(output, tuple) else output
        return x, features.float().pow(2).mean()

    def forward(self, batch: Batch) -> Tensor:
        frames, penalty = self.frames(batch)
        masked = self._cross_entropy(frames[batch.mask], batch.units[batch.mask])
        others = self._cross_entropy(frames[~batch.mask], batch.units[~batch.mask])
        return masked + 0.0 * others + 10 * penalty * int(batch.mask.sum())

    def _cross_entropy(self, frames: Tensor, units: Tensor) -> Tensor:
        projected, embeddings = self.head.final_proj(frames), self.head.label_embeddings
        positives = embeddings[units]
        candidates = torch.cat([positives[None], embeddings[:, None].expand(-1, len(frames), -1)])
        logits = torch.cosine_similarity(projected[None].float(), candidates.float(), dim=-1) / 0.1
        same = (positives[None] == candidates[1:]).all(-1)
        logits[1:][same] = float("-inf")
        return F.cross_entropy(
            logits.T, torch.zeros(len(frames), dtype=torch.int64, device=units.device), reduction="sum"
        )


class MinimalHubert(nn.Module):
    """minimal_hubert's model and loss, without the dense attention mask that its loader makes.

    Args:
        folder: Holds minimal_hubert and spidr.
        units: Number of classes.
        compiled: Compile as its trainer does.
    """

    def __init__(self, folder: Path, units: int, compiled: bool) -> None:
        super().__init__()
        sys.path.insert(0, str(folder))
        from minimal_hubert.model import HuBERTPretrain

        self.model = HuBERTPretrain(units, size="base")
        self.model.init_weights_()
        if compiled:
            self.model.compile(dynamic=True)

    def forward(self, batch: Batch) -> Tensor:
        losses, _ = self.model(batch.pcm.float() / 32_768, batch.units, mask=batch.mask, attention_mask=None)
        return losses.sum()


def make_batch(rows: int, seconds: float, units: int, device: torch.device) -> Batch:
    rng = np.random.default_rng(0)
    samples = int(seconds * 16_000)
    frames = (samples - 400) // 320 + 1
    mask = span_mask(rows, frames, MaskSettings(), rng)
    pcm = rng.integers(-8000, 8000, (rows, samples)).astype(np.int16)
    room = rows * most_masked(frames, MaskSettings())
    return Batch.of(pcm, rng.integers(0, units, (rows, frames)), mask, room).to(device)


def make_step(model: nn.Module, loss_of: Callable[[Batch], Tensor], device: torch.device, precision: str) -> Step:
    model.to(device).train()
    optimiser = build_optimiser(model, OptimiserSettings())

    def step(batch: Batch) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            loss = loss_of(batch)
        (loss / batch.masked).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return loss.detach()

    return step


def make_replayed_step(model: MaskedPrediction, device: torch.device, precision: str) -> Step:
    """As the trainer does it, for batches of one shape."""
    model.to(device).train()
    optimiser = build_optimiser(model, OptimiserSettings())
    gradients = FlatGradients(model.parameters())

    def forward_backward(*tensors: Tensor) -> tuple[Tensor, ...]:
        pcm, units, mask, positions, targets, share = tensors
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            loss = model(Batch(pcm, units, mask, positions, targets, 0)).loss
        (loss * share).backward()
        return (loss.detach(),)

    recorded = RecordedGradients(forward_backward, gradients, device)

    def step(batch: Batch) -> Tensor:
        (loss,) = recorded(*batch.tensors, torch.full((), 1 / batch.masked, device=device))
        gradients.clip(10.0)
        optimiser.step()
        gradients.values.zero_()
        return loss

    return step


def make_models(arguments: argparse.Namespace, config: HubertConfig, device: torch.device) -> dict[str, nn.Module]:
    """Who takes part, by name."""
    ours = MaskedPrediction.fresh(config, arguments.units, torch.Generator().manual_seed(0))
    models: dict[str, nn.Module] = {"ours": ours}
    if device.type == "cuda" and REPLAYED not in arguments.skip:
        models[REPLAYED] = copy.deepcopy(ours)
        models[REPLAYED].encoder.prepare_training(compiled=arguments.compile)
    if "ours, convolutions" not in arguments.skip:
        convolutions = copy.deepcopy(ours)
        convolutions.encoder.prepare_training(compiled=arguments.compile).convolve_by_rows(False)
        models["ours, convolutions"] = convolutions
    ours.encoder.prepare_training(compiled=arguments.compile)
    if "plain" not in arguments.skip:
        models["plain"] = Plain(config, arguments.units)
    if "published" not in arguments.skip:
        models["published"] = Published(config, arguments.units)
    if arguments.minimal_hubert:
        models["minimal_hubert"] = MinimalHubert(arguments.minimal_hubert, arguments.units, arguments.compile)
    return models


def make_step_of(name: str, model: nn.Module, device: torch.device, precision: str) -> Step:
    if name == REPLAYED:
        return make_replayed_step(cast("MaskedPrediction", model), device, precision)
    return make_step(model, (lambda b: model(b).loss) if name.startswith("ours") else model, device, precision)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="nano")
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--units", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=["float32", "bf16"], default="float32")
    parser.add_argument("--compile", action="store_true", help="torch.compile ours and minimal_hubert")
    parser.add_argument("--minimal-hubert", type=Path, help="folder that holds minimal_hubert and spidr, not ours")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument(
        "--skip", nargs="*", default=[], choices=[REPLAYED, "ours, convolutions", "plain", "published"]
    )
    arguments = parser.parse_args()
    if arguments.minimal_hubert and arguments.size != "base":
        parser.error("--minimal-hubert is of size base")
    device, config = torch.device(arguments.device), HubertConfig.of_size(arguments.size)
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")
    batch = make_batch(arguments.rows, arguments.seconds, arguments.units, device)
    models = make_models(arguments, config, device)
    steps = {name: make_step_of(name, model, device, arguments.precision) for name, model in models.items()}
    ways: dict[str, Way] = {name: partial(step, batch) for name, step in steps.items()}
    for way in ways.values():
        for _ in range(WARM_UP):
            way()
    seconds = alternate(ways, arguments.rounds)
    found = peaks(device)
    audio = arguments.rows * arguments.seconds
    window = int(arguments.seconds * 16_000)
    operations = 3 * arguments.rows * sum(forward_operations(config, window).values())
    dtype = "bfloat16" if arguments.precision == "bf16" else "float32"
    rows = {}
    for name in ways:
        rows[name] = row(seconds[name], audio, operations, device)
        rate = rows[name][f"gflops_{clocks(device)[-1]}"] * 1e9
        rows[name]["share_of_peak"] = round(rate / found[dtype], 3)
        rows[name]["ours_is_faster_by"] = {clock: ratio(seconds, name, "ours", clock) for clock in clocks(device)}
        print(name, json.dumps(rows[name]), flush=True)
    result = {
        "size": arguments.size,
        "batch": f"{arguments.rows} x {arguments.seconds:g} s, {arguments.units} units, {arguments.precision}",
        "threads": torch.get_num_threads(),
        "matrix_product_peak_gflops": {name: round(value / 1e9, 1) for name, value in found.items()},
        "ways": rows,
    }
    if device.type == "cuda":
        result["peak_memory_gb"] = round(torch.cuda.max_memory_allocated(device) / 1e9, 2)
    write_results(arguments, result)


if __name__ == "__main__":
    main()
