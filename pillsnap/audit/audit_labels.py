"""The label audit: detections without label and labels without detection, for people to look at."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pillsnap.audit.coco import coco_dataset
from pillsnap.audit.findings import DETECTION, LABEL, find_findings
from pillsnap.audit.pictures import draw_findings
from pillsnap.config.data import Audit
from pillsnap.files import replacing_folder, write_json
from pillsnap.tables.classes import read_classes
from pillsnap.tables.files import read_table, write_table
from pillsnap.tables.schemas import DETECTIONS, FINDINGS, MANIFEST

log = logging.getLogger(__name__)


def audit_labels(
    *,
    manifest: dict[str, Path],
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
        detections: of `detect_pills`, schema `DETECTIONS`.
        classes: the class list.
        prepared: folders of `prepare_archive`.
        label_audit: folder, written whole: `findings.csv` of schema `FINDINGS`, `coco.json`, `pictures/*.jpg` and
            `summary.json`.
        settings: thresholds, and how many photographs are drawn.
        min_iou: a detected box counts as a labelled pill's from this IoU on.
    """
    pills = pd.concat([read_table(path, MANIFEST) for path in manifest.values()], ignore_index=True)
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
    return {
        "photos": int(pills["image_id"].nunique()),
        "partly_labelled_photos": int(pills.loc[~pills["fully_labelled"], "image_id"].nunique()),
        "labels": len(pills),
        "confident_detections": int((seen["score"] >= settings.min_score).sum()),
        "photos_with_findings": int(findings["image_id"].nunique()),
        "findings": {kind: _counts(findings[findings["kind"] == kind]) for kind in (DETECTION, LABEL)},
        "thresholds": {
            "lowest_score": settings.lowest_score,
            "min_score": settings.min_score,
            "max_iou": settings.max_iou,
            "min_iou": min_iou,
        },
    }


def _counts(found: pd.DataFrame) -> dict[str, Any]:
    """Findings of one kind: all, by side of the split, by domain, and by whether the photograph is fully labelled."""
    return {
        "all": len(found),
        "split": {name: int((found["split"] == name).sum()) for name in ("train", "val")},
        "domain": {name: int((found["domain"] == name).sum()) for name in ("single", "combo")},
        "fully_labelled": int(found["fully_labelled"].sum()),
        "partly_labelled": int((~found["fully_labelled"]).sum()),
    }
