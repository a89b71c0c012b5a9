"""Provenance of an artifact: inputs, code, commit, settings, versions, device, seed, duration."""

import datetime
import platform
import resource
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pillsnap.files import sha256_of, write_json
from pillsnap.hardware import cores, cpu_name, memory, torch_device
from pillsnap.sources.containers.fingerprint import fingerprint_of
from pillsnap.workflow.code_inputs import ROOT
from pillsnap.workflow.git import GitError, ask_git

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
RAW = ("photos", "labels")
"""Roles of raw archives among a rule's files: tens of gigabytes, of which a stage reads a part."""
DECIDING = (
    "Snakefile",
    "rules",
    "scripts",
    "pillsnap",
    "config.yaml",
    "requirements.lock",
    "profiles",
    "weights",
)
"""What decides results, as paths from the project's root: a commit of documents, tests or `dvc.lock` is not theirs."""

Files = Mapping[str, str | Path | Iterable[str | Path]]


def write_record(
    record: Path,
    *,
    rule: str,
    inputs: Files,
    outputs: Files,
    code: Iterable[str],
    settings: Mapping[str, Any],
    seconds: float,
) -> None:
    """Write the JSON that says where a job's outputs come from.

    Args:
        record: written: `rule`, `inputs` and `outputs` (identity by path, see `identities`), `settings`, `seed` and
            `device` (null where the rule has none), `commit`, `versions`, `code` (SHA-256 by module), `ended` (UTC)
            and `seconds`.
        rule: its name.
        inputs: files and folders by role, code left out.
        outputs: files and folders by role; `record` itself does not count.
        code: paths of the modules behind the rule, from the checkout's root.
        settings: values that decide the outputs, JSON.
        seconds: how long the job took.

    Raises:
        FileNotFoundError: an input or output is not there.
    """
    write_json(
        record,
        {
            "rule": rule,
            "outputs": identities({role: path for role, path in outputs.items() if role != "record"}),
            "inputs": identities(inputs),
            "settings": dict(settings),
            "seed": settings.get("seed"),
            "device": describe_device(torch_device(settings.get("device", "cpu"))),
            "commit": git_commit(),
            "versions": package_versions(),
            "code": {path: sha256_of(ROOT / path) for path in code},
            "ended": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "seconds": round(seconds, 3),
        },
    )


def identities(files: Files) -> dict[str, str]:
    """Hash the content of each file or folder, by path: SHA-256, of raw archives `fingerprint_of`.

    The path of what comes with the workflow is given from the checkout's root, wherever the results are kept. Prepared
    archives of a large stage are a hundred gigabytes, so all cores hash, whatever the job was given.
    """
    listed = [
        (Path(path), role in RAW)
        for role, paths in files.items()
        for path in ([paths] if isinstance(paths, str | Path) else paths)
    ]
    with ThreadPoolExecutor(cores()) as pool:
        hashed = pool.map(lambda one: identity_of(one[0], raw=one[1]), listed)
        return {_recorded_path(path): identity for (path, _), identity in zip(listed, hashed, strict=True)}


def _recorded_path(path: Path) -> str:
    apart = path.is_relative_to(ROOT) and not path.is_relative_to(Path.cwd())
    return (path.relative_to(ROOT) if apart else path).as_posix()


def identity_of(path: str | Path, *, raw: bool) -> str:
    """Return `fingerprint_of` a raw archive, `sha256_of` all else."""
    return fingerprint_of(path) if raw else sha256_of(path)


def describe_device(device: str) -> str:
    """Name the computing device: the GPU, or the processor with its usable cores."""
    if device == "cuda":
        import torch

        return torch.cuda.get_device_name(0)
    return f"CPU: {cpu_name()}, {cores()} cores"


def describe_run(device: str, threads: int) -> dict[str, Any]:
    """Describe what this process measured on: device, threads, memory of the machine and the process's peak so far in
    bytes, versions, commit."""
    return {
        "device": describe_device(device),
        "threads": threads,
        "memory_total_bytes": memory()[0],
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "versions": package_versions(),
        "commit": git_commit(),
    }


def package_versions() -> dict[str, str]:
    """Return versions of Python and of the packages that shape results."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def git_commit() -> dict[str, Any]:
    """Return what `read_commit` does; where git does not answer, `hash` is empty and `dirty` is null."""
    try:
        return read_commit()
    except GitError:
        return {"hash": "", "dirty": None}


def read_commit() -> dict[str, Any]:
    """Return the last commit that changed anything in `DECIDING`, and whether its files differ from it.

    Recording results makes a commit of its own (`dvc.lock`), of which the same results can be made again: it must not
    change what they say of themselves. Where a shallow clone's history ends with the commit, `shallow` is true: the
    change may be of an earlier one, which git does not have.

    Raises:
        GitError: git does not answer, or no commit has the project's files.
    """
    commit = ask_git("log", "-1", "--format=%H", "--", *DECIDING, folder=ROOT).strip()
    if not commit:
        raise GitError(
            f"the repository around {ROOT} has no commit of its files", "Clone the project, or commit its files"
        )
    changed = ask_git("status", "--porcelain", "--untracked-files=no", "--", *DECIDING, folder=ROOT)
    found = {"hash": commit, "dirty": bool(changed.strip())}
    return found | {"shallow": True} if _ends_history(commit) else found


def _ends_history(commit: str) -> bool:
    """Whether a shallow clone lacks the commits before this one; git then counts all files as changed by it."""
    listed = ROOT / ask_git("rev-parse", "--git-path", "shallow", folder=ROOT).strip()
    return listed.is_file() and commit in listed.read_text().split()
