"""Resources of the trainings, and an estimate of those for the stage's whole budget."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pillsnap.pages.formats import MISSING, count, decimal, duration, percent, plural, size
from pillsnap.pages.table import Rows
from pillsnap.report.facts.trainings import asked_epochs, resources_of
from pillsnap.report.inputs import DetectorFacts
from pillsnap.training.milestones import Model


def taken_rows(inputs: DetectorFacts) -> Rows:
    """Resources of the trainings, measured while they ran."""
    both = [resources_of(inputs, model) for model in inputs.models]

    def row(title: str, key: str, written: Callable[[Any], str]) -> list[str]:
        return [title, *(written(one[key]) for one in both)]

    def rate(value: float | None) -> str:
        return MISSING if value is None else f"{size(value)}/s"

    return [
        ["Measured", *(_how_often(one) for one in both)],
        row("Peak memory of all processes (RAM)", "peak_ram_bytes", size),
        ["GPU", *(one["gpu"] or "none" for one in both)],
        ["Peak GPU memory", *(_gpu_memory(one) for one in both)],
        row("Of it, allocated to tensors at the peak", "peak_gpu_allocated_bytes", size),
        row("GPU utilisation, mean", "mean_gpu_busy", lambda value: percent(value, 0)),
        row("Read from disk, mean", "mean_disk_read_bytes_per_second", rate),
        row("Read from disk, peak", "peak_disk_read_bytes_per_second", rate),
        row("Written to disk, peak", "peak_disk_write_bytes_per_second", rate),
        row("Least free disk", "least_disk_free_bytes", size),
        row("Time per epoch, median", "seconds_per_epoch", duration),
        row("Images per epoch", "pictures", count),
        row("Images per second, validation included", "pictures_per_second", lambda value: decimal(value, 1)),
        row("Checkpoint, with the state of the optimizer", "checkpoint_bytes", size),
    ]


def _how_often(one: Mapping[str, Any]) -> str:
    every = f", every {duration(one['sample_seconds'])}" if one["sample_seconds"] else ""
    return plural(one["samples"], "sample") + every if one["samples"] else "not measured"


def _gpu_memory(one: Mapping[str, Any]) -> str:
    whole = " (of the whole GPU, whoever held it)" if one["gpu_bytes_of"] == "device" else ""
    return size(one["peak_gpu_bytes"]) + whole


@dataclass(frozen=True)
class Estimate:
    """A training of the stage's whole budget on this machine.

    Attributes:
        pictures: images of an epoch.
        epochs: requested.
        pictures_per_second: as measured; `None` where it was not.
    """

    pictures: float
    epochs: int
    pictures_per_second: float | None

    @property
    def seconds(self) -> float | None:
        """Seconds of all epochs, validations included."""
        return self.pictures * self.epochs / self.pictures_per_second if self.pictures_per_second else None


def estimate(inputs: DetectorFacts, model: Model) -> Estimate:
    """The estimate for `detector` or `classifier`.

    An epoch's pictures grow as the stage's photographs do from what was used to what was asked; the detector's single
    photographs only up to `yolo.max_single_photos`, and composed scenes are as many. Crops of composed pills are taken
    to grow as those of photographs, which bound them.
    """
    asked, used = (inputs.plan[which]["images"] for which in ("asked", "used"))
    resources = resources_of(inputs, model)
    pictures, growth = resources["pictures"], asked / used
    grown = pictures * growth
    if model == "detector":
        most, single = inputs.config["yolo"]["max_single_photos"], inputs.manifest["splits"]["train"]["single"]
        composed = min(inputs.config["scenes"]["photos"], pictures)
        photos = pictures - composed
        now = min(most, single, photos)
        grown = (photos - now) * growth + min(most, now * growth) + composed
    return Estimate(grown, asked_epochs(inputs.config, model), resources["pictures_per_second"])


def estimate_rows(inputs: DetectorFacts) -> Rows:
    """Rows of the estimate: its factors, and the time."""
    both = [estimate(inputs, model) for model in inputs.models]
    return [
        ["Images per epoch, with the whole budget", *(count(one.pictures) for one in both)],
        ["Epochs requested", *(count(one.epochs) for one in both)],
        ["Measured images per second", *(decimal(one.pictures_per_second, 1) for one in both)],
        ["Estimated time", *(duration(one.seconds) for one in both)],
    ]


def estimated_seconds(inputs: DetectorFacts) -> float | None:
    """Of all trainings together; `None` where one is not known."""
    known = [seconds for model in inputs.models if (seconds := estimate(inputs, model).seconds) is not None]
    return math.fsum(known) if len(known) == len(inputs.models) else None
