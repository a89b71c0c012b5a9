"""Measure what the rules of the data do with a photograph on one core: `prepare_archive` and `cut_crops`."""

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from pillsnap.config.config import Config
from pillsnap.preflight.gpu_check.rows import Row, Verdict

REPEATS = 8
SIDES = {"single": (0,), "combo": (0, 1, 2)}
"""Drawn drugs on a photograph."""


def check_data(config: Config) -> Iterator[Row]:
    """Decode and store drawn photographs of AIHub's size, single ones and combinations in the plan's shares, and cut
    their pills' crops; reading, tables and hashing of archives are not part of it."""
    from pillsnap.crops.crop import cut_crop
    from pillsnap.manifest.prepare_archive import prepare_photo
    from pillsnap.pictures.decode import decode_jpeg, encode_jpeg

    photo_seconds, crop_seconds, pills = {}, 0.0, 0
    for domain in SIDES:
        raw, labels = draw_photo(domain)
        start = time.perf_counter()
        for _ in range(REPEATS):
            prepared = prepare_photo(raw, labels, config.prepare, test=False)
        photo_seconds[domain] = (time.perf_counter() - start) / REPEATS
        start = time.perf_counter()
        for context, jpeg in prepared.contexts * REPEATS:
            window = decode_jpeg(jpeg)
            box = np.array([context[name] for name in "xywh"]) - [context["left"], context["top"], 0, 0]
            for _ in ("label", "detector"):
                crop = cut_crop(window, box, size=config.crops.size, margin=config.crops.margin)
                encode_jpeg(crop, config.crops.quality)
        crop_seconds += time.perf_counter() - start
        pills += len(prepared.contexts) * REPEATS
    combos = config.plan.combo_fraction
    rate = 1 / ((1 - combos) * photo_seconds["single"] + combos * photo_seconds["combo"])
    yield _row("prepare_archive", rate, "photographs")
    yield _row("cut_crops", pills / crop_seconds, "pills")


def _row(rule: str, rate: float, things: str) -> Row:
    text = f"{rate:,.1f} {things}/s on a core"
    return Row(f"data: {rule}", text, "", Verdict.ok, figures={"rule": rule, "each_second": rate})


def draw_photo(domain: str) -> tuple[bytes, list[Any]]:
    """A photograph as PNG, and its labels with the fields that `prepare_photo` reads."""
    import cv2

    from pillsnap.sources.synthetic.catalogue import make_catalogue
    from pillsnap.sources.synthetic.scene import SINGLE_SCALE, Shot, render_photo

    drugs = make_catalogue(drugs=len(SIDES["combo"]), seed=0)
    shown = [(drugs[number], 0) for number in SIDES[domain]]
    random = np.random.default_rng(0)
    picture, boxes = render_photo(shown, Shot(0, 0, 70, 0), scale=SINGLE_SCALE, rng=random)
    height, width = picture.shape[:2]
    labels = [
        SimpleNamespace(label_member=str(number), width=width, height=height, **dict(zip("xywh", box, strict=True)))
        for number, box in enumerate(boxes)
    ]
    return cv2.imencode(".png", picture[:, :, ::-1])[1].tobytes(), labels
