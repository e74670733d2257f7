"""Seeding of dropout and layer drop: torch's generator is set for every batch, from the position in the run."""

from __future__ import annotations

import numpy as np
import torch


def seed_dropout(*place: int) -> None:
    """Set torch's generator from the seed of a run and the numbers of a batch."""
    torch.manual_seed(int(np.random.SeedSequence(list(place)).generate_state(1, np.uint64)[0] >> 1))
