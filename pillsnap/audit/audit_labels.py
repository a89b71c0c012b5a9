"""The label audit: detections without label and labels without detection, for people to look at."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pillsnap.audit.coco import coco_dataset
from pillsnap.audit.findings import BACKGROUND, DETECTION, LABEL, find_findings, rows_without_label
from pillsnap.audit.pictures import draw_findings
from pillsnap.config.data import Audit
from pillsnap.files import replacing_folder, write_json
from pillsnap.tables.classes import read_classes
from pillsnap.tables.files import read_table, write_table
from pillsnap.tables.schemas import DETECTIONS, FINDINGS, MANIFEST, MANIFEST_BACKGROUNDS

log = logging.getLogger(__name__)


def audit_labels(
    *,
    manifest: dict[str, Path],
    backgrounds: Path,
    detections: Path,
    classes: Path,
    prepared: Sequence[Path],
    label_audit: Path,
    settings: Audit,
    min_iou: float,
) -> None:
    """List where the trained detector and the labels disagree.

    A finding is a hint, not a verdict, and changes nothing. The detector was trained on the fully labelled training
    photographs (on the others too, if `yolo.partly_labelled` says so): mistakes there it may have learned, and then it
    agrees with them. Nothing is said of which drug a pill is, of pills that neither label nor detector knows, of
    photographs in the quarantine, of drugs that the model never sees, and of the test part, which only `run_benchmark`
    reads.

    Args:
        manifest: CSV by split (`train`, `val`), schema `MANIFEST`.
        backgrounds: photographs without a pill, schema `MANIFEST_BACKGROUNDS`; those of the splits are looked at.
        detections: of `detect_pills`, schema `DETECTIONS`.
        classes: the class list.
        prepared: folders of `prepare_archive`.
        label_audit: folder, written whole: `findings.csv` of schema `FINDINGS`, `coco.json`, `pictures/*.jpg` and
            `summary.json`.
        settings: thresholds, and how many photographs are drawn.
        min_iou: a detected box counts as a labelled pill's from this IoU on.
    """
    empty = read_table(backgrounds, MANIFEST_BACKGROUNDS)
    tables = [read_table(path, MANIFEST) for path in manifest.values()]
    pills = pd.concat([*tables, rows_without_label(empty[empty["split"].isin(manifest)])], ignore_index=True)
    seen = read_table(detections, DETECTIONS)
    seen = seen[seen["split"].isin(manifest)].reset_index(drop=True)
    findings = find_findings(pills, seen, settings, min_iou=min_iou)
    with replacing_folder(label_audit) as folder:
        findings["picture"] = draw_findings(folder, pills, seen, findings, prepared, settings.pictures)
        write_table(findings, folder / "findings.csv", FINDINGS)
        write_json(folder / "coco.json", coco_dataset(pills, findings, read_classes(classes)))
        write_json(folder / "summary.json", _summary(pills, seen, findings, settings, min_iou))
    log.info("%d findings in %d photos", len(findings), findings["image_id"].nunique())


def _summary(
    pills: pd.DataFrame, seen: pd.DataFrame, findings: pd.DataFrame, settings: Audit, min_iou: float
) -> dict[str, Any]:
    without = int((pills["domain"] == BACKGROUND).sum())
    domains = ("single", "combo", *([BACKGROUND] if without else []))
    return {
        "photos": int(pills["image_id"].nunique()),
        "partly_labelled_photos": int(pills.loc[~pills["fully_labelled"], "image_id"].nunique()),
        **({"backgrounds": without} if without else {}),
        "labels": len(pills) - without,
        "confident_detections": int((seen["score"] >= settings.min_score).sum()),
        "photos_with_findings": int(findings["image_id"].nunique()),
        "findings": {kind: _counts(findings[findings["kind"] == kind], domains) for kind in (DETECTION, LABEL)},
        "thresholds": {
            "lowest_score": settings.lowest_score,
            "min_score": settings.min_score,
            "max_iou": settings.max_iou,
            "min_iou": min_iou,
        },
    }


def _counts(found: pd.DataFrame, domains: Sequence[str]) -> dict[str, Any]:
    """Findings of one kind: all, by side of the split, by domain, and by whether the photograph is fully labelled."""
    return {
        "all": len(found),
        "split": {name: int((found["split"] == name).sum()) for name in ("train", "val")},
        "domain": {name: int((found["domain"] == name).sum()) for name in domains},
        "fully_labelled": int(found["fully_labelled"].sum()),
        "partly_labelled": int((~found["fully_labelled"]).sum()),
    }
