"""benchmarks/look_up.py at a tiny size: never-trained drugs are photographed, read and found."""

import sys

import look_up
import pytest

from pillsnap.pretraining.draw_reader_crops import is_held_out
from pillsnap.sources.synthetic.catalogue import make_catalogue


def test_figures_are_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["look_up.py", "--drugs", "150", "--pills", "6"])
    look_up.main()
    device, heading, *rows = capsys.readouterr().out.splitlines()
    assert device.startswith("device: CPU") and heading == "6 drugs among 150:"
    assert [row.split(":")[0].strip() for row in rows] == ["front", "back", "both sides"]
    front, _, both = (float(row.split("top-10 ")[1].split("%")[0]) for row in rows)
    assert front >= 50 and both >= 50, "among 150 drugs"


def test_the_reader_was_trained_on_no_imprint_of_theirs() -> None:
    drugs = make_catalogue(drugs=200, seed=look_up.SEED)
    found = look_up.chosen(drugs, 200)
    assert 0 < len(found) < 60
    assert all(is_held_out(side) for drug in found for side in (drug.print_front, drug.print_back) if side)
