"""Budget: how much of what the stage may use there is."""

from pillsnap.pages.formats import count, percent
from pillsnap.pages.table import Table, number
from pillsnap.report.inputs import Inputs
from pillsnap.report.section import Section


def section(inputs: Inputs) -> Section:
    """Photographs and drugs: asked at most, used, share."""
    asked, used = inputs.plan["asked"], inputs.plan["used"]
    rows = [
        [word, count(asked[key]), count(used[key]), percent(used[key] / asked[key])]
        for key, word in (("images", "Photographs"), ("classes", "Drugs"))
    ]
    head = ("", number("Budget"), number("Used"), number("Share"))
    return Section(id="budget", title="Budget", tables={"budget": Table("Budget of the stage", head, rows)})
