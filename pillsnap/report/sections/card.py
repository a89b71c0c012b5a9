"""Model card: the same as `model_card.md`."""

from pillsnap.pages.blocks import kind_of
from pillsnap.report.card import card_sections
from pillsnap.report.inputs import Inputs
from pillsnap.report.section import Section


def section(inputs: Inputs) -> Section:
    """The card's parts, each a title and blocks with their kinds."""
    parts = [(one.title, [(kind_of(block), block) for block in one.blocks]) for one in card_sections(inputs)]
    return Section(id="card", title="Model card", values={"card": parts})
