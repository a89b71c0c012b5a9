"""Measure by how much a random split overstates accuracy: same photographs, random and grouped split.

    python benchmarks/split.py                     # the figures of benchmarks/split.md; 10 to 20 minutes on two cores
    python benchmarks/split.py --drugs 3 --longitudes 4 --unseen 2 --seeds 1 --config config.yaml \\
        tests/workflow/tiny.yaml --out /tmp/split  # half a minute, to try it; its accuracies mean nothing

Claim: a split that divides photographs instead of capture groups reports a higher accuracy than its model has.

Method: synthetic single-pill photographs, of each drug `groups` capture groups with `longitudes` views each. The
source's own order gives a group two longitudes before the next group's turn, so `photos_per_drug` cannot ask for few
groups with many; here a drug's groups are drawn by lot out of the source's 72, and their photographs are drawn by the
package's own functions, exactly as the source draws them. For each seed the same photographs are planned twice by
`plan_stage`: with their capture groups, and with each photograph as a group of its own, which is what a random split
does. The parts have the same sizes (a fifth test, a fifth validation). Then both go through `prepare_archive`,
`build_manifest` (whose audit counts, by the true groups, what leaks), `cut_crops` (labelled boxes) and
`train_classifier`, with the settings of config.yaml and the same seed.

Each model is measured on its own test part, and on `unseen` further groups of each drug, one photograph of each, that
no part of either split holds. Test groups of the grouped split and unseen groups come out of the same lot. What a test
part has above the unseen groups is what its split overstated.
"""

import argparse
import datetime
import multiprocessing
import shlex
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import split_page
import torch
from safetensors.torch import load_file
from split_photos import Indexed, Sizes, divide, draw_photos, hold_out, index_photos, prepare_photos

from pillsnap.classifier.model import create_classifier
from pillsnap.classifier.train_classifier import train_classifier
from pillsnap.classifier.transforms import normalise, resize
from pillsnap.config.config import Config
from pillsnap.config.load import read_config
from pillsnap.config.training import Steering, Trainings
from pillsnap.crops.crop import cut_crop
from pillsnap.crops.cut_crops import cut_crops
from pillsnap.files import read_json, write_json, write_text
from pillsnap.hardware import cores, torch_device
from pillsnap.manifest.build_manifest import build_manifest
from pillsnap.manifest.stored_photos import stored_photos
from pillsnap.pictures.decode import decode_jpeg
from pillsnap.report.facts.intervals import top1_interval
from pillsnap.tables.classes import read_classes
from pillsnap.tables.files import make_table, read_table, write_table
from pillsnap.tables.schemas import DETECTIONS, MANIFEST, NEAR_DUPLICATES, PLAN
from pillsnap.training.history import read_history
from pillsnap.workflow.provenance import describe_device, git_commit, package_versions

SPLITS = ("grouped", "random")
PARTS = ("train", "val", "test")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--drugs", type=int, default=24)
    parser.add_argument("--groups", type=int, default=5, help="capture groups of each drug that are divided")
    parser.add_argument("--longitudes", type=int, default=6, help="photographs of each of these groups, at most 18")
    parser.add_argument("--unseen", type=int, default=12, help="further groups of each drug, with one photograph each")
    parser.add_argument("--seeds", type=int, default=2, help="how often the photographs are divided and trained on")
    parser.add_argument("--config", type=Path, nargs="+", default=[Path("config.yaml")], help="and overlays")
    parser.add_argument("--folder", type=Path, help="keeps photographs and trainings for the next time")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/split"), help=".json and .md are added")
    words = parser.parse_args()
    if words.groups % 5:
        parser.error("--groups: a multiple of 5, so that the parts of both splits have the same sizes")
    sizes = Sizes(words.drugs, words.groups, words.longitudes, words.unseen)
    with tempfile.TemporaryDirectory() as temporary:
        result = measure(words.folder or Path(temporary), sizes, words.seeds, read_config(*words.config))
    result = {"command": _command(words)} | result
    write_json(words.out.with_suffix(".json"), result)
    write_text(words.out.with_suffix(".md"), split_page.page(result))
    print(split_page.page(result))


def _command(words: argparse.Namespace) -> str:
    numbers = [f"--{name}={getattr(words, name)}" for name in ("drugs", "groups", "longitudes", "unseen", "seeds")]
    return shlex.join(["python", "benchmarks/split.py", *numbers, "--config", *map(str, words.config)])


def measure(folder: Path, sizes: Sizes, seeds: int, config: Config) -> dict[str, Any]:
    """Draw, divide, train and measure; returns what `split.json` holds."""
    raw = folder / "-".join(["raw", *map(str, asdict(sizes).values())])
    tries = [(seed, split) for seed in range(config.seed, config.seed + seeds) for split in SPLITS]
    with ProcessPoolExecutor(cores(), multiprocessing.get_context("spawn")) as pool:
        draw_photos(raw, sizes, config.seed, pool)
        seen, unseen = (index_photos(raw / part, folder / "index" / part) for part in ("seen", "unseen"))
        for seed, split in tries:
            divide(seen, folder / f"{split}-{seed}", split, seed)
            prepare_photos(seen, folder / f"{split}-{seed}", config.prepare, pool)
        hold_out(unseen, folder / "unseen")
        prepare_photos(unseen, folder / "unseen", config.prepare, pool)
    held_out = read_table(folder / "unseen/plan.parquet", PLAN), unseen.prepared(folder / "unseen")
    device = torch_device(config.device)
    runs = []
    for seed, split in tries:
        here = folder / f"{split}-{seed}"
        facts = _train(seen, here, config, seed, device)
        test = read_table(here / "manifest/test.csv", MANIFEST), seen.prepared(here)
        own, other = (_top1(here, config, device, *part) for part in (test, held_out))
        pretended = round(own["top1"] - other["top1"], 4)
        runs.append({"seed": seed, "split": split, **facts, "test": own, "unseen": other, "pretended": pretended})
        print(runs[-1], flush=True)
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "device": describe_device(device),
        "commit": git_commit(),
        "versions": package_versions(),
        "sizes": asdict(sizes),
        "settings": {name: getattr(config, name).model_dump() for name in ("crops", "classifier")},
        "runs": runs,
    }


def _train(seen: Indexed, folder: Path, config: Config, seed: int, device: str) -> dict[str, Any]:
    """From prepared archives to the trained classifier; returns what manifest and history say."""
    manifest = {part: folder / "manifest" / f"{part}.csv" for part in PARTS}
    _build_manifest(seen, folder, manifest, config)
    detections, crops, history = folder / "detections.parquet", folder / "crops", folder / "history.csv"
    write_table(make_table([], DETECTIONS), detections, DETECTIONS)
    cut_crops(
        manifest={part: manifest[part] for part in ("train", "val")},
        prepared=seen.prepared(folder),
        detections=detections,
        crops=crops,
        settings=config.crops,
        min_score=config.benchmark.min_score,
    )
    train_classifier(
        crops=crops,
        classes=folder / "manifest/classes.json",
        best=folder / "best.safetensors",
        history=history,
        events=folder / "events.json",
        resources=folder / "resources.json",
        work=folder / "work",
        settings=config.classifier,
        steering=Steering(),
        training=Trainings(),
        seed=seed,
        device=device,
        threads=config.threads,
    )
    summary, epochs = read_json(folder / "manifest/summary.json"), read_history(history)
    groups = {part: read_table(manifest[part], MANIFEST).set_index("image_id")["group"] for part in PARTS}
    group, near = pd.concat(groups.values()), read_table(folder / "manifest/near_duplicates.csv", NEAR_DUPLICATES)
    return {
        "photos": {part: summary["splits"][part]["photos"] for part in PARTS},
        "test_photos_of_trained_groups": int(groups["test"].isin(groups["train"]).sum()),
        "audit": summary["audit"],
        "near_duplicates_of_one_group": int((near["first"].map(group) == near["second"].map(group)).sum()),
        "epochs": len(epochs),
        "val_top1": round(max(row["val_top1"] for row in epochs), 4),
    }


def _build_manifest(seen: Indexed, folder: Path, manifest: dict[str, Path], config: Config) -> None:
    build_manifest(
        plan=folder / "plan.parquet",
        plan_backgrounds=folder / "plan.backgrounds.parquet",
        plan_issues=folder / "plan.issues.parquet",
        plan_summary=folder / "plan.json",
        counts=seen.tables("counts.json"),
        issues=seen.tables("issues.parquet"),
        looks=seen.tables("looks.parquet"),
        prepared=seen.prepared(folder),
        manifest=manifest,
        unseen=folder / "manifest/unseen.csv",
        backgrounds=folder / "manifest/backgrounds.csv",
        quarantine=folder / "manifest/quarantine.csv",
        near_duplicates=folder / "manifest/near_duplicates.csv",
        overlapping_labels=folder / "manifest/overlapping_labels.csv",
        classes=folder / "manifest/classes.json",
        drugs=folder / "manifest/drugs.csv",
        summary=folder / "manifest/summary.json",
        refused=folder / "refused.csv",
        settings=config.manifest,
        shared_groups="keep",  # a random split's leaks are counted, not refused
        source_of=dict.fromkeys(seen.archives, "aihub"),
    )


@torch.inference_mode()
def _top1(folder: Path, config: Config, device: str, pills: pd.DataFrame, prepared: Sequence[Path]) -> dict[str, Any]:
    """Top-1 on the labelled boxes of native photographs, with its 95 % Wilson interval, of the model in `folder`."""
    index = {drug.k_code: drug.index for drug in read_classes(folder / "manifest/classes.json")}
    model = create_classifier(config.classifier, len(index))
    model.load_state_dict(load_file(folder / "best.safetensors"))
    model.eval().to(device)
    crops, targets, named = [], [], []
    for jpeg, rows in stored_photos(pills, prepared):
        picture = decode_jpeg(jpeg)
        boxes = rows[["x", "y", "w", "h"]].to_numpy()
        crops += [cut_crop(picture, box, size=config.crops.size, margin=config.crops.margin) for box in boxes]
        targets += [index[k_code] for k_code in rows["k_code"]]
    for start in range(0, len(crops), 128):
        batch = torch.from_numpy(np.stack(crops[start : start + 128])).permute(0, 3, 1, 2).to(device)
        named += model(resize(normalise(batch, model), config.classifier.image_size)).argmax(1).tolist()
    top1 = float((np.array(named) == np.array(targets)).mean())
    low, high = top1_interval({"classifier": {"top1": top1, "pills": len(targets)}})
    return {"top1": round(top1, 4), "low": round(low, 4), "high": round(high, 4), "pills": len(targets)}


if __name__ == "__main__":
    main()
