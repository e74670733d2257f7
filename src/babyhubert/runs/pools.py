"""Sources of workers: this machine, a running Dask cluster, or jobs of a SLURM queue.

Connections between processes of a pool that is started here are encrypted and need its certificate: on a shared
machine, anyone could run programs as this user through an open Dask port.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import signal
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import Field

from babyhubert.config import Config
from babyhubert.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from distributed import Client

DEATHS = 3
"""A recording is given up after this number of dead workers."""

PLAIN_ALLOCATOR: dict[str, None] = {"MALLOC_TRIM_THRESHOLD_": None}
"""Dask makes its workers return every freed buffer to the system at once, which halves the speed of a model."""

_ANSWER_SECONDS = 10
_RENEWAL_SECONDS = 60.0


class WorkerPool(Protocol):
    """A set of workers for the duration of a run."""

    @property
    def threads(self) -> int | None:
        """Threads of torch in each worker; None leaves them as they are."""

    @property
    def patience_s(self) -> float | None:
        """Longest wait in seconds while there is no worker; None: unlimited."""

    def open(self, stack: ExitStack, scratch: Path) -> Client:
        """Start or find the workers; they end when ``stack`` closes.

        Args:
            stack: Closes all opened resources.
            scratch: A folder on a disk that all workers share; created if needed, and removed.

        Raises:
            ConfigError: there is no such cluster.
        """

    def renew(self) -> None:
        """Replace lost workers; called regularly."""


def require_dask(option: str, package: str = "distributed") -> None:
    """Raise MissingExtraError if a package of the extra is not installed."""
    if importlib.util.find_spec(package) is None:
        raise MissingExtraError(option, "cluster")


@dataclass(frozen=True)
class LocalPool:
    """Processes of this machine; if there are GPUs, each gets one.

    Attributes:
        workers: Number of processes.
        device: Device of the job, as given by the user.
    """

    workers: int
    device: str
    patience_s: float | None = 180.0

    @property
    def threads(self) -> int:
        """Cores of this machine divided by the number of workers."""
        import torch

        return max(1, torch.get_num_threads() // self.workers)

    def open(self, stack: ExitStack, scratch: Path) -> Client:
        """Start the workers."""
        import dask
        from distributed import Client, Nanny, Scheduler, SpecCluster
        from distributed.security import Security

        common = {"host": "127.0.0.1", "protocol": "tls://", "security": Security.temporary(), "dashboard": False}
        options = {**common, "nthreads": 1, "memory_limit": None, "silence_logs": logging.CRITICAL}
        options["config"] = {"distributed.worker.profile.enabled": False}
        gpus = gpus_to_share(self.device)
        workers = {
            number: {"cls": Nanny, "options": {**options, "env": worker_environment(number, self.threads, gpus)}}
            for number in range(self.workers)
        }
        stack.enter_context(_quiet())
        stack.enter_context(dask.config.set({"distributed.nanny.pre-spawn-environ": PLAIN_ALLOCATOR}))
        scheduler = {"cls": Scheduler, "options": {**common, "allowed_failures": DEATHS - 1}}
        with _interrupts_not_inherited():
            cluster = SpecCluster(
                workers, scheduler, security=common["security"], silence_logs=logging.CRITICAL, name="babyhubert"
            )
        stack.callback(_close, cluster)
        return stack.enter_context(Client(cluster, set_as_default=False))

    def renew(self) -> None:
        """Do nothing: each worker has a process beside it that restarts it."""


@dataclass(frozen=True)
class ClusterPool:
    """The workers of a Dask scheduler that runs already, as many as it has."""

    address: str
    threads: int | None = None
    patience_s: float | None = None

    def open(self, stack: ExitStack, scratch: Path) -> Client:
        """Connect to the scheduler.

        Raises:
            ConfigError: nothing answers there.
        """
        from distributed import Client

        stack.enter_context(_quiet())
        try:
            client = Client(self.address, timeout=_ANSWER_SECONDS, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(
                f"--scheduler {self.address}: no Dask scheduler answers there; start one ('dask scheduler') or "
                f"correct the address, such as tcp://node1:8786 ({type(error).__name__})"
            ) from None
        return stack.enter_context(client)

    def renew(self) -> None:
        """Do nothing: the owner of the cluster manages the workers."""


class SlurmSettings(Config):
    """Settings of the jobs of a SLURM queue; each runs one worker.

    Attributes:
        jobs: Number of jobs.
        cores: CPU cores per job.
        memory: Memory per job, such as ``16GB``.
        walltime: Longest run of a job, ``HH:MM:SS``; lost jobs are started again.
        queue: Partition.
        account: Account.
        directives: More lines of ``#SBATCH``, such as ``--gres=gpu:1``.
        prologue: Shell lines before the worker starts, such as those that activate an environment.
        python: The Python of the workers; without it, the one that runs the command.
        interface: Network interface that all nodes share, such as ``ib0``.
        log_directory: Folder of the jobs' own output; without it, SLURM's default.
        local_directory: Scratch folder of the workers.
    """

    jobs: int = Field(default=4, ge=1)
    cores: int = Field(default=4, ge=1)
    memory: str = "16GB"
    walltime: str = "12:00:00"
    queue: str | None = None
    account: str | None = None
    directives: list[str] = Field(default_factory=list)
    prologue: list[str] = Field(default_factory=list)
    python: str | None = None
    interface: str | None = None
    log_directory: str | None = None
    local_directory: str | None = None


@dataclass
class SlurmPool:
    """Workers that are jobs of a SLURM queue, one worker per job."""

    settings: SlurmSettings
    patience_s: float | None = None
    _cluster: Any = field(default=None, init=False)
    _renewed: float = field(default=0.0, init=False)

    @property
    def threads(self) -> int:
        """The cores of a job."""
        return self.settings.cores

    def open(self, stack: ExitStack, scratch: Path) -> Client:
        """Queue the jobs. They begin when the queue lets them; work begins with the first.

        Raises:
            ConfigError: there is no SLURM here, or it accepts no job.
        """
        from dask_jobqueue import SLURMCluster
        from distributed import Client

        if shutil.which("sbatch") is None:
            raise ConfigError("--slurm: there is no 'sbatch' here; run this on a login node of the cluster")
        scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        stack.callback(shutil.rmtree, scratch, ignore_errors=True)
        stack.enter_context(_quiet())
        try:
            self._cluster = SLURMCluster(
                **slurm_options(self.settings),
                security=True,
                shared_temp_directory=str(scratch),
                scheduler_options={"dashboard": False, "allowed_failures": DEATHS - 1},
                silence_logs=logging.CRITICAL,
            )
            stack.callback(_close, self._cluster)
            self._cluster.scale(jobs=self.settings.jobs)
            self._cluster.sync(_queued, self._cluster)
        except (RuntimeError, ValueError, OSError) as error:
            raise ConfigError(f"--slurm: the queue takes no job: {' '.join(str(error).split())}") from None
        self._renewed = time.monotonic()
        return stack.enter_context(Client(self._cluster, set_as_default=False))

    def renew(self) -> None:
        """Queue jobs again that ran out of time or were lost."""
        if time.monotonic() - self._renewed > _RENEWAL_SECONDS:
            self._renewed = time.monotonic()
            self._cluster.scale(jobs=self.settings.jobs)


def slurm_options(settings: SlurmSettings) -> dict[str, Any]:
    """Arguments of `dask_jobqueue.SLURMCluster`: one worker with one slot per job, which has all cores."""
    options: dict[str, Any] = {
        "job_name": "babyhubert",
        "cores": 1,
        "processes": 1,
        "job_cpu": settings.cores,
        "memory": settings.memory,
        "walltime": settings.walltime,
        "queue": settings.queue,
        "account": settings.account,
        "job_extra_directives": list(settings.directives),
        "job_script_prologue": [
            f'export DASK_DISTRIBUTED__NANNY__PRE_SPAWN_ENVIRON="{PLAIN_ALLOCATOR}"',
            *settings.prologue,
        ],
        "python": settings.python,
        "interface": settings.interface,
        "log_directory": settings.log_directory,
        "local_directory": settings.local_directory,
    }
    return {name: value for name, value in options.items() if value is not None}


def gpus_to_share(device: str) -> list[str]:
    """GPUs available to workers, as in ``CUDA_VISIBLE_DEVICES``; none if the user chose one."""
    import torch

    if device not in ("auto", "cuda", "gpu") or not torch.cuda.is_available():
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",") if visible else [str(number) for number in range(torch.cuda.device_count())]


def worker_environment(number: int, threads: int, gpus: list[str]) -> Mapping[str, str]:
    """Environment of a worker: its number of threads, and one GPU, in turn if there are more workers."""
    environment = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    if gpus:
        environment["CUDA_VISIBLE_DEVICES"] = gpus[number % len(gpus)]
    return environment


@contextmanager
def _interrupts_not_inherited() -> Iterator[None]:
    """Block Ctrl-C in threads and processes started here, since a terminal sends it to all: this thread handles it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # which, begun by a thread, would let that thread take interrupts again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Dask's own messages, which name internals; this package reports what users need."""
    logger = logging.getLogger("distributed")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


async def _queued(cluster: Any) -> None:
    """Wait until all jobs are queued, or raise the reason for a failure."""
    await cluster


def _close(cluster: Any) -> None:
    with suppress(Exception):  # the work is done or given up; what remains ends with this process
        cluster.close(timeout=_ANSWER_SECONDS)
