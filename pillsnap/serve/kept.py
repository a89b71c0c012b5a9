"""Photographs and answers that a service keeps on request, and the corrections that make a COCO source of them."""

import fcntl
import logging
import threading
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pillsnap.answers.answer import Answer
from pillsnap.files import read_json, replacing, write_json
from pillsnap.locks import LockError, explained_locks
from pillsnap.pictures.decode import MAX_JPEG_SIDE, encode_jpeg
from pillsnap.tables.classes import UNLABELLED

QUALITY = 95
"""JPEG quality of kept photographs."""
NO_PILL = "none"
"""What a person says of a box that shows no pill."""
_LOG = logging.getLogger("pillsnap.serve")


class KeepError(OSError):
    """A folder in which nothing can be kept; the message names the cure."""


class Kept:
    """A folder of photographs and answers, used by one service at a time.

    `answers/` holds each photograph with its answer until a person has judged it. Then it moves to `confirmed/`, a
    source of kind `coco`: photographs, and `coco.json` with the labels that people gave. Photographs are stored
    upright, as JPEG and without metadata, under names that the service makes up.
    """

    def __init__(self, folder: Path, limit_bytes: float) -> None:
        """Open a folder, and put right what a killed service left.

        Raises:
            KeepError: it cannot be written or locked, or another service uses it.
        """
        self._answers, self._confirmed = folder / "answers", folder / "confirmed"
        self._coco = self._confirmed / "coco.json"
        self._mutex = threading.Lock()
        self._limit = limit_bytes
        try:
            for place in (self._answers, self._confirmed / "photos"):
                place.mkdir(parents=True, exist_ok=True)
            self._file = (folder / ".lock").open("w")
            with explained_locks(folder, "Name a folder on a disk of this machine"):
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise KeepError(
                f"--keep {folder}: another service keeps its answers there. Name another folder."
            ) from error
        except LockError as error:
            raise KeepError(f"--keep {error}") from error
        except OSError as error:
            raise KeepError(f"--keep {folder}: cannot be written ({error}). Allow writing there.") from error
        self._return_unlabelled()
        self._bytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        self.full = self._bytes >= self._limit

    def close(self) -> None:
        """Let another service use the folder."""
        self._file.close()

    def keep(self, picture: np.ndarray, answer: Answer, model: str) -> str | None:
        """Keep a photograph, uint8 (H, W, 3) RGB, and its answer.

        Returns:
            its ID; `None` where the limit is reached, the disk is full, or the photograph is too large for a JPEG.
        """
        if self.full or max(picture.shape) > MAX_JPEG_SIDE:
            return None
        name = uuid.uuid4().hex
        jpeg = encode_jpeg(picture, QUALITY)
        facts = {"kept": name, "time": datetime.now(UTC).isoformat(timespec="seconds"), "model": model}
        try:
            with replacing(self._answers / f"{name}.jpg") as temporary:
                temporary.write_bytes(jpeg)
            write_json(self._answers / f"{name}.json", facts | {"answer": asdict(answer), "correction": None})
        except OSError as error:
            self._stop(str(error))
            return None
        with self._mutex:
            self._bytes += len(jpeg) + (self._answers / f"{name}.json").stat().st_size
        if self._bytes >= self._limit:
            self._stop(f"{self._bytes} bytes are kept, and --keep-limit allows {self._limit:.0f}")
        return name

    def answer_of(self, name: str) -> dict[str, Any]:
        """Return what was answered to a kept photograph; raises `KeyError` where there is none of that ID."""
        file = self._answers / f"{name}.json"
        if len(name) != 32 or not set(name) <= set("0123456789abcdef") or not file.is_file():
            raise KeyError(name)
        answer: dict[str, Any] = read_json(file)["answer"]
        return answer

    def correct(self, name: str, drugs: Sequence[str | None], *, complete: bool) -> int:
        """Take what a person says of an answer, in place of what was said before.

        Args:
            name: ID of the photograph.
            drugs: for each pill of the answer its K-code, `NO_PILL`, or `None` where the person does not say.
            complete: whether every pill of the photograph has a box.

        Returns:
            the photograph's labels in the source; one of which nothing can be learned stays out of it.

        Raises:
            KeyError: there is no such photograph.
            OSError: the folder cannot be written.
        """
        answer = self.answer_of(name)
        with self._mutex:
            record = read_json(self._answers / f"{name}.json")
            correction = {"drugs": list(drugs), "complete": complete}
            write_json(self._answers / f"{name}.json", record | {"correction": correction})
            return self._label(name, answer, drugs, whole=complete and None not in drugs)

    def _label(self, name: str, answer: dict[str, Any], drugs: Sequence[str | None], *, whole: bool) -> int:
        """Put the photograph with its labels into the source, or take it out."""
        coco = self._read()
        coco["images"] = [image for image in coco["images"] if image["kept"] != name]
        coco["annotations"] = [one for one in coco["annotations"] if one["kept"] != name]
        labels = [drug for drug in drugs if drug not in (None, NO_PILL)]
        waiting, confirmed = self._answers / f"{name}.jpg", self._confirmed / "photos" / f"{name}.jpg"
        if not labels and not whole:
            self._write(coco)
            if confirmed.exists():
                confirmed.replace(waiting)
            return 0
        number = 1 + max((image["id"] for image in coco["images"]), default=0)
        image = {"id": number, "file_name": f"photos/{name}.jpg", "width": answer["width"], "height": answer["height"]}
        coco["images"].append(image | {"fully_labelled": whole, "kept": name})
        names = {one["name"]: one["id"] for one in coco["categories"]}
        for pill, drug in zip(answer["pills"], drugs, strict=True):
            if drug == NO_PILL:
                continue
            category = names.setdefault(drug or UNLABELLED, len(names) + 1)
            box = {"bbox": pill["box"], "area": pill["box"][2] * pill["box"][3], "iscrowd": 0, "segmentation": []}
            place = 1 + max((one["id"] for one in coco["annotations"]), default=0)
            coco["annotations"].append({"id": place, "image_id": number, "category_id": category, "kept": name} | box)
        coco["categories"] = [{"id": place, "name": drug, "supercategory": "pill"} for drug, place in names.items()]
        if waiting.exists():
            waiting.replace(confirmed)
        self._write(coco)
        return len(labels)

    def _read(self) -> dict[str, Any]:
        if not self._coco.exists():
            return {
                "info": {"description": "PillSnap: corrected answers"},
                "images": [],
                "annotations": [],
                "categories": [],
            }
        found: dict[str, Any] = read_json(self._coco)
        return found

    def _write(self, coco: dict[str, Any]) -> None:
        if coco["images"] or self._coco.exists():
            write_json(self._coco, coco)

    def _return_unlabelled(self) -> None:
        """Move photographs back that a killed service had moved and not labelled."""
        labelled = {image["file_name"] for image in self._read()["images"]}
        for photo in (self._confirmed / "photos").glob("*.jpg"):
            if f"photos/{photo.name}" not in labelled:
                photo.replace(self._answers / photo.name)

    def _stop(self, why: str) -> None:
        self.full = True
        _LOG.warning("no more photographs are kept", extra={"fields": {"reason": why}})
