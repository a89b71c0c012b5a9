"""What the file name of a photograph of AIHub data set 576 tells: `K-000114_0_2_0_0_75_260_200`."""

import re
from typing import NamedTuple

BACKGROUNDS = {0: "black", 1: "blue", 2: "light grey"}
SIDES = {0: "front", 1: "back"}

PATTERN = re.compile(
    r"K-(?P<numbers>\d+(?:-\d+)*)_\d+_(?P<background>\d+)_(?P<side>\d+)_(?P<light>\d+)"
    r"_(?P<latitude>\d+)_(?P<longitude>\d+)_(?P<size>\d+)"
)
"""The whole of a file name without its ending; `numbers` are those of the K-codes, between hyphens."""


class PhotoName(NamedTuple):
    """A photograph's name, taken apart.

    Attributes:
        drugs: K-codes in the name's order; a combination has several, and the same one more than once where it shows
            two pills of a drug.
        background: 0 black, 1 blue, 2 light grey.
        side: 0 front, 1 back; of a combination it says nothing about each pill.
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
        """What photographs share that must stay on one side of a split: a view at every longitude, or a combination."""
        if len(self.drugs) > 1:
            return "K-" + "-".join(drug[2:] for drug in self.drugs)
        return f"{self.drugs[0]}_{self.background}_{self.side}_{self.light}_{self.latitude}"


def parse_photo_name(stem: str) -> PhotoName | None:
    """Take a file name without its ending apart; `None` where it is not of AIHub's form."""
    match = PATTERN.fullmatch(stem)
    if not match:
        return None
    numbers, *values = match.groups()
    return PhotoName(tuple([f"K-{number}" for number in numbers.split("-")]), *map(int, values))


def counted_drugs(stem: str) -> tuple[str, ...]:
    """The K-codes that a combination's name counts; empty for any other name."""
    name = parse_photo_name(stem)
    return name.drugs if name and len(name.drugs) > 1 else ()
