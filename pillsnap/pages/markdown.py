"""The model card as Markdown."""

import html
import re
from collections.abc import Sequence
from typing import Any

from pillsnap.pages.blocks import Section, kind_of
from pillsnap.pages.states import ICONS
from pillsnap.pages.table import Table


def card_markdown(title: str, sections: Sequence[Section]) -> str:
    """The whole card; texts that came from outside are escaped, so that a drug's name is no mark-up."""
    parts = [f"# {title}"]
    for section in sections:
        parts.append(f"## {section.title}")
        parts += [written for block in section.blocks if (written := _block(block))]
    return "\n\n".join(parts) + "\n"


def _block(block: Any) -> str:
    match kind_of(block):
        case "table":
            return _table(block)
        case "code":
            return f"```{block.language}\n{block.text}\n```"
        case "items":
            return "\n".join(f"- {item}" for item in block)
    return block


def _table(table: Table) -> str:
    if not table.rows:
        return ""
    kinds = [column.kind for column in table.columns]
    rules = ["---:" if kind == "number" else "---" for kind in kinds]
    lines = [[escape(column.title) for column in table.columns], rules]
    lines += [[_cell(value, kind) for value, kind in zip(row, kinds, strict=True)] for row in table.rows]
    return f"**{escape(table.caption)}**\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any, kind: str) -> str:
    if not isinstance(value, str):
        return f"{ICONS[value.state]} {value.state}"
    if kind == "code" and value:
        # a code span knows no escapes, and in a table a bar ends it all the same
        return "`" + re.sub(r"[`|\s]+", " ", value) + "`"
    return escape(value)


def escape(text: str) -> str:
    """A text that Markdown shows as it is, in one line."""
    return re.sub(r"([\\`*_\[\]|#~!])", r"\\\1", html.escape(re.sub(r"[\r\n\t]+", " ", text), quote=False))
