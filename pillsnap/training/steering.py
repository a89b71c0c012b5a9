"""Phases, interventions and milestones of a training: which hyper-parameters hold at an epoch, and its events.

A function of the configuration and of the history alone, so that a resumed training is steered as an uninterrupted one.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pillsnap.config.training import Change, Condition, Intervention, Phase, Recipe
from pillsnap.config.training import Steering as Settings
from pillsnap.training.milestones import MILESTONE_METRIC, Model, Row, milestone_results


@dataclass(frozen=True)
class Event:
    """Event of steering or recovery; its attributes are the keys of `events.json`.

    Attributes:
        epoch: finished epochs at that time; its changes hold from the next one on.
        kind: `phase`, `intervention`, `milestone`, `out_of_memory`, `data` or `batch`.
        name: which one.
        said: message, one sentence.
        applied: whether `changes` hold.
        changes: new values of hyper-parameters, by name.
        back: whether the training returns to its last checkpoint for it.
    """

    epoch: int
    kind: str
    name: str
    said: str
    applied: bool
    changes: dict[str, Any] = field(default_factory=dict)
    back: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Kind and name: an intervention happens once in a training."""
        return self.kind, self.name


def events_to_json(events: Iterable[Event]) -> list[dict[str, Any]]:
    """JSON values of events; `Event(**value)` reads one back."""
    return [asdict(event) for event in events]


def steering_signature(settings: Settings, model: Model) -> dict[str, Any]:
    """The settings that can change a training of `model`, JSON values."""
    return {
        "mode": settings.mode,
        "phases": [[phase.name, phase.from_epoch, _change_of(phase, model).values] for phase in settings.phases],
        "interventions": [each.model_dump() for each in settings.interventions if each.model == model],
    }


class Steering:
    """The steering of one training.

    Args:
        settings: section `steering`.
        model: whose training.
        recipe: its section; the values that hold at the start.
        events: earlier events, in any order; doubles count once.
    """

    def __init__(self, settings: Settings, *, model: Model, recipe: Recipe, events: Iterable[Event] = ()) -> None:
        self._settings, self._model, self._recipe = settings, model, recipe
        by_key = {(event.epoch, *event.key): event for event in events}
        self.events: list[Event] = sorted(by_key.values(), key=_order)

    def begin(self, done: int) -> list[Event]:
        """Events at the start of the epoch after `done` ones: phases."""
        starting = [phase for phase in self._settings.phases if phase.from_epoch == done + 1]
        return self._record([self._phase_event(phase, done) for phase in starting])

    def end(self, history: Sequence[Row]) -> list[Event]:
        """Events at the end of the epoch that is the history's last row: milestones, then interventions."""
        done = int(history[-1]["epoch"] or 0)
        milestones = self._milestone_events(history, done)
        triggered = [each for each in self._settings.interventions if self._triggers(each, history, done)]
        return self._record(milestones + [self._intervention_event(each, history, done) for each in triggered])

    def phase(self, epoch: int) -> str | None:
        """Name of the phase that `epoch`, counted from 1, is in."""
        started = [phase.name for phase in self._settings.phases if phase.from_epoch <= epoch]
        return started[-1] if started else None

    def value(self, name: str) -> Any:
        """The value of a hyper-parameter that holds now, `weight_decay`, `clip` or `precision`."""
        changed = [event.changes[name] for event in self.events if event.applied and name in event.changes]
        return changed[-1] if changed else getattr(self._recipe, name)

    def learning_rate(self, done: float, *, step: float = 0.0) -> float:
        """Linear warm-up, then half a cosine from the peak to its `final_rate` at the horizon; a changed rate starts a
        cosine of its own, and behind the horizon a rate stays as it is.

        Args:
            done: epochs, with a fraction.
            step: length of a step in epochs; the warm-up's first step is not zero then.
        """
        recipe, peak, start = self._recipe, self._recipe.learning_rate, 0.0
        for event in self.events:
            if event.applied and "learning_rate" in event.changes and event.epoch <= done:
                peak, start = event.changes["learning_rate"], float(event.epoch)
        if start == 0.0 and done < recipe.warmup_epochs:
            return peak * (done + step) / (recipe.warmup_epochs + step)
        start = max(start, recipe.warmup_epochs) if start == 0.0 else start
        if start >= recipe.horizon:
            return peak
        along = min(1.0, (done - start) / (recipe.horizon - start))
        return peak * (recipe.final_rate + (1 - recipe.final_rate) * (1 + math.cos(math.pi * along)) / 2)

    def _record(self, events: list[Event]) -> list[Event]:
        known = {(event.epoch, *event.key) for event in self.events}
        new = [event for event in events if (event.epoch, *event.key) not in known]
        self.events = sorted([*self.events, *new], key=_order)
        return new

    def _phase_event(self, phase: Phase, done: int) -> Event:
        changes = _change_of(phase, self._model).values
        return Event(done, "phase", phase.name, f"phase {phase.name} begins{_changes_text(changes)}", True, changes)

    def _milestone_events(self, history: Sequence[Row], done: int) -> list[Event]:
        """Reached or missed, by the newest validation up to here; nothing where there was none yet."""
        due = [each.model_dump() for each in self._settings.milestones if each.epoch == done]
        metric, name = MILESTONE_METRIC[self._model], f"epoch {done}"
        results = [each for each in milestone_results(due, history, model=self._model) if each.value is not None]
        said = [f"{name}: {metric} {each.value:.4f}, target {each.target:.2f}: {each.verdict}" for each in results]
        return [Event(done, "milestone", name, text, False) for text in said]

    def _intervention_event(self, each: Intervention, history: Sequence[Row], done: int) -> Event:
        applied, changes = self._settings.mode == "apply", each.change.values
        value = _value(each.when, history[-1])
        metric = f"{each.when.metric} - {each.when.minus}" if each.when.minus else each.when.metric
        why = f"{metric} is {'none' if value is None else f'{value:.4g}'}, {_limit_text(each.when)}"
        said = f"{each.name}: {why}; {'now' if applied else 'advised'}{_changes_text(changes)}"
        back = applied and each.when.not_finite  # the epoch's work is lost: the change holds from its start
        return Event(done - back, "intervention", each.name, said, applied, changes, back)

    def _triggers(self, each: Intervention, history: Sequence[Row], done: int) -> bool:
        fired = any(event.key == ("intervention", each.name) for event in self.events)
        here = each.model == self._model and (each.phase is None or each.phase == self.phase(done))
        return here and not fired and is_met(each.when, history)


def _order(event: Event) -> tuple[int, bool]:
    """Order by epoch; a rollback comes behind the phase that starts at its epoch, and overrides it."""
    return event.epoch, event.back


def _change_of(phase: Phase, model: Model) -> Change:
    return phase.detector if model == "detector" else phase.classifier


def _changes_text(changes: Mapping[str, Any]) -> str:
    shown = (f"{value:g}" if isinstance(value, float) else str(value) for value in changes.values())
    return "".join(f", {name.replace('_', ' ')} {value}" for name, value in zip(changes, shown, strict=True))


def is_met(condition: Condition, history: Sequence[Row]) -> bool:
    """Whether a condition is met at the end of the history; an epoch without the value, as without a validation, meets
    none.

    Args:
        condition: of an intervention.
        history: one mapping an epoch.
    """
    value = _value(condition, history[-1])
    if value is None:
        return False
    if condition.not_finite:
        return not math.isfinite(value)
    if condition.below is not None:
        return value < condition.below
    if condition.above is not None:
        return value > condition.above
    return _stagnates(condition, history)


def _value(condition: Condition, row: Row) -> float | None:
    value = row.get(condition.metric)
    less = row.get(condition.minus) if condition.minus else 0.0
    return None if value is None or less is None else value - less


def _stagnates(condition: Condition, history: Sequence[Row]) -> bool:
    """Whether the best of the last epochs is no better than the best before them."""
    start = (history[-1]["epoch"] or 0) - (condition.stagnates_epochs or 0)
    pairs = [(row["epoch"] or 0, _value(condition, row)) for row in history]
    before = [value for epoch, value in pairs if value is not None and epoch <= start]
    since = [value for epoch, value in pairs if value is not None and epoch > start]
    return bool(before and since) and max(since) <= max(before)


def _limit_text(condition: Condition) -> str:
    if condition.not_finite:
        return "not finite"
    if condition.below is not None:
        return f"below {condition.below:g}"
    if condition.above is not None:
        return f"above {condition.above:g}"
    return f"no better for {condition.stagnates_epochs} epochs"
