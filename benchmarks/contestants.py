"""The contestants of benchmarks/prepare.py, each a function that a process of its own runs on its own archive.

A contestant wraps what counts in `with step(name):`; everything else (imports, reading into memory, warming up) is not
timed.
"""

import io
import logging
import shutil
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from drawn_archives import DrawnArchive, shortened
from kornia_rs.io import decode_image_png_u8
from PIL import Image

from pillsnap.config.config import Crops, Prepare
from pillsnap.crops.crop import context_window, cut_crop
from pillsnap.files import ShardWriter, read_from_shard
from pillsnap.manifest.prepare_archive import prepare_archive
from pillsnap.pictures.decode import decode_jpeg, encode_jpeg
from pillsnap.sources.containers.container import Container
from pillsnap.sources.synthetic.scene import HEIGHT, WIDTH
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import CONTEXTS, PHOTOS

Step = Callable[[str], AbstractContextManager[None]]
WARM_UP = 5


@dataclass(frozen=True)
class Job:
    """What a contestant's process works on: an archive, its kind of zip, an empty folder, and the settings."""

    archive: DrawnArchive
    kind: str
    folder: Path
    decoder: str
    prepare: Prepare
    crops: Crops


def decoders() -> dict[str, Callable[[bytes], np.ndarray]]:
    """PNG decoders of this environment by name; those that the project does not depend on only where installed."""
    found: dict[str, Callable[[bytes], np.ndarray]] = {
        "kornia-rs": lambda data: decode_image_png_u8(data, (HEIGHT, WIDTH), "rgb"),
        "OpenCV": lambda data: cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR),
        "Pillow": lambda data: np.asarray(Image.open(io.BytesIO(data))),
    }
    if find_spec("pyspng"):
        import pyspng

        found["pyspng"] = lambda data: pyspng.load(data, format="RGB")
    if find_spec("imagecodecs"):
        import imagecodecs

        found["imagecodecs (libspng)"] = imagecodecs.spng_decode
        found["imagecodecs (libpng)"] = imagecodecs.png_decode
    if find_spec("imgread"):
        import imgread

        found["imgread"] = imgread.load_numpy_from_bytes
    return found


def limit(job: Job, step: Step) -> None:
    """Bare decoding by the fastest decoder; the files lie in memory."""
    decode = decoders()[job.decoder]
    with Container(job.archive.zips["stored"].photos) as container:
        files = [container.read(member) for member in job.archive.members]
    for data in files[:WARM_UP]:
        decode(data)
    with step("decode"):
        for _ in range(job.archive.copies):
            for data in files:
                decode(data)


def ours(job: Job, step: Step) -> None:
    """`prepare_archive`: read, decode, check, hash, shrink, encode, crop, write."""
    logging.disable()
    _warm_up(job)
    with step("prepare"):
        archive = job.archive.zips[job.kind]
        paths = {"plan": job.archive.plan, "prepared": job.folder / "prepared"}
        prepare_archive(archive=archive, **paths, settings=job.prepare, threads=1)


def ours_with_epochs(job: Job, step: Step) -> None:
    """After `prepare_archive`, what its readers need before they train, and one epoch of reading by each."""
    ours(job, step)
    with step("lay out"):
        files = _lay_out_photos(job)
        places = _cut_crops(job)
    with step("detector epoch"):
        for file in files:
            cv2.imread(file)
    with step("classifier epoch"), (job.folder / "crops.bin").open("rb") as shard:
        for offset, length in places:
            decode_jpeg(read_from_shard(shard, offset, length))


def usual(job: Job, step: Step) -> None:
    """The usual way: four scripts, each of which reads the photographs again, then an epoch of either kind."""
    photos = [str(job.folder / member) for member in job.archive.members]
    with step("unzip"), zipfile.ZipFile(job.archive.zips["stored"].photos) as archive:
        archive.extractall(job.folder, job.archive.members)
    with step("validate"):
        for photo in photos:
            with Image.open(photo) as image:
                image.load()
    with step("resize"):
        for number, photo in enumerate(photos):
            options = [cv2.IMWRITE_JPEG_QUALITY, job.prepare.photo_quality]
            cv2.imwrite(str(job.folder / f"{number}.jpg"), _resized(cv2.imread(photo), job.prepare.photo_size), options)
    with step("crop"):
        crops = [crop for number, photo in enumerate(photos) for crop in _save_crops(job, number, photo)]
    with step("detector epoch of small photos"):
        for number in range(len(photos)):
            cv2.imread(str(job.folder / f"{number}.jpg"))
    with step("detector epoch of raw photos"):
        for photo in photos:
            _resized(cv2.imread(photo), job.prepare.photo_size)
    with step("classifier epoch"):
        for crop in crops:
            with Image.open(crop) as image:
                np.asarray(image.convert("RGB"))


def _warm_up(job: Job) -> None:
    """A whole job on one photograph: some libraries load when they are first used, and loading is never timed."""
    paths = {"plan": shortened(job.archive, 0).plan, "prepared": job.folder / "warm-up"}
    prepare_archive(archive=job.archive.zips[job.kind], **paths, settings=job.prepare, threads=1)


def _lay_out_photos(job: Job) -> list[str]:
    """The detector's files, as `build_yolo_dataset` writes them."""
    files = []
    with (job.folder / "prepared/photos.bin").open("rb") as shard:
        for photo in read_table(job.folder / "prepared/photos.parquet", PHOTOS).itertuples():
            file = job.folder / f"{photo.image_id}.jpg"
            file.write_bytes(read_from_shard(shard, photo.offset, photo.length))
            files.append(str(file))
    return files


def _cut_crops(job: Job) -> list[tuple[int, int]]:
    """The classifier's crops, as `cut_crops` cuts them from labelled boxes; where they lie in `crops.bin`."""
    places = []
    table = read_table(job.folder / "prepared/crops.parquet", CONTEXTS)
    with (job.folder / "prepared/crops.bin").open("rb") as stored, ShardWriter(job.folder / "crops.bin") as shard:
        for row in table.itertuples():
            window = decode_jpeg(read_from_shard(stored, row.offset, row.length))
            box = [row.x - row.left, row.y - row.top, row.w, row.h]
            crop = cut_crop(window, box, size=job.crops.size, margin=job.crops.margin)
            places.append(shard.add(encode_jpeg(crop, job.crops.quality)))
    return places


def _resized(picture: np.ndarray, long_side: int) -> np.ndarray:
    height, width = picture.shape[:2]
    scale = long_side / max(height, width)
    return cv2.resize(picture, (round(width * scale), round(height * scale)))


def _save_crops(job: Job, number: int, photo: str) -> list[str]:
    saved = []
    with Image.open(photo) as image:
        for pill, box in enumerate(job.archive.boxes[job.archive.members[number]]):
            crop = image.crop(context_window(box, *image.size, context=job.prepare.crop_context))
            saved.append(str(job.folder / f"{number}.{pill}.jpg"))
            crop.save(saved[-1], quality=job.prepare.crop_quality, subsampling=0)
    return saved


def clear(folder: Path) -> None:
    """Empty a contestant's folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
