"""Markdown page of benchmarks/enrol.py, all computed from `enrol.json`."""

from collections.abc import Mapping, Sequence
from typing import Any

from page_origin import origin

from pillsnap.pages.formats import MISSING, count, decimal, percent

_PAGE = """# Enrolled drugs: measured

Made by `{command}`; the first lines of [enrol.py](enrol.py) tell the method, and every figure is computed from
[enrol.json](enrol.json). **The photographs are synthetic**: the figures show how the method works, and say nothing of
real drugs.

- {date}, {device}; commit `{commit}`{dirty}
- {versions}
- {drugs} new drugs, all enrolled at once beside {trained_drugs} trained ones; in {found} of {photos} photographs
  of them the pill was found. Means of {draws} draws of the photographs that enrol

## Pills of the new drugs

Named among all drugs, trained and enrolled, with so many photographs of each new one. *Over drugs*: standard deviation,
least and most of what is named right. *Listed*: the drug is in the prediction set. *Known*: as a trained drug, so
wrong. *Right, if enrolled*: of the pills that are named after an enrolled drug. *Strangers*: pills of the other new
drugs that are named after one that is enrolled alone.

| by | photographs | answered | named right | over drugs | listed | unknown | known | right, if enrolled | strangers |
|---|---|---|---|---|---|---|---|---|---|
{new}

## What trained drugs lose

{pills} pills of the test part; {alone} named right, {known} `known`, {known_right} of these right without enrolled
drugs.

| by | photographs | named right | points lost | `known` | right, of these |
|---|---|---|---|---|---|
{trained}
{limit}{real}"""

_REAL = """
## Real products

{drugs} products of {name}, photographs that no training saw, enrolled at once in the same models: {found} of
{pills} labelled pills in {photos} photographs were found.

| by | photographs | answered | named right | over drugs | listed | unknown | known | right, if enrolled | strangers |
|---|---|---|---|---|---|---|---|---|---|
{rows}
{limit}"""

_LIMIT = """
{title}

Enrolled, and beside it the stage's classifier trained anew with {what} among its classes: by the recipe of the
configuration, on the stage's training crops and one crop of each of the very photographs that enrol; its epoch is
chosen on the stage's validation crops, which show none of {what}. Equal are the photographs, the pills that are
answered and their boxes, of one draw. Unequal: the classifier names a pill by its crop alone, nothing is read, and none
is `unknown`; answers read the imprints of trained drugs in both ways of enrolling. Before, the stage's own classifier
names {before} of the test part's {pills} crops right, answers {answers}.

| by | photographs | answered | named right | over drugs | trained drugs named right |
|---|---|---|---|---|---|
{rows}
"""

_WAYS = {"read": "features and imprint", "features": "features alone"}


def page(result: dict[str, Any]) -> str:
    """Write the page; `result` is the content of enrol.json."""
    before = result["trained"]
    found = [(way, one) for name, way in _WAYS.items() for one in result[name]]
    return _PAGE.format(
        command=result["command"],
        new="\n".join(_row(way, one, _of_new(one)) for way, one in found),
        trained="\n".join(_row(way, one, _of_trained(one["trained"], before)) for way, one in found),
        pills=count(before["pills"]),
        alone=percent(before["top1"]),
        known=percent(before["known"]),
        known_right=percent(before["known_right"], 2),
        limit=_limit("## Trained with them: the limit", "the new drugs", result["limit"], before),
        real=_real(result["real"], before) if result["real"] else "",
        **{name: count(result[name]) for name in ("drugs", "trained_drugs", "photos", "found", "draws")},
        **origin(result),
    )


def _real(found: Mapping[str, Any], before: Mapping[str, Any]) -> str:
    rows = [_row(way, one, _of_new(one)) for name, way in _WAYS.items() for one in found[name]]
    counts = {name: count(found[name]) for name in ("drugs", "photos", "pills", "found")}
    limit = _limit("### Trained with them", "the products", found["limit"], before)
    return _REAL.format(name=found["name"], rows="\n".join(rows), limit=limit, **counts)


def _limit(title: str, what: str, found: Mapping[str, Any] | None, answers: Mapping[str, Any]) -> str:
    if not found:
        return ""
    rows = [
        _row(way, one, [*_named(one[name]), percent(one[name]["trained"]["top1"])])
        for name, way in {**_WAYS, "classifier": "classifier trained with them"}.items()
        for one in found["numbers"]
    ]
    before = {"before": percent(found["before"]["top1"]), "answers": percent(answers["top1"])}
    return _LIMIT.format(title=title, what=what, pills=count(found["before"]["pills"]), rows="\n".join(rows), **before)


def _row(way: str, one: Mapping[str, Any], cells: Sequence[str]) -> str:
    return f"| {' | '.join((way, count(one['references']), *cells))} |"


def _of_new(one: Mapping[str, Any]) -> list[str]:
    return [*_named(one), *(percent(one[name]) for name in ("in_set", "unknown", "known", "right", "mistaken"))]


def _named(one: Mapping[str, Any]) -> list[str]:
    spread = f"± {decimal(one['spread'] * 100, 1)}; {percent(one['least'])} to {percent(one['most'])}"
    return [count(one["pills"]), f"**{percent(one['top1'])}**", spread]


def _of_trained(one: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    lost = MISSING if one["top1"] is None else decimal((before["top1"] - one["top1"]) * 100, 1)
    return [percent(one["top1"]), lost, percent(one["known"]), percent(one["known_right"], 2)]
