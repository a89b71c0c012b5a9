"""Amounts of data in a stage: counted in its plan, or estimated from the configuration before there is one."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pillsnap.config.config import Config
from pillsnap.crops.crop import context_window
from pillsnap.sources.archives import SourceError
from pillsnap.sources.registry import get_kind, list_archives
from pillsnap.tables.schemas import UNSEEN

AIHUB_SIZE = 976, 1280
CONTEXT_SHARE = 0.20
"""Share of the photograph's area that a pill's context crop takes, context 0.6: 0.20 of 42 synthetic single
photographs, 0.17 of 20 combos, 0.12 of 60 real photographs of 480 x 640 pixels. A plan's boxes give it exactly."""
COMBO_PILLS = 3.15
"""Pills on a synthetic combo photograph, mean of 20."""
SCENE_CROPS = 3.4
"""Pills of a composed scene that the classifier trains on, mean of 150 of 416 pixels with crops of 144."""


@dataclass(frozen=True)
class Amounts:
    """Amounts of a stage, in photographs, pills and pixels. Trained ones are those of training and validation, and of
    `unseen_val`, which is prepared and cut like them.

    Attributes:
        photos, pills: of the whole stage; a pill is a row of its plan.
        largest: pixels of the largest photograph.
        test_pixels: of the test photographs (of unseen drugs too), native.
        small_pixels: of the trained photographs at `prepare.photo_size`.
        context_pixels: of the trained pills' context crops, native.
        trained_pills: of the trained photographs.
        detector_photos, detector_pixels: of the detector's data set.
        drugs: classes.
    """

    photos: float
    pills: float
    largest: float
    test_pixels: float
    small_pixels: float
    context_pixels: float
    trained_pills: float
    detector_photos: float
    detector_pixels: float
    drugs: int


def count_amounts(plan: pd.DataFrame, backgrounds: pd.DataFrame, config: Config) -> Amounts:
    """Count the amounts of a plan, by its labels' sizes and boxes.

    Args:
        plan: schema `PLAN`; a photograph without a size in its labels counts as one of AIHub's.
        backgrounds: schema `PLANNED_BACKGROUNDS`; they have no labels, and so no sizes.
        config: its `prepare` and `yolo` are used.
    """
    without = backgrounds.assign(width=0, height=0, domain="background", expected_pills=0)
    photos = pd.concat([plan.drop_duplicates("image_id"), without]).set_index("image_id")
    sizes = photos[["width", "height"]].copy()
    sizes.loc[photos["width"] == 0] = AIHUB_SIZE
    pixels = sizes["width"] * sizes["height"]
    long_side = sizes.max(axis=1)
    small = pixels * (config.prepare.photo_size / long_side).clip(upper=1) ** 2
    trained = ~photos["split"].isin(("test", "unseen_test"))
    pills = plan[~plan["split"].isin(("test", "unseen_test"))]
    shown = plan.groupby("image_id").size().reindex(photos.index, fill_value=0) >= photos["expected_pills"]
    shown |= config.yolo.partly_labelled == "use"
    used = _detector_photos(photos[trained & shown], config)
    return Amounts(
        photos=len(photos),
        pills=len(plan),
        largest=float(pixels.max()),
        test_pixels=float(pixels[~trained].sum()),
        small_pixels=float(small[trained].sum()),
        context_pixels=float(sum(_context_pixels(pills, config.prepare.crop_context))),
        trained_pills=len(pills),
        detector_photos=used,
        detector_pixels=used * float(small[trained].mean()) if trained.any() else 0.0,
        drugs=plan.loc[~plan["split"].isin(UNSEEN), "k_code"].nunique(),
    )


def _detector_photos(photos: pd.DataFrame, config: Config) -> int:
    """Count the usable photographs that `build_yolo_dataset` takes."""
    there = photos.groupby(["split", "domain"]).size()
    total = 0
    for split, limit in (("train", config.yolo.max_single_photos), ("val", config.yolo.max_single_photos // 4)):
        singles, combos, empty = (int(there.get((split, name), 0)) for name in ("single", "combo", "background"))
        with_pills = combos + min(singles, limit)
        total += with_pills + min(empty, with_pills)
    return total


def _context_pixels(pills: pd.DataFrame, context: float) -> Iterator[int]:
    columns = (pills[name].to_list() for name in ("x", "y", "w", "h", "width", "height"))
    for x, y, w, h, width, height in zip(*columns, strict=True):
        left, top, right, bottom = context_window([x, y, w, h], width, height, context=context)
        yield max(0, right - left) * max(0, bottom - top)


def estimate_amounts(config: Config, stage: str) -> Amounts:
    """Estimate the amounts of a stage without a plan: every photograph has AIHub's size, combos take their whole share.
    A source that is missing counts like one that fills the stage's budget."""
    pixels, budget = AIHUB_SIZE[0] * AIHUB_SIZE[1], getattr(config.stages, stage)
    try:
        available = count_photos(config)
    except SourceError:
        available = None
    unseen = config.plan.unseen_photos if config.plan.unseen_drugs else 0
    photos = budget.images + unseen if available is None else min(budget.images + unseen, available)
    unseen = min(unseen, photos)
    trained = (photos - unseen) * (1 - config.plan.test_fraction) + unseen / 2
    combos = config.plan.combo_fraction
    pills_a_photo = 1 + combos * (COMBO_PILLS - 1)
    small = pixels * min(1.0, config.prepare.photo_size / max(AIHUB_SIZE)) ** 2
    used = trained * combos + min(trained * (1 - combos), config.yolo.max_single_photos * 1.25)
    return Amounts(
        photos=photos,
        pills=photos * pills_a_photo,
        largest=pixels,
        test_pixels=(photos - trained) * pixels,
        small_pixels=trained * small,
        context_pixels=trained * pills_a_photo * pixels * CONTEXT_SHARE,
        trained_pills=trained * pills_a_photo,
        detector_photos=used,
        detector_pixels=used * small,
        drugs=budget.classes,
    )


def composed_crops(amounts: Amounts, config: Config) -> float:
    """Estimate the composed pills that the classifier trains on; of each drug no more than photographs' pills."""
    composed = config.scenes.photos * SCENE_CROPS if config.scenes.crops else 0.0
    return min(composed, amounts.trained_pills)


def count_photos(config: Config) -> int | None:
    """Count the photographs of all sources; `None` where only the index can."""
    counts = [get_kind(source.kind).count_photos(source) for source in config.named_sources.values()]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def undrawn_photos(config: Config) -> float:
    """Estimate the photographs still to be drawn, taking archives for equally large."""
    undrawn = 0.0
    for source in config.named_sources.values():
        if get_kind(source.kind).drawn:
            archives = list_archives(source).values()
            missing = sum(not Path(archive.photos).is_file() for archive in archives)
            undrawn += (get_kind(source.kind).count_photos(source) or 0) * missing / len(archives)
    return undrawn
