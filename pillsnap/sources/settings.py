"""The section `source` of the configuration."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from pillsnap.settings import Section
from pillsnap.sources.registry import KINDS


class SyntheticSource(Section):
    """The built-in synthetic data."""

    drugs: int = Field(42, ge=2, le=4523, description="Number of invented drugs (K-codes)")
    photos_per_drug: int = Field(36, ge=6, le=1296, description="Single-pill training photos of each drug")
    validation_photos_per_drug: int = Field(
        8, ge=1, le=324, description="Single-pill photos of each drug in the validation part, which is the test set"
    )
    combos: int = Field(60, ge=0, description="Training combinations of 2 to 5 drugs, 3 photos each")
    combo_drugs: int | None = Field(
        None, ge=2, description="Combinations are of the first so many drugs only; null: of all"
    )
    validation_combos: int = Field(20, ge=0, description="Combinations in the validation part, 3 photos each")
    single_archives: int = Field(4, ge=1, le=81, description="Number of single-pill training archives (zips)")
    combo_archives: int = Field(2, ge=1, le=8, description="Number of combo training archives (zips)")
    defects: int = Field(1, ge=0, description="Planted defects of each kind in each training archive")


class Source(Section):
    """Where the raw photographs come from."""

    kind: Literal[tuple(KINDS)] = Field(  # type: ignore[valid-type]
        "synthetic",
        description="; ".join(f"`{name}`: {words}" for name, (_, words) in KINDS.items()),
    )
    name: str | None = Field(
        None,
        pattern=r"^[A-Za-z][A-Za-z0-9_]*$",
        max_length=40,
        description=(
            "Name of the source where there are several: results and reports name it, and its archives begin with it; "
            "empty: its kind, numbered from the second of a kind on"
        ),
    )
    root: str = Field(
        "data/raw/synthetic",
        description=(
            "Folder of the raw data, of AIHub's zips also `s3://bucket/prefix`; `${NAME}` and `${NAME:-default}` take "
            "a variable of the environment"
        ),
    )
    classes: str | None = Field(
        None,
        description=(
            "Table (CSV: name, k_code, edi_codes, drug_name) of the drugs that the source's class names stand for; "
            "empty: a class is what its name says"
        ),
    )
    box: Literal["detector", "whole"] = Field(
        "detector",
        description=(
            "Read when `source.kind` is `folders`, whose photographs have no boxes: `detector` finds them with the "
            "weights that `detector.model` names, `whole` takes the whole photograph"
        ),
    )
    synthetic: SyntheticSource = Field(
        default_factory=SyntheticSource, description="Read when `source.kind` is `synthetic`"
    )


def named(sources: Sequence[Source]) -> dict[str, Source]:
    """Return sources by name, in their order.

    Raises:
        ValueError: two have one name.
    """
    found: dict[str, Source] = {}
    for source in sources:
        same = sum(other.kind == source.kind for other in found.values())
        name = source.name or (f"{source.kind}_{same + 1}" if same else source.kind)
        if name in found:
            raise ValueError(f"sources: two are named {name!r}. Give each a `name` of its own")
        found[name] = source
    return found
