"""Accounts of what was read, kept, quarantined, skipped and repaired."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import altair as alt

from pillsnap.pages.drawing import BLUE, ORANGE, SQUARES, Figure, bars, descriptions, draw
from pillsnap.pages.formats import count, plural
from pillsnap.pages.table import Table, code, number
from pillsnap.tables.quarantine_reasons import QUARANTINED, REPAIRED, SKIPPED


@dataclass(frozen=True)
class Account:
    """Account of everything of one kind (`photos`, `labels`) that was read."""

    kind: str
    read: int
    kept: int
    quarantined: int
    skipped: int

    @property
    def balances(self) -> bool:
        """Check that read = kept + quarantined + skipped."""
        return self.read == self.kept + self.quarantined + self.skipped


def account(kind: str, values: Mapping[str, Any]) -> Account:
    """The account of one kind out of the manifest's summary."""
    sums = {outcome: sum(values[outcome].values()) for outcome in ("quarantined", "skipped")}
    return Account(kind, values["read"], values["kept"], **sums)


def quarantined_share(manifest: Mapping[str, Any]) -> float:
    """The larger of the shares that `build_manifest` limits: found in the labels, and found at the decode."""
    return max(manifest["quarantined_share"].values())


@dataclass(frozen=True)
class Reason:
    """A reason, the photographs and labels that it took, and its meaning."""

    name: str
    photos: int
    labels: int
    meaning: str


def reasons(manifest: Mapping[str, Any], outcome: str) -> list[Reason]:
    """Reasons of an outcome (`quarantined`, `skipped`) that occurred, most frequent first."""
    meanings = {"quarantined": QUARANTINED, "skipped": SKIPPED}[outcome]
    photos, labels = (manifest[kind][outcome] for kind in ("photos", "labels"))
    found = [
        Reason(name, photos.get(name, 0), labels.get(name, 0), meanings.get(name, "").replace("`", ""))
        for name in {**photos, **labels}
    ]
    return sorted(found, key=lambda reason: (-reason.photos - reason.labels, reason.name))


def outcome_tables(manifest: Mapping[str, Any], caption: str) -> dict[str, Table]:
    """Reasons of what was `quarantined`, under that caption, and of what was `skipped`, and what was `repaired`."""
    tables = {
        outcome: Table(
            words,
            (code("Reason"), number("Photos"), number("Labels"), "Meaning"),
            [[one.name, count(one.photos), count(one.labels), one.meaning] for one in reasons(manifest, outcome)],
        )
        for outcome, words in (("quarantined", caption), ("skipped", "Skipped, nothing wrong with them"))
    }
    repaired = [[repair, count(rows), REPAIRED.get(repair, "")] for repair, rows in manifest["repaired"].items()]
    return tables | {"repaired": Table("Repaired and kept", (code("Repair"), number("Rows"), "Meaning"), repaired)}


def quarantine_chart(manifest: Mapping[str, Any]) -> Figure | None:
    """Photographs and labels of each reason; `None` where nothing is in the quarantine."""
    found = reasons(manifest, "quarantined")
    rows = [
        {"what": reason.name, "number": number, "kind": kind, "description": f"{reason.name}: {plural(number, word)}"}
        for reason in found
        for kind, word, number in (("Photographs", "photograph", reason.photos), ("Labels", "label", reason.labels))
        if number
    ]
    if not rows:
        return None
    kinds = alt.Scale(domain=["Photographs", "Labels"], range=[BLUE, ORANGE])
    layers = [bars(rows, [one.name for one in found], "Rows", alt.Color("kind:N", scale=kinds, legend=SQUARES))]
    return draw(
        "quarantine", "Rows by reason", f"Bars: {descriptions(rows)}.", layers, width=200, height=24 * len(found)
    )
