"""Cost of one pass of the encoder: floating-point operations of its products, layer by layer, exactly.

Matrix products and convolutions are counted, two operations for each multiplication with its addition, as
`torch.utils.flop_counter` does. Norms, activations, softmax and bias are not counted: they are memory traffic rather
than arithmetic. A training step costs three times its forward pass (once more for each operand's gradient).
"""

from __future__ import annotations

from collections.abc import Iterable

from babyhubert.encoder.config import HubertConfig
from babyhubert.timebase import SAMPLE_RATE, frame_count


def forward_operations(config: HubertConfig, samples: int) -> dict[str, int]:
    """Operations of one window, by part in the order of computation, without branches.

    Args:
        config: The encoder.
        samples: Length of the window, at least 400.
    """
    operations: dict[str, int] = {}
    steps, channels = samples, 1
    layers = zip(config.conv_dim, config.conv_kernel, config.conv_stride, strict=True)
    for index, (width, kernel, stride) in enumerate(layers):
        steps = (steps - kernel) // stride + 1
        operations[f"convolution {index}"] = 2 * steps * kernel * channels * width
        channels = width
    frames, dim = frame_count(samples), config.hidden_size
    operations["projection"] = 2 * frames * channels * dim
    computed = frames + 1 - config.position_kernel % 2  # an even kernel gives a frame too many, which is dropped
    operations["position"] = 2 * computed * config.position_kernel * dim * (dim // config.position_groups)
    for block in range(config.layers):
        operations[f"block {block}: projections"] = 2 * frames * 4 * dim * dim
        operations[f"block {block}: attention"] = 2 * frames * 2 * frames * dim
        operations[f"block {block}: feed-forward"] = 2 * frames * 2 * dim * config.feed_forward
    return operations


def operations_a_second(config: HubertConfig, samples: int, hop: int) -> float:
    """Operations per second of recording, when windows of ``samples`` begin every ``hop`` samples."""
    return sum(forward_operations(config, samples).values()) * SAMPLE_RATE / hop


def by_stage(operations: dict[str, int], prefixes: Iterable[str]) -> dict[str, int]:
    """Sums over parts whose names begin alike, such as ``convolution`` or ``block``."""
    return {prefix: sum(value for name, value in operations.items() if name.startswith(prefix)) for prefix in prefixes}
