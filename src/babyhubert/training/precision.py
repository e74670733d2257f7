"""Mixed precision: what runs in 16 bits, and the scaling of losses that half precision needs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch

from babyhubert.encoder.precision import fastest_precision

Precision = Literal["auto", "float32", "bf16", "fp16"]


def resolve_precision(wanted: Precision, device: torch.device) -> Precision:
    """``auto``: bf16 on GPUs and CPUs made for it (nano trains twice as fast), fp16 on other GPUs, else float32."""
    if wanted != "auto":
        return wanted
    if fastest_precision(device) == "bfloat16":
        return "bf16"
    return "fp16" if device.type == "cuda" else "float32"


def autocast(precision: Precision, device: torch.device) -> Callable[[], AbstractContextManager[Any]]:
    """What a forward pass runs in; parameters stay float32."""
    chosen = resolve_precision(precision, device)
    if chosen == "float32":
        return nullcontext
    dtype = torch.bfloat16 if chosen == "bf16" else torch.float16
    return lambda: torch.autocast(device.type, dtype)
