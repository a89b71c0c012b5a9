"""The report's part on the trainings: milestones, steering, resources, and the estimate for the whole budget."""

import re
from pathlib import Path
from typing import Any

import pytest

from pillsnap.files import read_json, write_json
from pillsnap.report.write_report import write_report
from pillsnap.training.history import write_history
from pillsnap.training.steering import Event, events_to_json
from tests.support.report_inputs import CONFIG, words_of, write_inputs
from tests.support.trainings import STEERING, classifier_rows, detector_rows, events_of

NO_STEERING = {"mode": "advise", "phases": [], "interventions": [], "milestones": []}
OUT_OF_MEMORY = Event(3, "out_of_memory", "4 at once", "out of memory with 8 pictures at once", True, {"n": 4})


def with_config(arguments: dict[str, Any], **sections: Any) -> dict[str, Any]:
    return arguments | {"config": CONFIG | sections}


def written(arguments: dict[str, Any]) -> str:
    write_report(**arguments)
    return words_of(arguments["report"].read_text(encoding="utf-8")).replace("\u202f", " ")


@pytest.fixture
def arguments(tmp_path: Path) -> dict[str, Any]:
    return write_inputs(tmp_path)


def test_milestones_of_both_models_by_epoch(arguments: dict[str, Any]) -> None:
    text = written(arguments)
    for row in (
        "Epoch 2, classifier top-1 40 % 37.4 % 2.6 points behind ✗ missed",
        "Epoch 2, detector mAP@0.5 40 % 62.6 % 22.6 points ahead ✓ met",
        "Epoch 6, detector mAP@0.5 97 % 94.1 % 2.9 points behind ✗ missed",
        "Epoch 50, detector mAP@0.5 90 % – the training ended with epoch 12 ? not measured",
    ):
        assert row in text
    assert "✓ met Every milestone was checked when its epoch ended 4 of 4" in text
    assert "✗ missed Every milestone was reached at its epoch 2 of 4" in text


def test_milestone_that_no_event_tells_of_was_not_checked(arguments: dict[str, Any]) -> None:
    write_json(arguments["detector_events"], [])
    assert "✗ missed Every milestone was checked when its epoch ended 2 of 4" in written(arguments)


@pytest.mark.parametrize(
    ("mode", "effect", "fact", "note"),
    [
        ("apply", "now, learning rate 0.002 applied", "1 triggered, 1 applied", "applied and recorded"),
        ("advise", "advised, learning rate 0.002 advised, not applied", "1 triggered, 0 applied", "advised only"),
    ],
)
def test_what_steering_said_and_did(arguments: dict[str, Any], mode: str, effect: str, fact: str, note: str) -> None:
    settings = STEERING | {"mode": mode}
    events = events_of("classifier", classifier_rows(20), settings)
    write_json(arguments["classifier_events"], events_to_json([*events, OUT_OF_MEMORY]))
    text = written(with_config(arguments, steering=settings))
    assert "Detector 0 phase phase baseline begins nothing changed" in text
    assert "Classifier 4 phase phase fine-tuning begins, learning rate 0.0001 applied" in text
    assert f"Classifier 1 intervention classifier is weak: val_top1 is 0.2101, below 0.3; {effect}" in text
    assert "Classifier 3 out of memory out of memory with 8 pictures at once applied" in text
    assert f"✗ missed No intervention was triggered {fact}" in text
    assert "✗ missed Memory never ran out 1 time" in text
    assert note in text


def test_curves_mark_phases_and_interventions(arguments: dict[str, Any]) -> None:
    write_report(**arguments)
    page = arguments["report"].read_text(encoding="utf-8")
    told = re.search(r'aria-label="Classifier: accuracy\. ([^"]*)"', page)[1]
    assert (
        "Marked: After epoch 0, phase: phase baseline begins; After epoch 1, intervention: classifier is weak" in told
    )
    drawn = (arguments["figures"] / "classifier_training.svg").read_text(encoding="utf-8")
    assert ">fine-tuning</text>" in drawn
    assert 'aria-label="After epoch 4, phase: phase fine-tuning begins, learning rate 0.0001"' in drawn
    detector = (arguments["figures"] / "detector_training.svg").read_text(encoding="utf-8")
    assert "classifier is weak" not in detector


def test_nothing_is_shown_of_a_steering_that_asks_nothing(arguments: dict[str, Any]) -> None:
    for model in ("detector", "classifier"):
        write_json(arguments[f"{model}_events"], [])
    text = written(with_config(arguments, steering=NO_STEERING))
    assert "Phases and interventions" not in text and "Milestones" not in text and "milestone was" not in text
    assert "a triangle on the axis" not in text
    assert "✓ met No intervention was triggered none" in text


def test_what_the_trainings_took(arguments: dict[str, Any]) -> None:
    gpu = {"gpu": "Card", "peak_gpu_bytes": 14.6e9, "gpu_bytes_of": "device", "mean_gpu_busy": 0.934}
    write_json(arguments["classifier_resources"], read_json(arguments["classifier_resources"]) | gpu)
    text = written(arguments)
    for row in (
        "Measured 99 samples, every 5.0 s 99 samples, every 5.0 s",
        "Peak memory of all processes (RAM) 2.5 GB 2.5 GB",
        "GPU none Card",
        "Peak GPU memory – 14.6 GB (of the whole GPU, whoever held it)",
        "GPU utilisation, mean – 93 %",
        "Read from disk, peak 5.0 MB/s 5.0 MB/s",
        "Time per epoch, median 42 s 38 s",
        "Checkpoint, with the state of the optimizer 31.0 MB 31.0 MB",
        "✓ met Memory and disk were measured during both trainings 99 (detector) and 99 (classifier)",
    ):
        assert row in text


def test_what_was_not_measured_is_not_estimated(arguments: dict[str, Any]) -> None:
    nothing = dict.fromkeys(read_json(arguments["detector_resources"])) | {"samples": 0, "pictures": 430, "epochs": 12}
    write_json(arguments["detector_resources"], nothing)
    text = written(arguments)
    assert "Measured not measured 99 samples" in text
    assert "Estimated time – 50 h 03 min" in text
    assert "An estimate, not a measurement. Images per epoch times" in text
    assert "? not measured Memory and disk were measured during both trainings 0 (detector)" in text
    assert "None" not in text


@pytest.mark.parametrize(
    ("most", "cycles", "composed", "pictures", "epochs", "times"),
    [
        # 500,000 photographs asked, 2,386 used: 209.6 times as many; 240 of the detector's 430 pictures are single
        (240, 0, 0, "40,056 90,109", "12 20", "13 h 21 min 50 h 03 min"),
        (100_000, 0, 0, "90,109 90,109", "12 20", "30 h 02 min 50 h 03 min"),
        (1000, 0, 0, "1,000 90,109", "12 20", "20 min 00 s 50 h 03 min"),
        (240, 0, 30, "33,799 90,109", "12 20", "11 h 15 min 50 h 03 min"),
        (240, 3, 0, "40,056 90,109", "6 3", "6 h 40 min 7 h 30 min"),
    ],
)
def test_estimate_for_the_whole_budget(
    arguments: dict[str, Any], most: int, cycles: int, composed: int, pictures: str, epochs: str, times: str
) -> None:
    """An epoch's pictures grow with the budget, the detector's single photographs to their limit, composed ones not."""
    changed = {
        "yolo": CONFIG["yolo"] | {"max_single_photos": most},
        "training": CONFIG["training"] | {"cycles": cycles},
        "scenes": CONFIG["scenes"] | {"photos": composed},
    }
    text = written(with_config(arguments, **changed))
    assert f"Images per epoch, with the whole budget {pictures}" in text
    assert f"Epochs requested {epochs}" in text
    assert "Measured images per second 10.0 10.0" in text
    assert f"Estimated time {times}" in text
    assert "by 2,386 used" in text and "An estimate, not a measurement: both trainings together" in text


@pytest.mark.parametrize(("validate_every", "gaps"), [(1, "36 gaps"), (5, "0 gaps")])
def test_epochs_without_validation_are_no_gaps_where_none_was_due(
    arguments: dict[str, Any], validate_every: int, gaps: str
) -> None:
    """12 epochs, of which 5, 10 and the last one should have a validation."""
    rows = detector_rows(12, validate_every=5)
    rows[-1] |= {key: value for key, value in detector_rows(12)[-1].items() if rows[-1][key] is None}
    write_history(rows, arguments["detector_history"])
    detector = CONFIG["detector"] | {"validate_every": validate_every}
    text = written(with_config(arguments, detector=detector))
    assert f"Every epoch has all figures that it should have {gaps}" in text


def test_a_figure_that_is_no_number_is_not_drawn(arguments: dict[str, Any]) -> None:
    rows = classifier_rows(20)
    rows[3]["loss"] = float("nan")
    write_history(rows, arguments["classifier_history"])
    write_report(**arguments)
    assert "nan" not in (arguments["figures"] / "classifier_loss.svg").read_text(encoding="utf-8").lower()
