"""Read a source's index into memory, encoded as numbers: millions of labels take a few hundred megabytes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as arrow
from pyarrow import compute

from pillsnap.manifest.hash_order import hash_order
from pillsnap.manifest.identical_photos import SharedPhotos, find_shared_photos
from pillsnap.tables.files import read_columns
from pillsnap.tables.schemas import PARTS


class PlanError(ValueError):
    """Raw data out of which no stage can be made."""


@dataclass(frozen=True)
class PhotoIndex:
    """All photographs of a source with their labels.

    Attributes:
        photos: one row a photograph: `combo` (bool), `part` (index in `PARTS`), `group` and `drug` (codes; the first
            drug stands for the photograph when drugs are balanced), `labels` (how many), `source` (its place among the
            sources), `corrected` (bool: a later source has it too), `order` and `group_order` (uint64, by hash).
        photo_of_pill: index in `photos` of each label, ascending, int (labels,).
        drug_of_pill: drug code of each label, int (labels,).
        drugs: K-code by drug code.
        groups: capture group by its code.
        rows_of_file: number of labels in each file of the index.
    """

    photos: pd.DataFrame
    photo_of_pill: np.ndarray
    drug_of_pill: np.ndarray
    drugs: list[str]
    groups: list[str]
    rows_of_file: list[int]

    def shows(self, drugs: np.ndarray) -> np.ndarray:
        """Find the photographs that show any drug of a mask (drugs,): bool (photos,)."""
        found = np.zeros(len(self.photos), bool)
        found[self.photo_of_pill[drugs[self.drug_of_pill]]] = True
        return found

    def of_photos(self, photos: np.ndarray) -> "PhotoIndex":
        """Return the index of some photographs alone, by a mask (photos,); drugs and groups keep their codes."""
        pills = photos[self.photo_of_pill]
        place = np.cumsum(photos) - 1
        return replace(
            self,
            photos=self.photos[photos].reset_index(drop=True),
            photo_of_pill=place[self.photo_of_pill[pills]],
            drug_of_pill=self.drug_of_pill[pills],
        )

    def pills_by_side(self, split: np.ndarray, photos: np.ndarray) -> np.ndarray:
        """Count the labels of each drug on each side of the split, over the photographs of a mask.

        Args:
            split: side of each photograph, 0 train, 1 val, 2 test.
            photos: bool (photos,).

        Returns:
            int (drugs, 3).
        """
        counted = photos[self.photo_of_pill]
        place = self.drug_of_pill[counted].astype(np.int64) * 3 + split[self.photo_of_pill[counted]]
        return np.bincount(place, minlength=3 * len(self.drugs)).reshape(-1, 3)


def read_photo_index(files: Sequence[Path], seed: int, sources: Sequence[str] = ()) -> PhotoIndex:
    """Read the index tables (schema `PILLS`), in which a photograph's labels are consecutive.

    Of several sources, photographs that two have are of one group and part (`find_shared_photos`), and a group that one
    source has in its training part is trained on as a whole.

    Args:
        files: the tables.
        seed: of the order.
        sources: the source of each table, in their order; empty where there is one.

    Raises:
        PlanError: there is no label.
    """
    tables = [read_columns(path, ("image_id", "domain", "part", "group", "k_code")) for path in files]
    rows_of_file = [table.num_rows for table in tables]
    table = arrow.concat_tables(tables)
    if not len(table):
        raise PlanError("The source has no usable label. Correct the labels as their reasons say, or source.root.")
    several = len(set(sources)) > 1
    shared = find_shared_photos(files, sources) if several else SharedPhotos({}, {}, set())
    table = _join_shared(table, shared)
    image_ids = table["image_id"].combine_chunks()
    first = np.ones(len(image_ids), bool)
    first[1:] = compute.not_equal(image_ids[1:], image_ids[:-1]).to_numpy(zero_copy_only=False)
    codes = {name: _encode(table[name]) for name in ("domain", "part", "group", "k_code")}
    drug_of_pill, drugs = codes["k_code"]
    group, groups = codes["group"]
    names = list(dict.fromkeys(sources))
    source = np.repeat([names.index(name) for name in sources] if several else [0] * len(files), rows_of_file)
    photos = pd.DataFrame(
        {
            "combo": _decode(codes["domain"], {"single": False, "combo": True})[first],
            "part": _decode(codes["part"], {name: code for code, name in enumerate(PARTS)})[first].astype(np.int8),
            "group": group[first],
            "drug": drug_of_pill[first],
            "labels": np.diff(np.append(np.flatnonzero(first), len(first))),
            "source": source[first].astype(np.int8),
            "corrected": _is_in(image_ids, shared.corrected)[first],
            "order": hash_order(image_ids.filter(arrow.array(first)).to_pylist(), seed),
            "group_order": hash_order(groups, seed)[group[first]],
        }
    )
    if several:
        trained = photos.groupby("group")["part"].transform("max") == PARTS.index("train")
        photos.loc[trained, "part"] = PARTS.index("train")
    return PhotoIndex(photos, np.cumsum(first) - 1, drug_of_pill, drugs, groups, rows_of_file)


def _join_shared(table: arrow.Table, shared: SharedPhotos) -> arrow.Table:
    """Give photographs that several sources have the group and part that they share."""
    for name, keys, values in (("part", table["image_id"], shared.parts), ("group", table["group"], shared.groups)):
        if not values:
            continue
        place = compute.index_in(keys, value_set=arrow.array(list(values)))
        joined = compute.coalesce(arrow.array(list(values.values())).take(place.combine_chunks()), table[name])
        table = table.set_column(table.schema.get_field_index(name), name, joined)
    return table


def _is_in(texts: arrow.Array, wanted: set[str]) -> np.ndarray:
    return compute.is_in(texts, arrow.array(sorted(wanted), arrow.string())).to_numpy(zero_copy_only=False)


def _encode(column: arrow.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    """Encode texts as indices (N,) into their sorted distinct values, without a Python object for each of them."""
    encoded = column.combine_chunks().dictionary_encode()
    values = encoded.dictionary.to_pylist()
    order = np.argsort(np.array(values, dtype=object), kind="stable") if values else np.zeros(0, int)
    place = np.empty(len(values), np.int32)
    place[order] = np.arange(len(values), dtype=np.int32)
    return place[encoded.indices.to_numpy()], [values[number] for number in order]


def _decode(encoded: tuple[np.ndarray, list[str]], meanings: dict) -> np.ndarray:
    codes, values = encoded
    return np.array([meanings[value] for value in values])[codes]
