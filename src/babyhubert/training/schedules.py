"""Learning rates as pure functions of the step, so that resuming needs no scheduler state."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from babyhubert.config import Config

Share = Annotated[float, Field(gt=0, le=1)]
_LEAST_IMPROVEMENT = 1e-4


class ScheduleSettings(Config):
    """``[train.schedule]``: schedule of the learning rate.

    Attributes:
        kind: ``constant``; ``linear``: a linear fall to 0 at the last step; ``tri_stage``: held, then a fall over
            ``decay_steps``; ``plateau``: times ``factor`` whenever ``patience`` validations in a row did not improve.
        warmup_steps: Steps of the rise that every kind may begin with.
        start_share: Share of the highest rate at which the rise begins.
        hold_steps: Steps at the highest rate (``tri_stage``).
        decay_steps: Steps of the fall (``tri_stage``).
        decay: ``exponential``: reaches ``end_share`` after ``decay_steps`` and continues to fall, as published for the
            addressee; ``linear``: reaches it there and stays.
        end_share: Share of the highest rate that the fall reaches.
        factor: Factor at a plateau.
        patience: A plateau is more than this number of validations without an improvement, as in torch.
    """

    kind: Literal["constant", "linear", "tri_stage", "plateau"] = "constant"
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    start_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    hold_steps: Annotated[int, Field(ge=0)] = 0
    decay_steps: Annotated[int, Field(ge=1)] = 1
    decay: Literal["exponential", "linear"] = "exponential"
    end_share: Annotated[float, Field(ge=0, le=1)] = 0.05
    factor: Share = 0.1
    patience: Annotated[int, Field(ge=0)] = 3


def warm_up_then_decay(step: int, peak: float, warmup: int, total: int) -> float:
    """Learning rate of a step: linear to ``peak`` at step ``warmup``, then linear to 0 at step ``total``.

    The published pre-training schedule: ``peak / warmup`` at the first step, ``peak`` at step 32,000, 0 at 400,000.

    Args:
        step: From 1.
        peak: Highest rate.
        warmup: Steps of the rise; 0 starts at the peak.
        total: Steps of the complete run.
    """
    if step <= warmup:
        return peak * step / warmup
    return peak * max(total - step, 0) / max(total - warmup, 1)


def rate_at(step: int, peak: float, settings: ScheduleSettings, total: int, plateaus: int = 0) -> float:
    """Learning rate of a step of fine-tuning.

    Args:
        step: From 1.
        peak: Highest rate.
        settings: The schedule.
        total: Steps of the complete run.
        plateaus: Plateaus so far (:func:`plateaus_of`).
    """
    if step <= settings.warmup_steps:
        return peak * (settings.start_share + (1 - settings.start_share) * step / settings.warmup_steps)
    if settings.kind == "linear":
        return warm_up_then_decay(step, peak, settings.warmup_steps, total)
    if settings.kind == "plateau":
        return peak * settings.factor**plateaus
    if settings.kind == "constant":
        return peak
    fallen = max(step - settings.warmup_steps - settings.hold_steps, 0) / settings.decay_steps
    if settings.decay == "linear":
        return peak * (1 - (1 - settings.end_share) * min(fallen, 1.0))
    if not settings.end_share:
        return 0.0 if fallen else peak
    return peak * math.exp(fallen * math.log(settings.end_share))


def plateaus_of(history: Sequence[float], patience: int) -> int:
    """Number of times that more than ``patience`` values in a row were not better (higher) than the best before them.

    Counted as in torch's ReduceLROnPlateau: better means by a ten-thousandth, and the count begins again after each
    plateau.
    """
    best, waited, plateaus = -math.inf, 0, 0
    for value in history:
        if best == -math.inf or value > best + _LEAST_IMPROVEMENT * abs(best):
            best, waited = value, 0
        else:
            waited += 1
        if waited > patience:
            plateaus, waited = plateaus + 1, 0
    return plateaus
