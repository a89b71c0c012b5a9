"""Masks of benchmarks/scenes.py: cut-outs beside the true masks of drawn photographs."""

from collections import Counter
from typing import Any

import cv2
import numpy as np

from pillsnap.config.data import Prepare
from pillsnap.crops.crop import context_window
from pillsnap.pictures.decode import decode_jpeg, encode_jpeg
from pillsnap.scenes.mask import CutOutError, segment_pill
from pillsnap.sources.synthetic.catalogue import key_rng, make_catalogue
from pillsnap.sources.synthetic.scene import render_with_truth
from pillsnap.sources.synthetic.views import single_photos

SEED, VIEWS = 31, 2
"""Another catalogue than the configuration's; photographs of each drug."""


def measure_masks(photos: int) -> dict[str, Any]:
    """Cut the pills of so many drawn photographs out and compare."""
    settings, found, refused = Prepare(), [], Counter()
    for drug in make_catalogue(drugs=-(-photos // VIEWS), seed=SEED):
        for photo in list(single_photos(drug, "training", 36, 1, SEED))[:: 36 // VIEWS]:
            rng = key_rng(SEED, "photo", photo.stem)
            drawn = render_with_truth(photo.pills, photo.shot, scale=photo.scale, rng=rng)
            picture, owner = drawn.photo, drawn.owner
            true = owner == 1
            x, y, w, h = cv2.boundingRect(true.astype(np.uint8))
            sides = picture.shape[1], picture.shape[0]
            left, top, right, bottom = context_window((x, y, w, h), *sides, context=settings.crop_context)
            window = decode_jpeg(encode_jpeg(picture[top:bottom, left:right], settings.crop_quality))
            try:
                mask = segment_pill(window, (x - left, y - top, w, h))
            except CutOutError as error:
                refused[error.reason] += 1
                continue
            beside = true[top:bottom, left:right]
            found.append(float((mask & beside).sum() / (mask | beside).sum()))
    return {
        "photos": len(found) + sum(refused.values()),
        "mean_iou": round(float(np.mean(found)), 4),
        "lowest_iou": round(min(found), 4),
        "refused": dict(sorted(refused.items())),
    }
