"""Mixed precision: computation in 16 bits, and the scaling of losses that half precision needs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch

from babyhubert.encoder.precision import fastest_precision, has_bfloat16_instructions
from babyhubert.errors import ConfigError

Precision = Literal["auto", "float32", "bf16", "fp16"]


def resolve_precision(wanted: Precision, device: torch.device) -> Precision:
    """``auto``: bf16 on GPUs made for it, fp16 on other GPUs, float32 elsewhere.

    bf16 is not chosen on CPUs, though those with AMX are faster in it: results would depend on the machine.

    Raises:
        ConfigError: fp16 on a CPU, which computes it slower than float32.
    """
    if wanted == "fp16" and device.type == "cpu":
        raise ConfigError(
            "machine.precision = fp16 needs a GPU; on a CPU give --set machine.precision=auto (float32 there, and "
            "bf16 or fp16 on a GPU)"
        )
    if wanted != "auto":
        return wanted
    if device.type != "cuda":
        return "float32"
    return "bf16" if fastest_precision(device) == "bfloat16" else "fp16"


def autocast(precision: Precision, device: torch.device) -> Callable[[], AbstractContextManager[Any]]:
    """Context of a forward pass in the chosen precision; parameters stay float32."""
    chosen = resolve_precision(precision, device)
    if chosen == "float32":
        return nullcontext
    dtype = torch.bfloat16 if chosen == "bf16" else torch.float16
    return lambda: torch.autocast(device.type, dtype)


def emulation_note(precision: Precision, device: torch.device) -> str:
    """A line for a run in bf16 on a CPU that has no instructions for it; empty otherwise.

    A training step of the nano size then takes nine times as long as in float32 (AVX2 alone, torch 2.13).
    """
    if precision != "bf16" or device.type != "cpu" or has_bfloat16_instructions():
        return ""
    return (
        "machine.precision = bf16 is emulated on this CPU and several times slower than float32: "
        "give --set machine.precision=auto"
    )
