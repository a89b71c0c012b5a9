"""The report of a detector alone as one self-contained HTML file."""

from collections.abc import Sequence

from pillsnap.pages import html, states
from pillsnap.pages.formats import percent
from pillsnap.report.detector_inputs import DetectorInputs
from pillsnap.report.facts.verdicts import DETECTOR_TARGETS, Verdict, headline, verdicts
from pillsnap.report.page import render_section, target_tile
from pillsnap.report.section import Section


def render_detector_report(inputs: DetectorInputs, sections: Sequence[Section]) -> str:
    """The page's HTML; the same inputs give the same text."""
    metrics = {"detector": inputs.evaluation["parts"]["test"]}
    found = [one for one in verdicts(inputs.targets, metrics) if one.key in DETECTOR_TARGETS]
    return html.render_page(
        "report/detector_page.html.jinja",
        sources=inputs.sources,
        page="report",
        inputs=inputs,
        stage=states.stage_name(inputs.stage),
        headline=headline(inputs.stage, found),
        tiles=_tiles(inputs, found),
        sections=[(one.id, one.title) for one in sections],
        filled=[(one.id, one.heading or one.title, render_section(one, inputs)) for one in sections],
    )


def _tiles(inputs: DetectorInputs, found: Sequence[Verdict]) -> list[dict[str, str]]:
    """The four figures that a hurried reader takes away."""
    by_key = {one.key: one for one in found}
    test, note = inputs.evaluation["parts"]["test"], f"from score {inputs.evaluation['score']:.2f} on"
    return [
        target_tile("mAP@0.5", "test part", by_key["map50"]),
        target_tile("mAP@0.5:0.95", "test part", by_key["map50_95"]),
        html.tile("Pills found", percent(test["recall"], 2), note),
        html.tile("Boxes that are pills", percent(test["precision"], 2), note),
    ]
