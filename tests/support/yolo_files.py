"""Small YOLO data sets."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from zlib import crc32

from tests.support.archives import photo_png


def write_yolo_set(root: Path, *, names: Sequence[str], parts: Mapping[str, Mapping[str, str]]) -> None:
    """Write a YOLO data set.

    Args:
        root: written below it.
        names: of the classes.
        parts: for each part the lines of labels by the photograph's name; photographs of one name and number of lines
            have the same bytes.
    """
    listed = ", ".join(f'"{name}"' for name in names)
    root.mkdir(parents=True, exist_ok=True)
    (root / "data.yaml").write_text(f"names: [{listed}]\n", encoding="utf-8")
    for part, photos in parts.items():
        for kind in ("images", "labels"):
            (root / kind / part).mkdir(parents=True, exist_ok=True)
        for name, lines in photos.items():
            picture = photo_png(max(1, len(lines.splitlines())), seed=crc32(name.encode()))
            (root / "images" / part / f"{name}.png").write_bytes(picture)
            (root / "labels" / part / f"{name}.txt").write_text(lines)
