"""Tiny models that take one box a photograph, and photographs of drugs to enrol with them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx

from pillsnap.answers.calibration import Calibration
from pillsnap.enrol.enrol import Photo
from pillsnap.pictures.decode import encode_jpeg
from tests.support.models import draw_photo, onnx_models

FAR = Calibration(1.0, None, 0.0, 1e9, {"0.95": 0.1}, 0.99, 0.95, 0.95)
"""Everything looks like a trained drug."""
NEW = {"k_code": "K-012345", "name": "사아정 5mg", "edi_codes": ["645600001"]}


def photos(count: int, *, drug: int = 3, seed: int = 0) -> list[Photo]:
    """Photographs of one pill each, of the drug that no tiny model was trained on."""
    pictures = [draw_photo([drug], seed=seed + number, width=240, height=320)[0] for number in range(count)]
    return [Photo(f"{number}.jpg", encode_jpeg(picture, 90)) for number, picture in enumerate(pictures)]


def edited(base: Path, folder: Path, change: Callable[[onnx.ModelProto, dict[str, Any]], None]) -> Path:
    """A copy of the tiny models in `folder`, after `change` of their pipeline and its metadata."""
    shutil.copytree(onnx_models(base), folder)
    model = onnx.load(folder / "pipeline.onnx")
    entry = model.metadata_props[0]
    facts = json.loads(entry.value)
    change(model, facts)
    entry.value = json.dumps(facts, ensure_ascii=False)
    onnx.save(model, folder / "pipeline.onnx")
    return folder


def one_box(base: Path, folder: Path, **facts: Any) -> Path:
    """A copy of the tiny models in which no second box counts: their untrained detector sees pills everywhere."""
    return edited(base, folder, lambda model, found: found.update({"min_score": 1.1} | facts))
