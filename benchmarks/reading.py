"""Time whole answers of the same models with and without the reader.

    python benchmarks/reading.py                                         # the figures of benchmarks/reading.md
    python benchmarks/reading.py --photos 2 --turns 2 --out /tmp/reading  # to try it

Aim: reading imprint, shape and colours makes a whole answer at most 15 % slower.

Method: a stage that is made is exported again without the reader, with the same networks and thresholds. Both graphs
answer the same test photographs from JPEGs in memory, one after the other, and take turns in who begins. A turn is one
answer of each to each photograph; its ratio is that of both sums of time, and the median of the turns' ratios counts.
The first turn is not counted. Both have as many threads.
"""

import argparse
import datetime
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from page_origin import origin

from pillsnap.answers.answer import Mode
from pillsnap.config.load import read_config
from pillsnap.files import read_json, write_json, write_text
from pillsnap.manifest.stored_photos import stored_photos
from pillsnap.onnx.export_onnx import export_onnx
from pillsnap.predict.model import PillSnap
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import MANIFEST
from pillsnap.workflow.provenance import describe_device, git_commit, package_versions

ROOT = Path(__file__).resolve().parents[1]
MODES: tuple[Mode, ...] = ("single", "combo")
PARITY_PHOTOS = 4


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--stage", type=Path, default=Path("results/stage4"), help="a stage that is made")
    parser.add_argument("--photos", type=int, default=20, help="of each mode")
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/reading", help=".json and .md are added")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        export_without_reader(words.stage, Path(work), words.threads)
        folders = (Path(work) / "onnx", words.stage / "onnx")
        without, reading = (PillSnap.load(folder, threads=words.threads, device="cpu") for folder in folders)
    result = {
        "command": shlex.join(["python", "benchmarks/reading.py", *sys.argv[1:]]),
        "date": datetime.date.today().isoformat(),
        "device": describe_device("cpu"),
        "commit": git_commit(),
        "versions": package_versions(),
        "threads": words.threads,
        "photos": words.photos,
        "modes": {
            mode: compare(without, reading, test_photos(words.stage, mode, words.photos), mode, words.turns)
            for mode in MODES
        },
    }
    write_json(words.out.with_suffix(".json"), result)
    write_text(words.out.with_suffix(".md"), page(result))
    print(page(result))


def export_without_reader(stage: Path, work: Path, threads: int) -> None:
    """Write the folder `onnx` of a stage's networks without the reader, below `work`."""
    config, written = read_config(ROOT / "config.yaml"), read_json(stage / "answers/calibration.json")
    for calibration in filter(None, (written["calibration"], written["calibration"]["pairs"])):
        calibration |= {"reading": None, "blank_within": None}
    write_json(work / "calibration.json", written)
    export_onnx(
        detector=stage / "detector/best.safetensors",
        classifier=stage / "classifier/best.safetensors",
        reader=None,
        classes=stage / "manifest/classes.json",
        looks=stage / "manifest/drugs.csv",
        calibration=work / "calibration.json",
        drug_space=stage / "answers/drug_space.safetensors",
        crops=stage / "crops",
        manifest=stage / "manifest/val.csv",
        prepared=sorted((stage / "prepared").iterdir()),
        onnx_folder=work / "onnx",
        work=work / "export",
        stage=stage.name,
        settings=config.onnx.model_copy(update={"parity_photos": PARITY_PHOTOS}),
        crop_settings=config.crops,
        answer_settings=config.benchmark,
        detector_image_size=config.detector.image_size,
        device="cpu",
        threads=threads,
    )


def test_photos(stage: Path, mode: Mode, count: int) -> list[bytes]:
    """The first test photographs of single pills, or of combinations, as JPEG."""
    pills = read_table(stage / "manifest/test.csv", MANIFEST)
    chosen = pills[pills["domain"] == mode]
    chosen = chosen[chosen["image_id"].isin(chosen["image_id"].unique()[:count])]
    return [data for data, _ in stored_photos(chosen, sorted((stage / "prepared").iterdir()))]


def compare(without: PillSnap, reading: PillSnap, photos: Sequence[bytes], mode: Mode, turns: int) -> dict[str, Any]:
    """Median milliseconds of an answer `without` and with `reading`, and the `ratio` of each turn."""
    seconds = np.empty((turns + 1, len(photos), 2))
    for turn in range(turns + 1):
        for number, photo in enumerate(photos):
            for way in (0, 1) if (turn + number) % 2 else (1, 0):
                started = time.perf_counter()
                (without, reading)[way].identify(photo, mode)
                seconds[turn, number, way] = time.perf_counter() - started
    counted = seconds[1:]
    sums, medians = counted.sum(axis=1), np.median(counted, axis=(0, 1)) * 1000
    return {"without": medians[0], "reading": medians[1], "ratio": (sums[:, 1] / sums[:, 0]).tolist()}


def page(result: dict[str, Any]) -> str:
    """The measured figures as Markdown."""
    rows = [
        f"| {mode} | {found['without']:.1f} | {found['reading']:.1f} | {np.median(found['ratio']):.3f} "
        f"({min(found['ratio']):.3f} to {max(found['ratio']):.3f}) |"
        for mode, found in result["modes"].items()
    ]
    told = origin(result)
    return f"""# What reading costs: measured

Made by `{result["command"]}`; the first lines of [reading.py](reading.py) tell the method, and every figure is computed
from [reading.json](reading.json). **The photographs are synthetic.**

- {told["date"]}, {told["device"]}; {result["threads"]} threads; commit `{told["commit"]}`{told["dirty"]}
- {told["versions"]}

Whole answers, from a JPEG in memory, to {result["photos"]} photographs of each mode; the ratio is the median of
{len(result["modes"]["single"]["ratio"])} turns, lowest to highest in brackets. Asked is at most 1.15.

| mode | without, ms | with the reader, ms | ratio |
|---|---|---|---|
{chr(10).join(rows)}
"""


if __name__ == "__main__":
    main()
