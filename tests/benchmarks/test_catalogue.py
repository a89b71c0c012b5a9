"""benchmarks/catalogue.py at a tiny size: what it draws is read, and found again."""

import sys

import catalogue
import pytest


def test_figures_are_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["catalogue.py", "--drugs", "60", "--readings", "20"])
    catalogue.main()
    device, imported, *rows = capsys.readouterr().out.splitlines()
    assert device.startswith("device: CPU") and imported.startswith("import of 60 rows (60 kept): ")
    assert [row.split(":")[0] for row in rows][::3] == ["imprint, colour, shape and length", "colour, shape and length"]
    top10 = [float(row.split("top-10 ")[1].split("%")[0]) for row in rows]
    assert min(top10) >= 80, "among 60 drugs"
