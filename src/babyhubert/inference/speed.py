"""Speed modes (``--speed``): overlap of windows and arithmetic of the encoder.

``exact`` works as the published tools do. The other modes save time in two ways. Windows overlap less: at 75% every
second is encoded four times. And the encoder runs in its matrix form, in the fastest precision that the machine has
hardware for; ``fast`` includes int8 if that is the fastest. Windows keep the length that the model was trained on.
docs/speed.md has the measured accuracy of each mode.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from babyhubert.encoder.hubert import HubertEncoder
from babyhubert.encoder.matrix_form import supports
from babyhubert.encoder.precision import Precision, fastest_precision, fastest_precision_of_all, use_precision
from babyhubert.inference.stitching import Blend

Speed = Literal["exact", "balanced", "fast"]


@dataclass(frozen=True)
class SpeedMode:
    """A trade between speed and accuracy.

    Attributes:
        overlap: Fraction of a window shared with its neighbour; None: as the model was published.
        blend: Method of joining overlapping windows.
        matrix_form: True if the encoder runs in matrix form, in the fastest precision of the machine.
        bytes: True if int8 is among the precisions.
    """

    overlap: float | None
    blend: Blend
    matrix_form: bool
    bytes: bool = False

    def precision(self, device: torch.device, width: int) -> Precision:
        """Precision of an encoder of a given width on a device."""
        if not self.matrix_form:
            return "exact"
        return fastest_precision_of_all(device, width) if self.bytes else fastest_precision(device)

    def prepare(self, encoder: HubertEncoder) -> Precision:
        """Let an encoder, in evaluation mode and on its device, run in this mode; returns the precision chosen.

        An encoder of a shape that the matrix form does not support runs unchanged.
        """
        precision = self.precision(next(encoder.parameters()).device, encoder.config.hidden_size)
        if supports(encoder.config) is not None:
            precision = "exact"
        use_precision(encoder, precision)
        return precision


SPEEDS: dict[Speed, SpeedMode] = {
    "exact": SpeedMode(None, "mean", matrix_form=False),
    "balanced": SpeedMode(0.5, "mean", matrix_form=True),
    "fast": SpeedMode(0.25, "mean", matrix_form=True, bytes=True),
}
