"""Cut-outs of drawn drugs, in the form of `cut_pills`: for scenes where no photograph may be used."""

from pathlib import Path

import numpy as np

from pillsnap.files import ShardWriter, replacing_folder
from pillsnap.scenes.cut_outs import add_cut_out, cut_out
from pillsnap.sources.synthetic.catalogue import key_rng, make_catalogue
from pillsnap.sources.synthetic.pill import View, draw_pill
from pillsnap.tables.files import write_rows
from pillsnap.tables.schemas import CUT_OUTS

_FRAME_MM = 70.0
"""Millimetres of the longer side of a single-pill photograph: 1280 pixels at the 18.5 of `SINGLE_SCALE`."""


def draw_cut_outs(*, folder: Path, drugs: int, views: int, scale: float, seed: int) -> None:
    """Draw `views` cut-outs of each drug of a catalogue, from any side, slant and light.

    Args:
        folder: written: `pills.bin`, and `pills.parquet` of schema `CUT_OUTS`.
        drugs, views: their numbers.
        scale: pixels a millimetre.
        seed: of the catalogue and the views.
    """
    rows = []
    with replacing_folder(folder) as made:
        with ShardWriter(made / "pills.bin") as shard:
            for index, drug in enumerate(make_catalogue(drugs=drugs, seed=seed)):
                for number in range(views):
                    rng = key_rng(seed, "cut-out", drug.k_code, number)
                    patch = draw_pill(drug, _view(number, scale, rng), rng)
                    mask = patch.alpha > 0.5
                    colour, alpha = cut_out(np.clip(patch.colour, 0, 255).astype(np.uint8), mask)
                    length = max(np.ptp(np.argwhere(mask), axis=0) + 1) / scale / _FRAME_MM
                    named = {"image_id": f"drawn.{drug.k_code}.{number}", "label_member": "", "k_code": drug.k_code}
                    place = add_cut_out(shard, colour, alpha)
                    rows.append(named | {"class_index": index, "length": float(min(1.0, length))} | place)
        write_rows(rows, made / "pills.parquet", CUT_OUTS)


def _view(number: int, scale: float, rng: np.random.Generator) -> View:
    azimuth, elevation = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(38, 85))
    light = (
        float(np.cos(elevation) * np.cos(azimuth)),
        float(np.cos(elevation) * np.sin(azimuth)),
        float(np.sin(elevation)),
    )
    red, green, blue = (float(value) for value in 1 + rng.normal(0, 0.02, 3))
    return View(
        float(rng.uniform(0, 2 * np.pi)), int(rng.choice([60, 75, 90])), scale, number % 2, light, (red, green, blue)
    )
