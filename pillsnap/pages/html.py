"""Rendering of the pages' jinja templates, and the pictures in them."""

import base64
import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from pillsnap.pages.drawing import Figure
from pillsnap.pages.formats import count, duration, percent, plural
from pillsnap.pages.states import ICONS, NO_TARGET
from pillsnap.pages.terms import banners
from pillsnap.sources.registry import get_kind


@dataclass(frozen=True)
class Picture:
    """A picture as a data URI, its text for those who do not see it, and its caption; `state` is `right`, `wrong` or
    empty."""

    source: str
    alt: str
    caption: str
    state: str = ""


def tile(title: str, value: str, note: str, *, asked: str = "", state: str = NO_TARGET) -> dict[str, str]:
    """Return a figure for the head of a page; `asked` and `state` where it has a target."""
    return {"title": title, "value": value, "note": note, "asked": asked, "state": state}


def render_page(
    template: str, *, sources: Mapping[str, str], page: str, figures: Sequence[Figure] = (), **values: Any
) -> str:
    """Fill a template that extends `pages/frame.html.jinja`; the same values give the same text.

    Args:
        template: its path below the package.
        sources: kind of each source by its name, which give the banners' texts and colours.
        page: the page's name in the banner, such as `report`.
        figures: charts, which `chart(name)` shows.
        values: what else the template uses.
    """
    return render_part(
        template,
        figures=figures,
        source_kinds=" ".join(dict.fromkeys(sources.values())),
        banners=banners(sources, page),
        banner_warns=any(get_kind(kind).warns for kind in sources.values()),
        style=Markup(Path(__file__).with_name("style.css").read_text(encoding="utf-8")),
        **values,
    )


def render_part(template: str, *, figures: Sequence[Figure], **values: Any) -> Markup:
    """Fill a template that is no page of its own; arguments as for `render_page`."""
    shown = {one.name: one for one in figures}
    return Markup(_environment().get_template(template).render(figures=shown, **values))


@functools.cache
def _environment() -> Environment:
    """The templates' environment, with what is compiled of them."""
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
    return environment


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
