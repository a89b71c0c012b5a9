"""Photographs that several label files, or several parts, of a folder name."""

import os
from collections.abc import Mapping

import pandas as pd

from pillsnap.sources.archives import Archive, SourceError

Place = tuple[str, str]
"""Archive and member."""


def repeated_photos(
    archives: Mapping[str, Archive], pills: pd.DataFrame, backgrounds: pd.DataFrame
) -> dict[Place, str]:
    """Find photographs whose file an earlier archive names, too, with the same labels.

    Args:
        archives: by name.
        pills, backgrounds: of the schemas of those names.

    Returns:
        the earlier archive and its member, by the place of each photograph that is named again.

    Raises:
        SourceError: two archives label a photograph differently.
    """
    if len(archives) == 1:
        return {}
    folders = {name: os.path.realpath(archive.photos) for name, archive in archives.items()}
    order = {name: number for number, name in enumerate(archives)}
    labels = _labels(pills, backgrounds)
    first: dict[str, Place] = {}
    again: dict[Place, str] = {}
    differing: dict[tuple[str, str], list[str]] = {}
    for place in sorted(labels, key=lambda place: (order[place[0]], place[1])):
        archive, member = place
        earlier = first.setdefault(f"{folders[archive]}/{member}", place)
        if labels[earlier] != labels[place]:
            differing.setdefault((earlier[0], archive), []).append(member)
        elif earlier != place:
            again[place] = f"{earlier[1]} of {earlier[0]}"
    for names, members in differing.items():
        one, other = (archives[name].labels for name in names)
        raise SourceError(
            f"{one} and {other} label {len(members):,} photographs differently, such as {members[0]}. Measure with one "
            "of them: move the other, such as an older export, out of the folder."
        )
    return again


def _labels(pills: pd.DataFrame, backgrounds: pd.DataFrame) -> dict[Place, list[tuple[object, ...]]]:
    """Drug and box of every label of each photograph, and the number of its pills; nothing of a background."""
    found: dict[Place, list[tuple[object, ...]]] = {
        place: [] for place in zip(backgrounds["archive"], backgrounds["member"], strict=True)
    }
    for pill in pills.itertuples():
        box = (round(float(side), 1) for side in (pill.x, pill.y, pill.w, pill.h))
        found.setdefault((pill.archive, pill.member), []).append((pill.k_code, *box, pill.expected_pills))
    return {place: sorted(labels) for place, labels in found.items()}
