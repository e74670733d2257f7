"""The arithmetic an encoder runs in, and which one a machine has the hardware for.

``exact``: the encoder as it was trained and published, float32. The others are its matrix form (matrix_form.py):
``float32``, the same up to rounding (1e-6 of a representation); ``bfloat16``, 8 bits of mantissa (1.5e-2); ``int8``,
products of bytes (4e-2).
"""

from __future__ import annotations

from typing import Literal

import torch

from babyhubert.encoder.hubert import HubertEncoder
from babyhubert.encoder.matrix_form import can_multiply_bytes, use_matrix_form

Precision = Literal["exact", "float32", "bfloat16", "int8"]

_DTYPES: dict[Precision, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.int8}

_WIDE_ENOUGH = 512
"""Width from which products of bytes gain more than bringing their sides to bytes costs."""


def fastest_precision(device: torch.device) -> Precision:
    """The fastest of the matrix forms in floating point that the device runs in hardware.

    On a CPU bfloat16 pays only with matrix units (Intel AMX): emulated it takes 20 times as long as float32, and
    with AVX-512 instructions alone it was measured no faster.
    """
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return "bfloat16"
    return "bfloat16" if device.type == "cpu" and has_matrix_units() else "float32"


def fastest_precision_of_all(device: torch.device, width: int) -> Precision:
    """The same, or products of bytes where a CPU has no matrix units but those, and an encoder is wide enough."""
    found = fastest_precision(device)
    if device.type == "cpu" and found == "float32" and width >= _WIDE_ENOUGH and has_byte_products():
        return "int8"
    return found


def has_matrix_units() -> bool:
    """Whether this CPU multiplies bfloat16 matrices in hardware (AMX tiles) and this torch uses them."""
    tiles = getattr(torch.cpu, "_is_amx_tile_supported", None)  # absent from torch before 2.4
    return bool(tiles is not None and tiles() and torch.backends.mkldnn.is_available())


def has_byte_products() -> bool:
    """Whether this CPU adds up products of bytes in one instruction (AVX-512 VNNI) and this torch uses it."""
    instructions = getattr(torch.cpu, "_is_vnni_supported", None)
    return bool(instructions is not None and instructions() and can_multiply_bytes())


def use_precision(encoder: HubertEncoder, precision: Precision) -> HubertEncoder:
    """Let an encoder, in evaluation mode and on its device, run in a precision from now on; returns it."""
    if precision == "exact":
        encoder.inference_form = None
        return encoder
    return use_matrix_form(encoder, _DTYPES[precision])
