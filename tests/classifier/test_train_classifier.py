"""Training of the classifier: outputs, the same bytes again, when it validates and ends, and how crops are read."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from pillsnap.classifier.model import count_correct, create_classifier
from pillsnap.classifier.train_classifier import train_classifier
from pillsnap.classifier.transforms import augment, normalise, resize
from pillsnap.config.config import Classifier
from pillsnap.config.training import Steering
from pillsnap.crops.dataset import CropDataset
from pillsnap.files import read_json
from pillsnap.hardware import HardwareError
from pillsnap.training.history import read_history
from pillsnap.training.watch import TrainingWatch
from tests.support.models import (
    CLASSIFIER,
    DRUGS,
    classifier_job,
    recipe,
    same_weights,
    tiny_stage,
    trained_classifier,
    without_seconds,
)

COLUMNS = ["epoch", "seconds", "loss", "learning_rate", "size", "train_top1", "val_top1", "val_top5"]


@pytest.fixture(scope="module")
def unbroken(base: Path) -> dict[str, Any]:
    """Arguments of a finished training."""
    return trained_classifier(base)


@pytest.fixture
def job(tmp_path: Path, base: Path) -> dict[str, Any]:
    """Arguments of the same training, in a folder of its own."""
    return classifier_job(tiny_stage(base), tmp_path)


def test_outputs_tell_what_they_are(unbroken: dict[str, Any]) -> None:
    with safe_open(unbroken["best"], framework="pt") as stored:
        assert list(stored.metadata()) == ["pillsnap"]
        facts = json.loads(stored.metadata()["pillsnap"])
    assert (facts["model"], facts["image_size"]) == ("test_resnet", 32)
    assert [drug["k_code"] for drug in facts["classes"]] == [drug.k_code for drug in DRUGS]
    history = read_history(unbroken["history"])
    assert list(history[0]) == COLUMNS
    assert [(row["epoch"], row["size"]) for row in history] == [(1, 32), (2, 32)]
    assert all(0 <= row["val_top1"] <= row["val_top5"] == 1 for row in history), "three drugs are among the best five"
    assert read_json(unbroken["events"]) == []


def test_preprocessing_is_told_as_it_is_done(unbroken: dict[str, Any]) -> None:
    """A crop prepared by what the metadata say is what the model is trained on."""
    with safe_open(unbroken["best"], framework="pt") as stored:
        told = json.loads(stored.metadata()["pillsnap"])["preprocessing"]
    low, high = told["value_range"]
    crop = torch.randint(0, 256, (1, 3, 48, 48), dtype=torch.uint8)
    mean, std = (torch.tensor(told[name]).view(3, 1, 1) for name in ("mean", "std"))
    scaled = (crop / 255 * (high - low) + low - mean) / std
    words = {"mode": told["interpolation"], "antialias": told["antialias"]}
    ours = torch.nn.functional.interpolate(scaled, (32, 32), **words)
    theirs = resize(normalise(crop, create_classifier(CLASSIFIER, len(DRUGS))), CLASSIFIER.image_size)
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_best_weights_are_the_best_epochs(unbroken: dict[str, Any]) -> None:
    """The delivered weights score on validation what the history says of its best epoch."""
    best = max(row["val_top1"] for row in read_history(unbroken["history"]))
    assert _val_top1(unbroken) == pytest.approx(best, abs=1e-5)


def _val_top1(job: dict[str, Any]) -> float:
    """Top-1 of the delivered weights on the validation crops."""
    settings = job["settings"]
    model = create_classifier(settings, len(DRUGS))
    model.load_state_dict(load_file(job["best"]))
    model.eval()
    val = CropDataset(job["crops"], "val")
    crops = torch.stack([val[(pill, 0.0)][0] for pill in range(len(val))])
    with torch.inference_mode():
        logits = model(resize(normalise(crops, model), settings.image_size))
    return int(count_correct(logits, val.targets, 1)) / len(val)


def test_same_seed_same_bytes(unbroken: dict[str, Any], job: dict[str, Any]) -> None:
    train_classifier(**job)
    assert job["best"].read_bytes() == unbroken["best"].read_bytes()
    assert without_seconds(job["history"]) == without_seconds(unbroken["history"])


def test_every_part_of_the_recipe_at_once_gives_the_same_bytes_again(job: dict[str, Any], tmp_path: Path) -> None:
    changes = {
        "mixup": 0.4,
        "cutmix": 1.0,
        "balance": 0.5,
        "layer_decay": 0.7,
        "start_size": 32,
        "image_size": 48,
        "resize_by": 8,
    }
    settings = recipe(
        epochs=4,
        horizon=4,
        resize_every=1,
        precision="bf16",
        model_args={"drop_path_rate": 0.2},
        **changes,
    )
    again = classifier_job(tiny_stage(tmp_path.parent), tmp_path / "again")
    again |= {"crops": job["crops"], "classes": job["classes"]}
    for one in (job, again):
        train_classifier(**one | {"settings": settings})
    assert same_weights(job["best"], again["best"])
    assert [row["size"] for row in read_history(job["history"])] == [32, 40, 48, 48]


def test_seed_decides(unbroken: dict[str, Any], job: dict[str, Any]) -> None:
    train_classifier(**job | {"seed": 577})
    assert not same_weights(job["best"], unbroken["best"])


def test_finished_training_is_taken_over(unbroken: dict[str, Any], job: dict[str, Any]) -> None:
    """Outputs that were lost come back out of the state, at once and with the same seconds in the history."""
    checkpoint = unbroken["work"] / "last.pt"
    before = checkpoint.stat().st_mtime_ns
    again = job | {"work": unbroken["work"]}
    train_classifier(**again)
    assert checkpoint.stat().st_mtime_ns == before
    for name in ("best", "history", "events", "resources"):
        assert again[name].read_bytes() == unbroken[name].read_bytes()


def test_changed_settings_set_the_state_aside(job: dict[str, Any]) -> None:
    train_classifier(**job | {"settings": recipe(epochs=1)})
    train_classifier(**job | {"settings": recipe(epochs=1, learning_rate=1e-4)})
    previous = job["work"].with_name("work.previous")
    rates = [read_json(folder / "signature.json")["settings"]["learning_rate"] for folder in (previous, job["work"])]
    assert rates == [2e-3, 1e-4]
    assert [row["epoch"] for row in read_history(job["history"])] == [1]


@pytest.mark.parametrize(("patience", "every"), [(1, 1), (3, 2), (1, 4)])
def test_patience_ends_the_training(job: dict[str, Any], patience: int, every: int) -> None:
    """At next to no learning rate the weights soon get no better; only a validation can tell."""
    changes = {"epochs": 30, "patience": patience, "learning_rate": 1e-12, "validate_every": every}
    train_classifier(**job | {"settings": recipe(**changes)})
    scores = [row["val_top1"] for row in read_history(job["history"])]
    validated = {epoch: score for epoch, score in enumerate(scores, start=1) if score is not None}
    best = max(validated, key=lambda epoch: validated[epoch])
    assert len(scores) < 30
    assert len(scores) == min(epoch for epoch in validated if epoch - best >= patience)


def test_validates_when_asked_and_at_the_end(job: dict[str, Any]) -> None:
    """The last epoch's own validation is delivered, and no part of the state."""
    settings = recipe(epochs=5, validate_every=2, patience=9)
    train_classifier(**job | {"settings": settings})
    rows = read_history(job["history"])
    assert [row["epoch"] for row in rows if row["val_top1"] is not None] == [2, 4, 5]
    stored = torch.load(job["work"] / "last.pt", weights_only=True)
    assert [row["epoch"] for row in stored["history"] if row["val_top1"] is not None] == [2, 4]
    best = max(row["val_top1"] for row in rows if row["val_top1"] is not None)
    assert _val_top1(job | {"settings": settings}) == pytest.approx(best, abs=1e-5)


def test_training_without_a_scheduled_validation_delivers_its_last_weights(job: dict[str, Any]) -> None:
    train_classifier(**job | {"settings": recipe(epochs=1, validate_every=5)})
    (row,) = read_history(job["history"])
    averaged = torch.load(job["work"] / "last.pt", weights_only=True)["ema"]
    assert row["val_top1"] is not None
    assert all(torch.equal(averaged[name], value) for name, value in load_file(job["best"]).items())


def test_missing_gpu_is_said(job: dict[str, Any]) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(HardwareError, match="device = cuda"):
        train_classifier(**job | {"device": "cuda"})


def test_learning_rate_rises_then_falls_by_half_a_cosine(job: dict[str, Any]) -> None:
    """The history's rate is that of the epoch's end: the peak after the warm-up, a hundredth at the horizon, and on."""
    peak = 1e-3
    train_classifier(**job | {"settings": recipe(epochs=5, horizon=4, warmup_epochs=1, learning_rate=peak, patience=9)})
    rates = [row["learning_rate"] for row in read_history(job["history"])]
    expected = [peak * (0.01 + 0.99 * (1 + math.cos(math.pi * part / 3)) / 2) for part in (0, 1, 2, 3, 3)]
    assert rates == pytest.approx(expected, rel=1e-5)


def test_watch_sees_every_step_and_one_picture(job: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    steps, pictures = [], []
    monkeypatch.setattr(TrainingWatch, "step", lambda self, **words: steps.append(words))
    monkeypatch.setattr(TrainingWatch, "picture", lambda self, *words, epoch: pictures.append((*words, epoch)))
    train_classifier(**job)
    assert [(said["epoch"], said["step"]) for said in steps] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert [said["loss"] for said in steps[1::2]] == pytest.approx(
        [row["loss"] for row in read_history(job["history"])], rel=1e-5
    )
    ((name, picture, epoch),) = pictures
    assert (name, picture.dtype, picture.shape[2], epoch) == ("augmented", np.uint8, 3, 1)
    assert 100 < np.median(picture) < 220, "the photographs' grey background"


def test_phases_change_the_recipe(job: dict[str, Any]) -> None:
    phases = [
        {"name": "first", "from_epoch": 1},
        {"name": "second", "from_epoch": 2, "classifier": {"learning_rate": 1e-4, "precision": "bf16"}},
    ]
    steering = Steering.model_validate({"phases": phases, "milestones": [{"epoch": 2, "top1": 0.0}]})
    train_classifier(**job | {"steering": steering, "settings": recipe(epochs=3, horizon=3, patience=9)})
    rates = [row["learning_rate"] for row in read_history(job["history"])]
    assert rates[1:] == pytest.approx([1e-4 * (0.01 + 0.99 / 2 * (1 + math.cos(math.pi / 2))), 1e-6], rel=1e-5)
    told = [(event["epoch"], event["kind"], event["name"]) for event in read_json(job["events"])]
    assert told == [(0, "phase", "first"), (1, "phase", "second"), (2, "milestone", "epoch 2")]
    assert torch.load(job["work"] / "last.pt", weights_only=True)["precision"] == "bf16"


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


def test_views_are_the_same_however_a_batch_is_shared() -> None:
    crops = torch.rand(5, 3, 20, 20)
    whole = augment(crops, 16, torch.Generator().manual_seed(1))
    for taken in (slice(0, None, 2), slice(1, None, 2)):
        part = augment(crops[taken], 16, torch.Generator().manual_seed(1), global_batch_size=5, shard=taken)
        assert torch.equal(part, whole[taken])


def test_crops_of_a_pill_are_chosen_by_the_item(base: Path) -> None:
    data = CropDataset(tiny_stage(base).crops, "train")
    assert (len(data), data.targets.tolist()) == (12, [number % 3 for number in range(12)])
    labelled, detected = data[(1, 0.0)][0], data[(1, 0.999)][0]
    assert labelled.shape == (3, 48, 48)
    assert not torch.equal(labelled, detected), "the second pill has two crops"
    assert torch.equal(data[(0, 0.0)][0], data[(0, 0.999)][0]), "the first one has one"
    assert torch.equal(data.picture(1, box_from="label"), labelled)
    assert torch.equal(data.picture(1, box_from="detector"), detected)
    assert torch.equal(data.picture(0, box_from="detector"), data[(0, 0.0)][0])


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
