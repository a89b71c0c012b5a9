"""Pictures for the report: sample answers drawn on test photographs, and confused drugs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pillsnap.answers.accuracy import PhotoResult
from pillsnap.files import replacing_folder, write_json
from pillsnap.manifest.stored_photos import stored_photos
from pillsnap.pictures.decode import decode_photo, encode_jpeg
from pillsnap.pictures.draw import RIGHT, WRONG, Caption, draw_boxes
from pillsnap.pictures.scale import shrink
from pillsnap.predict.unfused import SeparateSteps

N_SAMPLES = 12
Pairs = Sequence[tuple[int, int, int]]


def write_examples(
    examples: Path,
    snap: SeparateSteps,
    results: Sequence[PhotoResult],
    pairs: Pairs,
    pills: pd.DataFrame,
    prepared: Sequence[Path],
    min_iou: float,
) -> None:
    """Write `samples/*.jpg`, `confused/*.jpg` and `index.json` into the folder `examples`, whole.

    Samples are chosen evenly from combo and single photographs, whether right or wrong.

    Args:
        examples: the folder.
        snap: the models, for class names and the crop function.
        results: the measured test photographs.
        pairs: of `confused_pairs`.
        pills: test manifest.
        prepared: folders of `prepare_archive`.
        min_iou: IoU from which a box counts as found.
    """
    samples = _samples(results)
    crops = _pair_pills(results, pairs)
    needed = {result.image_id for result in samples} | {image_id for image_id, _ in crops.values()}
    pictures = {
        rows["image_id"].iloc[0]: decode_photo(data)
        for data, rows in stored_photos(pills[pills["image_id"].isin(needed)], prepared)
    }
    with replacing_folder(examples) as folder:
        (folder / "samples").mkdir()
        (folder / "confused").mkdir()
        index: dict[str, Any] = {"samples": [], "confused": []}
        for number, result in enumerate(samples):
            captions, facts = _describe(result, snap, min_iou)
            name = f"samples/{number:02d}.jpg"
            drawn = draw_boxes(pictures[result.image_id], captions)
            (folder / name).write_bytes(encode_jpeg(shrink([drawn], 640), 85))
            index["samples"].append({"file": name, **facts})
        for name, (image_id, box) in crops.items():
            (folder / name).write_bytes(encode_jpeg(snap.cut(pictures[image_id], [box])[0], 90))
        for (true, predicted, _), facts in zip(pairs, describe_pairs(pairs, snap), strict=True):
            files = {"true_file": _mistake_file(true, predicted), "named_file": _drug_file(predicted)}
            index["confused"].append(facts | {key: name if name in crops else None for key, name in files.items()})
        write_json(folder / "index.json", index)


def describe_pairs(pairs: Pairs, snap: SeparateSteps) -> list[dict[str, Any]]:
    """Describe confused pairs by K-codes and names instead of class indices."""
    return [
        {
            "true": snap.classes[true].k_code,
            "true_name": snap.classes[true].name,
            "named": snap.classes[predicted].k_code,
            "named_name": snap.classes[predicted].name,
            "count": count,
        }
        for true, predicted, count in pairs
    ]


def _samples(results: Sequence[PhotoResult]) -> list[PhotoResult]:
    chosen = []
    for domain in ("combo", "single"):
        part = [result for result in results if result.domain == domain]
        chosen += part[:: max(1, len(part) // (N_SAMPLES // 2))][: N_SAMPLES // 2]
    return chosen


def _mistake_file(true: int, predicted: int) -> str:
    return f"confused/{true}_as_{predicted}.jpg"


def _drug_file(drug: int) -> str:
    return f"confused/{drug}.jpg"


def _pair_pills(results: Sequence[PhotoResult], pairs: Pairs) -> dict[str, tuple[str, np.ndarray]]:
    """Photograph and box, by file name, of a confused pill and of a pill of the drug that was predicted."""
    wanted_mistakes = {(true, predicted) for true, predicted, _ in pairs}
    wanted_drugs = {predicted for _, predicted in wanted_mistakes}
    found: dict[str, tuple[str, np.ndarray]] = {}
    for result in results:
        predicted = result.label_guesses[:, 0].tolist()
        for target, guess, box in zip(result.targets.tolist(), predicted, result.boxes, strict=True):
            if (target, guess) in wanted_mistakes:
                found.setdefault(_mistake_file(target, guess), (result.image_id, box))
            if target in wanted_drugs and target == guess:
                found.setdefault(_drug_file(target), (result.image_id, box))
    return found


def _describe(result: PhotoResult, snap: SeparateSteps, min_iou: float) -> tuple[list[Caption], dict[str, Any]]:
    """Captions of the answer's boxes, and the sample's entry in the index."""
    matches = dict(result.matches(min_iou))
    captions, right = [], 0
    answers = snap.calibration.probabilities(result.answer_logits)
    for number in range(result.answered):
        probabilities = answers[number]
        predicted = int(probabilities.argmax())
        correct = number in matches and predicted == int(result.targets[matches[number]])
        right += correct
        # K-codes may be any text in a YOLO set; the caption's font knows ASCII only
        code = snap.classes[predicted].k_code.encode("ascii", "replace").decode()
        captions.append(
            Caption(
                tuple(float(value) for value in result.found_boxes[number]),
                f"{code} {probabilities[predicted]:.0%}",
                RIGHT if correct else WRONG,
            )
        )
    facts = {
        "image_id": result.image_id,
        "domain": result.domain,
        "pills": len(result.boxes),
        "answered": result.answered,
        "right": right,
    }
    return captions, facts
