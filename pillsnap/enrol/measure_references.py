"""Measure what enrolling a drug from photographs is worth, on the held-out drugs and the test part."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from pillsnap.answers.answer import EnrolledCandidate, Mode, Pill
from pillsnap.answers.calibration import Calibration
from pillsnap.benchmark.photo_results import for_each_photo
from pillsnap.files import write_json
from pillsnap.pictures.boxes import match_boxes
from pillsnap.predict.model import PillSnap, graph_inputs, make_answer
from pillsnap.predict.open_photo import open_photo
from pillsnap.predict.references import EnrolledDrug, References
from pillsnap.predict.sessions import RELATIVE
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import MANIFEST

log = logging.getLogger(__name__)

NUMBERS = (1, 2, 5, 10)
"""Photographs that each drug is enrolled with."""
DRAWS = 10
"""Times that the photographs are drawn anew."""
USED = ("distances", "features", "disagreements", "characters")
"""Outputs of the graph that enrolled drugs are compared by."""
TEST_PHOTOS = 300
"""Test photographs that are answered at most, evenly spread."""


@dataclass(frozen=True)
class Found:
    """A labelled pill that an answer found.

    Attributes:
        k_code, group: of the manifest.
        outputs: what the graph gave for it, by name.
        pill: the answer of the trained drugs alone.
    """

    k_code: str
    group: str
    outputs: Mapping[str, np.ndarray]
    pill: Pill


Finding = TypeVar("Finding", bound=Found)


def measure_references(
    *,
    models: Path,
    manifest: Path,
    unseen: Path,
    prepared: Sequence[Path],
    references: Path,
    min_iou: float,
    seed: int,
    device: str,
    threads: int,
) -> None:
    """Enrol held-out drugs with some of their photographs, and answer the others and the test part.

    Args:
        models: folder of `export_onnx`.
        manifest: test manifest.
        unseen: manifest of held-out drugs; those of its split `unseen_test` are enrolled.
        prepared: folders of `prepare_archive`.
        references: written, JSON: how many `drugs` and `pills` were held out and found, `trained` pills of the test
            part without references, and `numbers`, see `measure_enrolled`, for each number of photographs for which a
            drug has more.
        min_iou: IoU from which a box is a labelled pill.
        seed: of the draws.
        device: `auto`, `cpu` or `cuda`.
        threads: photographs at a time; they change no result.

    Raises:
        ModelError: the models cannot be used.
        HardwareError: `cuda` was requested and does not work.
    """
    snap = PillSnap.load(models, threads=1, device=device)
    held_out = read_table(unseen, MANIFEST)
    held_out = held_out[held_out["split"] == "unseen_test"]
    find = partial(find_pills, snap, min_iou=min_iou)
    trained = find_trained(snap, manifest, prepared, find, threads=threads)
    found = for_each_photo(partial(_look, find), held_out, prepared, threads=threads, title="unseen drugs")
    new = [pill for pills in found for pill in pills]
    numbers = [measure_enrolled(new, trained, snap.calibration, number, seed) for number in NUMBERS]
    numbers = [one for one in numbers if one["drugs"]]
    counts = {"drugs": held_out["k_code"].nunique(), "pills": len(new), "draws": DRAWS}
    write_json(
        references, counts | {"trained": of_trained(trained, [pill.pill for pill in trained]), "numbers": numbers}
    )
    for one in numbers:
        log.info("%d photographs of each new drug: %.4f named right", one["references"], one["top1"])


def find_trained(
    snap: PillSnap, manifest: Path, prepared: Sequence[Path], find: Callable[..., list[Finding]], *, threads: int
) -> list[Finding]:
    """Find pills of trained drugs in photographs of a test manifest, `TEST_PHOTOS` at most, evenly spread.

    Args:
        snap: the models.
        manifest, prepared, threads: as for `measure_references`.
        find: takes a photograph, mode, boxes and drugs, as `find_pills` does.
    """
    test = read_table(manifest, MANIFEST)
    photos = test["image_id"].drop_duplicates()
    test = test[test["image_id"].isin(photos.iloc[:: -(-len(photos) // TEST_PHOTOS)])]
    found = for_each_photo(partial(_look, find), test, prepared, threads=threads, title="test photographs")
    codes = {drug.k_code for drug in snap.classes}
    return [pill for pills in found for pill in pills if pill.k_code in codes]


def _look(find: Callable[..., list[Finding]], data: bytes, rows: pd.DataFrame) -> list[Finding]:
    """The labelled pills of a photograph, its file's bytes, that an answer finds."""
    boxes, drugs = rows[["x", "y", "w", "h"]].to_numpy(float), list(zip(rows["k_code"], rows["group"], strict=True))
    return find(data, rows["domain"].iloc[0], boxes, drugs)


def find_pills(
    snap: PillSnap, data: bytes, mode: Mode, boxes: np.ndarray, drugs: Sequence[tuple[str, str]], *, min_iou: float
) -> list[Found]:
    """Find labelled pills as an answer does.

    Args:
        snap: the models.
        data: a photograph, its file's bytes.
        mode: of the answer.
        boxes: of the labels, float (N, 4): x, y, w, h in the photograph's pixels.
        drugs: K-code and capture group of each.
        min_iou: IoU from which a box that is found is a labelled pill.
    """
    photo = open_photo(data, snap.facts)
    found = snap.look(photo, graph_inputs(mode, snap.facts))
    outputs = found["boxes"], found["scores"], found["all_probabilities"], found[RELATIVE]
    pills = make_answer(mode, (photo.width, photo.height), outputs, snap.classes, snap.calibration).pills
    pills = tuple(replace(pill, reading=read) for pill, read in zip(pills, snap.readings(found), strict=True))
    return [
        Found(*drugs[label], {name: found[name][box] for name in USED if name in found}, pills[box])
        for box, label in match_boxes(found["boxes"], boxes, min_iou=min_iou)
    ]


def draw_pills(
    new: Sequence[Finding], number: int, seed: int, draw: int
) -> tuple[dict[str, list[Finding]], list[Finding]]:
    """Draw the pills by which each drug is enrolled, as many of each; drugs that have no more are left out.

    Returns:
        The drawn ones by K-code, and the pills to be answered, which share no capture group with a drawn one of their
        drug; both in the order of the K-codes.
    """
    by_drug: dict[str, list[Finding]] = {}
    for pill in new:
        by_drug.setdefault(pill.k_code, []).append(pill)
    by_drug = {k_code: pills for k_code, pills in sorted(by_drug.items()) if len(pills) > number}
    random = np.random.default_rng((seed, number, draw))
    drawn = {code: [pills[i] for i in random.permutation(len(pills))[:number]] for code, pills in by_drug.items()}
    used = {code: {pill.group for pill in pills} for code, pills in drawn.items()}
    return drawn, [pill for code, pills in by_drug.items() for pill in pills if pill.group not in used[code]]


def measure_enrolled(
    new: Sequence[Found],
    trained: Sequence[Found],
    calibration: Calibration,
    number: int,
    seed: int,
    *,
    draws: int = DRAWS,
) -> dict[str, Any]:
    """Enrol every drug with so many of its pills, drawn anew several times by `draw_pills`, and answer the others.

    Args:
        new: pills of drugs to enrol; those of which there are not more than `number` are left out.
        trained: pills of trained drugs.
        calibration: of the models.
        number: photographs of each drug.
        seed: of the draws.
        draws: their number.

    Returns:
        `references`, the number; `drugs`; `pills`, answered in all draws together; shares of them: `top1` (named
        right), `in_set` (the drug is in the prediction set), `unknown`, `known` (as a trained drug: wrong); `least`,
        `most` and `spread` (standard deviation) of top-1 over the drugs; `right`, of those that are named after an
        enrolled drug; `mistaken`, the share of the other drugs' pills that are named after a drug that is enrolled
        alone; `trained`, see `of_trained`. `None` where a share is of nothing.
    """
    drawn: dict[str, list[Found]] = {}
    answered: list[tuple[Found, Pill]] = []
    others: list[Pill] = []
    still: list[Pill] = []
    for draw in range(draws):
        drawn, asked = draw_pills(new, number, seed, draw)
        if not drawn:
            break
        references = References(tuple(_enrolled(code, pills) for code, pills in drawn.items()))
        answered += zip(asked, _answers(references, asked, calibration), strict=True)
        still += _answers(references, trained, calibration)
        for drug in references.drugs:
            strange = [pill for pill in asked if pill.k_code != drug.k_code]
            others += _answers(References((drug,)), strange, calibration)
    return _figures(answered) | {
        "references": number,
        "drugs": len(drawn),
        "mistaken": _share([_names_enrolled(pill) for pill in others]),
        "trained": of_trained(list(trained) * (draws if drawn else 0), still),
    }


def _enrolled(k_code: str, pills: Sequence[Found]) -> EnrolledDrug:
    features, readings = _stacked(pills)["features"], [pill.pill.reading for pill in pills]
    return EnrolledDrug.of_photographs(k_code, (), k_code, features, readings)


def _stacked(pills: Sequence[Found]) -> dict[str, np.ndarray]:
    """Outputs of the graph for all of these pills together."""
    return {name: np.stack([pill.outputs[name] for pill in pills]) for name in pills[0].outputs}


def _answers(references: References, asked: Sequence[Found], calibration: Calibration) -> list[Pill]:
    """What answers call these pills where these drugs are enrolled."""
    if not asked:
        return []
    trained, enrolled = references.squares(_stacked(asked), calibration.reading)
    return [
        references.join(one.pill, *apart, calibration)
        for one, apart in zip(asked, zip(trained, enrolled, strict=True), strict=True)
    ]


def _figures(answered: Sequence[tuple[Found, Pill]]) -> dict[str, Any]:
    """Figures of the pills of enrolled drugs."""
    right = [pill.verdict != "unknown" and pill.candidates[0].k_code == one.k_code for one, pill in answered]
    codes = np.array([one.k_code for one, _ in answered])
    of_each = [float(np.mean(np.array(right)[codes == code])) for code in np.unique(codes)]
    return {
        "pills": len(answered),
        "top1": _share(right),
        "least": min(of_each, default=None),
        "most": max(of_each, default=None),
        "spread": float(np.std(of_each)) if of_each else None,
        "in_set": _share([one.k_code in {drug.k_code for drug in pill.prediction_set} for one, pill in answered]),
        "unknown": _share([pill.verdict == "unknown" for _, pill in answered]),
        "known": _share([pill.verdict == "known" for _, pill in answered]),
        "right": _share([so for so, (_, pill) in zip(right, answered, strict=True) if _names_enrolled(pill)]),
    }


def of_trained(pills: Sequence[Found], answers: Sequence[Pill]) -> dict[str, Any]:
    """`pills` of trained drugs, and shares of them: `top1`, `known`, and `known_right`, of those that are `known`."""
    right = [pill.candidates[0].k_code == one.k_code for one, pill in zip(pills, answers, strict=True)]
    known = [pill.verdict == "known" for pill in answers]
    known_right = _share([so for so, sure in zip(right, known, strict=True) if sure])
    return {"pills": len(pills), "top1": _share(right), "known": _share(known), "known_right": known_right}


def _names_enrolled(pill: Pill) -> bool:
    return isinstance(pill.candidates[0], EnrolledCandidate)


def _share(values: Sequence[bool]) -> float | None:
    return float(np.mean(values)) if values else None
