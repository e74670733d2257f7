"""Ways of doing the same thing, timed in turns; the machine's own peak, measured between the turns.

Neighbours on a shared machine slow everything down, but they slow the ways of one round alike: what counts is the
ratio within a round, as the median over rounds with its spread. Wall time is what a user waits; CPU time hardly
feels the neighbours, and is the one to trust on a busy machine (on a GPU it means nothing and is left out).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch

Way = Callable[[], object]
PEAK_SIZE = {"cpu": 2048, "cuda": 8192}


class Seconds(NamedTuple):
    """What one call took."""

    wall: float
    cpu: float


def timed(way: Way) -> Seconds:
    synchronise()
    wall, cpu = time.perf_counter(), time.process_time()
    way()
    synchronise()
    return Seconds(time.perf_counter() - wall, time.process_time() - cpu)


def synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def alternate(ways: Mapping[str, Way], rounds: int) -> dict[str, list[Seconds]]:
    """Call every way once a round; who begins changes from round to round, so that nobody always follows the same."""
    seconds: dict[str, list[Seconds]] = {name: [] for name in ways}
    names = list(ways)
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            seconds[name].append(timed(ways[name]))
    return seconds


def ratio(seconds: Mapping[str, list[Seconds]], slow: str, quick: str, clock: str) -> dict[str, float]:
    """How many times as fast ``quick`` is as ``slow``: median, least and most over rounds."""
    pairs = zip(seconds[slow], seconds[quick], strict=True)
    ratios = [getattr(a, clock) / getattr(b, clock) for a, b in pairs]
    return {
        "median": round(statistics.median(ratios), 2),
        "least": round(min(ratios), 2),
        "most": round(max(ratios), 2),
    }


def best(seconds: list[Seconds], clock: str) -> float:
    return min(getattr(one, clock) for one in seconds)


def median(seconds: list[Seconds], clock: str) -> float:
    return statistics.median(getattr(one, clock) for one in seconds)


def peaks(device: torch.device, rounds: int = 5) -> dict[str, float]:
    """Operations a second of large matrix products, the best of a few: on a CPU by CPU time, hence of one core."""
    size = PEAK_SIZE[device.type]
    found: dict[str, float] = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))

        def product(a: torch.Tensor = a, b: torch.Tensor = b) -> torch.Tensor:
            return a @ b

        product()
        clock = "cpu" if device.type == "cpu" else "wall"
        found[name] = 2 * size**3 / best([timed(product) for _ in range(rounds)], clock)
    return found


def clocks(device: torch.device) -> tuple[str, ...]:
    return ("wall", "cpu") if device.type == "cpu" else ("wall",)


def row(seconds: list[Seconds], audio_s: float, operations: float, device: torch.device) -> dict[str, Any]:
    """One way's figures: times real time and operations a second, by each clock."""
    figures: dict[str, Any] = {}
    for clock in clocks(device):
        taken = median(seconds, clock)
        figures[f"times_real_time_{clock}"] = round(audio_s / taken, 2)
        figures[f"gflops_{clock}"] = round(operations / taken / 1e9, 1)
    return figures
