"""Reading a framework's results file, whatever state it is in."""

import pytest

from pillsnap.training.history import read_history, read_ultralytics_results, write_history

HEADER = "epoch,time,train/box_loss,metrics/mAP50(B),metrics/mAP50-95(B),lr/pg0"


@pytest.mark.parametrize(
    ("text", "epochs", "map50"),
    [
        ("", [], []),
        (HEADER, [], []),
        (f"{HEADER}\n1,10,2.0,0.5,0.3,0.001\n", [1], [0.5]),
        ("   epoch,  metrics/mAP50(B)\n  1,  0.25\n", [1], [0.25]),
        ("epoch,metrics/mAP_0.5\n1,0.25\n", [1], [0.25]),
        (f"{HEADER}\n1,10,2.0,nan,,0.001\n", [1], [None]),
        (f"{HEADER}\n\n1,10,2.0,0.5,0.3,0.001\n\n2,20,1.0,0.6,0.4,0.001", [1, 2], [0.5, 0.6]),
        (f"{HEADER}\n1,10,2.0,0.5,0.3,0.001\n2,20,1.", [1], [0.5]),
        (f"{HEADER}\n1,10,2.0,0.5,0.3,0.001\n1,10,2.0,0.7,0.3,0.001\n", [1], [0.7]),
        (f"{HEADER}\nNone,10,2.0,0.5,0.3,0.001\n", [], []),
        (f"{HEADER}\n1,10,2.0,None,inf,0.001\n", [1], [None]),
    ],
)
def test_read_ultralytics_results(text, epochs, map50) -> None:
    rows = read_ultralytics_results(text)
    assert [row["epoch"] for row in rows] == epochs
    assert [row["map50"] for row in rows] == map50


@pytest.mark.parametrize(
    ("totals", "seconds"),
    [
        ([10, 25, 33], [10, 15, 8]),
        ([10, 25, 6, 9], [10, 15, 6, 3]),
        ([10, "", 33, 40], [10, None, None, 7]),
        (["nan", 25], [None, None]),
    ],
    ids=["running", "began anew", "gap", "first one unknown"],
)
def test_seconds_are_those_of_the_epoch(totals: list, seconds: list) -> None:
    lines = [HEADER, *(f"{epoch},{total},2.0,0.5,0.3,0.001" for epoch, total in enumerate(totals, start=1))]
    assert [row["seconds"] for row in read_ultralytics_results("\n".join(lines))] == seconds


def test_seconds_after_a_lost_epoch_are_unknown() -> None:
    rows = read_ultralytics_results(f"{HEADER}\n1,10,2,0.5,0.3,0.1\n2,2\n3,33,2,0.5,0.3,0.1\n4,40,2,0.5,0.3,0.1\n")
    assert [(row["epoch"], row["seconds"]) for row in rows] == [(1, 10), (3, None), (4, 7)]


def test_history_round_trip(tmp_path) -> None:
    rows = [{"epoch": 1, "loss": 0.5, "val": None}, {"epoch": 2, "loss": 0.25, "val": 0.125}]
    write_history(rows, tmp_path / "history.csv")
    assert read_history(tmp_path / "history.csv") == rows
    assert (tmp_path / "history.csv").read_text() == "epoch,loss,val\n1,0.5,\n2,0.25,0.125\n"
