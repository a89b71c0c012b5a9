"""Where an artifact comes from: inputs, commit, settings, versions, device, seed."""

import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pillsnap.files import sha256_of
from pillsnap.hardware import cores, cpu_name

PACKAGES = (
    "pillsnap",
    "snakemake",
    "dvc",
    "torch",
    "ultralytics",
    "timm",
    "numpy",
    "pandas",
    "pillow",
    "onnx",
    "onnxruntime-gpu",
)


def provenance(*, inputs: Mapping[str, Path], settings: Mapping[str, Any], seed: int, device: str) -> dict[str, Any]:
    """What an artifact's sibling JSON says.

    Args:
        inputs: files or folders by role; their SHA-256 is taken.
        settings: the configuration section that was used, JSON values.
        seed: the seed.
        device: where it was computed, `cpu` or `cuda`.
    """
    return {
        "inputs": {role: sha256_of(path) for role, path in inputs.items()},
        "commit": git_commit(),
        "settings": dict(settings),
        "seed": seed,
        "device": describe_device(device),
        "versions": package_versions(),
    }


def describe_device(device: str) -> str:
    """A name of the computing device: the GPU's, or the processor's with its usable cores."""
    if device == "cuda":
        import torch

        return torch.cuda.get_device_name(0)
    return f"CPU: {cpu_name()}, {cores()} cores"


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape results."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def git_commit() -> dict[str, Any]:
    """The commit of the project and whether tracked files differ from it; hash empty outside a repository."""
    folder = Path(__file__).parent

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    return {"hash": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--untracked-files=no"))}
