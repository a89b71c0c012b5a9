"""The processes of a training, one per GPU: who is which, sums over all, and shared gradients (torch's DDP)."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed, nn
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

PATIENCE = timedelta(days=7)
"""How long a process waits for the others: the first one may wait long for a training folder's lock, and where one
ends, torchrun ends all."""


class ProcessesError(RuntimeError):
    """There are other processes than `training.processes` says."""


@dataclass(frozen=True)
class Processes:
    """Place of this process among all of a training.

    Attributes:
        rank: number of this process, from 0.
        count: number of processes.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes files."""
        return self.rank == 0

    @property
    def share(self) -> slice:
        """Which pictures of each batch are this process's."""
        return slice(self.rank, None, self.count)

    def device(self, kind: str) -> str:
        """This process's device of a kind, `cpu` or `cuda`."""
        return f"cuda:{self.rank}" if kind == "cuda" and self.count > 1 else kind

    def total(self, values: Sequence[float]) -> list[float]:
        """Sums over all processes, in float64; the same in each of them."""
        sums = torch.tensor(values, dtype=torch.float64)
        if self.count > 1:
            distributed.all_reduce(sums)
        return sums.tolist()

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.count > 1:
            distributed.barrier()

    def joined(self, model: nn.Module, device: str) -> nn.Module:
        """A model whose gradients become the mean of all processes', and on GPUs batch norm's statistics those of the
        whole batch."""
        if self.count == 1:
            return model
        if device == "cpu":
            return DistributedDataParallel(model)
        from timm.layers import convert_sync_batchnorm

        return DistributedDataParallel(convert_sync_batchnorm(model), device_ids=[torch.device(device)])


def join(backend: str, *, timeout: timedelta) -> None:
    """`init_process_group` of the processes that torchrun started together.

    After a restart torchrun's store still has the addresses of the processes that ended, and new ones would wait for
    these: each start has keys of its own.
    """
    store, rank, count = next(rendezvous("env://", timeout=timeout))
    own = distributed.PrefixStore(f"start-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
    distributed.init_process_group(backend, store=own, rank=rank, world_size=count, timeout=timeout)


@contextlib.contextmanager
def joined_processes(count: int, kind: str) -> Iterator[Processes]:
    """Join the processes that torchrun started beside this one.

    Args:
        count: how many there must be.
        kind: `cpu` or `cuda`, what they compute on.

    Raises:
        ProcessesError: there are more or fewer.
    """
    found = int(os.environ.get("WORLD_SIZE", "1"))
    if found != count:
        raise ProcessesError(
            f"training.processes = {count}: this training was started in {found} of them. Start it through Snakemake, "
            f"or by torchrun --standalone --nproc-per-node {count}."
        )
    if count == 1:
        yield Processes()
        return
    processes = Processes(int(os.environ["RANK"]), count)
    if kind == "cuda":
        torch.cuda.set_device(processes.device(kind))
    join("cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield processes
    finally:
        distributed.destroy_process_group()
