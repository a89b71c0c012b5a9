"""Files of an AIHub archive, made by hand: photographs of noise, labels, zips."""

import json
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np


def png(width: int = 97, height: int = 128, seed: int = 0) -> bytes:
    """A PNG of noise."""
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


def label(name: str, k_code: str, bbox: Any = (10, 20, 30, 40), **image: Any) -> bytes:
    """A label JSON with AIHub's fields that matter."""
    facts = {
        "file_name": name,
        "width": 97,
        "height": 128,
        "drug_N": k_code,
        "dl_mapping_code": k_code,
        "dl_name": "시험정",
        "di_edi_code": "643303740,A01200351",
        "id": 1,
    }
    annotation = {"bbox": list(bbox) if isinstance(bbox, tuple) else bbox, "category_id": 1, "image_id": 1, "id": 1}
    value = {"images": [facts | image], "annotations": [annotation], "categories": [{"id": 1, "name": "Drug"}]}
    return json.dumps(value, ensure_ascii=False).encode()


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    """A zip of the given members."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path
