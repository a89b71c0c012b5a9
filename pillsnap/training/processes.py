"""Processes of a training, one per GPU: their ranks, sums over all of them, and gradients that PyTorch's DDP shares."""

import contextlib
import faulthandler
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed, nn
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from pillsnap.hardware import HardwareError

TIMEOUT = timedelta(days=7)
"""Of a collective operation: the main process may wait long for a training folder's lock, and where one process ends,
torchrun ends all."""


SECONDS_TO_END = 20
"""Within which a process that failed ends."""


class ProcessesError(RuntimeError):
    """The training was started with another number of processes than `training.processes`."""


@dataclass(frozen=True)
class Processes:
    """This process among all of a training.

    Attributes:
        rank: number of this process, from 0.
        world_size: number of processes.
    """

    rank: int = 0
    world_size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    @property
    def shard(self) -> slice:
        """The pictures of each global batch that are this process's."""
        return slice(self.rank, None, self.world_size)

    def device(self, kind: str) -> str:
        """This process's device of a kind, `cpu` or `cuda`."""
        return f"cuda:{self.rank}" if kind == "cuda" and self.world_size > 1 else kind

    def all_reduce(self, values: Sequence[float]) -> list[float]:
        """Sums over all processes, in float64; the same in each of them."""
        sums = torch.tensor(values, dtype=torch.float64)
        if self.world_size > 1:
            distributed.all_reduce(sums)
        return sums.tolist()

    def barrier(self) -> None:
        """Wait until all processes are here."""
        if self.world_size > 1:
            distributed.barrier()

    def wrap(self, model: nn.Module, device: str) -> nn.Module:
        """Wrap a model in DDP: its gradients become the mean of all processes', and on GPUs batch norm's statistics
        are those of the global batch."""
        if self.world_size == 1:
            return model
        if device == "cpu":
            return DistributedDataParallel(model)
        from timm.layers import convert_sync_batchnorm

        return DistributedDataParallel(convert_sync_batchnorm(model), device_ids=[torch.device(device)])


def init_process_group(backend: str, *, timeout: timedelta) -> None:
    """`torch.distributed.init_process_group` of the processes that torchrun started together.

    After a restart torchrun's store still has the addresses of the processes that ended, and new ones would wait for
    these: each start has keys of its own.
    """
    store, rank, world_size = next(rendezvous("env://", timeout=timeout))
    own = distributed.PrefixStore(f"start-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
    distributed.init_process_group(backend, store=own, rank=rank, world_size=world_size, timeout=timeout)


def check_gpus(world_size: int) -> None:
    """Raise `HardwareError` where there are fewer GPUs than processes."""
    if (there := torch.cuda.device_count()) < world_size:
        raise HardwareError(
            f"training.processes = {world_size}: there are {there} GPUs on this machine that CUDA_VISIBLE_DEVICES "
            "leaves. Set it to their number, or to 1."
        )


@contextlib.contextmanager
def joined(backend: str, *, timeout: timedelta) -> Iterator[None]:
    """Join the process group for the block.

    `destroy_process_group` waits for operations that are under way, and so for ever where this process failed and the
    others wait for it in one of them. So it is called after success only. A process that fails aborts its
    communication and ends, within `SECONDS_TO_END` whatever hangs; torchrun then ends the others.
    """
    init_process_group(backend, timeout=timeout)
    try:
        yield
    except BaseException:
        # a thread of C, which needs neither the interpreter nor its lock
        faulthandler.dump_traceback_later(SECONDS_TO_END, exit=True)
        _abort()
        raise
    distributed.destroy_process_group()


def _abort() -> None:
    """Abort what NCCL has under way on the GPU, which would keep this process from its end; gloo needs nothing."""
    group = distributed.group.WORLD
    if torch.cuda.is_initialized() and group is not None:
        group.abort()


@contextlib.contextmanager
def process_group(world_size: int, kind: str) -> Iterator[Processes]:
    """Join the processes that torchrun started beside this one.

    Args:
        world_size: how many there must be.
        kind: `cpu` or `cuda`, what they compute on.

    Raises:
        ProcessesError: there are more or fewer.
        HardwareError: there are fewer GPUs than processes.
    """
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != world_size:
        raise ProcessesError(
            f"training.processes = {world_size}: the training was started with WORLD_SIZE = {started}. Start it "
            f"through Snakemake, or with torchrun --standalone --nproc-per-node {world_size}."
        )
    if world_size == 1:
        yield Processes()
        return
    processes = Processes(int(os.environ["RANK"]), world_size)
    if kind == "cuda":
        check_gpus(world_size)
        torch.cuda.set_device(processes.device(kind))
    with joined("cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo", timeout=TIMEOUT):
        yield processes
