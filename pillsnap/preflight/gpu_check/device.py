"""Check that driver, devices and settings fit each other, and that NVML and torch mean the same GPU."""

from collections.abc import Iterator

from pillsnap.config.config import Config
from pillsnap.cuda import cuda_driver
from pillsnap.hardware import gpus
from pillsnap.preflight.cuda import check_cuda
from pillsnap.preflight.findings import Verdict as Found
from pillsnap.preflight.findings import gib
from pillsnap.preflight.gpu_check.rows import Row, Verdict

STOPPING = {"device", "CUDA device", "CUDA", "architecture", "torch"}
"""Rows whose failure leaves no GPU to measure; the first is that of a check that broke."""


def check_device(config: Config) -> Iterator[Row]:
    """Ask CUDA's driver, NVML and torch; the settings are taken for ones that ask for a GPU."""
    found, driver = gpus(), cuda_driver()
    if not driver or not driver.devices:
        why = (driver and driver.error) or ("no GPU is visible to CUDA" if driver else "there is no libcuda.so.1")
        cure = "Install NVIDIA's driver, and look at CUDA_VISIBLE_DEVICES"
        yield Row("CUDA device", why, "one", Verdict.failed, cure)
        return
    for one in check_cuda(found, driver, config.model_copy(update={"device": "cuda"})):
        verdict = Verdict.failed if one.verdict is Found.refused else Verdict.ok
        yield Row(one.what, one.found, "", verdict, one.cure)
    first = driver.devices[0]
    facts = {"name": first.name, "capability": list(first.capability), "memory_total_bytes": first.memory_total}
    text = f"{first.name}, compute capability {'.'.join(map(str, first.capability))}, {gib(first.memory_total)}"
    yield Row("first GPU", text, "", Verdict.ok, figures=facts | {"cuda": list(driver.version)})
    yield _same_gpu({gpu.uuid for gpu in found})


def _same_gpu(listed: set[str]) -> Row:
    """Compare torch's first device with NVML's by UUID: figures of memory would be of another GPU."""
    import torch

    if not torch.cuda.is_available():
        cure = "Install the lock file: make env"
        return Row("torch", f"torch {torch.__version__} finds no GPU", "one", Verdict.failed, cure)
    uuid = str(torch.cuda.get_device_properties(0).uuid)
    if not any(listed):
        return Row("NVML and torch", "NVML reports no UUID", "the same", Verdict.not_checked, "WSL, or a virtual GPU")
    verdict = Verdict.ok if uuid in listed else Verdict.failed
    cure = "" if uuid in listed else "Show all GPUs to NVML: nvidia-smi -L in the same container"
    return Row("NVML and torch", uuid, "the same GPU by UUID", verdict, cure)
