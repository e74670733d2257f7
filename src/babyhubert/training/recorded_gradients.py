"""Forward and backward passes as CUDA graphs, one for each recurring shape.

A step of pre-training is some two thousand kernels, each of microseconds. Launching them one by one from Python takes
longer than a fast GPU takes to run them. A graph launches all of them at once; it holds the same kernels, so that
results equal those of plain calls. It requires constant addresses and shapes, hence:

- gradients are permanently in one flat tensor (which is also clipped, and summed over processes, at once);
- inputs are copied to the graph's buffers;
- graphs are made only for shapes that occurred before, so that rare ones cost nothing.

Graphs share the memory of one batch's activations, which they keep (also those of several functions, if requested).
Passes that are not replayed (shapes for the first time, measurements for the log) need as much in addition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from babyhubert.compute.cuda_graph import record_graph

Run = Callable[..., tuple[Tensor, ...]]
Shapes = tuple[torch.Size, ...]

MOST_GRAPHS = 64
"""Further shapes are not recorded: each graph keeps its inputs, outputs and list of kernels."""
_ALIGNED = 32
"""Floats from one gradient to the next are a multiple of this (128 bytes), for kernels that read several at once."""


class FlatGradients:
    """The gradients of some parameters as one tensor, of which each parameter's is a view.

    Args:
        parameters: All float32 and on one device; every one gets a gradient, initially zeros.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        chosen = list(parameters)
        ends = [0]
        for parameter in chosen:
            ends.append(ends[-1] + -(-parameter.numel() // _ALIGNED) * _ALIGNED)
        self.values = torch.zeros(ends[-1], device=chosen[0].device)
        for parameter, begin in zip(chosen, ends, strict=False):
            parameter.grad = self.values[begin : begin + parameter.numel()].view_as(parameter)

    def clip(self, most: float) -> Tensor:
        """Scale the gradient down to a norm; return its norm before, as `torch.nn.utils.clip_grad_norm_` does."""
        norm = torch.linalg.vector_norm(self.values)
        self.values.mul_((most / (norm + 1e-6)).clamp(max=1))
        return norm


@dataclass(frozen=True)
class _Recording:
    graph: torch.cuda.CUDAGraph
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


class RecordedGradients:
    """Calls a function that adds to gradients; replays it for recurring shapes.

    Args:
        run: Tensors in, tensors out. Runs a forward and a backward pass that adds to ``gradients``. Nothing in it may
            read a value of a tensor on the CPU or wait for the device. Its random draws use torch's generator.
        gradients: Gradients to which the backward pass adds.
        device: Device of all tensors. Only CUDA devices have graphs; on others every call is a plain one.
        beside: Another instance on the device, to share memory and stream; they never run at once.
    """

    def __init__(
        self, run: Run, gradients: FlatGradients, device: torch.device, beside: RecordedGradients | None = None
    ) -> None:
        self.gradients = gradients
        self._run, self._device = run, device
        self._recordings: dict[Shapes, _Recording] = {}
        self._met: set[Shapes] = set()
        self._pool: Any = None
        self._stream: torch.cuda.Stream | None = None  # one for all graphs: libraries keep a workspace for each
        if beside is not None:
            self._pool, self._stream = beside._pool, beside._stream
        elif device.type == "cuda":
            self._pool, self._stream = torch.cuda.graph_pool_handle(), torch.cuda.Stream(device)

    @property
    def graphs(self) -> int:
        """Shapes that are replayed."""
        return len(self._recordings)

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the result of ``run`` for these inputs, which are on the device."""
        shapes = tuple(tensor.shape for tensor in inputs)
        recording = self._recordings.get(shapes)
        if recording is None:
            if self._stream is None or not self._comes_again(shapes):
                return self._run(*inputs)
            recording = self._recordings[shapes] = self._record(inputs, self._stream)
        for buffer, tensor in zip(recording.inputs, inputs, strict=True):
            buffer.copy_(tensor, non_blocking=True)
        recording.graph.replay()
        return tuple(output.clone() for output in recording.outputs)  # the next replay writes there again

    def _comes_again(self, shapes: Shapes) -> bool:
        """True for a shape that occurs for the second time, while the number of graphs is below the limit. Recording
        takes 0.4 s.
        """
        if len(self._recordings) == MOST_GRAPHS:
            return False
        met = shapes in self._met
        self._met.add(shapes)
        return met

    def _record(self, inputs: tuple[Tensor, ...], stream: torch.cuda.Stream) -> _Recording:
        """Record a graph of the run, leaving gradients and the state of the generator unchanged."""
        buffers = tuple(tensor.clone() for tensor in inputs)
        before = self.gradients.values.clone()
        with torch.random.fork_rng([self._device]):
            graph, outputs = record_graph(lambda: self._run(*buffers), stream, self._pool)
        self.gradients.values.copy_(before)
        return _Recording(graph, buffers, outputs)
