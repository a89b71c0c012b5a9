"""Files of an AIHub archive, made by hand: photographs of noise, labels, zips, and what people make of zips."""

import io
import json
import shutil
import tarfile
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


def unpack(path: Path) -> None:
    """Replace a zip by a folder of its name, as people do."""
    shutil.unpack_archive(path, path.with_suffix(""))
    path.unlink()


def split(path: Path, names: str = "bytes") -> None:
    """Replace a file by three parts, numbered from 0 or 1 or by the byte at which they begin."""
    data = path.read_bytes()
    starts = [0, len(data) // 3, len(data) // 2]
    numbers = {"from 0": range(3), "from 1": range(1, 4), "bytes": starts}[names]
    for number, start, end in zip(numbers, starts, [*starts[1:], len(data)], strict=True):
        path.with_name(f"{path.name}.part{number}").write_bytes(data[start:end])
    path.unlink()


def packed(path: Path, way: str) -> Path:
    """Pack a zip's files anew as `tar` or `tar.gz`; returns the file, which ends with `.tar`."""
    with zipfile.ZipFile(path) as archive:
        files = {info.filename: archive.read(info) for info in archive.infolist()}
    path.unlink()
    tar = path.with_suffix(".tar")
    with tarfile.open(tar, "w:gz" if way == "tar.gz" else "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return tar
