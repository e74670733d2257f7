"""How a benchmark of several measurements ends: settings, machine and results as one JSON file."""

from __future__ import annotations

import argparse
import json
import os
import platform
from typing import Any

import torch


def write_results(options: argparse.Namespace, results: Any) -> None:
    """Write ``options.output``, if one was asked for."""
    machine = {"cores": os.cpu_count(), "system": platform.platform(), "torch": torch.__version__}
    text = json.dumps({"settings": vars(options), "machine": machine, "results": results}, indent=2, default=str)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")
