"""Join the processes of a detector's training, one per GPU: ultralytics' DDP in processes that torchrun started."""

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta

import torch
from torch import distributed

from pillsnap.config.training import Detector
from pillsnap.hardware import HardwareError
from pillsnap.training.processes import Processes, init_process_group

TIMEOUT = timedelta(hours=3)
"""ultralytics' own: the other processes wait while the main one validates."""


def ddp_world_size(device: str, requested: int, settings: Detector) -> int:
    """Number of processes that share a batch.

    Args:
        device: `cpu` or `cuda`.
        requested: setting `training.processes`.
        settings: recipe.

    Returns:
        `requested` on GPUs, 1 on the CPU, where ultralytics has no DDP.

    Raises:
        HardwareError: there are fewer GPUs, or the batch cannot be shared equally.
    """
    if device == "cpu" or requested == 1:
        return 1
    if torch.cuda.device_count() < requested:
        raise HardwareError(
            f"training.processes = {requested}: there are {torch.cuda.device_count()} GPUs on this machine. Set it to "
            "their number."
        )
    if settings.batch % requested:
        raise HardwareError(
            f"detector.batch = {settings.batch}: cannot be shared equally by training.processes = {requested}. Set it "
            "to a multiple."
        )
    return requested


@contextlib.contextmanager
def ddp_processes(world_size: int) -> Iterator[Processes | None]:
    """Join the processes of a training; gives this one, `None` where only the main one trains and this is another."""
    if world_size == 1:
        rank = int(os.environ.get("RANK", "0"))
        for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):  # ultralytics would look for the others
            os.environ.pop(name, None)
        yield Processes() if rank == 0 else None
        return
    rank = int(os.environ["LOCAL_RANK"])
    torch.cuda.set_device(rank)
    init_process_group("nccl", timeout=TIMEOUT)
    try:
        yield Processes(rank, world_size)
    finally:
        distributed.destroy_process_group()
