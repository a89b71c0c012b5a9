"""The report of a detector alone as one self-contained HTML file."""

from collections.abc import Sequence

from pillsnap.pages import html, states
from pillsnap.pages.formats import percent
from pillsnap.report.detector_inputs import DetectorInputs
from pillsnap.report.facts.verdicts import DETECTOR_TARGETS, headline, verdicts
from pillsnap.report.page import render_section
from pillsnap.report.section import Section


def render_detector_report(inputs: DetectorInputs, sections: Sequence[Section]) -> str:
    """The page's HTML; the same inputs give the same text."""
    found = [one for one in verdicts(inputs.targets, _metrics(inputs)) if one.key in DETECTOR_TARGETS]
    return html.render_page(
        "report/detector_page.html.jinja",
        sources=inputs.sources,
        page="report",
        inputs=inputs,
        stage=states.stage_name(inputs.stage),
        headline=headline(inputs.stage, found),
        tiles=_tiles(inputs),
        sections=[(one.id, one.title) for one in sections],
        filled=[(one.id, one.heading or one.title, render_section(one, inputs)) for one in sections],
    )


def _metrics(inputs: DetectorInputs) -> dict[str, dict[str, float | None]]:
    return {"detector": inputs.evaluation["parts"]["test"]}


def _tiles(inputs: DetectorInputs) -> list[dict[str, str]]:
    """The four figures that a hurried reader takes away."""
    by_key = {one.key: one for one in verdicts(inputs.targets, _metrics(inputs))}
    test = inputs.evaluation["parts"]["test"]
    targets = [
        {"title": title, "value": one.measured, "note": "test part", "asked": one.asked, "state": one.state}
        for title, one in (("mAP@0.5", by_key["map50"]), ("mAP@0.5:0.95", by_key["map50_95"]))
    ]
    note = f"from score {inputs.evaluation['score']:.2f} on"
    points = [
        {"title": title, "value": percent(test[name], 2), "note": note, "asked": "", "state": states.NO_TARGET}
        for title, name in (("Pills found", "recall"), ("Boxes that are pills", "precision"))
    ]
    return targets + points
