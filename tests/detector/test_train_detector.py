"""Training of the detector on a tiny data set: outputs, taking over, and epochs that add up."""

import functools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from pillsnap.config.training import Change, Phase, Steering, Trainings
from pillsnap.detector.job import DetectorJob
from pillsnap.detector.train_detector import train_detector
from pillsnap.detector.weights import WeightsError, build_detector, load_detector, save_ultralytics_checkpoint
from pillsnap.files import read_json, sha256_of
from pillsnap.training.history import DETECTOR_COLUMNS, read_history
from tests.support.detectors import SETTINGS, detector_run, rows, same_weights, unbroken, write_untrained_detector
from tests.support.models import DETECTOR_SIZE, draw_photo
from tests.support.workflow import PROJECT


@pytest.fixture(scope="module")
def trained(base: Path) -> dict[str, Any]:
    """Arguments of a finished training of two epochs."""
    return unbroken(base, 2)


def test_outputs(trained: dict[str, Any]) -> None:
    history = read_history(trained["history"])
    assert list(history[0]) == list(DETECTOR_COLUMNS)
    assert [row["epoch"] for row in history] == [1, 2]
    assert all(0 < row["seconds"] < 600 and row["cls_loss"] > 0 and 0 <= row["map50"] <= 1 for row in history)
    assert read_json(trained["events"]) == []
    assert isinstance(read_json(trained["resources"]), dict)


def test_safetensors_say_how_to_build_and_feed_the_model(trained: dict[str, Any]) -> None:
    with safe_open(trained["weights"], framework="pt") as stored:
        facts = json.loads(stored.metadata()["pillsnap"])
        kinds = {stored.get_tensor(name).dtype for name in stored.keys()}  # noqa: SIM118 (not a mapping)
    assert (facts["image_size"], facts["names"], facts["model"]["nc"]) == (DETECTOR_SIZE, ["pill"], 1)
    assert facts["preprocessing"]["letterbox"] == {"fill": 114, "centred": True}
    assert kinds == {torch.float32, torch.int64}
    model = load_detector(trained["weights"])
    assert (model.names, model.training) == ({0: "pill"}, False)


def test_both_published_files_find_the_same_pills(trained: dict[str, Any]) -> None:
    """People open the checkpoint with ultralytics; it is the safetensors' model in FP16, of the one class `pill`."""
    from ultralytics import YOLO

    model = YOLO(trained["best"])
    assert model.names == {0: "pill"}
    picture = draw_photo([0, 1, 2])[0][..., ::-1].copy()
    (result,) = model.predict(picture, imgsz=DETECTOR_SIZE, conf=1e-6, device="cpu", verbose=False)
    assert set(result.boxes.cls.tolist()) == {0.0}
    checkpoint = torch.load(trained["best"], weights_only=False)
    ours = load_detector(trained["weights"]).state_dict()
    halves = checkpoint["model"].state_dict()
    assert all(torch.equal(value.to(halves[name].dtype), halves[name]) for name, value in ours.items())


def test_published_checkpoint_tells_nothing_of_machine_and_day(trained: dict[str, Any]) -> None:
    checkpoint = torch.load(trained["best"], weights_only=False)
    assert (checkpoint["date"], checkpoint["git"], checkpoint["train_results"]) == (None, None, None)
    for content in (trained["best"].read_bytes(), trained["weights"].read_bytes()):
        for path in (trained["work"], PROJECT, Path.home()):
            assert str(path).encode() not in content
        assert not re.search(rb"20[2-9]\d-[01]\d-[0-3]\d", content)


def test_published_checkpoint_does_not_tell_which_process_wrote_it(tmp_path: Path) -> None:
    """A text may be one object in two places or two objects, as a training went on or was taken over."""
    written = []
    for one_object in (True, False):
        model = build_detector("yolo11n.yaml")
        for value in model.state_dict().values():
            value.zero_()
        name = model.yaml["yaml_file"] = "".join(["yolo11n", ".yaml"])
        file = tmp_path / str(one_object) / "best.pt"
        train_args = {"model": name if one_object else "".join(["yolo11n.", "yaml"])}
        save_ultralytics_checkpoint(file, model, image_size=64, train_args=train_args)
        written.append(file.read_bytes())
    assert written[0] == written[1]


def test_state_is_read_without_pickle(trained: dict[str, Any]) -> None:
    state = torch.load(trained["work"] / "last.pt", weights_only=True)
    assert (state["epoch"], state["step"]) == (2, 0)
    assert not list((trained["work"] / "run").rglob("*.pt"))


def test_finished_training_is_taken_over(trained: dict[str, Any], base: Path, tmp_path: Path) -> None:
    """Outputs that were lost come back out of the state; the state is not touched."""
    before = sha256_of(trained["work"] / "last.pt"), sha256_of(trained["work"] / "run")
    again = detector_run(base, tmp_path, work=trained["work"])
    assert (sha256_of(trained["work"] / "last.pt"), sha256_of(trained["work"] / "run")) == before
    for name in ("best", "weights", "history", "events"):
        assert again[name].read_bytes() == trained[name].read_bytes()


def test_one_epoch_asked_many_times_adds_up(base: Path, tmp_path: Path) -> None:
    """The defect of an earlier system: each cycle asks for its epochs, each trained one epoch from the beginning and
    wrote its results over those of the cycle before."""
    for cycle in range(1, 5):
        training = Trainings(cycles=cycle, detector_epochs_per_cycle=1)
        job = detector_run(base, tmp_path, epochs=cycle, training=training)
        assert [row["epoch"] for row in rows(job)] == list(range(1, cycle + 1))
        results = (tmp_path / "work/run/results.csv").read_text().splitlines()
        assert [line.split(",")[0] for line in results] == ["epoch", *map(str, range(1, cycle + 1))]
    train_detector(**job)
    assert len(rows(job)) == 4, "asked for the same once more, nothing is trained"
    at_once = unbroken(base)
    assert rows(job) == rows(at_once)
    for name in ("best", "weights"):
        assert job[name].read_bytes() == (at_once[name].read_bytes())


def test_the_data_set_is_unpacked_anew_and_gone_at_the_end(base: Path, tmp_path: Path) -> None:
    """Whatever a killed training left of it."""
    left = tmp_path / "work.dataset/images/train/left.jpg"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"of a killed training")
    job = detector_run(base, tmp_path, epochs=2)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["work"]
    assert rows(job) == rows(unbroken(base, 2)) and same_weights(job, unbroken(base, 2))


@pytest.mark.campaign
def test_two_epochs_and_two_more_are_four(base: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    detector_run(base, tmp_path, epochs=2)
    with caplog.at_level("INFO"):
        job = detector_run(base, tmp_path, epochs=4)
    assert "resuming after epoch 2" in caplog.text
    assert re.search(r"epoch 3/4  Loss: \d+\.\d+  mAP@0\.5 \d\.\d+", caplog.text)
    assert rows(job) == rows(unbroken(base))
    assert same_weights(job, unbroken(base))


@pytest.mark.campaign
def test_fewer_epochs_than_are_done_end_as_if_no_more_had_been(base: Path, tmp_path: Path) -> None:
    detector_run(base, tmp_path, epochs=4, checkpoint_every=2)
    fewer = detector_run(base, tmp_path, epochs=2, checkpoint_every=2)
    assert rows(fewer) == rows(unbroken(base, 2))
    assert same_weights(fewer, unbroken(base, 2))


@pytest.mark.campaign
def test_kept_checkpoints_and_their_backup(base: Path, tmp_path: Path) -> None:
    """Of four epochs' checkpoints the newest two, here and there; a backup alone is enough to go on."""
    training = Trainings(backup=str(tmp_path / "backup"))
    job = detector_run(base, tmp_path / "first", epochs=3, checkpoint_every=1, training=training)
    copied = tmp_path / "backup" / "first" / "work"
    assert sorted(path.name for path in copied.iterdir()) == ["epoch-0002.pt", "epoch-0003.pt"]
    (job["work"] / "last.pt").write_bytes(b"half")
    for path in copied.iterdir():
        (job["work"] / path.name).unlink()
        (job["work"] / path.name).write_bytes(path.read_bytes())
    more = detector_run(base, tmp_path / "first", epochs=4, checkpoint_every=1, training=training)
    assert same_weights(more, unbroken(base))


@pytest.mark.campaign
def test_validations_follow_their_schedule(base: Path, tmp_path: Path) -> None:
    """An end off the schedule is validated too, but leaves no trace in what more epochs go on from."""
    three = detector_run(base, tmp_path, epochs=3, validate_every=2)
    assert [row["map50"] is not None for row in rows(three)] == [False, True, True]
    state = torch.load(tmp_path / "work/last.pt", weights_only=True)
    assert [row["map50"] is not None for row in state["history"]] == [False, True, False]
    (tmp_path / "work/finished.json").unlink()
    before = three["history"].read_bytes(), three["weights"].read_bytes()
    train_detector(**three)
    assert (three["history"].read_bytes(), three["weights"].read_bytes()) == before
    four = detector_run(base, tmp_path, epochs=4, validate_every=2)
    assert [row["map50"] is not None for row in rows(four)] == [False, True, False, True]
    at_once = unbroken(base, validate_every=2)
    assert rows(four) == rows(at_once)
    assert same_weights(four, at_once)


def test_patience_ends_a_training_that_does_not_get_better(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ultralytics.models.yolo.detect import DetectionTrainer

    measured = iter([0.2, 0.3, 0.1, 0.1, 0.5])
    monkeypatch.setattr(DetectionTrainer, "validate", lambda self: (dict(self.metrics), next(measured)))
    job = detector_run(base, tmp_path, epochs=6, patience=2)
    assert [row["epoch"] for row in rows(job)] == [1, 2, 3, 4]
    state = torch.load(tmp_path / "work/last.pt", weights_only=True)
    assert (state["best"], state["best_epoch"]) == (0.3, 2)
    # as if it had been killed between its last epoch and its end
    (job["work"] / "finished.json").unlink()
    train_detector(**job)
    assert len(rows(job)) == 4, "out of patience, it stays at its end"


def test_a_phase_changes_what_the_optimizer_does(base: Path, tmp_path: Path) -> None:
    change = Change(learning_rate=2e-4, weight_decay=1e-2)
    steering = Steering(phases=(Phase(name="fine", from_epoch=3, detector=change),))
    job = detector_run(base, tmp_path, epochs=4, steering=steering)
    assert rows(job)[:2] == rows(unbroken(base))[:2]
    assert rows(job)[2]["learning_rate"] == pytest.approx(2e-4)
    assert rows(job)[3]["learning_rate"] < 2e-4
    state = torch.load(tmp_path / "work/last.pt", weights_only=True)
    assert {group["param_group"]: group["weight_decay"] for group in state["optimizer"]["param_groups"]} == {
        "weight": 1e-2, "bn": 0.0, "bias": 0.0,
    }  # fmt: skip
    assert [(event["kind"], event["name"], event["epoch"]) for event in read_json(job["events"])] == [
        ("phase", "fine", 2)
    ]


def test_bf16_trains_on_the_cpu_and_resumes(base: Path, trained: dict[str, Any], tmp_path: Path) -> None:
    detector_run(base, tmp_path / "resumed", epochs=1, precision="bf16")
    resumed = detector_run(base, tmp_path / "resumed", epochs=2, precision="bf16")
    assert same_weights(resumed, detector_run(base, tmp_path / "at-once", epochs=2, precision="bf16"))
    assert not same_weights(resumed, trained)
    losses = [[row["box_loss"] for row in rows(job)] for job in (resumed, trained)]
    assert losses[0] == pytest.approx(losses[1], rel=0.5)  # processors multiply bf16 in different ways


@pytest.mark.parametrize("runs", [(2,), pytest.param((1, 2), marks=pytest.mark.campaign)], ids=["at once", "resumed"])
def test_auto_on_the_cpu_is_the_reference_batch(
    base: Path, trained: dict[str, Any], tmp_path: Path, runs: tuple[int, ...]
) -> None:
    """To the byte; the choice is told once, and a batch of its own makes no event."""
    for epochs in runs:
        job = detector_run(base, tmp_path, epochs=epochs, batch="auto", reference_batch=4)
    for name in ("weights", "best"):
        assert job[name].read_bytes() == trained[name].read_bytes()
    (event,) = read_json(job["events"])
    assert event["said"].startswith("batch 4 by the CPU (reference batch 4): learning rate 0.001")
    assert read_json(job["work"] / "batch.json")["average_decay"] == 0.9999
    assert read_json(trained["events"]) == [] and not (trained["work"] / "batch.json").exists()


@pytest.mark.parametrize(("device", "deterministic"), [("cpu", True), ("cuda", False)])
def test_kernels_are_deterministic_where_bits_are_promised(tmp_path: Path, device: str, deterministic: bool) -> None:
    job = DetectorJob(
        dataset=tmp_path,
        folder=tmp_path,
        settings=SETTINGS,
        steering=Steering(),
        seed=0,
        device=device,
        threads=1,
        world_size=1,
    )
    assert job.ultralytics_args(1)["deterministic"] is deterministic


def test_other_settings_train_anew(base: Path, trained: dict[str, Any], tmp_path: Path) -> None:
    detector_run(base, tmp_path, epochs=1)
    other = detector_run(base, tmp_path, epochs=1, seed=1)
    assert (tmp_path / "work.previous/last.pt").is_file()
    assert not same_weights(other, trained)
    assert len(rows(other)) == 1


def test_a_share_of_the_starting_weights_stays(base: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The mean of both is exported, without another training; weights of several classes have no share."""
    write_untrained_detector(tmp_path / "start.safetensors", tmp_path / "ultralytics")
    save_ultralytics_checkpoint(tmp_path / "two.pt", build_detector("yolo11n.yaml", 2), image_size=64, train_args={})
    train = functools.partial(detector_run, base, epochs=1)
    trained = train(tmp_path, model=str(tmp_path / "start.safetensors"))
    tensors, start = load_file(trained["weights"]), load_file(tmp_path / "start.safetensors")
    mean = load_file(train(tmp_path, model=str(tmp_path / "start.safetensors"), start_share=0.25)["weights"])
    assert not (tmp_path / "work.previous").exists()
    changed = [name for name in mean if not torch.equal(start[name], tensors[name])]
    assert len(changed) > 100
    for name in changed:
        expected = 0.75 * tensors[name] + 0.25 * start[name] if mean[name].is_floating_point() else tensors[name]
        torch.testing.assert_close(mean[name], expected)
    others = [train(tmp_path / "two", model=str(tmp_path / "two.pt"), start_share=share) for share in (0, 0.25)]
    assert same_weights(*others) and "start_share: not used" in caplog.text


def test_no_epochs_export_the_starting_weights(base: Path, tmp_path: Path) -> None:
    """The weights, a history without rows, and nothing that was trained; weights of several classes are refused."""
    write_untrained_detector(tmp_path / "start.safetensors", tmp_path / "work")
    job = detector_run(base, tmp_path / "run", model=str(tmp_path / "start.safetensors"), epochs=0)
    start, exported = load_file(tmp_path / "start.safetensors"), load_file(job["weights"])
    assert start.keys() == exported.keys() and all(bool((start[name] == exported[name]).all()) for name in start)
    assert read_history(job["history"]) == [] and read_json(job["events"]) == []
    assert read_json(job["resources"])["samples"] == 0
    again = detector_run(base, tmp_path / "again", model=str(job["best"]), epochs=0)
    assert load_file(again["weights"]).keys() == start.keys()
    save_ultralytics_checkpoint(tmp_path / "two.pt", build_detector("yolo11n.yaml", 2), image_size=64, train_args={})
    with pytest.raises(WeightsError, match=r"knows 2 classes, and with detector\.epochs = 0 nothing makes one"):
        detector_run(base, tmp_path / "two", model=str(tmp_path / "two.pt"), epochs=0)
