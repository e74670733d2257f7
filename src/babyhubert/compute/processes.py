"""Which of how many processes this is, however they were started: torchrun, srun, or alone.

Everything that many processes share out (shards to label, batches to train on) asks here and nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from babyhubert.errors import ConfigError


@dataclass(frozen=True)
class Place:
    """A process among those that do one job together.

    Attributes:
        rank: 0 to ``world`` - 1; rank 0 writes what is written once.
        world: Number of processes.
        local_rank: Rank among those of the same machine: the index of its GPU.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0

    @property
    def first(self) -> bool:
        """Whether this process writes what is written once."""
        return self.rank == 0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Place:
        """Read torchrun's variables (RANK, WORLD_SIZE, LOCAL_RANK), else those of a SLURM step, else be alone.

        A SLURM allocation without ``srun`` (an interactive shell) has a job id and no step: that is one process.

        Raises:
            ConfigError: the variables contradict each other.
        """
        if "WORLD_SIZE" in environment:
            names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
        elif "SLURM_STEP_ID" in environment and "SLURM_PROCID" in environment:
            names = ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID")
        else:
            return cls()
        try:
            rank, world, local_rank = (int(environment.get(name, "0")) for name in names)
        except ValueError as error:
            raise ConfigError(f"{', '.join(names)} must be whole numbers ({error})") from None
        if not 0 <= rank < world:
            raise ConfigError(f"{names[0]}={rank} and {names[1]}={world}: the rank must lie below the world size")
        return cls(rank, world, local_rank)
