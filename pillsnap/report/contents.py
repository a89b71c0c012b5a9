"""The report's sections in their order.

A new section is a module below `pillsnap/report/sections/` with a function `section`, its template beside it, and its
name in `SECTIONS`.
"""

from collections.abc import Callable

from pillsnap.report.inputs import Inputs
from pillsnap.report.section import Section
from pillsnap.report.sections import (
    answers,
    audit,
    budget,
    card,
    checklists,
    classifier,
    data,
    detector,
    latency,
    models,
    provenance,
    training,
    trust,
    verdict,
)

SECTIONS: tuple[Callable[[Inputs], Section], ...] = (
    verdict.section,
    budget.section,
    data.section,
    training.section,
    detector.section,
    audit.section,
    classifier.section,
    answers.section,
    trust.section,
    latency.section,
    models.section,
    card.section,
    checklists.section,
    provenance.section,
)
