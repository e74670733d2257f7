"""Arithmetic of an encoder, and the choice of the one that a machine has hardware for.

``exact``: the encoder as it was trained and published, float32. The others are its matrix form (matrix_form.py):
``float32``, the same up to rounding (1e-6 of a representation); ``bfloat16``, 8 bits of mantissa (1.5e-2); ``int8``,
products of bytes (4e-2).
"""

from __future__ import annotations

import platform
from typing import Literal

import torch

from babyhubert.encoder.hubert import HubertEncoder
from babyhubert.encoder.linear_products import can_multiply_bytes
from babyhubert.encoder.matrix_form import use_matrix_form

Precision = Literal["exact", "float32", "bfloat16", "int8"]

_DTYPES: dict[Precision, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.int8}

_WIDE_ENOUGH = 512
"""Width from which products of bytes save more time than the conversion to bytes costs."""


def fastest_precision(device: torch.device) -> Precision:
    """The fastest floating-point matrix form that the device has hardware for.

    On a CPU bfloat16 is faster only with matrix units (Intel AMX): emulated it takes 20 times as long as float32, and
    with AVX-512 instructions alone it was no faster when measured.
    """
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return "bfloat16"
    return "bfloat16" if device.type == "cpu" and has_matrix_units() else "float32"


def fastest_precision_of_all(device: torch.device, width: int) -> Precision:
    """The same, or int8 on a CPU that has byte products and no matrix units, if the encoder is wide enough."""
    found = fastest_precision(device)
    if device.type == "cpu" and found == "float32" and width >= _WIDE_ENOUGH and has_byte_products():
        return "int8"
    return found


def has_matrix_units() -> bool:
    """True if this CPU multiplies bfloat16 matrices in hardware (AMX tiles) and this torch uses them."""
    tiles = getattr(torch.cpu, "_is_amx_tile_supported", None)  # absent from torch before 2.4
    return bool(tiles is not None and tiles() and torch.backends.mkldnn.is_available())


def has_bfloat16_instructions() -> bool:
    """False if this CPU can only emulate bfloat16: an x86 one without AVX-512's instructions for it."""
    instructions = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # absent from torch before 2.5
    return platform.machine().lower() not in {"x86_64", "amd64"} or instructions is None or bool(instructions())


def has_byte_products() -> bool:
    """True if this CPU adds up products of bytes in one instruction (AVX-512 VNNI) and this torch uses it."""
    instructions = getattr(torch.cpu, "_is_vnni_supported", None)
    return bool(instructions is not None and instructions() and can_multiply_bytes())


def use_precision(encoder: HubertEncoder, precision: Precision) -> HubertEncoder:
    """Let an encoder, in evaluation mode and on its device, run in a precision from now on; returns it."""
    if precision == "exact":
        encoder.inference_form = None
        return encoder
    return use_matrix_form(encoder, _DTYPES[precision])
