"""Measure the detector that comes with the project on photographs and on grounds without a pill: as it is, and trained.

    PILLSNAP_REAL_DATA=../shared/data python benchmarks/pill_detector.py --stage results/stage4
        # the figures of benchmarks/pill_detector.md; some minutes
    python benchmarks/pill_detector.py --grounds 20 --out /tmp/detector     # seconds, to try it

As it is: weights/pill-detector.safetensors, which saw drawn pills alone, at the size of its training. Trained: the
detector of a stage that started from it, at the size of config.yaml; by default it saw synthetic photographs besides.

Real photographs: one of each group of augmented copies, IoU 0.5, any class; with the non-maximum suppression of
answers (`benchmark.nms_iou` of config.yaml), at the score that they use (`benchmark.min_score`), and at the one that is
best for F1 on the set itself, which flatters a little.

Grounds: composed scenes without a pill, of a seed that no training used: with things that are no pills on most of them
(coins, buttons, cables, fingers), and once more with none.
"""

import argparse
import datetime
import shlex
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pill_detector_page
from scenes import best_threshold, boxes_and_hits, real_sets, recall_and_precision

from pillsnap.config.config import Benchmark
from pillsnap.config.data import Scenes
from pillsnap.config.load import read_config
from pillsnap.detector.inference import build_detect
from pillsnap.detector.weights import prepare_ultralytics
from pillsnap.files import read_json, sha256_of, write_json, write_text
from pillsnap.pictures.decode import decode_photo
from pillsnap.scenes.cut_outs import CutOuts
from pillsnap.scenes.draw_cut_outs import draw_cut_outs
from pillsnap.scenes.scene import PIECES, Pieces, compose_scene
from pillsnap.workflow.provenance import describe_device, git_commit, package_versions

SEED = 97
ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = ROOT / "weights/pill-detector.safetensors"
LOWEST = 0.02
GROUNDS = {"with things": PIECES, "bare": replace(PIECES, things={})}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--grounds", type=int, default=1000, help="composed scenes without a pill")
    parser.add_argument("--stage", type=Path, help="a stage that is made, whose detector is measured besides")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/pill_detector"), help=".json and .md are added")
    words = parser.parse_args()
    cv2.setNumThreads(1)
    config = read_config(ROOT / "config.yaml")
    *_, last = read_json(WEIGHTS.with_suffix(".json"))["settings"]["rounds"].values()
    sizes = {WEIGHTS: last["detector"]["image_size"]}
    if words.stage:
        sizes[words.stage / "detector/best.safetensors"] = config.detector.image_size
    command = ["python", "benchmarks/pill_detector.py", f"--grounds={words.grounds}"]
    result = {
        "command": shlex.join([*command, *(["--stage", str(words.stage)] if words.stage else [])]),
        "date": datetime.date.today().isoformat(),
        "device": describe_device("cpu"),
        "commit": git_commit(),
        "versions": package_versions(),
        "score": config.benchmark.min_score,
        "scenes": words.grounds,
        "detectors": [measure(path, size, words.grounds, config.benchmark) for path, size in sizes.items()],
    }
    write_json(words.out.with_suffix(".json"), result)
    write_text(words.out.with_suffix(".md"), pill_detector_page.page(result))
    print(pill_detector_page.page(result))


def measure(weights: Path, image_size: int, grounds: int, answers: Benchmark) -> dict[str, Any]:
    """All figures of one detector."""
    score = answers.min_score
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare_ultralytics(folder)
        detect = build_detect(
            weights,
            work=folder,
            image_size=image_size,
            lowest_score=LOWEST,
            nms_iou=answers.nms_iou,
            device="cpu",
            threads=1,
        )
        return {
            "trained": weights != WEIGHTS,
            "sha256": sha256_of(weights),
            "bytes": weights.stat().st_size,
            "image_size": image_size,
            "real": {root.name: measure_set(root, folder / root.name, detect, score) for root in real_sets()},
            "grounds": {
                name: measure_grounds(folder, detect, grounds, score, pieces) for name, pieces in GROUNDS.items()
            },
        }


def measure_set(root: Path, folder: Path, detect: Callable, score: float) -> dict[str, Any]:
    """Recall and precision on a set of real photographs, at `score` and at the best one."""
    photos, labelled, scored = boxes_and_hits(root, folder, detect)
    return {
        "photos": photos,
        "pills": labelled,
        "at_score": recall_and_precision(scored, labelled, score),
        "best": best_threshold(scored, labelled),
    }


def measure_grounds(folder: Path, detect: Callable, number: int, score: float, pieces: Pieces) -> dict[str, Any]:
    """Boxes found on scenes without a pill."""
    draw_cut_outs(folder=folder / "drawn", drugs=1, views=1, scale=18, seed=SEED)
    pills, settings = CutOuts([folder / "drawn"]), Scenes(photos=number).model_copy(update={"max_pills": 0})
    found = []
    for index in range(number):
        rng = np.random.default_rng((SEED, index))
        scene = compose_scene(pills, side=416, settings=settings, rng=rng, pieces=pieces)
        found.append(int((detect([decode_photo(scene.jpeg)])[0][:, 4] >= score).sum()))
    return {"boxes": sum(found), "with_boxes": sum(boxes > 0 for boxes in found)}


if __name__ == "__main__":
    main()
