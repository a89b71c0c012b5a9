"""benchmarks/combos.py: how its page is computed, and which combinations it keeps."""

from pathlib import Path
from typing import Any

import pytest

from pillsnap.tables.files import make_table, read_table, write_table
from pillsnap.tables.schemas import MANIFEST
from tests.support.workflow import PROJECT


def run(kept: str, groups: int, scenes: int, combo: float) -> dict[str, Any]:
    map50 = {"combo": combo, "single": 0.9}
    return {"combinations": kept, "groups": groups, "scenes": scenes, "pictures": 1234, "map50": map50}


RESULT = {
    "command": "python benchmarks/combos.py",
    "date": "2026-01-02",
    "device": "CPU: one",
    "commit": {"hash": "0123456789abcdef", "dirty": False},
    "versions": {"python": "3.11"},
    "epochs": 8,
    "image_size": 224,
    "runs": [
        run("all", 60, 0, 0.95),
        run("all", 60, 500, 0.96),
        run("a tenth", 6, 0, 0.7),
        run("a tenth", 6, 500, 0.93),
        run("none", 0, 0, 0.1),
        run("none", 0, 500, 0.8),
    ],
}


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(PROJECT / "benchmarks")
    import combos

    return combos


@pytest.mark.parametrize(
    "words",
    ["| a tenth | 6 | 500 | 1,234 | 0.930 | 0.900 |", "stand **-2.0 points** from", "224 pixels, 8 epochs, one seed"],
)
def test_page_follows_from_the_figures(benchmark: Any, words: str) -> None:
    assert words in benchmark.combos_page.page(RESULT)


def pills(domain: str, groups: int) -> list[dict[str, Any]]:
    """Two photographs of each capture group, one pill in each."""
    pill = {"archive": "A", "k_code": "K-000001", "edi_codes": "", "class_index": 0, "split": "train", "width": 9}
    pill |= {"height": 9, "x": 1.0, "y": 1.0, "w": 2.0, "h": 2.0, "sha256": "", "drug_name": "", "fully_labelled": True}
    names = [(f"{domain}{group}", number) for group in range(groups) for number in range(2)]
    return [
        pill
        | {"domain": domain, "group": group, "image_id": f"A.{group}-{number}"}
        | {"member": f"{group}-{number}.png", "label_member": f"{group}-{number}.json"}
        for group, number in names
    ]


@pytest.mark.parametrize(("share", "groups"), [(1.0, 20), (0.1, 2), (0.0, 0)])
def test_capture_groups_of_combinations_are_kept_whole(
    benchmark: Any, tmp_path: Path, share: float, groups: int
) -> None:
    write_table(make_table(pills("combo", 20) + pills("single", 3), MANIFEST), tmp_path / "train.csv", MANIFEST)
    kept = read_table(benchmark._combos(tmp_path / "train.csv", tmp_path / "kept.csv", share, 576), MANIFEST)
    photos = kept.groupby(["domain", "group"]).size()
    assert set(photos) == {2}
    assert photos.groupby("domain").size().to_dict() == {"single": 3} | ({"combo": groups} if groups else {})
