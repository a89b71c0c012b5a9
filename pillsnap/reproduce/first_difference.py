"""Find the first difference of two files of one kind: row, key, tensor, line or byte."""

import csv
import io
import json
from collections.abc import Callable, Collection, Mapping
from itertools import zip_longest
from pathlib import PurePath
from typing import Any

MAX_SHOWN = 60
"""Characters of a value to show."""


def first_difference(name: str, before: bytes, after: bytes, *, without: Collection[str] = ()) -> str | None:
    """Describe the first difference of two contents; `None` where they are equal, or but for what is to be ignored.

    Args:
        name: the file's name, whose ending decides how it is read.
        before, after: the contents.
        without: columns of a table, or keys at the top of a JSON object, to ignore.
    """
    if before == after:
        return None
    suffix = PurePath(name).suffix
    try:
        if suffix in _READERS:
            found = _READERS[suffix](before, after, without)
            return found or (None if without else "the same content, stored differently")
        return _in_lines(before.decode(), after.decode()) if suffix not in _BINARY else _in_bytes(before, after)
    except ValueError:  # one of them is not of the kind that its ending names
        return _in_bytes(before, after)


def _in_csv(before: bytes, after: bytes, without: Collection[str]) -> str | None:
    old, new = (csv.DictReader(io.StringIO(data.decode("utf-8-sig"))) for data in (before, after))
    if old.fieldnames != new.fieldnames:
        return f"columns: {_short(old.fieldnames)} / {_short(new.fieldnames)}"
    return _in_rows(list(old), list(new), without)


def _in_parquet(before: bytes, after: bytes, without: Collection[str]) -> str | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    old, new = (pq.read_table(pa.BufferReader(data)) for data in (before, after))
    if old.schema != new.schema:
        return f"columns: {_short(old.schema.names)} / {_short(new.schema.names)}"
    return _in_rows(old.to_pylist(), new.to_pylist(), without) or "the same rows, stored differently"


def _in_rows(old: list[dict[str, Any]], new: list[dict[str, Any]], without: Collection[str]) -> str | None:
    for number, (a, b) in enumerate(zip_longest(old, new), start=1):
        if a is None or b is None:
            return f"row {number}: {_short(a or 'none')} / {_short(b or 'none')}"
        for key in a | b:
            if key not in without and a.get(key) != b.get(key):
                return f"row {number}, {key}: {_short(a.get(key))} / {_short(b.get(key))}"
    return None


def _in_json(before: bytes, after: bytes, without: Collection[str]) -> str | None:
    old, new = json.loads(before), json.loads(after)
    if isinstance(old, dict) and isinstance(new, dict):
        old, new = ({key: part for key, part in side.items() if key not in without} for side in (old, new))
    return _in_values(old, new, "")


def _in_values(old: Any, new: Any, place: str) -> str | None:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        parts = [(key, old.get(key), new.get(key)) for key in {**old, **new}]
    elif isinstance(old, list) and isinstance(new, list):
        parts = [(str(number), *pair) for number, pair in enumerate(zip_longest(old, new))]
    else:
        return None if old == new else f"{place or 'value'}: {_short(old)} / {_short(new)}"
    found = (_in_values(a, b, f"{place}.{key}" if place else key) for key, a, b in parts)
    return next(filter(None, found), None)


def _in_safetensors(before: bytes, after: bytes, without: Collection[str]) -> str | None:
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        old, new = load(before), load(after)
    except SafetensorError as error:
        raise ValueError(error) from error
    for name in sorted(old.keys() | new.keys()):
        if name not in old or name not in new:
            return f"tensor {name}: only in the {'first' if name in old else 'second'}"
        if old[name].shape != new[name].shape:
            return f"tensor {name}: {old[name].shape} / {new[name].shape}"
        if not np.array_equal(old[name], new[name]):
            by = np.abs(old[name].astype(np.float64) - new[name].astype(np.float64)).max()
            return f"tensor {name}: {np.sum(old[name] != new[name])} of {old[name].size} values, by {by:.3g} at most"
    return "the same tensors, other metadata"


def _in_onnx(before: bytes, after: bytes, without: Collection[str]) -> str | None:
    import onnx

    old, new = (onnx.load_from_string(data) for data in (before, after))
    entries = [
        {entry.key: entry.value for entry in model.metadata_props if entry.key not in without} for model in (old, new)
    ]
    if difference := _in_values(entries[0], entries[1], "metadata"):
        return difference
    for model in (old, new):
        del model.metadata_props[:]
    if old.SerializeToString(deterministic=True) == new.SerializeToString(deterministic=True):
        return None
    for kind in ("initializer", "node"):
        for a, b in zip_longest(getattr(old.graph, kind), getattr(new.graph, kind)):
            if a != b:
                return f"{kind} {(a or b).name}"
    return _in_bytes(before, after)


def _in_lines(before: str, after: str) -> str | None:
    for number, (a, b) in enumerate(zip_longest(before.splitlines(), after.splitlines()), start=1):
        if a != b:
            column = next((place for place, (x, y) in enumerate(zip_longest(a or "", b or "")) if x != y), 0)
            start = max(0, column - MAX_SHOWN // 2)
            return f"line {number}: {_short((a or '')[start:])} / {_short((b or '')[start:])}"
    return "line endings"


def _in_bytes(before: bytes, after: bytes) -> str:
    if len(before) != len(after):
        return f"{len(before)} / {len(after)} bytes"
    return f"byte {next(place for place, (a, b) in enumerate(zip(before, after, strict=True)) if a != b)}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


_READERS: dict[str, Callable[[bytes, bytes, Collection[str]], str | None]] = {
    ".csv": _in_csv,
    ".json": _in_json,
    ".parquet": _in_parquet,
    ".safetensors": _in_safetensors,
    ".onnx": _in_onnx,
}
_BINARY = (".bin", ".jpg", ".png", ".pt", ".zip")
