"""Check what lies around a run: the user's name and home, paths, file locks."""

import errno
import getpass
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from pillsnap.config.config import Config
from pillsnap.hardware import existing_folder
from pillsnap.locks import WORK_CURE, try_lock
from pillsnap.preflight.findings import Finding, Verdict, finding, of_verdict
from pillsnap.sources.archives import Archive
from pillsnap.workflow.code_inputs import ROOT

DVC_CURE = "Have DVC lock by hard links: dvc config --local core.hardlink_lock true && rm -f .dvc/tmp/lock"
_BY_HARD_LINKS = re.compile(r"^\s*hardlink_lock\s*=\s*true\s*$", re.MULTILINE | re.IGNORECASE)
_ODD = re.compile(r"[{}\x00-\x1f\x7f\ud800-\udfff]")
_SHOWN = 3


class SurroundingsError(RuntimeError):
    """Surroundings in which Snakemake cannot plan; the message has each refusal with its cure."""


def refuse_surroundings(config: Config, archives: Mapping[str, Archive]) -> None:
    """Raise `SurroundingsError` where Snakemake itself would end with a traceback before the first job."""
    refused = of_verdict([check_user(), check_paths(config, archives)], Verdict.refused)
    if refused:
        raise SurroundingsError("\n".join(f"{one.what}: {one.found}. {one.cure}." for one in refused))


def check_user() -> Finding:
    """Refuse a user id without a name, as in a container that does not know its user."""
    try:
        return finding("user", getpass.getuser())
    except (KeyError, OSError):  # the latter from Python 3.13 on
        found = f"the user id {os.getuid()} has no name, and Snakemake and DVC ask for it"
        return finding("user", found, refused=True, cure="Give it one: export USER=pillsnap")


def check_home() -> Finding:
    """Refuse a home in which Snakemake cannot keep its cache."""
    cure = "Name a folder that may be written: export HOME=FOLDER"
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    except RuntimeError:
        return finding("home", "none, and Snakemake keeps its cache there", refused=True, cure=cure)
    place = existing_folder(cache)
    usable = place.is_dir() and os.access(place, os.W_OK | os.X_OK)
    found = f"Snakemake's cache in {cache} {'can' if usable else 'cannot'} be written"
    return finding("home", found, refused=not usable, cure=cure)


def check_paths(config: Config, archives: Mapping[str, Archive]) -> Finding:
    """Refuse braces, which Snakemake takes for wildcards, and what cannot stand in a line of a log in UTF-8."""
    places = [ROOT.as_posix(), *config.pathvars.model_dump().values(), *config.away_sets]
    starts = (config.detector, config.classifier, config.reader)
    places += [config.scenes.backgrounds or "", *(file for section in starts for file in section.starting_files)]
    places += [path for one in archives.values() for path in (one.photos, one.labels, *one.descriptions)]
    odd = [ascii(path) for path in places if _ODD.search(path)]
    found = ", ".join(odd[:_SHOWN]) + (", …" if len(odd) > _SHOWN else "") if odd else "without braces and line breaks"
    cure = "Rename it: no braces, no line breaks, UTF-8"
    return finding("paths", found, refused=bool(odd), cure=cure)


def check_locks(config: Config) -> Iterator[Finding]:
    """Refuse a folder of trainings in which no file can be locked or written; where it is DVC's folder, warn."""
    yield _check_lock(Path(config.pathvars.work), Verdict.refused, WORK_CURE)
    settings = [file.read_text(encoding="utf-8") for file in Path(".dvc").glob("config*")]
    if settings and not any(_BY_HARD_LINKS.search(text) for text in settings):
        yield _check_lock(Path(".dvc"), Verdict.warning, DVC_CURE)


def _check_lock(folder: Path, verdict: Verdict, cure: str) -> Finding:
    try:
        try_lock(existing_folder(folder))
    except OSError as error:
        cure = "Allow writing there" if error.errno in (errno.EACCES, errno.EROFS) else cure
        return Finding(verdict, "file locks", f"none in {folder} ({error.strerror})", cure)
    return Finding(Verdict.ok, "file locks", f"files in {folder} can be locked")
