"""Look up what was read of a pill in a catalogue: rows that look alike, and no answer."""

from collections.abc import Sequence
from dataclasses import replace

from pillsnap.answers.answer import SHOWN_FROM, Answer, Pill, Reading, SamePillAnswer
from pillsnap.catalogue.search import Catalogue, LookUp
from pillsnap.predict.stream import Answered, Outcome

LISTED = 5
"""Rows of the catalogue that are listed for each pill."""
_MOST_COLOURS = 2


def readings_of(pill: Pill, answer: Answer) -> Sequence[Reading]:
    """What was read of a pill: of each photograph in their order; nothing from models without a reader."""
    seen = answer.photos if isinstance(answer, SamePillAnswer) else (pill,)
    return [one.reading for one in seen if one.reading]


def query_of(readings: Sequence[Reading]) -> LookUp | None:
    """What to look up of one pill's readings: nothing whose confidence is below `SHOWN_FROM`.

    The imprints of all sides count, and colours (two at most) and shape where they were read most surely. `None` where
    nothing is sure enough.
    """
    coloured = max(readings, key=lambda one: one.colours_confidence, default=None)
    shaped = max(readings, key=lambda one: one.shape_confidence, default=None)
    query = LookUp(
        imprint="".join(one.imprint for one in readings if one.imprint_confidence >= SHOWN_FROM),
        colours=coloured.colours[:_MOST_COLOURS] if coloured and coloured.colours_confidence >= SHOWN_FROM else (),
        shape=shaped.shape if shaped and shaped.shape_confidence >= SHOWN_FROM else None,
    )
    return None if query == LookUp() else query


def looked_up(outcome: Outcome, catalogue: Catalogue) -> Outcome:
    """The outcome with the catalogue's rows that look like each `unknown` pill, where something of it was read."""
    if not isinstance(outcome, Answered):
        return outcome
    queries = {
        number: query_of(readings_of(pill, outcome.answer))
        for number, pill in enumerate(outcome.answer.pills)
        if pill.verdict == "unknown"
    }
    found = {number: catalogue.search(query, limit=LISTED) for number, query in queries.items() if query}
    return replace(outcome, look_ups=found)
