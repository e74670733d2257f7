"""Operations counted by formula against those torch counts while it runs."""

import pytest
import torch
from small_encoders import TINY, TINY_LARGE, fresh, noise
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.cost import by_stage, forward_operations, operations_a_second


@pytest.mark.parametrize("samples", [400, 5_000, 16_001])
@pytest.mark.parametrize(
    "config", [TINY, TINY_LARGE, TINY.with_changes(position_kernel=31), HubertConfig.of_size("nano")]
)
def test_the_formula_is_what_torch_counts(config, samples):
    encoder = fresh(config)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        encoder(noise(1, samples))
    assert sum(forward_operations(config, samples).values()) == counter.get_total_flops()


def test_the_whole_is_the_sum_of_its_stages():
    operations = forward_operations(HubertConfig(), 64_000)
    assert sum(by_stage(operations, ["convolution", "projection", "position", "block"]).values()) == sum(
        operations.values()
    )


def test_base_costs_what_was_measured():
    tiled = operations_a_second(HubertConfig(), 64_000, 63_680)
    assert tiled == pytest.approx(14.3e9, rel=0.02)
    assert operations_a_second(HubertConfig(), 64_000, 16_000) == pytest.approx(4 * tiled * 63_680 / 64_000)
