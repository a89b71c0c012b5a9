"""Cost of a GIF: the blocks before its first picture, which Pillow reads one by one."""

from pillsnap.pictures.cost.limits import check_at_most

BLOCKS = 10_000


def check_gif(data: bytes) -> None:
    """Raise `CostlyError` for a GIF with too many blocks before its first picture."""
    place, blocks = 13 + (3 << (data[10] & 7) + 1 if data[10] & 128 else 0), 0
    while (kind := data[place : place + 1]) and kind not in b",;":
        blocks += 1
        place += 2 if kind == b"!" else 1
        if kind == b"!":
            while data[place]:
                blocks += 1
                check_at_most(BLOCKS, blocks, "blocks before the picture")
                place += 1 + data[place]
            place += 1
        check_at_most(BLOCKS, blocks, "blocks before the picture")
