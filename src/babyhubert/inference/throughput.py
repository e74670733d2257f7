"""Speed of an encoder on this machine, measured on noise: what a run over recordings will take."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.context import WindowSettings
from babyhubert.encoder.hubert import HubertEncoder
from babyhubert.encoder.precision import Precision
from babyhubert.errors import ComputationError
from babyhubert.inference.batching import build_engine, windows_at_once
from babyhubert.inference.engine import Failed
from babyhubert.inference.speed import SPEEDS, Speed
from babyhubert.inference.task_model import plan_of
from babyhubert.inference.windows import WindowPlan
from babyhubert.timebase import samples_to_seconds

_LEVEL = 0.05


@dataclass(frozen=True, eq=False)
class EncoderPass:
    """One pass of an encoder over all audio of a run.

    Attributes:
        encoder: In evaluation mode, on its device.
        precision: Its precision.
        plan: The windows.
        batch_size: Windows in one call; None: chosen for the device.
    """

    encoder: HubertEncoder
    precision: Precision
    plan: WindowPlan
    batch_size: int | None = None

    def times_real_time(self) -> float:
        """Seconds of recording per second of computing, measured on as many windows as run side by side.

        Raises:
            ComputationError: the model gives values that are not finite.
        """

        @torch.inference_mode()
        def outputs(waveforms: Tensor) -> Tensor:
            return self.encoder(waveforms.to(device, non_blocking=True)).last

        device = next(self.encoder.parameters()).device
        plan = self.plan
        engine = build_engine(outputs, self.encoder, self.precision, plan, self.batch_size, model="measured")
        windows = windows_at_once(plan.length) if device.type == "cpu" else engine.batch_size
        noise = np.random.default_rng(0).standard_normal(plan.length + (windows - 1) * plan.hop, dtype=np.float32)
        for samples in (noise[: plan.length], noise):  # the first warms up
            began = time.perf_counter()
            for event in engine.run([("noise", [samples * np.float32(_LEVEL)])]):
                if isinstance(event, Failed):
                    raise ComputationError(f"the speed of this model cannot be measured: {event.error}")
            elapsed = time.perf_counter() - began
        return samples_to_seconds(windows * plan.hop) / max(elapsed, 1e-9)


def pass_of(config: HubertConfig, settings: WindowSettings, speed: Speed, device: torch.device) -> EncoderPass:
    """Pass of an encoder of a shape, with random weights: its speed is that of every model of the shape.

    Args:
        config: The shape.
        settings: Windows of the model.
        speed: Mode.
        device: Where it runs.
    """
    encoder = HubertEncoder(config).eval().fold_weight_norm().to(device)
    return EncoderPass(encoder, SPEEDS[speed].prepare(encoder), plan_of(settings, speed))
