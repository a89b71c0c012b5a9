"""Cut-outs of drawn drugs, in the form of `cut_pills`: for scenes where no photograph may be used."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from pillsnap.files import ShardWriter, replacing_folder
from pillsnap.scenes.cut_outs import add_cut_out, cut_out
from pillsnap.sources.synthetic.catalogue import COLOURS, Drug, key_rng, make_catalogue
from pillsnap.sources.synthetic.pill import View, draw_pill
from pillsnap.tables.files import write_rows
from pillsnap.tables.schemas import CUT_OUTS

_FRAME_MM = 70.0
"""Millimetres of the longer side of a single-pill photograph: 1280 pixels at the 18.5 of `SINGLE_SCALE`."""


def draw_cut_outs(*, folder: Path, drugs: int, views: int, scale: float, seed: int, capsules: float = 0.0) -> None:
    """Draw `views` cut-outs of each drug of a catalogue, from any side, slant and light.

    Args:
        folder: written: `pills.bin`, and `pills.parquet` of schema `CUT_OUTS`.
        drugs, views: their numbers.
        scale: pixels a millimetre.
        seed: of the catalogue and the views.
        capsules: share of the drugs that are drawn as hard capsules of two colours, whatever the catalogue says.
    """
    rows = []
    with replacing_folder(folder) as made:
        with ShardWriter(made / "pills.bin") as shard:
            for index, made_up in enumerate(make_catalogue(drugs=drugs, seed=seed)):
                drug = _as_capsule(made_up, seed) if index < capsules * drugs else made_up
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


def _as_capsule(drug: Drug, seed: int) -> Drug:
    """The drug as a hard capsule of two colours, each as frequent as any other, whose cap is long or short."""
    rng = key_rng(seed, "capsule", drug.k_code)
    first, second = (str(name) for name in rng.choice(list(COLOURS), 2, replace=False))
    red, green, blue = (int(value) for value in np.clip(np.array(COLOURS[first]) + rng.normal(0, 12, 3), 8, 246))
    long = round(float(rng.uniform(11, 22)), 2)
    short = round(long * float(rng.uniform(0.3, 0.46)), 2)
    return replace(
        drug,
        form_code_name="경질캡슐제",
        drug_shape="장방형",
        leng_long=long,
        leng_short=short,
        thick=short,
        tint=(red, green, blue),
        color_class1=first,
        color_class2=second,
        debossed=False,
        speckled=False,
        joint=float(rng.uniform(-0.25, 0.25)),
    )


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
