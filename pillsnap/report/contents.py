"""The report's sections in their order.

A new section is a module below `pillsnap/report/sections/` with a function `section`, its template beside it, and its
name in `SECTIONS`, in `DETECTOR_SECTIONS`, or in both. The module of `evaluation`, which the report of a detector alone
has, lies with that report's other ones.
"""

from collections.abc import Callable

from pillsnap.report import evaluation
from pillsnap.report.detector_inputs import DetectorInputs
from pillsnap.report.inputs import Inputs
from pillsnap.report.section import Section
from pillsnap.report.sections import (
    answers,
    audit,
    away,
    budget,
    card,
    checklists,
    classifier,
    data,
    detector,
    latency,
    models,
    provenance,
    references,
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
    away.section,
    trust.section,
    references.section,
    latency.section,
    models.section,
    card.section,
    checklists.section,
    provenance.section,
)

DETECTOR_SECTIONS: tuple[Callable[[DetectorInputs], Section], ...] = (
    evaluation.section,
    data.section,
    training.section,
    audit.section,
    provenance.section,
)
"""Sections of the report of a detector alone."""
