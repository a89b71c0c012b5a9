"""Measure composed scenes: how fast they are made, how well cut-outs fit, and what a detector learns from them alone.

    python benchmarks/scenes.py             # the figures of benchmarks/scenes.md; half an hour on one core
    python benchmarks/scenes.py --scenes 40 --epochs 1 --drugs 4 --speed 5 --image-size 64 --out /tmp/scenes
        # a minute, to try it
    python benchmarks/scenes.py --without grounds clutter number camera light
        # besides, one training more without each of them

Speed: scenes of 640 pixels, one process, one thread; cut-outs are drawn before and not timed.

Cut-outs: photographs of the built-in source are drawn together with their true masks; the context crop of each pill
goes through JPEG as `prepare_archive` stores it, and `segment_pill` finds the pill in it. The figures are the mean IoU
of its masks with the true ones, and what was refused.

Detector: trained by `train_detector` on scenes of drawn pills alone, with no photograph, and measured on real ones
below PILLSNAP_REAL_DATA where they are: one photograph of each group of augmented copies, IoU 0.5, any class. The
threshold is the best for F1, chosen on the set itself: so it flatters a little. The default training is short: it shows
what few scenes give, not what is possible. Nothing is trained or tuned on these sets. A training that was stopped
resumes with the same command and `--folder`.

Without: the same training on as many scenes that lack one of their pieces, chosen by the same validation scenes, which
lack none.
"""

import argparse
import datetime
import os
import shlex
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import scenes_page
from scenes_masks import measure_masks
from scenes_without import WITHOUT

from pillsnap.config.config import Benchmark
from pillsnap.config.data import Scenes
from pillsnap.config.training import Detector, Steering, Trainings
from pillsnap.detector.inference import build_detect
from pillsnap.detector.train_detector import train_detector
from pillsnap.detector.weights import prepare_ultralytics
from pillsnap.files import read_json, write_json, write_text
from pillsnap.hardware import cpu_name
from pillsnap.manifest.index_archive import index_archive
from pillsnap.pictures.boxes import match_boxes
from pillsnap.pictures.decode import decode_photo
from pillsnap.pretraining.build_scene_dataset import build_scene_dataset
from pillsnap.scenes.compose_scenes import compose_scenes
from pillsnap.scenes.cut_outs import CutOuts
from pillsnap.scenes.draw_cut_outs import draw_cut_outs
from pillsnap.scenes.scene import PIECES, Pieces, compose_scene
from pillsnap.sources.containers.container import Container
from pillsnap.sources.registry import list_archives
from pillsnap.sources.settings import Source
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import PILLS
from pillsnap.workflow.provenance import describe_device, git_commit, package_versions

SEED, VAL_SEED, VAL_SCENES = 576, 577, 50
SPEED_SIDE, TRAIN_SIDE = 640, 416
REAL = ("pushin-pill", "pillcounter")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--drugs", type=int, default=400, help="drawn drugs, 4 cut-outs of each")
    parser.add_argument("--speed", type=int, default=1000, help="scenes whose composing is timed")
    parser.add_argument("--photos", type=int, default=200, help="drawn photographs whose masks are compared")
    parser.add_argument("--scenes", type=int, default=500, help="scenes that the detector is trained on")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--image-size", type=int, default=320)
    parser.add_argument(
        "--without", nargs="*", choices=list(WITHOUT), default=[], help="pieces that are left out, each by itself"
    )
    parser.add_argument("--folder", type=Path, help="keeps scenes and training for the next time")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/scenes"), help=".json and .md are added")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        result = measure(words.folder or Path(temporary), words)
    write_json(words.out.with_suffix(".json"), result)
    write_text(words.out.with_suffix(".md"), scenes_page.page(result))
    print(scenes_page.page(result))


def measure(folder: Path, words: argparse.Namespace) -> dict[str, Any]:
    """All figures; what takes long is kept in `folder` and not made twice."""
    cv2.setNumThreads(1)
    if not (folder / "drawn").exists():
        draw_cut_outs(folder=folder / "drawn", drugs=words.drugs, views=4, scale=18, seed=SEED)
    numbers = [f"--{name}={getattr(words, name.replace('-', '_'))}"
               for name in ("drugs", "speed", "photos", "scenes", "epochs", "image-size")]  # fmt: skip
    without = ["--without", *words.without] if words.without else []
    return {
        "command": shlex.join(["python", "benchmarks/scenes.py", *numbers, *without]),
        "date": datetime.date.today().isoformat(),
        "device": describe_device("cpu"),
        "commit": git_commit(),
        "versions": package_versions(),
        "speed": kept(folder / "speed.json", lambda: measure_speed(folder / "drawn", words.speed)),
        "cut_outs": kept(folder / "cut_outs.json", lambda: measure_masks(words.photos)),
        "training": {
            "model": Detector().model,
            "scenes": words.scenes,
            "epochs": words.epochs,
            "image_size": words.image_size,
        },
        "real": learn(folder, folder, words, PIECES),
        "without": {
            name: {"words": text} | {"real": learn(folder / f"without-{name}", folder, words, pieces)}
            for name, (text, pieces) in WITHOUT.items()
            if name in words.without
        },
    }


def learn(folder: Path, shared: Path, words: argparse.Namespace, pieces: Pieces) -> dict[str, Any]:
    """Train on scenes of these pieces and measure on real photographs; `shared` has cut-outs and validation scenes."""
    weights = train(folder, shared, words.scenes, epochs=words.epochs, image_size=words.image_size, pieces=pieces)
    return {
        root.name: kept(folder / f"{root.name}.json", partial(measure_real, root, weights, folder, words.image_size))
        for root in real_sets()
    }


def kept(path: Path, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `measure` gives, or gave when `path` was written."""
    if not path.exists():
        write_json(path, measure())
    return read_json(path)


def measure_speed(drawn: Path, scenes: int) -> dict[str, Any]:
    """Compose scenes one after the other; half a second of first ones is not timed."""
    pills, settings = CutOuts([drawn]), Scenes(photos=scenes)

    def compose(number: int) -> float:
        started = time.process_time()
        compose_scene(pills, side=SPEED_SIDE, settings=settings, rng=np.random.default_rng((SEED, number)))
        return time.process_time() - started

    for number in range(5):
        compose(number)
    seconds = [compose(number) for number in range(scenes)]
    spread = {f"p{share}": round(float(np.percentile(seconds, share)) * 1000, 1) for share in (5, 50, 95)}
    return {"scenes": scenes, "processor": cpu_name(), "per_second": round(scenes / sum(seconds), 2), "ms": spread}


def train(folder: Path, shared: Path, scenes: int, *, epochs: int, image_size: int, pieces: Pieces) -> Path:
    """Train on scenes of drawn pills alone, one thread, from scratch; returns the weights."""
    dataset = folder / "yolo"
    if not dataset.exists():
        parts = {
            "train": compose_all(shared / "drawn", folder / "scenes-train", scenes, SEED, pieces),
            "val": compose_all(shared / "drawn", shared / "scenes-val", min(scenes, VAL_SCENES), VAL_SEED, PIECES),
        }
        build_scene_dataset(scenes=parts, dataset=dataset)
    recipe = Detector(
        image_size=image_size, epochs=epochs, horizon=epochs, batch=8, learning_rate=2e-3, final_rate=0.05,
        warmup_epochs=0.5, patience=epochs,
    )  # fmt: skip
    outputs = {name: folder / "detector" / file for name, file in (
        ("best", "best.pt"), ("weights", "best.safetensors"), ("history", "history.csv"), ("events", "events.json"),
        ("resources", "resources.json"),
    )}  # fmt: skip
    train_detector(
        dataset=dataset, work=folder / "work", settings=recipe, steering=Steering(), training=Trainings(), seed=SEED,
        device="auto", threads=1, **outputs,
    )  # fmt: skip
    return outputs["weights"]


def compose_all(drawn: Path, scenes: Path, number: int, seed: int, pieces: Pieces) -> list[Path]:
    """Compose all shards."""
    settings = Scenes(photos=number)
    shards = [scenes / shard for shard in settings.shards]
    for shard, path in enumerate(shards):
        if not path.exists():
            compose_scenes(
                cut_outs=[drawn], prepared=[], scenes=path, shard=shard, side=TRAIN_SIDE, settings=settings,
                seed=seed, pieces=pieces,
            )  # fmt: skip
    return shards


def real_sets() -> list[Path]:
    """Folders of the real sets that are there."""
    folder = Path(os.environ.get("PILLSNAP_REAL_DATA", "../shared/data"))
    return [folder / name for name in REAL if (folder / name).is_dir()]


def measure_real(root: Path, weights: Path, folder: Path, image_size: int) -> dict[str, Any]:
    """Recall and precision on a set of real photographs."""
    prepare_ultralytics(folder / "predict")
    detect = build_detect(
        weights,
        work=folder / "predict",
        image_size=image_size,
        lowest_score=0.02,
        nms_iou=Benchmark().nms_iou,
        device="cpu",
        threads=1,
    )
    photos, labelled, scored = boxes_and_hits(root, folder / root.name, detect)
    return {"photos": photos, "pills": labelled} | best_threshold(scored, labelled)


def boxes_and_hits(
    root: Path, folder: Path, detect: Callable[[list[np.ndarray]], list[np.ndarray]]
) -> tuple[int, int, list[tuple[float, bool]]]:
    """Number of photographs and of labels, and of each box that was found its score and whether it finds a label."""
    scored, labelled, photos = [], 0, 0
    for picture, boxes in real_photos(root, folder):
        found = detect([picture])[0]
        order = np.argsort(-found[:, 4], kind="stable")
        found = found[order]
        hits = {index for index, _ in match_boxes(found[:, :4], boxes, min_iou=0.5)}
        scored += [(float(row[4]), index in hits) for index, row in enumerate(found)]
        labelled, photos = labelled + len(boxes), photos + 1
    return photos, labelled, scored


def real_photos(root: Path, folder: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield one photograph of each capture group with its boxes, uint8 (H, W, 3) and float (N, 4)."""
    source = Source(kind="yolo", root=str(root))
    done: set[str] = set()
    for name, archive in list_archives(source).items():
        files = {kind: folder / f"{name}.{kind}.parquet" for kind in ("pills", "backgrounds", "looks", "issues")}
        index_archive(kind="yolo", archive=archive, counts=folder / f"{name}.json", **files)
        pills = read_table(files["pills"], PILLS)
        pills = pills[~pills["group"].isin(done)]
        done |= set(pills["group"])
        first = pills.groupby("group")["image_id"].min()
        with Container(archive.photos) as container:
            for _, rows in pills[pills["image_id"].isin(first)].groupby("image_id"):
                yield decode_photo(container.read(rows["member"].iloc[0])), rows[list("xywh")].to_numpy(float)


def recall_and_precision(scored: list[tuple[float, bool]], labelled: int, score: float) -> dict[str, float]:
    """Recall and precision of the boxes from a score on."""
    hits = [hit for found, hit in scored if found >= score]
    return {
        "recall": round(sum(hits) / labelled, 3),
        "precision": round(sum(hits) / max(1, len(hits)), 3),
        "score": score,
    }


def best_threshold(scored: list[tuple[float, bool]], labelled: int) -> dict[str, float]:
    """Recall and precision at the score that is best for F1; zeros where nothing was found."""
    if not scored:
        return {"recall": 0.0, "precision": 0.0, "score": 0.0}
    scores, hits = (np.array(column) for column in zip(*sorted(scored, reverse=True), strict=True))
    right = np.cumsum(hits)
    recall, precision = right / labelled, right / np.arange(1, len(hits) + 1)
    best = int(np.argmax(2 * recall * precision / np.maximum(recall + precision, 1e-9)))
    return {
        "recall": round(float(recall[best]), 3),
        "precision": round(float(precision[best]), 3),
        "score": round(float(scores[best]), 3),
    }


if __name__ == "__main__":
    main()
