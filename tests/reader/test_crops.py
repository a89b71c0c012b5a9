"""Drawn crops in memory: what the table of a shard says, as tensors."""

from pathlib import Path

import torch

from pillsnap.catalogue.vocabulary import colours_of, shape_of
from pillsnap.pictures.decode import decode_jpeg
from pillsnap.reader.crops import read_reader_crops
from pillsnap.reader.looks import COLOUR_NAMES, SHAPE_NAMES, imprint_of
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import READER_CROPS
from tests.support.reader_crops import SETTINGS, reader_crops


def test_tensors_say_what_the_tables_say(base: Path) -> None:
    folders = [reader_crops(base, split) for split in ("train", "val")]
    data, number = read_reader_crops(folders, SETTINGS.size), 0
    for folder in folders:
        stored = (folder / "crops.bin").read_bytes()
        for row in read_table(folder / "crops.parquet", READER_CROPS).itertuples():
            picture = decode_jpeg(stored[row.offset : row.offset + row.length])
            assert torch.equal(data.pictures[number], torch.from_numpy(picture))
            assert imprint_of(data.codes[number].numpy()) == row.imprint
            there = ~data.places[number].isnan().any(1)
            assert there.sum() == len(row.imprint) and there[: len(row.imprint)].all()
            told = [f"{value:.4f}" for value in data.places[number][there].flatten().tolist()]
            assert " ".join(told) == row.places
            assert SHAPE_NAMES[data.shapes[number]] == shape_of(row.shape)
            colours = {COLOUR_NAMES[place] for place in data.colours[number].nonzero().flatten().tolist()}
            assert colours == colours_of(row.colours)[0]
            number += 1
    assert len(data) == number
