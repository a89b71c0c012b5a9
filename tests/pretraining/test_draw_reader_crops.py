"""Drawn crops of the reader have the truth that they claim, and no imprint that their split may not have."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pillsnap.catalogue.vocabulary import colours_of, shape_of
from pillsnap.files import sha256_of
from pillsnap.pictures.decode import decode_jpeg
from pillsnap.pretraining import draw_reader_crops as module
from pillsnap.pretraining.draw_reader_crops import draw_reader_crops, imprints_of, is_held_out
from pillsnap.reader.looks import readable
from pillsnap.sources.synthetic.catalogue import make_catalogue
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import READER_CROPS
from tests.support.reader_crops import SETTINGS, reader_crops


def crops_in(folder: Path) -> tuple[pd.DataFrame, list[bytes]]:
    """Table and JPEGs of a shard."""
    table, stored = read_table(folder / "crops.parquet", READER_CROPS), (folder / "crops.bin").read_bytes()
    ends = table["offset"] + table["length"]
    assert list(table["offset"]) == [0, *ends[:-1]] and ends.iloc[-1] == len(stored)
    return table, [stored[start:end] for start, end in zip(table["offset"], ends, strict=True)]


def draw(folder: Path, **changes: object) -> Path:
    given = {"split": "train", "shard": 0, "photos": 1, "settings": SETTINGS, "seed": 1}
    draw_reader_crops(folder=folder, **given | changes)
    return folder


@pytest.mark.parametrize("split", ["train", "val"])
def test_crops_have_the_truth_they_claim(base: Path, split: str) -> None:
    table, jpegs = crops_in(reader_crops(base, split))
    assert 3 * 4 <= len(table) <= 3 * 7
    for row, jpeg in zip(table.itertuples(), jpegs, strict=True):
        assert decode_jpeg(jpeg).shape == (SETTINGS.size, SETTINGS.size, 3)
        places = np.array(row.places.split(), float).reshape(-1, 2)
        assert len(places) == len(row.imprint) and readable(row.imprint) == row.imprint
        assert ((places > 0.05) & (places < 0.95)).all(), "characters lie within their crop"
        colours, unknown = colours_of(row.colours)
        assert shape_of(row.shape) and colours and not unknown


@pytest.mark.parametrize("split", ["train", "val"])
def test_no_imprint_is_in_both_splits_or_of_a_spared_drug(base: Path, split: str) -> None:
    imprints = set(crops_in(reader_crops(base, split))[0]["imprint"]) - {""}
    assert imprints and {is_held_out(imprint) for imprint in imprints} == {split == "val"}
    assert not imprints & imprints_of(make_catalogue(drugs=SETTINGS.spared_drugs, seed=SETTINGS.spared_seed))


def test_what_would_be_drawn_is_not_once_it_is_spared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = set(crops_in(draw(tmp_path / "drawn"))[0]["imprint"]) - {""}
    monkeypatch.setattr(module, "imprints_of", lambda drugs: drawn)
    others = set(crops_in(draw(tmp_path / "spared"))[0]["imprint"]) - {""}
    assert drawn and others and not drawn & others


def test_a_photograph_depends_on_seed_and_number_alone(base: Path, tmp_path: Path) -> None:
    whole = reader_crops(base, "train")
    _, jpegs = crops_in(whole)
    _, last = crops_in(draw(tmp_path / "last", shard=2))
    assert jpegs[-len(last) :] == last
    again = draw(tmp_path / "again", photos=3)
    assert sha256_of(again) == sha256_of(whole)
    _, other = crops_in(draw(tmp_path / "other", shard=2, seed=2))
    assert not set(other) & set(jpegs)


@pytest.mark.parametrize("drugs", [0, 20])
def test_imprints_of_both_sides_count(drugs: int) -> None:
    catalogue = make_catalogue(drugs=drugs, seed=3)
    imprints = imprints_of(catalogue)
    assert "" not in imprints
    assert {drug.print_front for drug in catalogue} <= imprints
    assert {drug.print_back for drug in catalogue} <= imprints | {""}


def test_one_imprint_of_ten_is_held_out() -> None:
    imprints = [f"{letter}{number}" for letter in "ABCDEFGH" for number in range(250)]
    assert 0.08 < np.mean([is_held_out(imprint) for imprint in imprints]) < 0.12
