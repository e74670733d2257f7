"""Recording what a CUDA device does as a graph that is asked for at once: of a window batch, of a training pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch

T = TypeVar("T")

_WARM_UP = 3


def record_graph(run: Callable[[], T], stream: torch.cuda.Stream, pool: Any = None) -> tuple[torch.cuda.CUDAGraph, T]:
    """A graph of a function's kernels, and what the function gave, which every replay writes again.

    Args:
        run: Runs on the stream's device; reads and writes tensors that stay where they are.
        stream: Not the current one. The function first runs there a few times: kernels are chosen and compiled, and
            libraries take a workspace for the stream.
        pool: Memory to share with other graphs, from `torch.cuda.graph_pool_handle`; None: its own.
    """
    current = torch.cuda.current_stream(stream.device)
    stream.wait_stream(current)
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UP):
            run()
    current.wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # thread_local: another thread may lock pages meanwhile, which would end a recording in mode "global"
    recording = torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local")
    with torch.cuda.device(stream.device), recording:
        return graph, run()
