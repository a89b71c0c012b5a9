"""Ground of all settings: sections of the configuration are frozen, and know no other keys than their own."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]
Quality = Annotated[int, Field(ge=50, le=100)]


class Section(BaseModel):
    """A section of the configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")
