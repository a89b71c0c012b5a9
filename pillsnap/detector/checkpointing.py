"""What a detector's training saves after each epoch and goes on from, and what it tells people."""

import logging
import math
import time
from collections.abc import Mapping

from torch import nn

from pillsnap.detector.job import CLOSING, DetectorJob, over
from pillsnap.files import write_json, write_text
from pillsnap.training.history import detector_row, read_ultralytics_results
from pillsnap.training.recovery import Recovery
from pillsnap.training.steering import Event, Steering, events_to_json

log = logging.getLogger(__name__)

LOSSES = ("box_loss", "cls_loss", "dfl_loss")
MEASURED = ("precision", "recall", "map50", "map50_95")


class SavedTraining:
    """The part of `PillTraining` that has to do with saved states.

    Args:
        job: what is asked for.
        recovery: what has happened outside the epochs.
    """

    def __init__(self, job: DetectorJob, recovery: Recovery) -> None:
        self.job, self.recovery = job, recovery
        self.saved = job.checkpoints.load(upto=job.settings.epochs)
        saved = self.saved or {
            "epoch": 0,
            "best": 0.0,
            "best_epoch": 0,
            "best_weights": {},
            "history": [],
            "events": [],
        }
        self.best_score, self.best_epoch, self.best_weights = saved["best"], saved["best_epoch"], saved["best_weights"]
        self.rows: list[dict[str, float | None]] = saved["history"]
        happened = [event for event in recovery.events if event.epoch <= saved["epoch"]]
        events = [*(Event(**event) for event in saved["events"]), *happened]
        self.steering = Steering(job.steering, model="detector", recipe=job.settings, events=events)
        recovery.epoch = saved["epoch"]
        super().__init__(overrides=job.arguments(recovery.parts))
        self.epochs = job.settings.epochs

    def resume_training(self, ckpt: None) -> None:
        """Take over the checkpoint; ultralytics calls this at the end of its preparations."""
        self.stopper = _Patience(self)
        self._use_precision()
        if self.saved is None:
            return
        saved, model = self.saved, _unwrapped(self.model)
        model.load_state_dict(saved["model"])
        self.ema.ema.load_state_dict(saved["average"])
        self.ema.updates = saved["updates"]
        for stored, group in zip(saved["optimizer"]["param_groups"], self.optimizer.param_groups, strict=True):
            stored["fused"] = group.get("fused")
        self.optimizer.load_state_dict(saved["optimizer"])
        if saved["scaler"]:
            self.scaler.load_state_dict(saved["scaler"])
        self.start_epoch = saved["epoch"]
        write_text(self.csv, saved["results"])
        # a head that is trained in two ways shifts its weight from one to the other, epoch by epoch
        model.criterion = model.init_criterion()
        if hasattr(model.criterion, "update"):
            model.criterion.updates = self.start_epoch - 1
            model.criterion.update()
        if self.job.watch:
            log.info("going on after epoch %d", self.start_epoch)
        self.saved = None  # what it holds has been copied

    def save_metrics(self, metrics: dict[str, float]) -> None:
        """ultralytics' row in its `results.csv`, read back as ours; without a validation its figures are empty."""
        old = {} if self._scheduled else {name: math.nan for name in metrics if name.startswith(("metrics/", "val/"))}
        super().save_metrics(metrics | old)
        row = read_ultralytics_results(self.csv.read_text(encoding="utf-8"))[-1]
        self.rows.append(row | {"seconds": time.monotonic() - self._began})
        if self._scheduled:
            self._rank(self.fitness)
        self._tell(self.steering.end(self.rows))

    def _rank(self, fitness: float) -> None:
        fitness = float(fitness) if math.isfinite(fitness) else 0.0
        if fitness > self.best_score or self.best_score == 0:
            self.best_score, self.best_epoch = fitness, self.epoch + 1
            self.best_weights = {name: value.cpu().clone() for name, value in self.ema.ema.state_dict().items()}

    def save_model(self) -> bool:
        """The whole state after an epoch, plain tensors and numbers."""
        self.job.checkpoints.save(
            {
                "epoch": self.epoch + 1,
                "step": 0,
                "description": self.ema.ema.yaml,
                "model": _unwrapped(self.model).state_dict(),
                "average": self.ema.ema.state_dict(),
                "updates": self.ema.updates,
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
                "best": self.best_score,
                "best_epoch": self.best_epoch,
                "best_weights": self.best_weights,
                "history": self.rows,
                "events": events_to_json(self.steering.events),
                "results": self.csv.read_text(encoding="utf-8"),
            }
        )
        self.recovery.epoch = self.epoch + 1
        if self.job.watch:
            self.job.watch.epoch(self.rows, self.steering.events)
        _say(self.rows[-1], self.epochs)
        return True

    def final_eval(self) -> None:
        """Validate an end that is off the schedule; the result stays out of the state, which more epochs go on from."""
        if self._scheduled:
            return
        metrics, fitness = super().validate()
        self._show_boxes()
        if metrics is not None:
            row = {name: value for name, value in detector_row(metrics).items() if name in MEASURED}
            score = float(fitness) if math.isfinite(fitness) else 0.0
            write_json(self.job.folder / CLOSING, {"epoch": self.epoch + 1, "row": row, "fitness": score})
            _say(self.rows[-1] | row, self.epochs)

    @property
    def _scheduled(self) -> bool:
        return (self.epoch + 1) % self.job.settings.validate_every == 0

    def _tell(self, events: list[Event]) -> None:
        for event in events if self.job.watch else ():
            log.info("%s", event.said)

    def _show_boxes(self) -> None:
        if self.job.watch:
            from pillsnap.detector.previews import picture_with_boxes

            picture = picture_with_boxes(self.ema.ema, self.test_loader.dataset, self.device)
            self.job.watch.picture("boxes", picture, epoch=self.epoch + 1)


class _Patience:
    """Ends a training without a better validation for long; stands in for ultralytics' own."""

    possible_stop = False

    def __init__(self, trainer: SavedTraining) -> None:
        self._trainer = trainer

    def __call__(self, epoch: int, fitness: float | None) -> bool:
        return over({"epoch": epoch, "best_epoch": self._trainer.best_epoch}, self._trainer.job.settings)


def _unwrapped(model: nn.Module) -> nn.Module:
    return model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model


def _say(row: Mapping[str, float | None], epochs: int) -> None:
    losses = [row[name] for name in LOSSES]
    measured = ""
    if row["map50"] is not None:
        measured = f"  mAP@0.5 {row['map50']:.4f}  mAP@0.5:0.95 {row['map50_95'] or 0:.4f}"
    loss = sum(value for value in losses if value is not None)
    log.info("epoch %d/%d  Loss: %.3f%s  %.0f s", row["epoch"], epochs, loss, measured, row["seconds"] or 0)
