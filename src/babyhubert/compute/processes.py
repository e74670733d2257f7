"""Rank and number of processes, as set by torchrun, srun or neither.

Everything that is divided over processes (shards to label, batches to train on) reads them here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from babyhubert.errors import ConfigError


@dataclass(frozen=True)
class RankInfo:
    """Rank of a process in a job.

    Attributes:
        rank: 0 to ``world`` - 1; rank 0 writes the files that are written once.
        world: Number of processes.
        local_rank: Rank among the processes of the same machine: the index of its GPU.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0

    @property
    def first(self) -> bool:
        """True on rank 0, which writes the files that are written once."""
        return self.rank == 0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> RankInfo:
        """Read torchrun's variables (RANK, WORLD_SIZE, LOCAL_RANK), else those of a SLURM step; neither: rank 0 of 1.

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
