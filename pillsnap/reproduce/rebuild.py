"""Rebuild a stage of a commit in a clean folder."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from pillsnap.config.load import read_values
from pillsnap.files import replacing
from pillsnap.reproduce.records import RecordError, place_in_repository
from pillsnap.sources.archives import expanded, source_root
from pillsnap.sources.registry import get_kind
from pillsnap.sources.settings import Source
from pillsnap.workflow.git import GitError, ask_git

MARK = Path(".git/pillsnap-verify")
"""File with the commit in a clone that `rebuild` made: no other folder is resumed, or removed."""

NAMED_BESIDE = (
    ("scenes", "backgrounds"),
    ("away", "real_data"),
    ("detector", "model"),
    ("classifier", "weights"),
    ("reader", "weights"),
)
"""Settings that name files or folders, which git may not have."""


def rebuild(commit: str, stage: str, folder: Path, *, cores: int | None = None) -> Path:
    """Rebuild a stage of a commit in a clone of this repository; resume in the clone of a killed call.

    The commit's code runs, not this folder's, with the packages that are installed. Raw data that are not drawn are
    read in place, and so are other files and folders that settings name and git does not have.

    Args:
        commit: any revision that git knows.
        stage: `stage1` to `stage4`.
        folder: of the clone.
        cores: for Snakemake; all by default.

    Returns:
        the project's folder in the clone: `folder`, or one below it where the project is a part of a larger repository.

    Raises:
        RecordError: git has no such commit, the folder is another one, its raw data are not told, or Snakemake failed.
    """
    known = hash_of(commit)
    if not folder.exists():
        _clone(known, folder)
    elif not (folder / MARK).is_file() or (folder / MARK).read_text() != known:
        raise RecordError(f"{folder}: exists, and is no unfinished verification of {commit}. Name a new folder.")
    arguments = ["--cores", str(cores or "all"), "--rerun-incomplete", "--", f"results/{stage}/report.html"]
    project = folder / place_in_repository()
    packages = [str(project.resolve()), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(packages)}
    _run(sys.executable, "-m", "snakemake", *arguments, cwd=project, env=environment)
    return project


def _clone(commit: str, folder: Path) -> None:
    with replacing(folder) as temporary:
        root = ask_git("rev-parse", "--show-toplevel").rstrip("\n")
        _run("git", "clone", "--quiet", "--no-checkout", root, str(temporary))
        _run("git", "checkout", "--quiet", "--detach", commit, cwd=temporary)
        _link_raw_data(temporary / place_in_repository())
        (temporary / MARK).write_text(commit)


def _link_raw_data(folder: Path) -> None:
    """Link raw data below this folder, unless a rule draws them, their tables of names, and what the settings in
    `NAMED_BESIDE` name into the clone."""
    sources, beside = _named(folder / "config.yaml")
    sources = [one for one in sources if not get_kind(one.kind).drawn]
    tables = [source.classes for source in sources if source.classes]
    for path in sorted({*map(source_root, sources), *map(expanded, [*tables, *beside])}):  # a folder before its files
        if path.is_absolute() or not path.exists() or (folder / path).exists():
            continue
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).symlink_to(path.resolve())


def _named(config: Path) -> tuple[list[Source], list[str]]:
    """Read where a commit's raw data lie, and what the settings in `NAMED_BESIDE` name; other settings are left to its
    own code, which may know other keys."""
    try:
        values = read_values(config)
        given = values.get("sources") or [values.get("source") or {}]
        sources = [Source(**{key: one[key] for key in ("kind", "root", "classes") if key in one}) for one in given]
        beside = [(values.get(section) or {}).get(key) for section, key in NAMED_BESIDE]
        return sources, [path for path in beside if path]
    except (ValueError, TypeError, AttributeError) as error:
        raise RecordError(
            f"{config.name} of the commit: its raw data cannot be found ({error}). Verify it with the version of that "
            "commit."
        ) from error


def hash_of(commit: str) -> str:
    """Return the full hash of a commit; raises `RecordError` where git has none of that name."""
    try:
        return ask_git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}").strip()
    except GitError as error:  # quietly: without a word where there is no such commit
        raise RecordError(str(error) or f"{commit}: git has no such commit") from None


def _run(*command: str, **options: Any) -> None:
    if subprocess.run(command, check=False, **options).returncode:
        raise RecordError(f"{' '.join(command)} failed; its output is above.")
