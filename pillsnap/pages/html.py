"""What pages are made of: the templates' environment, tables, pictures, and the word on where data is from."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from pillsnap.pages.drawing import Figure
from pillsnap.pages.formats import count, duration, percent, plural
from pillsnap.sources.registry import get_kind

ICONS = {"met": "✓", "missed": "✗", "not measured": "?", "no target": "–", "warning": "!"}
"""A sign for each state of a verdict or statement, beside its word."""


@dataclass(frozen=True)
class Table:
    """A table of a page.

    Attributes:
        caption: what it shows.
        head: one column a word; one that begins with `#` holds numbers, with `@` codes, with `*` names of drugs.
        rows: texts, or `Verdict` and `Statement`, whose state is shown with icon and word.
        summed: whether the last row is a sum.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Any]]
    summed: bool = False

    @property
    def columns(self) -> list[tuple[str, str]]:
        """(title, kind) of each column."""
        kinds = {"#": "number", "@": "code", "*": "name"}
        return [(title.lstrip("#@*"), kinds.get(title[:1], "text")) for title in self.head]


@dataclass(frozen=True)
class Picture:
    """A picture with its caption, as a data URI; `state` is `right`, `wrong` or empty."""

    source: str
    words: str
    caption: str
    state: str = ""


def render(template: str, *, source: str, page: str, figures: Sequence[Figure], **values: Any) -> str:
    """Fill a template that extends `pages/frame.html.jinja`; the same values give the same text.

    Args:
        template: its path below the package.
        source: kind of the source; the page's first lines say what its photographs are.
        page: what the page is called there, such as `report`.
        figures: charts, which `chart(name)` shows.
        values: what else the template uses.
    """
    environment = Environment(
        loader=PackageLoader("pillsnap", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["icons"] = ICONS
    environment.filters |= {
        "marked_up": marked_up,
        "drug": drug_name,
        "whole_codes": whole_codes,
        "count": count,
        "plural": plural,
        "percent": percent,
        "duration": duration,
    }
    return environment.get_template(template).render(
        source_kind=source,
        banner=[words.format(page=page) for words in get_kind(source).banner],
        figures={one.name: {"title": one.title, "words": one.words, "svg": Markup(one.inline)} for one in figures},
        style=Markup(Path(__file__).with_name("style.css").read_text(encoding="utf-8")),
        **values,
    )


def drug_name(name: str) -> Markup:
    """A name, marked as Korean where it has Hangul, so that it is shown and read out as such."""
    korean = any("가" <= letter <= "힣" for letter in name)
    return Markup('<span lang="ko">{}</span>').format(name) if korean else escape(name)


def whole_codes(text: str) -> Markup:
    """A sentence whose K-codes are not broken at their hyphen."""
    return Markup(re.sub(r"K-\d+", r'<span class="whole">\g<0></span>', str(escape(text))))


def marked_up(text: str) -> Markup:
    """A sentence with `code` and **bold** as HTML."""
    escaped = str(escape(text))
    return Markup(re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped)))


def data_uri(jpeg: bytes) -> str:
    """A JPEG as the source of an image."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
