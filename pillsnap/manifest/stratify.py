"""Divide capture groups of combinations so that each drug has pills on every side of the split."""

import heapq
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class GroupDrugs:
    """Drugs of capture groups: one entry a group and drug that it shows, sorted by group, int (entries,) each.

    Attributes:
        group: index of the group; groups are in the order in which they are divided.
        drug: index of the drug.
        pills: its labels in the group.
    """

    group: np.ndarray
    drug: np.ndarray
    pills: np.ndarray

    def rows(self, chosen: np.ndarray) -> "GroupDrugs":
        """Return the entries of a mask (entries,)."""
        return GroupDrugs(self.group[chosen], self.drug[chosen], self.pills[chosen])

    def by_side(self, side: np.ndarray, n_drugs: int, *, groups: bool = False) -> np.ndarray:
        """Count labels, or groups, of each drug on each side: int (drugs, 3); `side` is (groups,), -1 for none."""
        there = side[self.group] >= 0
        place = self.drug[there].astype(np.int64) * 3 + side[self.group[there]]
        weights = None if groups else self.pills[there]
        return np.bincount(place, weights, minlength=3 * n_drugs).astype(np.int64).reshape(-1, 3)


def stratify(
    shown: GroupDrugs, side: np.ndarray, wanted: np.ndarray, quota: np.ndarray, sides: list[int]
) -> np.ndarray:
    """Divide groups by iterative stratification.

    The drug with the fewest groups left comes first; each of them goes to the side where that drug lacks most groups,
    among equals to the one that lacks most groups of all (K. Sechidis, G. Tsoumakas and I. Vlahavas, "On the
    Stratification of Multi-label Data", ECML PKDD 2011). Equal ones are taken in the order of groups and drugs, where
    the paper draws lots.

    Args:
        shown: drugs of the groups that are divided; those without an entry are divided last.
        side: side of each group, int (groups,), -1 where it is to be divided.
        wanted: groups that each drug still lacks on each side, float (drugs, 3).
        quota: groups that each side still lacks, float (3,).
        sides: sides that groups may go to.

    Returns:
        side of each group.
    """
    side, quota, lacks = side.copy(), quota.tolist(), wanted.tolist()
    shown = shown.rows(side[shown.group] < 0)
    drugs_of, groups_of = _lists(shown.group, shown.drug), _lists(shown.drug, shown.group)
    left = {drug: len(groups) for drug, groups in groups_of.items()}
    queue = [(number, drug) for drug, number in left.items()]
    heapq.heapify(queue)
    while queue:
        number, drug = heapq.heappop(queue)
        if number != left[drug] or not number:
            continue  # an entry from before other drugs took some of its groups
        for group in groups_of[drug]:
            if side[group] >= 0:
                continue
            there = max(sides, key=lambda one: (lacks[drug][one], quota[one], one))
            side[group] = there
            quota[there] -= 1
            for other in drugs_of[group]:
                lacks[other][there] -= 1
                left[other] -= 1
                heapq.heappush(queue, (left[other], other))
    rest = np.flatnonzero(side < 0)
    side[rest] = 0
    for one in (2, 1):
        number = max(0, round(quota[one]))
        side[rest[:number]] = one
        rest = rest[number:]
    return side


def _lists(keys: np.ndarray, values: np.ndarray) -> dict[int, list[int]]:
    """Group values by key."""
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
    parts = np.split(values[order], starts)[1:]
    return dict(zip(keys[order][starts].tolist(), (part.tolist() for part in parts), strict=True))


def mend(
    shown: GroupDrugs, side: np.ndarray, fixed: np.ndarray, *, fewest: tuple[int, int, int], sides: list[int]
) -> np.ndarray:
    """Move single groups to the sides that a drug lacks, where that takes no drug's last pills from another side.

    A drug that lacks training or validation is lost. Such a one may also get a group with a drug's last test pills;
    that drug then gets others, where it can. Drugs with few groups come first.

    Args:
        shown: drugs of the groups.
        side: side of each group, int (groups,).
        fixed: labels of each drug on each side outside these groups, int (drugs, 3).
        fewest: labels that a drug needs on each side.
        sides: sides that groups may go to.

    Returns:
        side of each group.
    """
    division = _Division(shown, side.copy(), fixed + shown.by_side(side, len(fixed)), np.array(fewest))
    for spared in ((0, 1, 2), (0, 1), (0, 1, 2)):
        for there in (one for one in sides if one in spared):
            for drug in division.lacking(there):
                while division.pills[drug, there] < fewest[there] and (moves := division.moves(drug, there, spared)):
                    division.move(min(moves)[1], there)
    return division.side


class _Division:
    """Sides of groups, and the labels of each drug on each side, int (drugs, 3), as groups are moved."""

    def __init__(self, shown: GroupDrugs, side: np.ndarray, pills: np.ndarray, fewest: np.ndarray) -> None:
        self.side, self.pills = side, pills
        self._shown, self._fewest = shown, fewest
        self._groups_of = _lists(shown.drug, shown.group)
        self._entries_of = _lists(shown.group, np.arange(len(shown.group)))

    def lacking(self, there: int) -> list[int]:
        """Return the drugs that are in groups and lack pills on a side, those in the fewest groups first."""
        drugs = np.flatnonzero(self.pills[:, there] < self._fewest[there]).tolist()
        return sorted((drug for drug in drugs if drug in self._groups_of), key=lambda drug: len(self._groups_of[drug]))

    def moves(self, drug: int, there: int, spared: tuple[int, ...]) -> list[tuple[int, int]]:
        """Return a drug's groups that can go to a side: how many drugs lose their last pills by it, and the group."""
        found = []
        for group in self._groups_of[drug]:
            entries, here = self._entries_of[group], self.side[group]
            drugs = self._shown.drug[entries]
            before = self.pills[drugs, here]
            lost = before - self._shown.pills[entries] < self._fewest[here]
            lost &= (before >= self._fewest[here]) | (drugs == drug)  # nothing is gained by a drug that lacks two sides
            if here != there and not (here in spared and lost.any()):
                found.append((int(lost.sum()), group))
        return found

    def move(self, group: int, there: int) -> None:
        """Move a group to a side."""
        entries, here = self._entries_of[group], self.side[group]
        self.pills[self._shown.drug[entries], here] -= self._shown.pills[entries]
        self.pills[self._shown.drug[entries], there] += self._shown.pills[entries]
        self.side[group] = there
