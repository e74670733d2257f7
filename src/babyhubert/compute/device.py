"""Choice of the device, the number of windows in one call, and the number of decoders."""

from __future__ import annotations

import os

import torch

from babyhubert.errors import ConfigError

_MOST_DECODERS = 12  # a limit for machines with many cores: disk and memory
_ACTIVATION_BYTES = 8_000_000_000


def resolve_device(name: str = "auto") -> torch.device:
    """Return the device of a name: ``auto`` takes CUDA, then MPS, then the CPU.

    Raises:
        ConfigError: an unknown device, or one this machine does not have.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device("cuda" if name == "gpu" else name)
    except RuntimeError:
        raise ConfigError(f"device '{name}': unknown; one of auto, cpu, cuda, cuda:1, mps") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device '{name}': this machine or this torch has no CUDA; use cpu", option="--device cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device '{name}': this machine has {torch.cuda.device_count()} CUDA devices")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ConfigError(f"device '{name}': this machine has no MPS; use cpu", option="--device cpu")
    return device


def device_name(device: torch.device) -> str:
    """Name of a device for run records: a GPU's product name, else its kind."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def decoders() -> int:
    """Number of recordings to decode side by side: one for each core that this process may use, up to a limit."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MOST_DECODERS)


def windows_per_batch(window_samples: int, first_convolution_channels: int) -> int:
    """Number of windows in one call of an accelerator that keeps their activations within a memory limit."""
    return max(1, min(_ACTIVATION_BYTES // activation_bytes(window_samples, first_convolution_channels), 256))


def activation_bytes(window_samples: int, first_convolution_channels: int) -> int:
    """Memory of the first convolution's output for one window, the largest activation.

    It holds one value per channel for every fifth sample, and about three copies of it are alive at once (convolution,
    normalisation, activation).
    """
    return 3 * 4 * first_convolution_channels * (window_samples // 5 + 1)
