"""Processes of a detector's training, one per GPU: ultralytics' own DDP, in processes that torchrun started."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from pillsnap.config.training import Detector
from pillsnap.hardware import HardwareError
from pillsnap.training.state import TrainingState, training_state

LONGEST_WAIT = timedelta(hours=3)
"""As ultralytics has it: the others wait while the first one validates."""


def share(device: str, asked: int, settings: Detector) -> int:
    """How many processes share a batch.

    Args:
        device: `cpu` or `cuda`.
        asked: setting `training.processes`.
        settings: recipe.

    Returns:
        `asked` on GPUs, 1 on the CPU, where ultralytics knows no sharing.

    Raises:
        HardwareError: there are fewer GPUs, or the batch cannot be shared equally.
    """
    if device == "cpu" or asked == 1:
        return 1
    import torch

    if torch.cuda.device_count() < asked:
        raise HardwareError(
            f"training.processes = {asked}: there are {torch.cuda.device_count()} GPUs on this machine. Set it to "
            "their number."
        )
    if settings.batch % asked:
        raise HardwareError(
            f"detector.batch = {settings.batch}: cannot be shared equally by training.processes = {asked}. Set it to "
            "a multiple."
        )
    return asked


@contextlib.contextmanager
def one_of(processes: int) -> Iterator[int | None]:
    """Be one of the processes; gives its number, `None` where it is not needed."""
    if processes == 1:
        number = int(os.environ.get("RANK", "0"))
        for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):  # ultralytics would look for the others
            os.environ.pop(name, None)
        yield number if number == 0 else None
        return
    import torch
    from torch import distributed

    from pillsnap.training.processes import join

    number = int(os.environ["LOCAL_RANK"])
    torch.cuda.set_device(number)
    join("nccl", timeout=LONGEST_WAIT)
    try:
        yield number
    finally:
        distributed.destroy_process_group()


@contextlib.contextmanager
def held(
    work: Path, signature: Mapping[str, Any], *, go_on: bool, number: int, processes: int
) -> Iterator[TrainingState]:
    """`training_state`, held by the first process for all of them."""
    with contextlib.ExitStack() as stack:
        state = TrainingState(work)
        if number == 0:
            state = stack.enter_context(training_state(work, signature, go_on=go_on))
        if processes > 1:
            from torch import distributed

            distributed.barrier()
        yield state
