"""Content of a section of the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pillsnap.pages.drawing import Figure
from pillsnap.pages.table import Table


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section's content, which the template beside its module, `sections/<id>.html.jinja`, lays out.

    Attributes:
        id: the module's name, and the section's anchor in the page.
        title: its entry in the table of contents, and its heading where there is no `heading`.
        tables: shown by `table(name)` of the template.
        figures: charts, shown by `chart(name)`; `None` is one that there are no data for.
        values: whatever else the template uses besides `inputs`, by name.
    """

    id: str
    title: str
    heading: str = ""
    tables: Mapping[str, Table] = field(default_factory=dict)
    figures: Sequence[Figure | None] = ()
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def drawn(self) -> list[Figure]:
        """The charts that there are data for."""
        return [one for one in self.figures if one]
