"""Check that CUDA can do what the settings ask for: driver, devices, architecture, bf16, processes, ONNX Runtime."""

import os
import shutil
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from pillsnap.config.config import Config
from pillsnap.cuda import CudaDevice, CudaDriver
from pillsnap.hardware import Gpu
from pillsnap.preflight.findings import Finding, finding

DRIVERS = {12: 525, 13: 580}
"""Oldest driver by the major version of CUDA that a program was built with (CUDA's minor version compatibility)."""
BF16_FROM = (8, 0)
"""Compute capability from which bf16 is computed in hardware; torch emulates it below, slower than fp32."""
OR_CPU = "or set device: cpu"


def check_cuda(found: Sequence[Gpu], driver: CudaDriver | None, config: Config) -> list[Finding]:
    """Check the driver and the devices that the trainings would take; nothing where they run on the CPU.

    Args:
        found: GPUs that NVML lists.
        driver: CUDA's driver; `None` where it is not installed.
        config: device, precisions and processes.
    """
    if config.device == "cpu" or not (found or driver):
        return []
    if driver is None:
        cure = f"Start the container with NVIDIA_DRIVER_CAPABILITIES=compute,utility, install the driver anew, {OR_CPU}"
        return [finding("CUDA", "there are GPUs, and no libcuda.so.1 to compute on them", refused=True, cure=cure)]
    if driver.error:
        cure = f"See nvidia-smi; a driver that was updated needs a restart of the machine; {OR_CPU}"
        refused = bool(found) or config.device == "cuda"
        return [finding("CUDA", f"the driver cannot be used: {driver.error}", refused=refused, warning=True, cure=cure)]
    if not driver.devices:
        return _hidden(config) if found else []
    return [_check_driver(driver), *_check_devices(driver.devices, config)]


def _hidden(config: Config) -> list[Finding]:
    """Say that CUDA_VISIBLE_DEVICES leaves no GPU; empty and -1 are what people set to hide all."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    wanted, on_purpose = config.device == "cuda", named.strip() in ("", "-1")
    cure = f"Name GPUs that nvidia-smi -L lists, by index or UUID, {OR_CPU}"
    text = f"CUDA_VISIBLE_DEVICES={named} leaves no GPU; trainings would run on the CPU"
    return [finding("CUDA", text, refused=wanted, warning=not on_purpose, cure=cure)]


def _check_driver(driver: CudaDriver) -> Finding:
    import torch

    built = torch.version.cuda or "none"
    text = f"the driver supports CUDA {'.'.join(map(str, driver.version))}, torch was built with {built}"
    if torch.version.cuda is None:
        return finding("CUDA", text, refused=True, cure=f"Install the lock file: make env; {OR_CPU}")
    major = int(built.split(".")[0])
    cure = f"Update NVIDIA's driver to {DRIVERS.get(major, 'one of that version')} or newer, {OR_CPU}"
    return finding("CUDA", text, refused=driver.version[0] < major, cure=cure)


def _check_devices(devices: Sequence[CudaDevice], config: Config) -> list[Finding]:
    import torch

    wanted, there = config.training.processes, len(devices)
    findings = []
    if wanted > there:
        text = f"training.processes = {wanted}, and {there} visible to CUDA"
        findings.append(finding("GPUs", text, refused=True, cure=f"Set training.processes to {there} or fewer"))
    batch = config.detector.global_batch_size
    if batch % wanted:
        text = f"detector.batch = {batch} cannot be shared equally by training.processes = {wanted}"
        findings.append(finding("GPUs", text, refused=True, cure="Set the batch to a multiple of the processes"))
    used, built = devices[:wanted], torch.cuda.get_arch_list()
    for device in [each for each in used if built and not runs_on(each.capability, built)]:
        text = f"{device.name} has compute capability {_dotted(device)}; torch was built for {' '.join(built)}"
        findings.append(finding("architecture", text, refused=True, cure=f"Take a newer GPU, {OR_CPU}"))
    asking = bf16_settings(config)
    for device in [each for each in used if asking and each.capability < BF16_FROM]:
        text = f"{', '.join(asking)} = bf16; {device.name} (compute capability {_dotted(device)}) computes none"
        cure = "Set it to fp32, or to fp16"
        findings.append(finding("bf16", text, refused=True, cure=cure))
    return findings


def check_onnx_runtime(driver: CudaDriver | None, config: Config) -> list[Finding]:
    """Check that ONNX Runtime loads what it computes with on a GPU: answers are made with it after both trainings.
    Nothing where no GPU is used."""
    if config.device == "cpu" or not (driver and driver.devices):
        return []
    from pillsnap.predict.sessions import why_no_cuda

    reason = why_no_cuda()
    text = f"cannot use CUDA: {reason}" if reason else "its CUDA provider loads"
    cure = f"Install the lock file: make env; {OR_CPU}"
    wanted = config.device == "cuda"
    return [finding("ONNX Runtime", text, refused=bool(reason) and wanted, warning=bool(reason), cure=cure)]


def check_compiler(driver: CudaDriver | None, config: Config) -> list[Finding]:
    """Check for what `torch.compile` builds its kernels with when the training begins: Triton, on a GPU, a C compiler,
    on the CPU torch a C++ compiler, both Python's headers. Nothing where no model is compiled."""
    if not config.classifier.compile:
        return []
    on_gpu = config.device != "cpu" and bool(driver and driver.devices)
    language, variable, names = ("C", "CC", ("gcc", "clang")) if on_gpu else ("C++", "CXX", ("g++",))
    names = (os.environ[variable].split()[0],) if os.environ.get(variable) else names
    header = Path(sysconfig.get_paths()["include"], "Python.h")
    missing = [] if any(map(shutil.which, names)) else [f"a {language} compiler ({' or '.join(names)})"]
    missing += [] if header.is_file() else [f"Python's headers ({header.name})"]
    found = f"classifier.compile needs {' and '.join(missing)}" if missing else f"{language}, with Python's headers"
    cure = "Install it (Debian: build-essential, python3-dev), or set classifier.compile: false"
    return [finding("compiler", found, refused=bool(missing), cure=cure)]


def runs_on(capability: tuple[int, int], built: Sequence[str]) -> bool:
    """Whether code runs on a device.

    Args:
        capability: of the device.
        built: architectures of the code: `sm_86` runs on devices of its major version from its minor one on,
            `sm_90a` on 9.0 alone, `compute_90` (PTX) on all newer ones.
    """
    for name in built:
        kind, _, number = name.partition("_")
        major, minor = divmod(int(number.rstrip("af")), 10)
        if number.endswith("a"):
            fits = capability == (major, minor)
        elif kind == "sm":
            fits = capability[0] == major and capability[1] >= minor
        else:
            fits = capability >= (major, minor)
        if fits:
            return True
    return False


def bf16_settings(config: Config) -> list[str]:
    """Keys of the settings that ask for bf16: recipes, phases, and interventions that are applied."""
    steering = config.steering
    asked = {f"{part}.precision": getattr(config, part).precision for part in ("detector", "classifier")}
    for phase in steering.phases:
        asked |= {f"phase {phase.name}: {part}": getattr(phase, part).precision for part in ("detector", "classifier")}
    if steering.mode == "apply":
        asked |= {f"intervention {each.name}": each.change.precision for each in steering.interventions}
    return [key for key, precision in asked.items() if precision == "bf16"]


def _dotted(device: CudaDevice) -> str:
    return ".".join(map(str, device.capability))
