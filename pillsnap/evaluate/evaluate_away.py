"""Measure the exported models away from the studio: on composed scenes, and on sets of real photographs."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pillsnap.config.data import Scenes
from pillsnap.evaluate.composed import evaluate_scenes
from pillsnap.evaluate.evaluate_folder import evaluate_folder
from pillsnap.evaluate.models import load_steps
from pillsnap.evaluate.pictures import Drawn
from pillsnap.files import replacing_folder, write_json
from pillsnap.sources.archives import SourceError
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import MANIFEST

log = logging.getLogger(__name__)


def evaluate_away(
    *,
    models: Path,
    test: Path,
    prepared: Sequence[Path],
    photos: Sequence[Path],
    away: Path,
    scenes: int,
    side: int,
    context: float,
    settings: Scenes,
    seed: int,
    device: str,
    threads: int,
) -> None:
    """Compose scenes from pills of the test part, answer them and the photographs of real sets, and measure.

    Args:
        models: folder of `export_onnx`.
        test: CSV of the test part, schema `MANIFEST`.
        prepared: folders of `prepare_archive`.
        photos: folders of real sets, each of a kind that `pillsnap data check` recognises. One that cannot be measured
            stops nothing: its `problem` is told.
        away: folder, written whole: `evaluation.json`, and the pictures on which most goes wrong, below `composed` and
            `real/<set>`.
        scenes, side, context, settings: of `evaluate_scenes`; 0 scenes are none.
        seed: of the scenes.
        device: `auto`, `cpu` or `cuda`.
        threads: photographs at a time; they change no result.

    Raises:
        ModelError: the models cannot be used.
        HardwareError: `cuda` was requested and does not work.
    """
    steps = load_steps(models, device)
    sets: list[dict[str, Any]] = []
    with replacing_folder(away) as folder:
        if scenes:
            found, drawn = evaluate_scenes(
                read_table(test, MANIFEST),
                prepared,
                steps,
                number=scenes,
                side=side,
                context=context,
                settings=settings,
                seed=seed,
                threads=threads,
            )
            named = {"data": {"name": "composed", "kind": "composed"}}
            sets.append(named | found | _write_pictures(folder, "composed", drawn))
        for path in photos:
            try:
                found, drawn = evaluate_folder(path, steps, threads=threads)
            except SourceError as error:
                log.warning("%s", error)
                sets.append({"data": {"name": path.name, "kind": ""}, "problem": str(error)})
                continue
            # a link's own name: two of them may point to folders of one name
            found["data"]["name"] = path.name
            sets.append(found | _write_pictures(folder, f"real/{path.name}", drawn))
        write_json(folder / "evaluation.json", {"sets": sets})
    for one in sets:
        if rates := one.get("found"):
            log.info("%s: %d of %d pills found", one["data"]["name"], rates["found"], rates["pills"])


def _write_pictures(folder: Path, name: str, drawn: Sequence[Drawn]) -> dict[str, Any]:
    """Write the pictures of a set; returns `worst`, what they show, each with its `file`."""
    (folder / name).mkdir(parents=True)
    worst: list[dict[str, Any]] = []
    for number, one in enumerate(drawn):
        file = f"{name}/{number:02d}.jpg"
        (folder / file).write_bytes(one.jpeg)
        worst.append({"file": file, **one.facts()})
    return {"worst": worst}
