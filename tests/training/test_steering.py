"""Steering on scripted histories: each phase, intervention and milestone of the production recipe, when it should."""

import math
from collections.abc import Iterable
from typing import Any

import pytest

from pillsnap.config.config import Config
from pillsnap.config.load import read_config
from pillsnap.config.training import Change, Classifier, Condition, Detector, Intervention, Milestone, Phase
from pillsnap.config.training import Steering as Settings
from pillsnap.training.steering import Event, Steering, events_to_json, is_met, steering_signature
from tests.support.workflow import PROJECT

PRODUCTION: Config = read_config(PROJECT / "config.yaml", PROJECT / "profiles" / "production" / "pillsnap.yaml")


def row(epoch: int, **values: float | None) -> dict[str, float | None]:
    return {"epoch": float(epoch), **values}


def steered(model: str, history: Iterable[dict[str, float | None]], *, mode: str = "apply") -> list[Event]:
    """What production's steering says of a history, epoch by epoch."""
    settings = PRODUCTION.steering.model_copy(update={"mode": mode})
    steering = Steering(settings, model=model, recipe=getattr(PRODUCTION, model))
    rows: list[dict[str, float | None]] = []
    for each in history:
        steering.begin(len(rows))
        rows.append(each)
        steering.end(rows)
    return steering.events


def of_kind(events: Iterable[Event], kind: str) -> list[tuple[str, int]]:
    return [(event.name, event.epoch) for event in events if event.kind == kind]


def classifier_row(epoch: int, top1: float, gap: float = 0.05, loss: float = 1.0) -> dict[str, float | None]:
    """A row of a training that validates every 5 epochs."""
    seen = top1 if epoch % 5 == 0 else None
    return row(epoch, loss=loss, train_top1=top1 + gap, val_top1=seen, val_top5=seen)


def detector_row(epoch: int, map50: float, loss: float = 1.0) -> dict[str, float | None]:
    return row(epoch, box_loss=loss, map50=map50 if epoch % 5 == 0 else None)


@pytest.mark.parametrize(
    ("model", "history", "fired"),
    [
        # classifier top-1 below 60 %: at the first validation of phase 2, not before
        ("classifier", [classifier_row(e, 0.55) for e in range(1, 51)], [("top-1 is low", 25)]),
        ("classifier", [classifier_row(e, 0.55 if e < 30 else 0.7) for e in range(1, 51)], [("top-1 is low", 25)]),
        ("classifier", [classifier_row(e, 0.7 if e < 38 else 0.59) for e in range(1, 51)], [("top-1 is low", 40)]),
        ("classifier", [classifier_row(e, 0.60) for e in range(1, 51)], []),
        ("classifier", [classifier_row(e, 0.3 if e <= 20 or e > 40 else 0.7) for e in range(1, 51)], []),
        # training minus validation above 20 points
        ("classifier", [classifier_row(e, 0.7, gap=0.21) for e in range(1, 51)], [("overfitting", 25)]),
        (
            "classifier",
            [classifier_row(e, 0.7, gap=0.1 if e < 33 else 0.3) for e in range(1, 51)],
            [("overfitting", 35)],
        ),
        ("classifier", [classifier_row(e, 0.7, gap=0.199) for e in range(1, 51)], []),
        (
            "classifier",
            [classifier_row(e, 0.5, gap=0.3) for e in range(1, 26)],
            [("top-1 is low", 25), ("overfitting", 25)],
        ),
        # the detector stagnates: ten epochs no better than before
        ("detector", [detector_row(e, min(e, 20) / 100) for e in range(1, 51)], [("detector stagnates", 30)]),
        ("detector", [detector_row(e, e / 100) for e in range(1, 51)], []),
        ("detector", [detector_row(e, 0.5) for e in range(1, 21)], []),
        # a loss that is no number, in any phase; the epoch's work is lost, so it holds from its start
        (
            "classifier",
            [classifier_row(e, 0.7, loss=math.nan if e == 3 else 1) for e in range(1, 5)],
            [("classifier is unstable", 2)],
        ),
        (
            "detector",
            [detector_row(e, 0.7, loss=math.inf if e == 7 else 1) for e in range(1, 9)],
            [("detector is unstable", 6)],
        ),
    ],
)
def test_interventions_fire_exactly_when_they_should(model: str, history: list[Any], fired: list[Any]) -> None:
    assert of_kind(steered(model, history), "intervention") == fired


@pytest.mark.parametrize(
    ("model", "history", "changes"),
    [
        ("classifier", [classifier_row(e, 0.5) for e in range(1, 26)], {"learning_rate": 1e-4}),
        ("classifier", [classifier_row(e, 0.7, gap=0.25) for e in range(1, 26)], {"weight_decay": 1e-3}),
        ("detector", [detector_row(e, 0.5) for e in range(1, 31)], {"learning_rate": 5e-4}),
        ("detector", [detector_row(1, 0.5, loss=math.nan)], {"clip": 1.0, "precision": "fp32"}),
    ],
)
def test_interventions_change_what_the_recipe_says(model: str, history: list[Any], changes: dict[str, Any]) -> None:
    (event,) = (event for event in steered(model, history) if event.kind == "intervention")
    assert (event.changes, event.applied) == (changes, True)
    (advice,) = (event for event in steered(model, history, mode="advise") if event.kind == "intervention")
    assert (advice.changes, advice.applied, advice.back) == (changes, False, False)
    assert "advised" in advice.said and "now" in event.said


def test_advice_changes_nothing() -> None:
    history = [classifier_row(epoch, 0.5, gap=0.3) for epoch in range(1, 26)]
    for mode, rate, decay in (("advise", PRODUCTION.classifier.weight_decay, 1.0), ("apply", 1e-3, 2.0)):
        events = steered("classifier", history, mode=mode)
        settings = PRODUCTION.steering
        steering = Steering(settings, model="classifier", recipe=PRODUCTION.classifier, events=events)
        assert steering.value("weight_decay") == rate
        before = Steering(settings, model="classifier", recipe=PRODUCTION.classifier)
        assert steering.learning_rate(25) / before.learning_rate(25) == pytest.approx(
            decay if mode == "advise" else 1e-4 / before.learning_rate(25)
        )


@pytest.mark.parametrize(("model", "rate"), [("classifier", 2e-5), ("detector", 1e-4)])
def test_phases_begin_at_their_epochs(model: str, rate: float) -> None:
    make = classifier_row if model == "classifier" else detector_row
    # rising, so that no intervention fires
    events = steered(model, [make(epoch, 0.6 + epoch / 200) for epoch in range(1, 51)])
    assert of_kind(events, "phase") == [("baseline", 0), ("fine-tuning", 20), ("final push", 40)]
    steering = Steering(PRODUCTION.steering, model=model, recipe=getattr(PRODUCTION, model), events=events)
    assert [steering.phase(epoch) for epoch in (1, 20, 21, 40, 41, 100)] == [
        "baseline",
        "baseline",
        "fine-tuning",
        "fine-tuning",
        "final push",
        "final push",
    ]
    assert steering.learning_rate(40) == pytest.approx(rate)
    assert steering.learning_rate(39.999) > rate > steering.learning_rate(41)
    assert steering.learning_rate(100) == pytest.approx(rate * 0.01) == steering.learning_rate(200)


@pytest.mark.parametrize(
    ("model", "targets"),
    [
        ("classifier", {5: 0.40, 10: 0.60, 15: 0.75, 20: 0.85, 30: 0.90, 40: 0.92}),
        ("detector", {5: 0.40, 10: 0.50, 15: 0.60, 20: 0.70, 30: 0.80, 40: 0.85}),
    ],
)
def test_milestones_are_checked_at_their_epochs(model: str, targets: dict[int, float]) -> None:
    make = classifier_row if model == "classifier" else detector_row
    events = steered(model, [make(epoch, 0.625 + epoch / 1000) for epoch in range(1, 51)])
    stones = [event for event in events if event.kind == "milestone"]
    assert [event.epoch for event in stones] == list(targets)
    for event in stones:
        gap = 100 * (0.625 + event.epoch / 1000 - targets[event.epoch])
        assert f"{abs(gap):.1f} points {'ahead' if gap >= 0 else 'behind'}" in event.said


def test_milestone_between_validations_takes_the_last_one() -> None:
    settings = Settings(milestones=(Milestone(epoch=3, top1=0.5),))
    steering = Steering(settings, model="classifier", recipe=Classifier())
    rows = [row(1, val_top1=None), row(2, val_top1=0.4), row(3, val_top1=None)]
    said = [event.said for count in (1, 2, 3) for event in steering.end(rows[:count])]
    assert said == ["epoch 3: val_top1 0.4000, target 0.50: 10.0 points behind"]


def test_milestone_without_any_validation_says_nothing() -> None:
    settings = Settings(milestones=(Milestone(epoch=1, top1=0.5),))
    assert Steering(settings, model="classifier", recipe=Classifier()).end([row(1, val_top1=None)]) == []


def test_resumed_steering_repeats_nothing() -> None:
    """An epoch that is done again after a kill is steered as before, and its events stand there once."""
    history = [classifier_row(epoch, 0.5, gap=0.3) for epoch in range(1, 26)]
    events = steered("classifier", history)
    again = Steering(PRODUCTION.steering, model="classifier", recipe=PRODUCTION.classifier, events=[*events, *events])
    again.begin(20)
    again.end(history)
    assert again.events == events
    assert [Event(**value) for value in events_to_json(events)] == events


LEARNING = {"epochs": 10, "horizon": 10, "learning_rate": 1.0e-3, "final_rate": 0.1}


@pytest.mark.parametrize(
    ("warmup", "done", "step", "rate"),
    [
        (2, 0, 0.25, 1e-3 * 0.25 / 2.25),
        (2, 1, 0.25, 1e-3 * 1.25 / 2.25),
        (2, 2, 0.25, 1e-3),
        (2, 6, 0.25, 1e-3 * 0.55),
        (2, 10, 0.25, 1e-4),
        (2, 30, 0.25, 1e-4),
        (0, 0, 0.25, 1e-3),
        (0, 5, 0.25, 1e-3 * 0.55),
    ],
)
def test_learning_rate_rises_then_falls_by_half_a_cosine(warmup: float, done: float, step: float, rate: float) -> None:
    recipe = Classifier(**LEARNING, warmup_epochs=warmup)
    assert Steering(Settings(), model="classifier", recipe=recipe).learning_rate(done, step=step) == pytest.approx(rate)


def test_more_epochs_leave_the_learning_rates_of_the_past() -> None:
    few, many = (
        Steering(Settings(), model="detector", recipe=Detector(**LEARNING | {"epochs": epochs})) for epochs in (5, 500)
    )
    assert [few.learning_rate(done) for done in range(40)] == [many.learning_rate(done) for done in range(40)]


def test_a_rate_set_behind_the_horizon_is_held() -> None:
    settings = Settings(phases=(Phase(name="more", from_epoch=13, classifier=Change(learning_rate=5e-4)),))
    steering = Steering(settings, model="classifier", recipe=Classifier(**LEARNING))
    steering.begin(12)
    assert [steering.learning_rate(done) for done in (11.9, 12, 50)] == [pytest.approx(1e-4), 5e-4, 5e-4]


def test_only_what_steers_a_model_belongs_to_it() -> None:
    """A milestone, or the detector's intervention, is no reason to train the classifier again."""
    settings = PRODUCTION.steering
    others = [each for each in settings.interventions if each.model == "classifier"]
    fewer = settings.model_copy(update={"milestones": (), "interventions": tuple(others)})
    assert steering_signature(fewer, "classifier") == steering_signature(settings, "classifier")
    assert steering_signature(fewer, "detector") != steering_signature(settings, "detector")


@pytest.mark.parametrize(
    ("condition", "history", "so"),
    [
        ({"metric": "a", "below": 0.5}, [row(1, a=0.5)], False),
        ({"metric": "a", "below": 0.5}, [row(1, a=0.49)], True),
        ({"metric": "a", "above": 0.5}, [row(1, a=0.5)], False),
        ({"metric": "a", "minus": "b", "above": 0.2}, [row(1, a=0.9, b=0.6)], True),
        ({"metric": "a", "minus": "b", "above": 0.2}, [row(1, a=0.9, b=None)], False),
        ({"metric": "a", "below": 0.5}, [row(1, a=0.1), row(2, a=None)], False),
        ({"metric": "a", "below": 0.5}, [row(1)], False),
        ({"metric": "a", "not_finite": True}, [row(1, a=math.inf)], True),
        ({"metric": "a", "not_finite": True}, [row(1, a=1.0)], False),
        ({"metric": "a", "stagnates_epochs": 2}, [row(1, a=0.5), row(2, a=0.4), row(3, a=0.5)], True),
        ({"metric": "a", "stagnates_epochs": 2}, [row(1, a=0.5), row(2, a=0.4), row(3, a=0.51)], False),
        ({"metric": "a", "stagnates_epochs": 3}, [row(1, a=0.5), row(2, a=0.4), row(3, a=0.3)], False),
    ],
)
def test_conditions(condition: dict[str, Any], history: list[Any], so: bool) -> None:
    assert is_met(Condition(**condition), history) is so


@pytest.mark.parametrize("given", [{}, {"below": 1, "above": 2}, {"below": 1, "not_finite": True}])
def test_condition_needs_exactly_one_question(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="exactly one of"):
        Condition(metric="val_top1", **given)


def test_intervention_of_an_unknown_metric_is_refused() -> None:
    with pytest.raises(ValueError, match="'top1' is no metric of the classifier's history"):
        Intervention(name="x", model="classifier", when=Condition(metric="top1", below=1), change=Change(clip=1))
