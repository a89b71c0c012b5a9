"""A stage of a commit, made again in a clean folder."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from pillsnap.load_config import read_config
from pillsnap.reproduce.records import RecordError
from pillsnap.sources import source_root


def rebuild(commit: str, stage: str, folder: Path, *, cores: int | None = None) -> None:
    """Make a stage of a commit in a clone of this repository; where the folder is there, go on in it.

    Its own code runs, not this folder's. Raw data that are not drawn are read where they lie.

    Args:
        commit: any name of it that git knows.
        stage: `stage1` to `stage4`.
        folder: of the clone.
        cores: given to Snakemake; all by default.

    Raises:
        RecordError: git has no such commit, or Snakemake ended with an error.
    """
    if not folder.exists():
        _run("git", "clone", "--quiet", "--no-checkout", ".", str(folder))
        _run("git", "checkout", "--quiet", "--detach", hash_of(commit), cwd=folder)
        root = source_root(read_config(folder / "config.yaml").source)
        if (
            not Path(root).is_absolute()
            and Path(root).is_dir()
            and read_config(folder / "config.yaml").source.kind != "synthetic"
        ):
            (folder / root).parent.mkdir(parents=True, exist_ok=True)
            (folder / root).symlink_to(Path(root).resolve())
    words = ["--cores", str(cores or "all"), "--rerun-incomplete", "--", f"results/{stage}/report.html"]
    packages = [str(folder.resolve()), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(packages)}
    _run(sys.executable, "-m", "snakemake", *words, cwd=folder, env=environment)


def _show_raw_data(folder: Path) -> None:
    """Let the clone see raw data that lie below this folder and that no rule draws."""
    source = read_config(folder / "config.yaml").source
    root = Path(source_root(source))
    if source.kind != "synthetic" and not root.is_absolute() and root.is_dir():
        (folder / root).parent.mkdir(parents=True, exist_ok=True)
        (folder / root).symlink_to(root.resolve())


def hash_of(commit: str) -> str:
    """The full hash of a commit; raises `RecordError` where git has none of that name."""
    done = subprocess.run(
        ["git", "rev-parse", "--verify", f"{commit}^{{commit}}"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RecordError(f"{commit}: git has no such commit")
    return done.stdout.strip()


def _run(*words: str, **options: Any) -> None:
    if subprocess.run(words, check=False, **options).returncode:
        raise RecordError(f"{' '.join(words)} ended with an error; what it said stands above.")
