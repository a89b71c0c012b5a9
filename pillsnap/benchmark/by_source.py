"""Accuracy on the test photographs of each source."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from pillsnap.answers.accuracy import PhotoResult, classifier_metrics, detector_metrics


def metrics_by_source(
    results: Sequence[PhotoResult],
    pills: pd.DataFrame,
    labelled: Collection[str],
    source_of: Mapping[str, str],
    min_iou: float,
) -> dict[str, dict[str, Any]]:
    """Measure each source that has test photographs.

    Args:
        results: of the test photographs.
        pills: the test manifest.
        labelled: image_id of the photographs whose boxes are labels'; the others say nothing of the detector.
        source_of: name of the source by the archive's name.
        min_iou: IoU from which a box counts as found.

    Returns:
        by the source's name: `photos`, `pills`, `drugs`; `top1` (`None` where no pill has a class), `map50` (`None`
        where no photograph is fully labelled) and `found`, the share of the labelled boxes that the answers find
        (`None` where there are none).
    """
    archive = pills.drop_duplicates("image_id").set_index("image_id")["archive"]
    parts: dict[str, list[PhotoResult]] = {name: [] for name in dict.fromkeys(source_of.values())}
    for result in results:
        parts[source_of[archive[result.image_id]]].append(result)
    drugs = pills.groupby(pills["archive"].map(source_of))["k_code"].nunique()
    return {
        name: {"photos": len(part), "drugs": int(drugs[name])} | _figures(part, labelled, min_iou)
        for name, part in parts.items()
        if part
    }


def _figures(results: Sequence[PhotoResult], labelled: Collection[str], min_iou: float) -> dict[str, Any]:
    boxed = [result for result in results if result.image_id in labelled]
    boxes = sum(len(result.boxes) for result in boxed)
    classes = any((result.targets >= 0).any() for result in results)
    return {
        "pills": sum(len(result.boxes) for result in results),
        "top1": classifier_metrics(results)["top1"] if classes else None,
        "map50": detector_metrics(boxed)["map50"],
        "found": sum(len(result.matches(min_iou)) for result in boxed) / boxes if boxes else None,
    }
