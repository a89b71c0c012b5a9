"""Measure what composed scenes are worth to a detector that has many, few or no photographs of combinations.

    python benchmarks/combos.py --stage results/stage4      # writes benchmarks/combos.md
    python benchmarks/combos.py --stage STAGE --scenes 4 --epochs 1 --image-size 64 --out /tmp/combos   # to try it

Aim: with a tenth of the combinations and composed scenes, mAP@0.5 stays within a point of that with all of them.

A stage that is made lends its photographs. Of its training part all combinations are kept, or a tenth of their capture
groups, or none; single pills stay. Each time the detector is trained without scenes and with them, as the default
configuration does it: from the detector that comes with the project, which saw composed scenes of other pills. Scenes
are composed of pills cut out of that stage's training photographs, the same each time; fewer combinations leave fewer
pictures, and no other takes their place.
Validation is the stage's own. Measured is the test part, its combinations and its single pills: mAP@0.5 by COCO's
definition.

A measurement that was stopped goes on with the same command and `--folder`.
"""

import argparse
import datetime
import shlex
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

import combos_page
import numpy as np

from pillsnap.config.data import Scenes, Yolo
from pillsnap.config.load import read_config
from pillsnap.config.training import Detector, Steering, Trainings
from pillsnap.detector.build_yolo_dataset import build_yolo_dataset
from pillsnap.detector.evaluate_detector import evaluate_detector
from pillsnap.detector.train_detector import train_detector
from pillsnap.detector.yolo_shards import count_pictures
from pillsnap.files import read_json, write_json, write_text
from pillsnap.scenes.compose_scenes import compose_scenes
from pillsnap.scenes.cut_pills import cut_pills
from pillsnap.tables.files import make_table, read_table, write_table
from pillsnap.tables.schemas import MANIFEST, MANIFEST_BACKGROUNDS
from pillsnap.workflow.provenance import describe_device, git_commit, package_versions

ROOT = Path(__file__).resolve().parents[1]
KEPT = {"all": 1.0, "a tenth": 0.1, "none": 0.0}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--stage", type=Path, default=Path("results/stage4"), help="a stage that is made")
    parser.add_argument("--scenes", type=int, default=500, help="composed scenes")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--folder", type=Path, help="keeps scenes and trainings for the next time")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/combos"), help=".json and .md are added")
    words = parser.parse_args()
    numbers = [f"--{name}={getattr(words, name.replace('-', '_'))}" for name in ("scenes", "epochs", "image-size")]
    with tempfile.TemporaryDirectory() as temporary:
        runs = measure(words.folder or Path(temporary), words)
    result = {
        "command": shlex.join(["python", "benchmarks/combos.py", *numbers]),
        "date": datetime.date.today().isoformat(),
        "device": describe_device("cpu"),
        "commit": git_commit(),
        "versions": package_versions(),
        "epochs": words.epochs,
        "image_size": words.image_size,
        "runs": runs,
    }
    write_json(words.out.with_suffix(".json"), result)
    write_text(words.out.with_suffix(".md"), combos_page.page(result))
    print(combos_page.page(result))


def measure(folder: Path, words: argparse.Namespace) -> list[dict[str, Any]]:
    """Every run; what is in `folder` is not made again."""
    config = read_config(ROOT / "config.yaml")
    prepared = sorted(path.parent for path in words.stage.glob("prepared/*/crops.parquet"))
    scenes = compose(words.stage, prepared, folder, words.scenes, config.seed)
    tests = {domain: _domain(words.stage / "manifest/test.csv", folder, domain) for domain in ("combo", "single")}
    changed = {"image_size": words.image_size, "epochs": words.epochs, "horizon": words.epochs}
    recipe = config.detector.model_copy(update={**changed, "model": str(ROOT / config.detector.model)})
    runs = []
    for (name, share), shards in product(KEPT.items(), ([], scenes)):
        train = _combos(words.stage / "manifest/train.csv", folder / f"{name}.csv", share, config.seed)
        run = folder / f"{name}, {'scenes' if shards else 'photographs'}"
        if not (run / "run.json").exists():
            learn(run, recipe, train, shards, words, prepared, config.seed)
            pictures = count_pictures(run / "yolo", "train")
            map50 = {domain: test(run, path, words, prepared) for domain, path in tests.items()}
            groups = read_table(train, MANIFEST).query("domain == 'combo'")["group"].nunique()
            facts = {"combinations": name, "groups": groups, "scenes": words.scenes if shards else 0}
            write_json(run / "run.json", facts | {"pictures": pictures, "map50": map50})
        runs.append(read_json(run / "run.json"))
    return runs


def compose(stage: Path, prepared: list[Path], folder: Path, number: int, seed: int) -> list[Path]:
    """Cut pills out of the stage's training photographs and compose scenes of them; returns the shards."""
    settings = Scenes(photos=number)
    cut_outs = [folder / "cut_outs" / archive.name for archive in prepared]
    for archive, path in zip(prepared, cut_outs, strict=True):
        if not path.exists():
            cut_pills(train=stage / "manifest/train.csv", prepared=archive, cut_outs=path,
                      per_drug=settings.cut_outs_per_drug, seed=seed)  # fmt: skip
    shards = [folder / "scenes" / shard for shard in settings.shards]
    for shard, path in enumerate(shards):
        if not path.exists():
            compose_scenes(cut_outs=cut_outs, prepared=prepared, scenes=path, shard=shard, side=416,
                           settings=settings, seed=seed)  # fmt: skip
    return shards


def _combos(manifest: Path, path: Path, share: float, seed: int) -> Path:
    """The training part with `share` of the combinations' capture groups, at least one where that is not 0."""
    pills = read_table(manifest, MANIFEST)
    groups = np.random.default_rng(seed).permutation(sorted(pills.loc[pills["domain"] == "combo", "group"].unique()))
    kept = set(groups[: int(np.ceil(share * len(groups)))])
    write_table(pills[(pills["domain"] == "single") | pills["group"].isin(kept)], path, MANIFEST)
    return path


def _domain(manifest: Path, folder: Path, domain: str) -> Path:
    """The test part's photographs of one domain."""
    pills, path = read_table(manifest, MANIFEST), folder / f"test-{domain}.csv"
    write_table(pills[pills["domain"] == domain], path, MANIFEST)
    return path


def learn(
    run: Path,
    recipe: Detector,
    train: Path,
    shards: list[Path],
    words: argparse.Namespace,
    prepared: list[Path],
    seed: int,
) -> None:
    """Train a detector; writes `detector/best.safetensors`."""
    if not (run / "yolo").exists():
        manifest = {"train": train, "val": words.stage / "manifest/val.csv"}
        build_yolo_dataset(
            manifest=manifest, prepared=prepared, dataset=run / "yolo", settings=Yolo(), seed=seed, scenes=shards
        )
    outputs = {name: run / "detector" / file for name, file in (
        ("best", "best.pt"), ("weights", "best.safetensors"), ("history", "history.csv"), ("events", "events.json"),
        ("resources", "resources.json"),
    )}  # fmt: skip
    train_detector(
        dataset=run / "yolo", work=run / "work", settings=recipe, steering=Steering(), training=Trainings(), seed=seed,
        device="auto", threads=1, **outputs,
    )  # fmt: skip


def test(run: Path, manifest: Path, words: argparse.Namespace, prepared: list[Path]) -> float:
    """mAP@0.5 on these test photographs."""
    empty = run / "backgrounds.csv"
    write_table(make_table([], MANIFEST_BACKGROUNDS), empty, MANIFEST_BACKGROUNDS)
    evaluate_detector(
        manifest={"val": words.stage / "manifest/val.csv", "test": manifest}, backgrounds=empty,
        summary=words.stage / "manifest/summary.json", prepared=prepared, detector=run / "detector/best.safetensors",
        evaluation=run / f"evaluation-{manifest.stem}", work=run / "work", image_size=words.image_size,
        lowest_score=0.02, min_iou=0.5, device="auto", threads=2,
    )  # fmt: skip
    measured: float = read_json(run / f"evaluation-{manifest.stem}/evaluation.json")["parts"]["test"]["map50"]
    return measured


if __name__ == "__main__":
    main()
