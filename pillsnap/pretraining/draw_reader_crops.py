"""Draw pills with random imprints, and cut the crops that the reader learns from."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import cv2
import numpy as np

from pillsnap.crops.crop import crop_window, cut_crop
from pillsnap.files import ShardWriter, replacing_folder
from pillsnap.pictures.decode import decode_jpeg, encode_jpeg
from pillsnap.pretraining.settings import ReaderCrops
from pillsnap.progress import progress
from pillsnap.reader.looks import CHARACTERS
from pillsnap.sources.synthetic.catalogue import Drug, key_rng, make_catalogue
from pillsnap.sources.synthetic.scene import COMBO_SCALE, SINGLE_SCALE, Drawn, Shot, render_with_truth
from pillsnap.tables.files import write_rows
from pillsnap.tables.schemas import READER_CROPS

_QUALITY = 92
"""JPEG quality of a photograph, before crops are cut."""
_HELD_OUT = 10
"""One imprint of so many is for validation alone."""


def draw_reader_crops(*, folder: Path, split: str, shard: int, photos: int, settings: ReaderCrops, seed: int) -> None:
    """Draw the crops of one shard; each photograph depends on the seed and its number alone.

    No imprint is in both splits, and none of the built-in photographs' drugs in either.

    Args:
        folder: written: `crops.bin` with JPEGs, and `crops.parquet` of schema `READER_CROPS`.
        split: `train` or `val`.
        shard: its number.
        photos: photographs of this shard; each shows several pills.
        settings: what is drawn.
        seed: of all shards.
    """
    cv2.setNumThreads(1)
    taken = imprints_of(make_catalogue(drugs=settings.spared_drugs, seed=settings.spared_seed))
    rows: list[dict[str, Any]] = []
    with replacing_folder(folder) as made:
        with ShardWriter(made / "crops.bin") as writer:
            numbers = range(shard * photos, (shard + 1) * photos)
            for number in progress(numbers, total=photos, title=f"{split} {shard}", unit="photographs"):
                rng = key_rng(seed, split, number)
                for jpeg, facts in _crops(rng, settings, split, taken):
                    offset, length = writer.add(jpeg)
                    rows.append(facts | {"offset": offset, "length": length})
        write_rows(rows, made / "crops.parquet", READER_CROPS)


def imprints_of(drugs: list[Drug]) -> set[str]:
    """All imprints of drugs."""
    return {imprint for drug in drugs for imprint in (drug.print_front, drug.print_back) if imprint}


def is_held_out(imprint: str) -> bool:
    """Whether an imprint is for validation alone: by its hash, so that no list is needed."""
    return crc32(imprint.encode()) % _HELD_OUT == 0


def _crops(
    rng: np.random.Generator, settings: ReaderCrops, split: str, taken: set[str]
) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Crops of one photograph as JPEGs, each with what it shows."""
    pills, drawn = _photograph(rng, settings, split, taken)
    photo = decode_jpeg(encode_jpeg(drawn.photo, _QUALITY))
    for (drug, side), box, middles in zip(pills, drawn.boxes, drawn.characters, strict=True):
        detected = np.array(box) + rng.normal(0, settings.box_error, 4) * max(box[2:])
        crop = cut_crop(photo, detected, size=settings.size, margin=settings.margin)
        left, top, length = crop_window(detected, settings.margin)
        places = (middles - [left, top]) / length
        yield (
            encode_jpeg(crop, settings.quality),
            {
                "imprint": (drug.print_front, drug.print_back)[side],
                "places": " ".join(f"{value:.4f}" for value in places.ravel()),
                "shape": drug.drug_shape,
                "colours": ",".join(filter(None, (drug.color_class1, drug.color_class2))),
            },
        )


def _photograph(
    rng: np.random.Generator, settings: ReaderCrops, split: str, taken: set[str]
) -> tuple[list[tuple[Drug, int]], Drawn]:
    """Drugs with the side that is seen, and a photograph of them; drawn again where they do not fit into one."""
    while True:
        count = int(rng.integers(4, 8))
        catalogue = make_catalogue(drugs=count, seed=int(rng.integers(2**31)))
        pills = [
            (_with_imprint(drug, rng, settings, split, taken), int(rng.random() < settings.backs)) for drug in catalogue
        ]
        shot = Shot(int(rng.integers(3)), int(rng.integers(3)), int(rng.choice([60, 70, 75, 90])), 0)
        scale = float(rng.choice([SINGLE_SCALE, COMBO_SCALE]))
        try:
            return pills, render_with_truth(pills, shot, scale=scale, rng=rng)
        except ValueError:
            continue


def _with_imprint(drug: Drug, rng: np.random.Generator, settings: ReaderCrops, split: str, taken: set[str]) -> Drug:
    """The drug with imprints that its split may have; some of them are of any characters and lengths.

    In place of one that is not allowed, training has one of any characters, and validation, where nine of ten are not,
    another of the same kind.
    """
    front, back = drug.print_front, drug.print_back
    odd = rng.random() < settings.any_imprint
    another = _any_imprint if odd or split == "train" else _ordinary_imprint
    if odd:
        front = _any_imprint(rng)
    while not _allowed(front, split, taken):
        front = another(rng)
    while back and not _allowed(back, split, taken):
        back = another(rng)
    return replace(drug, print_front=front, print_back=back)


def _ordinary_imprint(rng: np.random.Generator) -> str:
    return make_catalogue(drugs=1, seed=int(rng.integers(2**31)))[0].print_front


def _any_imprint(rng: np.random.Generator) -> str:
    length = rng.choice([1, 2, 3, 4, 5, 6, 7], p=[0.08, 0.12, 0.2, 0.25, 0.15, 0.1, 0.1])
    return "".join(rng.choice(list(CHARACTERS), length))


def _allowed(imprint: str, split: str, taken: set[str]) -> bool:
    return imprint not in taken and is_held_out(imprint) == (split == "val")
