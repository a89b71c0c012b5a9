"""Raw archives, and the folder of a source."""

import os
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePath

from pillsnap.sources.containers.s3 import is_in_s3, place_of
from pillsnap.sources.settings import Source


class SourceError(ValueError):
    """Raw data that is not where, or not what, the configuration says."""


class NotRecognisedError(SourceError):
    """A folder that holds nothing of the source's kind."""


PART_NAMES = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}
"""What data sets call each part: keys and folders."""
PART_OF = {name: part for part, names in PART_NAMES.items() for name in names}


def fixed_part(part: str, parts: Collection[str]) -> str:
    """Return the part that a source itself fixes: training photographs are free, so that the plan can hold some out,
    where it has no validation or no test part among its `parts`."""
    return "" if part == "train" and not {"val", "test"} <= set(parts) else part


def named_part(path: PurePath) -> str:
    """Return the part that a relative path tells by its last name, or else by the innermost folder that tells one."""
    for name in reversed(path.parts):
        words = re.split(r"[^a-z]+", name.lower())
        if part := next((PART_OF[word] for word in words if word in PART_OF), ""):
            return part
    return ""


@dataclass(frozen=True)
class Archive:
    """One unit of raw data, and of work: a pair of zips (or folders) with photographs and labels.

    Attributes:
        name: ASCII name, unique over all sources; it names results and log files.
        photos: path of the zip or folder with the photographs.
        labels: path of the zip or folder with the labels.
        domain: `single` or `combo`; empty where each photograph decides, by its name (AIHub) or its labels (YOLO).
        part: side of the split that the source itself fixes (`train`, `val`, `test`), empty where
            `plan_stage` divides.
        described_by: path of a file that describes the archive (the `data.yaml` of a YOLO data set); may be empty.
        named_by: path of a text file of class names that `described_by` names; may be empty.
        listing: path of the file that lists the photographs to use; empty: all below `photos`.
        neighbours: label file, folder of photographs and part of each other archive whose labels may name photographs
            below `photos`: this archive counts those that none names.
        boxes: where its boxes come from: `label`, or `whole` or `detector` (`source.box`).
        source: name of its source.
        classes: path of the source's table of class names (`pillsnap.sources.class_table`); may be empty.
        versions: ETags and sizes of zips in S3, so that rules run again where one has changed; empty for files on
            disks, whose time stamps Snakemake compares.
    """

    name: str
    photos: str
    labels: str
    domain: str
    part: str
    described_by: str = ""
    named_by: str = ""
    listing: str = ""
    neighbours: tuple[tuple[str, str, str], ...] = ()
    boxes: str = "label"
    source: str = ""
    classes: str = ""
    versions: str = ""

    @property
    def descriptions(self) -> list[str]:
        """Paths of the files that describe the archive."""
        labels = [labels for labels, _, _ in self.neighbours]
        return [path for path in (self.described_by, self.named_by, self.listing, self.classes, *labels) if path]


def unique_names(names: Iterable[str]) -> list[str]:
    """Return names of archives, numbered where one would be there already: the second `a` is `a-2`."""
    unique: list[str] = []
    for name in names:
        numbered = (f"{name}-{number}" for number in count(2))
        unique.append(name if name not in unique else next(one for one in numbered if one not in unique))
    return unique


def on_disk(*paths: str) -> list[str]:
    """Return the paths that can be inputs of a rule: those that do not lie in S3."""
    return [path for path in paths if not is_in_s3(path)]


def source_root(source: Source) -> Path:
    """Return the source's folder, on a disk or in S3; `${NAME}` and `${NAME:-default}` are expanded from the
    environment."""
    root = _with_variables(source.root)
    return place_of(root) if is_in_s3(root) else expanded(root)


def expanded(path: str) -> Path:
    """Return a path of the configuration, with variables of the environment and `~` expanded."""
    return Path(_with_variables(path)).expanduser()


def _with_variables(text: str) -> str:
    pattern = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
    return pattern.sub(lambda match: os.environ.get(match[1]) or match[2] or "", text)


def existing_root(source: Source) -> Path:
    """Return `source_root`; raises `SourceError` where there is no such folder."""
    root = source_root(source)
    if root.is_file():
        raise NotRecognisedError(f"source.root = {source.root}: is a file. Name its folder; unpack an archive first.")
    if not root.is_dir():
        if is_in_s3(root):
            raise SourceError(
                f"source.root = {source.root}: there is nothing at {root} in S3. Correct the bucket and the prefix."
            )
        raise SourceError(
            f"source.root = {source.root}: there is no folder {root}. Mount or fetch the data, or correct the path, "
            "source.root in a configuration."
        )
    return root
