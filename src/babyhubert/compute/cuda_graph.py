"""Recording of a CUDA device's kernels as a graph that is replayed at once, for a window batch or a training pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch

T = TypeVar("T")

_WARM_UP = 3


def record_graph(run: Callable[[], T], stream: torch.cuda.Stream, pool: Any = None) -> tuple[torch.cuda.CUDAGraph, T]:
    """Record the kernels of a function as a graph; return it with the function's result, which each replay overwrites.

    Args:
        run: Runs on the stream's device; reads and writes tensors that keep their addresses.
        stream: Another than the current stream. The function first runs on it a few times: kernels are chosen and
            compiled, and libraries take a workspace for the stream.
        pool: Memory to share with other graphs, from `torch.cuda.graph_pool_handle`; None: its own.
    """
    current = torch.cuda.current_stream(stream.device)
    stream.wait_stream(current)
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UP):
            run()
    current.wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # thread_local: another thread may lock pages meanwhile, which would abort a recording in mode "global"
    recording = torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local")
    with torch.cuda.device(stream.device), recording:
        return graph, run()
