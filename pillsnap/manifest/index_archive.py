"""Read an archive's labels into tables; no pixel is decoded."""

import contextlib
import gc
import logging
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from pillsnap.files import write_json
from pillsnap.sources.archives import Archive, SourceError
from pillsnap.sources.labels import LabelReading
from pillsnap.sources.registry import get_kind
from pillsnap.tables.files import write_rows, write_table
from pillsnap.tables.schemas import BACKGROUNDS, ISSUES, LOOKS, PILLS

log = logging.getLogger(__name__)


def index_archive(
    *, kind: str, archive: Archive, pills: Path, backgrounds: Path, looks: Path, issues: Path, counts: Path
) -> None:
    """Index one archive.

    Args:
        kind: the source's kind, a key of `KINDS` in `pillsnap.sources.registry`.
        archive: paths of photographs and labels.
        pills: written, schema `PILLS`: one row a usable label.
        backgrounds: written, schema `BACKGROUNDS`: one row a photograph that is labelled as showing no pill.
        looks: written, schema `LOOKS`: the labels' descriptions of their drugs.
        issues: written, schema `ISSUES`: quarantined, skipped and repaired files, with reasons.
        counts: written, JSON: numbers of `archives` (zips or folders), `photos`, `labels` and `other_files` read, and
            `photos_directory`, the hash of the photographs' zip (`Container.directory_hash`).

    An archive that cannot be opened is an issue of its own and stops no other.

    Raises:
        SourceError: a YOLO set's `data.yaml` cannot be used, or the table of class names lacks some.
    """
    with _no_garbage_collection():
        reading: LabelReading = get_kind(kind).read_labels(archive)
    if reading.unlisted:
        raise SourceError(
            f"{archive.classes}: has no row for {len(reading.unlisted)} classes of {archive.name}: "
            f"{', '.join(sorted(reading.unlisted))[:2000]}. Add a row for each; one without K-code keeps its name."
        )
    reading.pills.sort(key=lambda pill: (pill["member"], pill["label_member"]))
    write_rows(reading.pills, pills, PILLS)
    reading.backgrounds.sort(key=lambda photo: photo["member"])
    write_rows(reading.backgrounds, backgrounds, BACKGROUNDS)
    described = [(*look, labels) for look, labels in sorted(reading.looks.items())]
    write_table(pd.DataFrame(described, columns=list(LOOKS.columns)), looks, LOOKS)
    write_rows(reading.issues, issues, ISSUES)
    read = {"archives": reading.archives_read, "photos": reading.photos_read, "labels": reading.labels_read}
    directory = reading.directories.get(archive.photos, "")
    write_json(counts, read | {"other_files": reading.other_files, "photos_directory": directory})
    for issue in reading.issues:
        if issue["reason"] == "archive_unreadable":
            log.warning("%s: %s", archive.name, issue["detail"])
    log.info(
        "%s: %d photos, %d labels, %d usable labels; %s%s",
        archive.name,
        reading.photos_read,
        reading.labels_read,
        len(reading.pills),
        reading.reasons(),
        f" (in {issues})" if reading.issues else "",
    )


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Disable the collector: rows hold no reference cycles, and each collection would walk the growing heap of them."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
