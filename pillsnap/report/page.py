"""The report as one self-contained HTML file."""

from collections.abc import Sequence

from markupsafe import Markup

from pillsnap.pages import html, states
from pillsnap.pages.formats import figure, percent
from pillsnap.report.facts.intervals import top1_interval
from pillsnap.report.facts.verdicts import Verdict, headline, verdicts
from pillsnap.report.inputs import DetectorFacts, Inputs
from pillsnap.report.section import Section


def render_report(inputs: Inputs, sections: Sequence[Section]) -> str:
    """The page's HTML; the same inputs give the same text."""
    found = verdicts(inputs.targets, inputs.metrics)
    return html.render_page(
        "report/page.html.jinja",
        sources=inputs.sources,
        page="report",
        inputs=inputs,
        stage=states.stage_name(inputs.stage),
        headline=headline(inputs.stage, found),
        tiles=_tiles(inputs, found),
        top1_interval=top1_interval(inputs.accuracy),
        sections=[(one.id, one.title) for one in sections],
        filled=[(one.id, one.heading or one.title, render_section(one, inputs)) for one in sections],
    )


def render_section(section: Section, inputs: DetectorFacts) -> Markup:
    """A section's HTML without its heading."""
    template = f"report/sections/{section.id}.html.jinja"
    return html.render_part(template, figures=section.drawn, tables=section.tables, inputs=inputs, **section.values)


def _tiles(inputs: Inputs, found: Sequence[Verdict]) -> list[dict[str, str]]:
    """The four figures that a hurried reader takes away."""
    by_key = {one.key: one for one in found}
    combo = percent(figure(inputs.metrics, "pipeline.combo_correct"), 2)
    return [
        target_tile("Drug named right", "classifier top-1", by_key["top1"]),
        target_tile("Detection", "mAP@0.5", by_key["map50"]),
        html.tile("Combo pills right", combo, "found and named"),
        target_tile("Answer time", "p95, slower domain", by_key["p95_ms"]),
    ]


def target_tile(title: str, note: str, one: Verdict) -> dict[str, str]:
    """Return the tile of a figure that has a target."""
    return html.tile(title, one.measured, note, asked=one.asked, state=one.state)
