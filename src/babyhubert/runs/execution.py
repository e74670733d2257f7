"""Options that control the execution of a run over recordings."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from babyhubert.config import read_config
from babyhubert.errors import ConfigError
from babyhubert.runs.distribution import IN_PROCESS, Distribution, RecordingJob
from babyhubert.runs.pools import ClusterPool, LocalPool, SlurmPool, SlurmSettings, WorkerPool, require_dask
from babyhubert.runs.shard import Shard


@dataclass(frozen=True)
class Execution:
    """Execution of a run.

    Attributes:
        device: Device of the job, as given by the user.
        part: The shard of this command; None: all recordings.
        pool: Workers; None: this process.
    """

    device: str
    part: Shard | None = None
    pool: WorkerPool | None = None

    @classmethod
    def from_options(
        cls,
        device: str,
        workers: int | None = None,
        scheduler: str | None = None,
        slurm: Path | None = None,
        shard: str | None = None,
    ) -> Execution:
        """Check the options against each other.

        Raises:
            ConfigError: they contradict each other, or a value is impossible.
            MissingExtraError: Dask is not installed.
        """
        given = {"--workers": workers, "--scheduler": scheduler, "--slurm": slurm, "--shard": shard}
        named = [name for name, value in given.items() if value is not None]
        if workers is not None and workers < 1:
            raise ConfigError(f"--workers {workers}: 1 or more")
        if shard is not None and len(named) > 1:
            raise ConfigError(
                f"{' and '.join(named)} exclude each other: a shard is one of several commands, each on its own"
            )
        if scheduler is not None and len(named) > 1:
            raise ConfigError(f"{' and '.join(named)} exclude each other: a scheduler has its own workers")
        if shard is not None:
            return cls(device, part=Shard.parse(shard))
        return cls(device, pool=_pool(device, workers, scheduler, slurm))

    def own_device(self, *, decides: bool = False) -> str:
        """Device of the model in this process: the workers have the GPUs.

        Args:
            decides: True if results depend on the kind of device, so that this process must have the workers' kind.
        """
        here = self.pool is None or (decides and isinstance(self.pool, LocalPool))
        return self.device if here else "cpu"

    def distribution(self, make: Callable[[], RecordingJob]) -> Distribution:
        """Distribution of the recordings.

        Args:
            make: Makes the job in a worker; a partial of a module's function with small arguments.
        """
        if self.pool is None:
            return IN_PROCESS
        from babyhubert.runs.dask_workers import DaskWorkers

        return DaskWorkers(self.pool, make)


def _pool(device: str, workers: int | None, scheduler: str | None, slurm: Path | None) -> WorkerPool | None:
    if scheduler is not None:
        require_dask("--scheduler")
        if not re.fullmatch(r"([a-z]+://)?[^/\s]+:\d+", scheduler):
            raise ConfigError(f"--scheduler {scheduler}: an address such as tcp://node1:8786")
        return ClusterPool(scheduler)
    if slurm is not None:
        require_dask("--slurm", "dask_jobqueue")
        settings = read_config(slurm, SlurmSettings)
        return SlurmPool(settings if workers is None else settings.model_copy(update={"jobs": workers}))
    if workers is not None and workers > 1:
        require_dask("--workers")
        return LocalPool(workers, device)
    return None
