"""A training of the detector that is killed, runs out of memory or diverges; weights from elsewhere; its data order."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pillsnap.config.training import Change, Condition, Intervention, Steering
from pillsnap.detector.loader import EpochBatchSampler, EpochLoader
from pillsnap.detector.weights import WeightsError, build_detector, load_detector, prepare_ultralytics, start_model
from pillsnap.files import read_json
from pillsnap.training.recovery import BatchError, DivergedError
from tests.support.detectors import detector_job, detector_run, rows, same_weights, unbroken
from tests.support.workflow import PROJECT


@pytest.fixture(scope="module")
def base(base: Path) -> Path:
    prepare_ultralytics(base / "ultralytics")
    return base


def command(job: dict[str, Any]) -> list[str]:
    """The words that train as `job` says, in a process of their own."""
    words = [sys.executable, "scripts/train_detector.py", "--record", f"{job['work']}.record.json"]
    for name, value in job.items():
        words += [f"--{name}", value.model_dump_json() if hasattr(value, "model_dump_json") else str(value)]
    return words


@pytest.mark.campaign
def test_killed_at_any_moment_it_ends_as_the_unbroken_training(base: Path, tmp_path: Path) -> None:
    """`kill -9`, a while after the first sign of life, several times; then the same command once more."""
    job = detector_job(base, tmp_path, epochs=4)
    alone = {**os.environ, "PYTHONPATH": str(PROJECT)}
    logged, killed = "", 0
    for _ in range(3):
        sign, begun = job["work"] / "progress.json", time.time()
        run = subprocess.Popen(command(job), cwd=PROJECT, env=alone, stderr=subprocess.PIPE, text=True)
        while run.poll() is None and not (sign.is_file() and sign.stat().st_mtime > begun):
            time.sleep(0.02)
        time.sleep(random.uniform(0, 2))
        killed += run.poll() is None
        run.send_signal(signal.SIGKILL)
        logged += run.communicate()[1]
    assert killed > 0, "every run ended before it was killed"
    done = subprocess.run(command(job), cwd=PROJECT, env=alone, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert rows(job) == rows(unbroken(base))
    for name in ("best", "weights"):
        assert job[name].read_bytes() == unbroken(base)[name].read_bytes()
    # no epoch that was saved is trained again
    said = re.findall(r"epoch (\d)/4  Loss", logged + done.stderr)
    assert len(said) == len(set(said))
    assert not list(tmp_path.rglob("*.part"))


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[int, Callable]], list[int]]:
    """Have a loss be computed otherwise: by the number of the training batch, counted from 1 over all attempts."""
    from ultralytics.nn.tasks import DetectionModel

    real = DetectionModel.loss

    def prepare(troubles: dict[int, Callable]) -> list[int]:
        sizes: list[int] = []

        def loss(self, batch, preds=None):
            found = real(self, batch, preds)
            if self.training:
                sizes.append(len(batch["img"]))
                found = troubles.get(len(sizes), lambda value: value)(found)
            return found

        monkeypatch.setattr(DetectionModel, "loss", loss)
        return sizes

    return prepare


def out_of_memory(_: Any) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def no_number(found: tuple[torch.Tensor, dict[str, torch.Tensor]]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    return found[0] * float("nan"), {name: value * float("nan") for name, value in found[1].items()}


@pytest.mark.campaign
def test_out_of_memory_sums_the_gradients_of_smaller_batches(base: Path, tmp_path: Path, failing) -> None:
    """Ten photographs in batches of 4: three steps an epoch, before and after. Memory runs out in the second epoch,
    which begins again from the checkpoint of the first one."""
    sizes = failing({5: out_of_memory})
    job = detector_run(base, tmp_path)
    assert sizes == [4, 4, 2, 4, 4, 2, 2, 2, 2, 2]
    assert rows(job)[0] == rows(unbroken(base, 2))[0]
    (event,) = read_json(job["events"])
    assert (event["kind"], event["epoch"], event["changes"]) == ("out_of_memory", 1, {"pictures_at_once": 2})
    state = torch.load(job["work"] / "last.pt", weights_only=True)
    assert state["updates"] == 6, "as many steps as without trouble"
    assert not same_weights(job, unbroken(base, 2))


def test_out_of_memory_with_the_smallest_batch_is_told(base: Path, tmp_path: Path, failing) -> None:
    failing({5: out_of_memory})
    with pytest.raises(BatchError, match=r"detector\.batch = 4: .*detector\.smallest_batch = 3"):
        detector_run(base, tmp_path, smallest_batch=3)
    failing({})
    assert same_weights(detector_run(base, tmp_path, smallest_batch=3), unbroken(base, 2))


def test_a_loss_that_is_no_number_is_told_and_the_state_stays(base: Path, tmp_path: Path, failing) -> None:
    failing({5: no_number})
    with pytest.raises(DivergedError, match=r"epoch 2: .*Lower detector\.learning_rate .*1 epochs are saved"):
        detector_run(base, tmp_path)
    failing({})
    assert same_weights(detector_run(base, tmp_path), unbroken(base, 2))


def test_an_intervention_goes_back_before_a_loss_that_is_no_number(base: Path, tmp_path: Path, failing) -> None:
    failing({5: no_number})
    condition = Condition(metric="cls_loss", not_finite=True)
    change = Change(clip=1.0, learning_rate=1e-4)
    calm = Intervention(name="calm", model="detector", when=condition, change=change)
    job = detector_run(base, tmp_path, steering=Steering(mode="apply", interventions=(calm,)))
    (event,) = read_json(job["events"])
    assert (event["name"], event["epoch"], event["applied"], event["back"]) == ("calm", 1, True, True)
    assert rows(job)[0] == rows(unbroken(base, 2))[0]
    assert rows(job)[1]["learning_rate"] == pytest.approx(1e-4)
    assert all(np.isfinite(value) for row in rows(job) for value in row.values())


def test_weights_of_an_ultralytics_checkpoint_are_taken(base: Path, tmp_path: Path) -> None:
    """80 classes, FP16, whole module: what ultralytics gives away."""
    torch.manual_seed(1)
    source = build_detector("yolo11n.yaml", 80)
    content = {"model": source.half(), "ema": None, "best_fitness": np.float64(0.5), "train_args": {"imgsz": 640}}
    torch.save(content, tmp_path / "coco.pt")
    started = start_model(str(tmp_path / "coco.pt"))
    assert (started.yaml["nc"], started.names) == (1, {0: "pill"})
    ours, theirs = started.state_dict(), source.float().state_dict()
    fitting = [name for name in ours if ours[name].shape == theirs[name].shape]
    assert len(fitting) > 0.95 * len(ours)
    backbone = [name for name in fitting if name.startswith(("model.0.", "model.9.", "model.16."))]
    assert backbone
    assert all(torch.equal(ours[name], theirs[name]) for name in backbone)


@pytest.mark.campaign
def test_our_own_files_start_a_training(base: Path, tmp_path: Path) -> None:
    for name in ("best", "weights"):
        started = start_model(str(unbroken(base, 2)[name])).state_dict()
        delivered = load_detector(unbroken(base, 2)["weights"]).state_dict()
        assert all(torch.allclose(started[key], delivered[key], atol=1e-3) for key in delivered)
    first = detector_run(base, tmp_path, epochs=1, model=str(unbroken(base, 2)["weights"]))
    assert set(read_json(first["work"] / "signature.json")["inputs"]) == {"dataset", "weights"}
    assert not same_weights(first, unbroken(base, 2))


class Evil:
    """Unpickled without care it would write a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self._file}",)


def _evil(path: Path) -> None:
    torch.save({"model": Evil(path.parent / "ran"), "ema": None}, path)


def _evil_description(path: Path) -> None:
    model = build_detector("yolo11n.yaml")
    model.yaml["activation"] = f"__import__('os').system('touch {path.parent / 'ran'}')"
    torch.save({"model": model}, path)


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (_evil, r"would run .*system, which no detector's weights need"),
        (lambda path: path.write_bytes(b"no weights"), "cannot be read"),
        (lambda path: torch.save({"model": torch.zeros(3)}, path), "holds no ultralytics model"),
        (lambda path: None, "no file of weights"),
    ],
    ids=["runs something", "no checkpoint", "no model", "not there"],
)
def test_foreign_weights_are_refused(base: Path, tmp_path: Path, write: Callable, says: str) -> None:
    path = tmp_path / "foreign.pt"
    write(path)
    with pytest.raises(WeightsError, match=f"detector.model = {re.escape(str(path))}: .*{says}"):
        detector_run(base, tmp_path / "run", model=str(path))
    assert not (tmp_path / "ran").exists()


def test_a_description_cannot_run_anything(base: Path, tmp_path: Path) -> None:
    """ultralytics reads an activation with `eval` where it is not told otherwise."""
    _evil_description(tmp_path / "foreign.pt")
    code = f"""
from pathlib import Path
from pillsnap.detector.weights import prepare_ultralytics, start_model
prepare_ultralytics(Path({str(tmp_path / "ultralytics")!r}))
start_model({str(tmp_path / "foreign.pt")!r})
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "ModuleNotFoundError" not in done.stderr
    assert not (tmp_path / "ran").exists()


def test_weights_without_our_description_are_told(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    for name in ("other.safetensors", "missing.safetensors"):
        with pytest.raises(WeightsError, match=rf"{name}: no weights of a detector"):
            load_detector(tmp_path / name)


@pytest.mark.campaign
@pytest.mark.parametrize("workers", [0, 2])
def test_processes_that_read_change_nothing(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    from pillsnap.detector import trainer  # imports ultralytics, which `base` has prepared

    def loader(*args: Any, **kwargs: Any) -> EpochLoader:
        return EpochLoader(*args, **kwargs | {"workers": workers})

    monkeypatch.setattr(trainer, "EpochLoader", loader)
    job = detector_run(base, tmp_path)
    assert rows(job) == rows(unbroken(base, 2))
    assert same_weights(job, unbroken(base, 2))


def _samplers(pictures: int, **sizes: int) -> Iterator[EpochBatchSampler]:
    for rank in range(sizes["world_size"]):
        sampler = EpochBatchSampler(pictures, seed=5, rank=rank, **sizes)
        sampler.set_epoch(3)
        yield sampler


@pytest.mark.parametrize(
    ("pictures", "batch", "world_size", "steps"), [(22, 8, 2, 1), (22, 8, 2, 4), (21, 6, 3, 2), (3, 8, 4, 1)]
)
def test_processes_share_each_batch(pictures: int, batch: int, world_size: int, steps: int) -> None:
    """Together they have the pictures of one process alone, batch by batch, in as many micro-batches each."""
    (alone,) = _samplers(pictures, batch=batch, accumulation_steps=1, world_size=1)
    samplers = list(_samplers(pictures, batch=batch, accumulation_steps=steps, world_size=world_size))
    for whole, *own in zip(alone, *(sampler.batches() for sampler in samplers), strict=True):
        together = [key for keys in own for key in keys]
        assert set(together) >= set(whole) if len(whole) == batch else set(whole) <= set(together)
        assert len(together) - len(whole) < world_size
    assert len({json.dumps(sampler.step_ends()) for sampler in samplers}) == 1
    for sampler in samplers:
        assert [len(sampler.step_ends()), sum(sampler.step_ends())] == [len(list(sampler)), len(sampler.batches())]
        assert max(len(micro_batch) for micro_batch in sampler) <= -(-batch // world_size // steps)


def test_every_epoch_has_an_order_of_its_own() -> None:
    orders = []
    for epoch in (0, 1, 0):
        sampler = EpochBatchSampler(30, batch=30, accumulation_steps=1, seed=5)
        sampler.set_epoch(epoch)
        ((pictures),) = sampler
        assert sorted(picture for _, picture in pictures) == list(range(30))
        orders.append([picture for _, picture in pictures])
    assert orders[0] == orders[2] != orders[1]
