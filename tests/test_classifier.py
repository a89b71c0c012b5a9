"""Training of the classifier: outputs, the same bytes again, going on after a kill, and the parts it is made of."""

import json
import math
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from models import CLASSIFIER, DRUGS, classifier_job, tiny_stage, trained_classifier
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from pillsnap.config import Classifier
from pillsnap.crop_data import CropDataset, augment, epoch_batches, normalise, resize
from pillsnap.files import read_json, sha256_of
from pillsnap.hardware import HardwareError
from pillsnap.history import read_history
from pillsnap.train_classifier import WeightsError, create_classifier, top_k, train_classifier

COLUMNS = ["epoch", "seconds", "loss", "learning_rate", "train_top1", "val_top1", "val_top5"]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Arguments of a finished training."""
    return trained_classifier(tmp_path_factory.getbasetemp())


@pytest.fixture
def job(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Arguments of the same training, in a folder of its own."""
    return classifier_job(tiny_stage(tmp_path_factory.getbasetemp()), tmp_path)


def without_seconds(history: Path) -> list[dict[str, float | None]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in read_history(history)]


def same_weights(first: Path, second: Path) -> bool:
    """Whether two weights files hold the same tensors, bit by bit."""
    ours, theirs = load_file(first), load_file(second)
    return list(ours) == list(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_outputs_tell_what_they_are(unbroken: dict[str, Any]) -> None:
    with safe_open(unbroken["best"], framework="pt") as stored:
        facts = json.loads(stored.metadata()["pillsnap"])
    assert (facts["model"], facts["image_size"]) == ("test_resnet", 32)
    assert [drug["k_code"] for drug in facts["classes"]] == [drug.k_code for drug in DRUGS]
    history = read_history(unbroken["history"])
    assert list(history[0]) == COLUMNS
    assert [row["epoch"] for row in history] == [1, 2]
    assert all(0 <= row["val_top1"] <= row["val_top5"] == 1 for row in history), "three drugs are among the best five"
    record = read_json(unbroken["record"])
    assert record["settings"] == CLASSIFIER.model_dump()
    assert record["inputs"] == {"crops": sha256_of(unbroken["crops"]), "classes": sha256_of(unbroken["classes"])}
    assert record["seed"] == 576


def test_best_weights_are_the_best_epochs(unbroken: dict[str, Any]) -> None:
    """The delivered weights score on validation what the history says of its best epoch."""
    model = create_classifier(CLASSIFIER, len(DRUGS))
    model.load_state_dict(load_file(unbroken["best"]))
    model.eval()
    val = CropDataset(unbroken["crops"], "val")
    crops = torch.stack([val[(pill, 0.0)][0] for pill in range(len(val))])
    with torch.inference_mode():
        logits = model(resize(normalise(crops, model), CLASSIFIER.image_size))
    best = max(row["val_top1"] for row in read_history(unbroken["history"]))
    assert top_k(logits, val.targets, 1) == pytest.approx(best, abs=1e-5)


def test_same_seed_same_bytes(unbroken: dict[str, Any], job: dict[str, Any]) -> None:
    train_classifier(**job)
    assert job["best"].read_bytes() == unbroken["best"].read_bytes()
    assert without_seconds(job["history"]) == without_seconds(unbroken["history"])


def test_killed_training_ends_with_the_unbroken_ones_weights(unbroken: dict[str, Any], job: dict[str, Any]) -> None:
    """Killed with SIGKILL at the end of its second epoch, before that is stored."""
    paths = {name: str(value) for name, value in job.items() if isinstance(value, Path)}
    words = {name: value for name, value in job.items() if name not in paths and name != "settings"}
    script = f"""
        import logging, os, signal
        from pathlib import Path
        from pillsnap.config import Classifier
        from pillsnap.train_classifier import train_classifier

        class KillAtSecondEpoch(logging.Handler):
            def emit(self, record):
                if record.getMessage().startswith("epoch 2/"):
                    os.kill(os.getpid(), signal.SIGKILL)

        logging.basicConfig(level=logging.INFO, handlers=[KillAtSecondEpoch()])
        paths = {{name: Path(path) for name, path in {paths}.items()}}
        train_classifier(settings=Classifier(**{CLASSIFIER.model_dump()}), **paths, **{words})
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert torch.load(job["work"] / "last.pt", weights_only=True)["epoch"] == 1
    assert not job["best"].exists()
    train_classifier(**job)
    assert same_weights(job["best"], unbroken["best"])
    assert without_seconds(job["history"]) == without_seconds(unbroken["history"])


def test_finished_training_is_taken_over(unbroken: dict[str, Any], job: dict[str, Any]) -> None:
    """Outputs that were lost come back out of the state, at once and with the same seconds in the history."""
    checkpoint = unbroken["work"] / "last.pt"
    before = checkpoint.stat().st_mtime_ns
    again = job | {"work": unbroken["work"]}
    train_classifier(**again)
    assert checkpoint.stat().st_mtime_ns == before
    assert again["history"].read_bytes() == unbroken["history"].read_bytes()
    assert same_weights(again["best"], unbroken["best"])


def test_changed_settings_set_the_state_aside(job: dict[str, Any]) -> None:
    one = CLASSIFIER.model_copy(update={"epochs": 1})
    train_classifier(**job | {"settings": one})
    train_classifier(**job | {"settings": one.model_copy(update={"learning_rate": 1e-4})})
    previous = job["work"].with_name("work.previous")
    rates = [read_json(folder / "signature.json")["settings"]["learning_rate"] for folder in (previous, job["work"])]
    assert rates == [2e-3, 1e-4]
    assert [row["epoch"] for row in read_history(job["history"])] == [1]


def test_patience_ends_the_training(job: dict[str, Any]) -> None:
    """At next to no learning rate the weights soon get no better."""
    settings = CLASSIFIER.model_copy(update={"epochs": 30, "patience": 1, "learning_rate": 1e-12})
    train_classifier(**job | {"settings": settings})
    scores = [row["val_top1"] for row in read_history(job["history"])]
    assert len(scores) < 30
    assert len(scores) - (scores.index(max(scores)) + 1) == 1


def test_missing_gpu_is_said(job: dict[str, Any]) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(HardwareError, match="device = cuda"):
        train_classifier(**job | {"device": "cuda"})


@pytest.mark.parametrize(
    ("names", "fits"),
    [
        (lambda name: True, True),
        (lambda name: not name.startswith("head."), True),
        (lambda name: "head" in name, False),
    ],
    ids=["all", "another head", "head alone"],
)
def test_starting_weights(unbroken: dict[str, Any], tmp_path: Path, names: Any, fits: bool) -> None:
    state = {name: value for name, value in load_file(unbroken["best"]).items() if names(name)}
    save_file(state, tmp_path / "start.safetensors")
    settings = CLASSIFIER.model_copy(update={"weights": str(tmp_path / "start.safetensors")})
    if not fits:
        with pytest.raises(WeightsError, match=r"classifier\.weights = .*Name weights of the same timm model"):
            create_classifier(settings, len(DRUGS))
        return
    own = create_classifier(settings, len(DRUGS)).state_dict()
    assert all(torch.equal(own[name], value) for name, value in state.items())


def test_weights_of_another_number_of_drugs_keep_their_trunk(unbroken: dict[str, Any]) -> None:
    settings = CLASSIFIER.model_copy(update={"weights": str(unbroken["best"])})
    own, given = create_classifier(settings, 7).state_dict(), load_file(unbroken["best"])
    same = {name for name, value in given.items() if value.shape == own[name].shape and torch.equal(own[name], value)}
    assert {name.split(".")[0] for name in given if name not in same} == {"fc"}


@pytest.mark.parametrize(
    ("k", "share"),
    [(1, 1 / 3), (2, 2 / 3), (3, 1.0), (5, 1.0)],
)
def test_top_k(k: int, share: float) -> None:
    logits = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    assert top_k(logits, torch.tensor([0, 1, 2]), k) == pytest.approx(share)


def test_learning_rate_rises_then_falls_by_half_a_cosine(job: dict[str, Any]) -> None:
    """The history's rate is that of the epoch's end: the peak after the warm-up, a hundredth at the end."""
    peak = 1e-3
    update = {"epochs": 4, "warmup_epochs": 1, "learning_rate": peak, "patience": 9}
    train_classifier(**job | {"settings": CLASSIFIER.model_copy(update=update)})
    rates = [row["learning_rate"] for row in read_history(job["history"])]
    expected = [peak * (0.01 + 0.99 * (1 + math.cos(math.pi * part / 3)) / 2) for part in range(4)]
    assert rates == pytest.approx(expected, rel=1e-5)


def test_augmented_crops_are_never_mirrored() -> None:
    """An L that was turned, moved and zoomed is nearer to some turned L than to any mirrored one."""
    letter = torch.zeros(1, 1, 48, 48)
    letter[..., 12:36, 16:21] = 1
    letter[..., 31:36, 16:32] = 1
    generator = torch.Generator().manual_seed(0)
    views = augment(letter.expand(24, 3, 48, 48), 48, generator)[:, :1]
    masks = (views > views.amin((1, 2, 3), keepdim=True) + 0.3).float()
    distances = [_nearest_turn(masks, template) for template in (letter, letter.flip(-1))]
    assert (distances[0] < distances[1]).all()


def _nearest_turn(masks: torch.Tensor, template: torch.Tensor) -> torch.Tensor:
    """Distance of each mask to the nearest turned template, both moved to their centre of mass."""
    turns = []
    for degrees in range(0, 360, 6):
        angle = math.radians(degrees)
        matrix = torch.tensor([[[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0]]])
        grid = torch.nn.functional.affine_grid(matrix, [1, 1, 48, 48], align_corners=False)
        turns.append(torch.nn.functional.grid_sample(template, grid, align_corners=False))
    centred = torch.cat([_centred(turn) for turn in turns])
    return torch.stack([((_centred(mask[None]) - centred) ** 2).sum((1, 2, 3)).min() for mask in masks])


def _centred(mask: torch.Tensor) -> torch.Tensor:
    rows, columns = (mask.sum(axis).flatten() for axis in ((0, 1, 3), (0, 1, 2)))
    places = torch.arange(48.0)
    shift = [round(23.5 - float((weight * places).sum() / weight.sum())) for weight in (rows, columns)]
    return torch.roll(mask, shift, (2, 3))


def test_augment_follows_its_generator_alone() -> None:
    crops = torch.rand(4, 3, 20, 20)
    first, again, other = (augment(crops, 16, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert first.shape == (4, 3, 16, 16)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(("count", "batch", "sizes"), [(10, 4, [4, 4, 2]), (9, 4, [4, 4]), (8, 4, [4, 4]), (3, 8, [3])])
def test_epoch_batches_take_each_pill_once(count: int, batch: int, sizes: list[int]) -> None:
    """A last batch of one pill is left out: batch norm cannot learn from it."""
    batches = epoch_batches(count, batch, seed=1, epoch=0)
    assert [len(items) for items in batches] == sizes
    pills = [pill for items in batches for pill, _ in items]
    assert len(set(pills)) == len(pills) == sum(sizes)
    assert all(0 <= choice < 1 for items in batches for _, choice in items)


def test_order_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[list[tuple[int, float]]]:
        return epoch_batches(20, 4, seed=seed, epoch=epoch)

    assert order(1, 3) == order(1, 3)
    assert len({str(order(seed, epoch)) for seed in (1, 2) for epoch in (0, 1, 2)}) == 6


def test_crops_of_a_pill_are_chosen_by_the_item(tmp_path_factory: pytest.TempPathFactory) -> None:
    data = CropDataset(tiny_stage(tmp_path_factory.getbasetemp()).crops, "train")
    assert (len(data), data.targets.tolist()) == (12, [number % 3 for number in range(12)])
    labelled, seen = data[(1, 0.0)][0], data[(1, 0.999)][0]
    assert labelled.shape == (3, 48, 48)
    assert not torch.equal(labelled, seen), "the second pill has two crops"
    assert torch.equal(data[(0, 0.0)][0], data[(0, 0.999)][0]), "the first one has one"


@pytest.mark.parametrize(
    ("model", "mean", "std"),
    [
        ("resnet10t", [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ("vit_tiny_patch16_224", [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]),
    ],
)
def test_normalise_by_the_models_own_figures(model, mean, std) -> None:
    grey = torch.full((1, 3, 2, 2), 128, dtype=torch.uint8)
    expected = (128 / 255 - np.array(mean)) / np.array(std)
    found = normalise(grey, timm.create_model(model))
    assert found[0, :, 0, 0].tolist() == pytest.approx(expected.tolist(), abs=1e-5)


def test_resize_keeps_the_mean() -> None:
    crops = torch.rand(2, 3, 48, 48)
    assert resize(crops, 48) is crops
    assert resize(crops, 16).mean() == pytest.approx(float(crops.mean()), abs=0.02)


def test_settings_of_the_tests_are_allowed() -> None:
    assert Classifier.model_validate(CLASSIFIER.model_dump()) == CLASSIFIER
