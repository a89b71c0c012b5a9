"""The dataset page of a stage: its photographs, classes, boxes and quarantine in one HTML file that opens offline."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from pillsnap.dataset.facts.composed import read_composed
from pillsnap.dataset.page import render_page
from pillsnap.dataset.stage_data import read_stage_data
from pillsnap.files import sha256_of, write_text
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import OVERLAPS

log = logging.getLogger(__name__)


def write_dataset_page(
    *,
    stage: str,
    manifest: Mapping[str, Path],
    quarantine: Path,
    classes: Path,
    summary: Path,
    overlapping_labels: Path,
    plan_summary: Path,
    prepared: Sequence[Path],
    page: Path,
    raw: Mapping[str, str],
    sources: Mapping[str, str],
    source_of: Mapping[str, str],
    scenes: Sequence[Path] = (),
    cut_outs: Sequence[Path] = (),
) -> None:
    """Write what the data of a stage is.

    Args:
        stage: its name.
        manifest, quarantine, classes, summary, overlapping_labels: of `build_manifest`; `manifest` by part (`train`,
            `val`, `test`).
        plan_summary: of `plan_stage`.
        prepared: folders of `prepare_archive`, for the pictures.
        page: written, HTML.
        raw: the raw photographs' zip or folder by the archive's name, for pictures of the quarantine; where one is not
            there, the page says so.
        sources: kind of each source, of `pillsnap.sources.registry`, by its name.
        source_of: name of the source by the archive's name.
        scenes, cut_outs: folders of `compose_scenes` and `cut_pills`; none where no scene is composed.
    """
    files = {"quarantine": quarantine, "classes": classes, "summary": summary, "plan_summary": plan_summary}
    data = read_stage_data(manifest=manifest, **files)
    hashes = {path.name: sha256_of(path) for path in (*manifest.values(), *files.values(), overlapping_labels)}
    text = render_page(
        data,
        stage=stage,
        sources=sources,
        source_of=source_of,
        prepared=prepared,
        raw=raw,
        hashes=hashes,
        overlaps=read_table(overlapping_labels, OVERLAPS),
        composed=read_composed(scenes, cut_outs),
    )
    write_text(page, text)
    log.info("%s: %d photos, %d bytes", page, len(data.photos), page.stat().st_size)
