"""Learning rates as pure functions of the step, so that resuming needs no scheduler state."""

from __future__ import annotations


def warm_up_then_decay(step: int, peak: float, warmup: int, total: int) -> float:
    """Learning rate of a step: linear to ``peak`` at step ``warmup``, then linear to 0 at step ``total``.

    The published pre-training schedule: ``peak / warmup`` at the first step, ``peak`` at step 32,000, 0 at 400,000.

    Args:
        step: From 1.
        peak: Highest rate.
        warmup: Steps of the rise; 0 starts at the peak.
        total: Steps of the whole run.
    """
    if step <= warmup:
        return peak * step / warmup
    return peak * max(total - step, 0) / max(total - warmup, 1)
