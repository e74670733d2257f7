"""How a benchmark ends: its command, settings, machine and results as one JSON file."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

import torch


def write_results(options: argparse.Namespace, results: Any) -> None:
    """Write ``options.output``, if one was asked for."""
    document = {
        "command": shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "settings": vars(options),
        "machine": machine(),
        "results": results,
    }
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(document, indent=2, default=str) + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    facts: dict[str, Any] = {
        "cores": os.cpu_count(),
        "processor": processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    if torch.cuda.is_available():
        facts |= {"gpu": torch.cuda.get_device_name(), "gpus": torch.cuda.device_count(), "cuda": torch.version.cuda}
    return facts


def processor() -> str:
    """Name of the processor, with its matrix units."""
    name = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return name
    facts = dict(part for part in (tuple(map(str.strip, line.split(":", 1))) for line in lines if ":" in line))
    units = [flag for flag in ("avx2", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8") if flag in facts["flags"]]
    return f"{facts.get('model name', name)} ({', '.join(units)})"
