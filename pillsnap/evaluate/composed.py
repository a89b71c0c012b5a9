"""Scenes composed from pills that are cut out of test photographs, and answered."""

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from pillsnap.benchmark.photo_results import Labels, measure_labelled
from pillsnap.config.data import Scenes
from pillsnap.crops.crop import context_window
from pillsnap.evaluate.figures import figures
from pillsnap.evaluate.measured import Measured
from pillsnap.evaluate.models import thresholds
from pillsnap.evaluate.pictures import Drawn, draw_worst
from pillsnap.hardware import usable_threads
from pillsnap.manifest.stored_photos import stored_photos
from pillsnap.pictures.decode import decode_jpeg
from pillsnap.predict.unfused import SeparateSteps
from pillsnap.progress import progress
from pillsnap.scenes.cut_outs import CutOuts
from pillsnap.scenes.cut_pills import choose_pills, store_cut_outs
from pillsnap.scenes.scene import Scene, compose_scene

PER_DRUG = 2
"""Test photographs of each drug at most whose pill is cut out."""
_APART = 1
"""Behind seed and number, so that no scene is one of those that the detector trains on."""


def evaluate_scenes(
    test: pd.DataFrame,
    prepared: Sequence[Path],
    steps: SeparateSteps,
    *,
    number: int,
    side: int,
    context: float,
    settings: Scenes,
    seed: int,
    threads: int,
) -> tuple[dict[str, Any], list[Drawn]]:
    """Compose scenes, answer them in mode `combo`, and measure.

    Args:
        test: manifest rows of the test part.
        prepared: folders of `prepare_archive`, which hold test photographs at native size.
        steps: the models, loaded with one thread each.
        number: of scenes.
        side: longer side of a scene in pixels.
        context: ground around a pill that is cut out, as a share of its box's longer side.
        settings: what scenes are like; all grounds are drawn.
        seed: of choice and scenes.
        threads: scenes at a time; they change no result.

    Returns:
        figures, JSON values, `cut_outs` with the number of pills among them, and the scenes on which most goes wrong.
        Without a cut-out there are no figures.
    """
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as place:
        counts = _cut_test_pills(test, prepared, Path(place), context=context, seed=seed)
        cut_outs = CutOuts([Path(place)])
        if not len(cut_outs):
            return {"cut_outs": counts}, []
        answer = partial(_answer, cut_outs=cut_outs, steps=steps, side=side, settings=settings, seed=seed)
        with ThreadPoolExecutor(usable_threads(threads)) as pool:
            answered = progress(pool.map(answer, range(number)), total=number, title="composed", unit="scenes")
            measured, scenes = zip(*answered, strict=True)
    jpegs = {one.member: scene.jpeg for one, scene in zip(measured, scenes, strict=True)}
    drawn = draw_worst(measured, lambda one: decode_jpeg(jpegs[one.member]))
    found = {"cut_outs": counts, **thresholds(steps, "combo"), **figures(measured, steps.calibration, "combo")}
    return found, drawn


def _cut_test_pills(
    test: pd.DataFrame, prepared: Sequence[Path], folder: Path, *, context: float, seed: int
) -> dict[str, Any]:
    """Cut pills out of single-pill test photographs; returns the counts of `store_cut_outs`."""
    chosen = choose_pills(test[test["class_index"] >= 0], PER_DRUG, seed)
    photos = progress(stored_photos(chosen, prepared), total=len(chosen), title="test pills", unit="pills")

    def windows() -> Iterator[tuple[Any, np.ndarray, tuple[int, int]]]:
        for jpeg, rows in photos:
            (pill,) = rows.itertuples()
            box = pill.x, pill.y, pill.w, pill.h
            left, top, right, bottom = context_window(box, pill.width, pill.height, context=context)
            yield pill, decode_jpeg(jpeg)[top:bottom, left:right], (left, top)

    return store_cut_outs(folder, windows())


def _answer(
    number: int, *, cut_outs: CutOuts, steps: SeparateSteps, side: int, settings: Scenes, seed: int
) -> tuple[Measured, Scene]:
    scene = compose_scene(cut_outs, side=side, settings=settings, rng=np.random.default_rng((seed, number, _APART)))
    name = f"composed.{number:06d}"
    labels = Labels(
        mode="combo",
        image_id=name,
        fully_labelled=True,
        boxes=np.array([pill.box for pill in scene.pills], float).reshape(-1, 4),
        targets=np.array([pill.class_index for pill in scene.pills], int),
    )
    result = measure_labelled(steps, decode_jpeg(scene.jpeg), labels)
    return Measured("composed", name, name, len(scene.pills), result), scene
