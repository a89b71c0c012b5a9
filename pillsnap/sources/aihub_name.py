"""Parse file names of AIHub data set 576's photographs, such as `K-000114_0_2_0_0_75_260_200`."""

import re
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

BACKGROUNDS = {0: "black", 1: "blue", 2: "light grey"}
SIDES = {0: "front", 1: "back"}

PATTERN = re.compile(
    r"K-(?P<numbers>\d+(?:-\d+)*)_\d+_(?P<background>\d+)_(?P<side>\d+)_(?P<light>\d+)"
    r"_(?P<latitude>\d+)_(?P<longitude>\d+)_(?P<size>\d+)"
)
"""A file name without its ending; `numbers` are those of the K-codes, between hyphens."""

COURSE_NAME = re.compile(r"(train|test)_(images|annotations)(?:\.zip|\.tar)?(?:\.part\d+)?", re.IGNORECASE)
"""Name of a folder, zip or tar with a part of the derived edition that was made for a course."""


class PhotoName(NamedTuple):
    """Fields of a photograph's file name.

    Attributes:
        drugs: K-codes in the name's order; a combination has several, and the same one more than once where it shows
            two pills of a drug.
        background: 0 black, 1 blue, 2 light grey.
        side: 0 front, 1 back; in a combination it holds for no single pill.
        light: kind of light, 0 to 2.
        latitude: of the camera, degrees.
        longitude: of the camera, degrees.
        size: the name's last number, 200 in AIHub's data.
    """

    drugs: tuple[str, ...]
    background: int
    side: int
    light: int
    latitude: int
    longitude: int
    size: int

    @property
    def capture_group(self) -> str:
        """Key shared by photographs that must not be split: one view at every longitude, or one combination."""
        if len(self.drugs) > 1:
            return "K-" + "-".join(drug[2:] for drug in self.drugs)
        return f"{self.drugs[0]}_{self.background}_{self.side}_{self.light}_{self.latitude}"


def parse_photo_name(stem: str) -> PhotoName | None:
    """Parse a file name without its ending; `None` where it is not of AIHub's form."""
    match = PATTERN.fullmatch(stem)
    if not match:
        return None
    numbers, *values = match.groups()
    return PhotoName(tuple([f"K-{number}" for number in numbers.split("-")]), *map(int, values))


def is_test_image(container: Path, name: str) -> bool:
    """Whether a photograph of a zip, tar or folder is in the course's `test_images`, of which there are no labels."""
    return _is_test_folder(container.name, name.rpartition("/")[0])


@lru_cache(4096)  # a drug's photographs lie in one folder
def _is_test_folder(container: str, folder: str) -> bool:
    folders = (container, *PurePosixPath(folder).parts)
    return any((match := COURSE_NAME.fullmatch(part)) and match[1].lower() == "test" for part in folders)


def counted_drugs(stem: str) -> tuple[str, ...]:
    """Return the K-codes in a combination's name, one a pill; empty for any other name."""
    name = parse_photo_name(stem)
    return name.drugs if name and len(name.drugs) > 1 else ()
