"""The section `source` of the configuration."""

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
    root: str = Field(
        "data/raw/synthetic",
        description="Folder of the raw data; `${NAME}` and `${NAME:-default}` take a variable of the environment",
    )
    synthetic: SyntheticSource = Field(
        default_factory=SyntheticSource, description="Read when `source.kind` is `synthetic`"
    )
