"""Join the processes of a detector's training, one per GPU: ultralytics' DDP in processes that torchrun started."""

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta

import torch

from pillsnap.config.training import Detector
from pillsnap.hardware import HardwareError
from pillsnap.training.processes import Processes, check_gpus, joined

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
    check_gpus(requested)
    if settings.global_batch_size % requested:
        key = "reference_batch" if settings.batch == "auto" else "batch"
        raise HardwareError(
            f"detector.{key} = {settings.global_batch_size}: cannot be shared equally by training.processes = "
            f"{requested}. Set it to a multiple."
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
    with joined("nccl", timeout=TIMEOUT):
        yield Processes(rank, world_size)
