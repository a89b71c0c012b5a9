"""What must be said of the photographs where they, or models trained on them, are shown: their sources and terms."""

from collections.abc import Mapping

from pillsnap.pages.formats import listing
from pillsnap.sources.registry import get_kind


def banners(sources: Mapping[str, str], page: str) -> list[tuple[str, str]]:
    """Return two sentences for the head of a page, for each source.

    Args:
        sources: kind of each source by its name; of several, those with the strictest terms come first.
        page: the page's name, such as `report`.
    """
    kinds = {name: get_kind(kind) for name, kind in sources.items()}
    if len(kinds) == 1:
        (kind,) = kinds.values()
        return [(kind.banner[0].format(page=page), kind.banner[1].format(page=page))]
    strictest = sorted(kinds.items(), key=lambda item: (not item[1].warns, item[1].drawn))
    return [
        (f"{name}: {kind.photographs}.", (kind.terms or kind.banner[1]).format(page=page)) for name, kind in strictest
    ]


def card_paragraphs(sources: Mapping[str, str]) -> list[str]:
    """Return the model card's paragraphs about what a model was trained on, as Markdown."""
    if len(sources) == 1:
        return [get_kind(kind).card for kind in sources.values()]
    names = (
        "Trained and measured on the photographs of several sources; what holds for any of them holds for the model."
    )
    return [names, *(f"**{first}** {second}" for first, second in banners(sources, "card"))]


def titles(sources: Mapping[str, str]) -> str:
    """Name the sources within a sentence."""
    kinds = {name: get_kind(kind).title for name, kind in sources.items()}
    return listing([title if len(kinds) == 1 else f"{name} ({title})" for name, title in kinds.items()])
