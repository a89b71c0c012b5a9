"""What the campaign did and what was lost by it: counted over the whole test run, told at its end."""

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Ledger:
    """Counts of faults by kind and rule, and every loss.

    A loss is an output that differs from the unbroken run's, a half-written one that is taken for whole, a finished
    job that is done again, and a run that does not come to its end.
    """

    faults: Counter[tuple[str, str]] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)

    def fault(self, kind: str, where: str) -> None:
        """Count one fault."""
        self.faults[kind, where] += 1

    def losses(self, found: list[str]) -> None:
        """Note losses, and fail where there are any."""
        self.lost += found
        assert not found, "lost:\n" + "\n".join(found[:20])

    def of_kind(self, kind: str) -> Counter[str]:
        """Faults of one kind by rule."""
        return Counter({where: count for (name, where), count in self.faults.items() if name == kind})

    def lines(self) -> list[str]:
        """The account, for people."""
        kinds = dict.fromkeys(kind for kind, _ in self.faults)
        told = [f"{self.of_kind(kind).total():4} {kind}: {_counted(self.of_kind(kind))}" for kind in kinds]
        kills = sum(count for (kind, _), count in self.faults.items() if kind.startswith("kill"))
        return [*told, f"faults: {self.faults.total()}, of these kills: {kills}, lost: {len(self.lost)}"]

    def write(self) -> None:
        """Write the account as JSON to the file that PILLSNAP_FAULTS_RECORD names, if it does."""
        if path := os.environ.get("PILLSNAP_FAULTS_RECORD"):
            Path(path).write_text(json.dumps(self.account(), indent=2) + "\n", encoding="utf-8")

    def account(self) -> dict[str, Any]:
        """All of it as JSON values."""
        kinds = dict.fromkeys(kind for kind, _ in self.faults)
        return {"faults": {kind: dict(self.of_kind(kind)) for kind in kinds}, "lost": self.lost}

    def add(self, account: dict[str, Any]) -> None:
        """Take over what another process counted."""
        self.faults.update({(kind, at): n for kind, places in account["faults"].items() for at, n in places.items()})
        self.lost += account["lost"]


def _counted(where: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in where.items())


LEDGER = Ledger()
