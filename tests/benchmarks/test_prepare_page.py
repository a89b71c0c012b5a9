"""The benchmark's page says what its run measured, and nothing else."""

from pathlib import Path

from prepare_page import page

from pillsnap.files import read_json
from tests.support.workflow import PROJECT

FOLDER = PROJECT / "benchmarks"


def run(photos: int = 10, **steps: float) -> dict:
    seconds = {name.replace("_", " "): {"seconds": value, "cpu_seconds": 2 * value} for name, value in steps.items()}
    return {"photos": photos, "steps": seconds, "peak_bytes": 10**8}


def test_the_page_is_computed_from_the_run() -> None:
    text = Path(FOLDER / "prepare.md").read_text(encoding="utf-8")
    assert text == page(read_json(FOLDER / "prepare.json"))


def test_ratios_are_those_of_one_repeat() -> None:
    result = read_json(FOLDER / "prepare.json")
    usual = {"unzip": 0.1, "validate": 0.3, "resize": 0.3, "crop": 0.3, "classifier_epoch": 0.1}
    usual |= {"detector_epoch_of_small_photos": 0.1, "detector_epoch_of_raw_photos": 0.4}
    result["runs"] = {
        "limit": [run(decode=0.10), run(decode=0.30), run(decode=0.16)],
        "ours": [
            run(prepare=seconds, lay_out=0.1, detector_epoch=0.02, classifier_epoch=0.03)
            for seconds in (0.20, 0.40, 0.20)
        ],
        "limit, 1 core": [run(decode=0.2)] * 3,
        "ours, 1 core": [run(prepare=0.4)] * 3,
        "the usual way": [run(**usual)] * 3,
    }
    text = page(result)
    assert "at **75% (50% to 80%)** of the limit's rate (75% (50% to 80%) by processor time)" in text
    assert "two cores give 2.00 (1.00 to 2.00) times" in text
    # 0.7 and 1.0 to ready data; 0.7 + 10 * 0.5 and 1.0 + 10 * 0.2 against 0.2 + 0.1 + 10 * 0.05
    assert "3.50 (1.75 to 3.50) times to ready data, 7.12 (5.70 to 7.12) with epochs" in text
    assert "5.00 (2.50 to 5.00) times to ready data, 3.75 (3.00 to 3.75) with epochs" in text
