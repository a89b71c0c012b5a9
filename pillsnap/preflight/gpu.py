"""Check the GPUs: their free memory, and the processes that use the rest. No process is touched."""

from collections.abc import Mapping, Sequence

import psutil

from pillsnap.config.config import Config
from pillsnap.cuda import CudaDevice, CudaDriver
from pillsnap.hardware import Gpu
from pillsnap.preflight.amounts import Amounts
from pillsnap.preflight.findings import Finding, finding, gib
from pillsnap.preflight.models import training_bytes
from pillsnap.training.batch_size import BatchChoice, choose_batch
from pillsnap.training.model_sizes import CUDA_BYTES


def gpu_need(config: Config) -> int:
    """Estimate the memory of the larger training in bytes, by a rule of thumb: model, batch and input size, in FP32."""
    return CUDA_BYTES + max(training_bytes(config, part) for part in ("detector", "classifier"))


def check_gpus(found: Sequence[Gpu], driver: CudaDriver | None, config: Config) -> list[Finding]:
    """Check the memory of each GPU; only those that the trainings take, the first visible to CUDA, can be too small.

    Args:
        found: GPUs that NVML lists.
        driver: CUDA's driver; `None` where it is not installed.
        config: device, models, batches and processes.
    """
    devices = driver.devices if driver else ()
    if not found and not devices:
        cure = "Set device to auto or cpu, or run where there is a GPU with its driver"
        text = "none, but device = cuda" if config.device == "cuda" else "none; trainings run on the CPU"
        return [finding("GPU", text, refused=config.device == "cuda", cure=cure)]
    used = {} if config.device == "cpu" else {each.uuid: each for each in devices[: config.training.processes]}
    need, findings = gpu_need(config), []
    for gpu in found:
        # where NVML gives no UUID there is one GPU (WSL, unified memory)
        device = used.pop(gpu.uuid, None) if gpu.uuid else next((used.pop(key) for key in list(used)), None)
        findings.append(_check_gpu(gpu, device, need if device else 0))
    return findings + [_check_gpu(_unlisted(device), device, need) for device in used.values()]


def choose_batches(driver: CudaDriver | None, amounts: Amounts, config: Config) -> dict[str, BatchChoice]:
    """The batch that `batch: auto` becomes, by part: `detector`, `classifier`, or none of them.

    Args:
        driver: CUDA's driver; `None` where it is not installed.
        amounts: of the stage.
        config: recipes, device and processes.
    """
    devices = driver.devices[: config.training.processes] if driver and config.device != "cpu" else ()
    least = min(devices, key=lambda each: each.memory_total, default=None)
    name, size = (least.name, least.memory_total) if least else (None, None)
    share, choices = 1 - config.plan.val_fraction, {}
    for part, pictures in (("detector", amounts.detector_photos), ("classifier", amounts.trained_pills)):
        recipe = getattr(config, part)
        if recipe.batch == "auto":
            choices[part] = choose_batch(
                recipe, gpu=name, gpu_memory=size, world_size=len(devices) or 1, pictures=int(pictures * share)
            )
    return choices


def with_batches(config: Config, choices: Mapping[str, BatchChoice]) -> Config:
    """The configuration with the chosen batches as numbers."""
    parts = {part: getattr(config, part).model_copy(update={"batch": choice.batch}) for part, choice in choices.items()}
    return config.model_copy(update=parts)


def check_batches(choices: Mapping[str, BatchChoice]) -> list[Finding]:
    """Tell which batches `auto` becomes."""
    return [finding(f"{part}.batch", f"auto: {choice.event.said}") for part, choice in choices.items()]


def _unlisted(device: CudaDevice) -> Gpu:
    """A device that NVML does not list, such as a MIG instance in some containers."""
    return Gpu(device.name, device.memory_total, None, (), device.uuid)


def _check_gpu(gpu: Gpu, device: CudaDevice | None, need: int) -> Finding:
    total = gpu.memory_total or (device.memory_total if device else None)
    if gpu.memory_free is not None and total is not None:
        memory = f"{gib(gpu.memory_free)} of {gib(total)} free"
    else:
        memory = f"{gib(total)}, free memory not reported" if total else "memory not reported"
    text = f"{gpu.name}: {memory}"
    text += f"; the trainings need about {gib(need)}" if need else "; not used"
    text += f"; used by {', '.join(_holder(*holder) for holder in gpu.holders)}" if gpu.holders else ""
    if total is not None and total < need:
        cure = "Lower classifier.batch, detector.batch or the image sizes, or take a larger GPU"
    elif gpu.holders:
        cure = "Wait for those processes, or ask their owners"
    else:
        cure = "See nvidia-smi for the processes that use it: those of other containers are not listed here"
    short = any(size is not None and size < need for size in (gpu.memory_free, total))
    return finding("GPU", text, warning=short, cure=cure)


def _holder(pid: int, used: int) -> str:
    """Describe a process: id, name, user and memory; the driver may hide the memory, and a container the process."""
    size = gib(used) if used else "memory unknown"
    try:
        process = psutil.Process(pid)
        return f"process {pid} ({process.name()}, user {process.username()}, {size})"
    except psutil.NoSuchProcess:
        return f"process {pid} ({size}; not visible from here, perhaps in another container)"
    except psutil.AccessDenied:
        return f"process {pid} ({size}; name and user are hidden)"
