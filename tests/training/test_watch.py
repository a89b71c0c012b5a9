"""What a training writes for people: how far it is, TensorBoard's log, and what it takes."""

import math
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pynvml
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pillsnap.files import read_json
from pillsnap.training import resources as resources_module
from pillsnap.training import watch as watch_module
from pillsnap.training.history import read_history
from pillsnap.training.resources import COLUMNS, ResourceSampler, read_samples, resources_of
from pillsnap.training.steering import Event
from pillsnap.training.tensorboard import TensorBoardLog
from pillsnap.training.tolerant_read import read_mapping, read_mappings, read_rows
from pillsnap.training.watch import TrainingWatch
from tests.support.trainings import classifier_rows, detector_rows, events_of, watch


def test_folder_tells_how_far_it_is(tmp_path: Path) -> None:
    history = detector_rows(5)
    with watch(tmp_path, "detector") as watching:
        assert read_json(tmp_path / "progress.json")["running"] is True
        watching.step(epoch=5, step=30, loss=2.5)
        watching.epoch(history, events_of("detector", history))
    progress = read_json(tmp_path / "progress.json")
    told = {"model": "detector", "epochs": 12, "steps": 30, "pictures": 240, "epoch": 5, "step": 30, "loss": 2.5}
    assert told.items() <= progress.items()
    assert (progress["running"], progress["phase"], progress["gpu"]) == (False, "fine-tuning", None)
    assert progress["seconds_left"] == pytest.approx(7 * 41.5)
    assert progress["started"] <= progress["updated"]
    assert [row["epoch"] for row in read_history(tmp_path / "history.csv")] == [1, 2, 3, 4, 5]
    assert [event["kind"] for event in read_json(tmp_path / "events.json")] == ["phase", "milestone", "phase"]


def test_progress_is_written_once_a_second_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    monkeypatch.setattr(watch_module, "write_json", lambda path, value: written.append(value))
    with watch(tmp_path, "classifier", steps=100_000) as watching:
        began, before = time.monotonic(), len(written)
        for step in range(1, 20_001):
            watching.step(epoch=1, step=step, loss=1.0)
        during, seconds = len(written) - before, time.monotonic() - began
    assert during <= seconds / watch_module.SECONDS_BETWEEN_WRITES
    assert seconds < 5, "a step must cost next to nothing"


def test_a_loss_that_is_no_number_is_told_as_none(tmp_path: Path) -> None:
    with watch(tmp_path, "classifier") as watching:
        watching.step(epoch=1, step=1, loss=math.nan)
    assert read_json(tmp_path / "progress.json")["loss"] is None


def test_time_left_in_the_first_epoch_goes_by_its_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pace = watch_module._Pace(epochs=2, steps=100)
    assert pace.seconds_left is None
    clock = iter([10.0, 10.5, 12.0])
    monkeypatch.setattr(watch_module.time, "monotonic", lambda: next(clock))
    for step in (10, 20, 50):
        pace.step(1, step)
    assert (pace.steps_per_second, pace.seconds_left) == (20.0, 150 / 20.0)


def test_watching_before_and_after_its_block_touches_nothing(tmp_path: Path) -> None:
    watching = watch(tmp_path / "none", "detector")
    assert watching.resources()["peak_ram_bytes"] is None
    assert not (tmp_path / "none").exists()


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    log = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    log.Reload()
    return {tag: [(one.step, round(one.value, 4)) for one in log.Scalars(tag)] for tag in log.Tags()["scalars"]}


def test_board_has_figures_pictures_and_what_was_said(tmp_path: Path) -> None:
    history = detector_rows(4, validate_every=2)
    with watch(tmp_path, "detector") as watching:
        watching.picture("validation/boxes", np.zeros((12, 16, 3), np.uint8), epoch=4)
        watching.epoch(history, events_of("detector", history))
    shown = scalars(tmp_path)
    assert [step for step, _ in shown["loss/box"]] == [1, 2, 3, 4]
    assert [step for step, _ in shown["detection/mAP@0.5"]] == [2, 4], "an epoch without validation has no figure"
    assert {"loss/class", "detection/mAP@0.5:0.95", "learning_rate", "training/seconds"} <= set(shown)
    log = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(one.step, one.width, one.height) for one in log.Images("validation/boxes")] == [(4, 16, 12)]
    said = log.Tensors("events/text_summary")[-1].tensor_proto.string_val[0].decode()
    assert "- after epoch 0: phase baseline begins" in said and "points ahead" in said


def test_board_names_the_classifiers_figures(tmp_path: Path) -> None:
    with watch(tmp_path, "classifier") as watching:
        watching.epoch(classifier_rows(1), [])
    names = {"loss/train", "accuracy/train_top1", "accuracy/val_top1", "accuracy/val_top5", "learning_rate"}
    assert set(scalars(tmp_path)) == names | {"training/seconds", "training/size"}


@pytest.mark.parametrize(
    ("runs", "picture"),
    [
        ([(1, 4), (5, 6)], None),
        ([(1, 4), (3, 6)], None),
        ([(1, 4), (3, 6)], 3),
        ([(1, 4), (4, 4), (5, 6)], None),
        ([(1, 6), (2, 3), (4, 6)], 2),
        ([(6, 6)], None),
    ],
    ids=["goes on", "goes back", "goes back with a picture", "repeats an epoch", "goes back twice", "began unwatched"],
)
def test_board_has_each_epoch_once(tmp_path: Path, runs: list[tuple[int, int]], picture: int | None) -> None:
    """Each run starts after the epochs before its first one; what it does again replaces what was there."""
    for number, (first, last) in enumerate(runs):
        board = TensorBoardLog(tmp_path)
        if number and picture:
            board.picture("crops", np.zeros((8, 8, 3), np.uint8), epoch=picture)
        for done in range(first, last + 1):
            board.epoch(
                [{"epoch": n, "loss": 10.0 * (number if n >= first else -1) + n} for n in range(1, done + 1)], []
            )
        board.close()
        time.sleep(1.01)  # event files are read by the second in their names
    values = dict(scalars(tmp_path)["loss/train"])
    assert sorted(values) == list(range(1, 7)) and len(scalars(tmp_path)["loss/train"]) == 6
    begin, number = runs[-1][0], len(runs) - 1
    assert {n: value for n, value in values.items() if n >= begin} == {n: 10.0 * number + n for n in range(begin, 7)}


@pytest.mark.parametrize("picture", [2, 3, 4])
def test_board_survives_a_run_that_only_shows_a_picture(tmp_path: Path, picture: int) -> None:
    for done in (3, 4):
        board = TensorBoardLog(tmp_path)
        board.epoch([{"epoch": n, "loss": float(n)} for n in range(1, done + 1)], [])
        board.close()
        board = TensorBoardLog(tmp_path)
        board.picture("crops", np.zeros((8, 8, 3), np.uint8), epoch=picture)
        board.close()
    board = TensorBoardLog(tmp_path)
    board.epoch([{"epoch": n, "loss": float(n)} for n in range(1, 6)], [])
    board.close()
    assert scalars(tmp_path)["loss/train"] == [(n, float(n)) for n in range(1, 6)]


@pytest.mark.parametrize("picture", [None, 2])
def test_board_goes_back_within_a_run(tmp_path: Path, picture: int | None) -> None:
    board = TensorBoardLog(tmp_path)
    for number, done in enumerate((1, 2, 3, 2, 3)):
        if number == 3 and picture:
            board.picture("crops", np.zeros((8, 8, 3), np.uint8), epoch=picture)
        board.epoch([{"epoch": n, "loss": float(number)} for n in range(1, done + 1)], [])
    board.close()
    assert scalars(tmp_path)["loss/train"] == [(1, 0.0), (2, 3.0), (3, 4.0)]
    shown = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert shown.Tags()["images"] == (["crops"] if picture else [])


def test_resources_are_measured_from_the_first_moment_to_the_last(tmp_path: Path) -> None:
    history = classifier_rows(3)
    with watch(tmp_path, "classifier") as watching:
        watching.epoch(history, [])
        (tmp_path / "last.pt").write_bytes(b"w" * 1234)
        time.sleep(0.7)
    found = watching.resources()
    assert found == resources_of(tmp_path, pictures=240)
    assert found["samples"] >= 5 and found["sample_seconds"] < 0.5
    assert 10e6 < found["peak_ram_bytes"] < 100e9
    assert found["mean_disk_write_bytes_per_second"] >= 0
    assert (found["gpu"], found["peak_gpu_bytes"], found["gpu_bytes_of"]) == (None, None, None)
    assert (found["epochs"], found["seconds_per_epoch"], found["checkpoint_bytes"]) == (3, 38.0, 1234)
    assert found["pictures_per_second"] == pytest.approx(240 / 38)


def test_even_a_short_training_is_measured_when_it_tells_its_resources(tmp_path: Path) -> None:
    with TrainingWatch(tmp_path, model="detector", epochs=1, steps=1, pictures=1, sample_seconds=600) as watching:
        time.sleep(resources_module.SHORTEST_RATE)
        found = watching.resources()
    assert found["samples"] == 2 and found["mean_disk_read_bytes_per_second"] is not None


def test_resources_are_summed_over_all_runs(tmp_path: Path) -> None:
    rows = ["1,100,,,,,,,50", "6,900,,,,,4,8,40", "1001,200,,,,,8,2,45", "1006,300,,,,,,,60"]
    (tmp_path / "resources.csv").write_text("\n".join([",".join(COLUMNS), *rows, "1011,7"]))
    found = resources_of(tmp_path, pictures=1)
    assert (found["samples"], found["sample_seconds"], found["peak_ram_bytes"]) == (4, 5.0, 900)
    assert (found["mean_disk_read_bytes_per_second"], found["peak_disk_write_bytes_per_second"]) == (6.0, 8.0)
    assert (found["least_disk_free_bytes"], found["seconds_per_epoch"]) == (40, None)


def test_children_count(tmp_path: Path) -> None:
    """A reader process's memory is the training's too."""
    tree = resources_module._ProcessTree()
    alone, _, _ = tree.measure()
    code = "b = bytes(range(256)) * 400_000; print('ready', flush=True); input()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    time.sleep(resources_module.SHORTEST_RATE)
    both, read, written = tree.measure()
    child.communicate("\n")
    assert both > alone + 80e6
    assert read >= 0 and written >= 0


def test_a_row_that_was_half_written_is_left_behind(tmp_path: Path) -> None:
    (tmp_path / "resources.csv").write_text(",".join(COLUMNS) + "\n1,2,,,,,,,3\n4,5,,")
    with ResourceSampler(tmp_path, seconds=60):
        pass
    samples = read_samples(tmp_path)
    assert len(samples) == 3 and samples[0]["ram"] == 2.0 and samples[-1]["ram"] > 1e6


def test_no_error_of_the_measurement_reaches_the_training(tmp_path: Path, monkeypatch, caplog) -> None:
    monkeypatch.setattr(resources_module, "disk_free", lambda folder: 1 / 0)
    with ResourceSampler(tmp_path, seconds=0.01):
        time.sleep(0.1)
    assert caplog.messages == ["resources cannot be measured: division by zero"]


CUDA = SimpleNamespace(
    is_initialized=lambda: True,
    max_memory_allocated=lambda device: 500,
    get_device_properties=lambda index: SimpleNamespace(name="Card", uuid="ab-cd"),
)


def nvml(holders: list, kind: str = "GPU") -> dict[str, Any]:
    """Functions of a driver that is played here; on a machine with a GPU the same calls go to the real one."""

    def handle(name: str) -> str:
        if name == f"{kind}-ab-cd":
            return "handle"
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)

    return {
        "nvmlInit": lambda: None,
        "nvmlDeviceGetHandleByUUID": handle,
        "nvmlDeviceGetComputeRunningProcesses": lambda handle: [
            SimpleNamespace(pid=pid, usedGpuMemory=held) for pid, held in holders
        ],
        "nvmlDeviceGetMemoryInfo": lambda handle: SimpleNamespace(used=900),
        "nvmlDeviceGetUtilizationRates": lambda handle: SimpleNamespace(gpu=93),
    }


@pytest.mark.parametrize("kind", ["GPU", "MIG"])
@pytest.mark.parametrize(
    ("holders", "process"), [([(1, 700), (2, 40)], 740), ([(999, 700)], None), ([(1, None)], None)]
)
def test_gpu_is_asked_through_the_driver(monkeypatch, holders: list, process: int | None, kind: str) -> None:
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=CUDA))
    for name, function in nvml(holders, kind).items():
        monkeypatch.setattr(pynvml, name, function)
    gpus = resources_module.Gpus()
    assert gpus.measure({1, 2}) == (process, 900, 500, 0.93)
    assert gpus.name == "Card"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("nvmlInit", (None, None, 500, None)),
        ("nvmlDeviceGetHandleByUUID", (None, None, 500, None)),
        ("nvmlDeviceGetComputeRunningProcesses", (None, 900, 500, 0.93)),
        ("nvmlDeviceGetMemoryInfo", (740, None, 500, 0.93)),
        ("nvmlDeviceGetUtilizationRates", (740, 900, 500, None)),
    ],
)
def test_what_the_driver_does_not_report_hides_nothing_else(monkeypatch, query: str, expected: tuple) -> None:
    def fail(*_: Any) -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=CUDA))
    for name, function in (nvml([(1, 700), (2, 40)]) | {query: fail}).items():
        monkeypatch.setattr(pynvml, name, function)
    assert resources_module.Gpus().measure({1, 2}) == expected


def test_torch_amid_its_import_is_no_gpu(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace())
    assert resources_module.Gpus().measure({1}) == (None, None, None, None)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (None, []),
        ("", []),
        ("epoch,loss", []),
        ("epoch,loss\n1,2.5\n\n2,", [{"epoch": 1, "loss": 2.5}, {"epoch": 2, "loss": None}]),
        ("epoch,loss\n1,2.5\n2", [{"epoch": 1, "loss": 2.5}]),
        ("epoch, loss\n1,nan\n2,inf\n3,x", [{"epoch": n, "loss": None} for n in (1, 2, 3)]),
        ("\0\0\0", []),
        ("{}", []),
    ],
)
def test_rows_are_read_as_far_as_they_go(tmp_path: Path, text: str | None, rows: list) -> None:
    if text is not None:
        (tmp_path / "rows.csv").write_text(text)
    assert read_rows(tmp_path / "rows.csv") == rows


@pytest.mark.parametrize("text", [None, "", "{", "[1, 2]", "null", "\xff", '{"a": [' * 5000])
def test_json_that_cannot_be_read_is_empty(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "value.json").write_text(text, encoding="latin-1")
    assert read_mapping(tmp_path / "value.json") == {}
    assert read_mappings(tmp_path / "value.json") == []


def test_events_survive_their_file(tmp_path: Path) -> None:
    history = classifier_rows(6)
    events = events_of("classifier", history)
    with watch(tmp_path, "classifier") as watching:
        watching.epoch(history, events)
    assert [Event(**value) for value in read_json(tmp_path / "events.json")] == events
    assert {event.kind for event in events} == {"phase", "intervention", "milestone"}
