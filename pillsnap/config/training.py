"""Sections of the configuration about trainings: recipes, phases, interventions and milestones."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pillsnap.settings import Fraction, Section
from pillsnap.workflow.code_inputs import workflow_file

Precision = Literal["fp32", "bf16", "fp16"]

METRICS = {
    "detector": ("box_loss", "cls_loss", "dfl_loss", "precision", "recall", "map50", "map50_95"),
    "classifier": ("loss", "train_top1", "val_top1", "val_top5"),
}
"""Columns of the two histories that conditions may name."""


class Recipe(Section):
    """Settings of both trainings."""

    epochs: int = Field(
        12, ge=1, description="Epochs in all; a finished training resumes from its end when this is raised"
    )
    horizon: int = Field(
        12,
        ge=1,
        description=(
            "Epoch at which the learning rate schedule ends. Separate from `epochs`, so that more epochs do not "
            "change earlier ones; after it the rate stays constant"
        ),
    )
    batch: Annotated[int, Field(ge=2)] | Literal["auto"] = Field(
        8,
        description=(
            "Global batch size: images per optimizer step, over all processes. `auto`: chosen by the memory of the GPU "
            "when the training begins, and kept; learning rates and the weights' average follow. On the CPU `auto` is "
            "`reference_batch`"
        ),
    )
    reference_batch: int = Field(
        8, ge=2, description="With `batch: auto` the batch that learning rates and the weights' average are given for"
    )
    smallest_batch: int = Field(
        1,
        ge=1,
        description=(
            "Smallest micro-batch: out of memory, the micro-batch is halved and gradients accumulated over more of them"
        ),
    )
    learning_rate: float = Field(1e-3, gt=0, lt=1, description="Peak learning rate (AdamW; warm-up, then a cosine)")
    final_rate: float = Field(0.01, gt=0, le=1, description="Learning rate at the horizon, as a share of the peak")
    warmup_epochs: float = Field(1, ge=0, description="Epochs of linear warm-up")
    weight_decay: float = Field(5e-4, ge=0, lt=1, description="Weight decay")
    clip: float = Field(10.0, gt=0, description="Maximum gradient norm; larger gradients are scaled down to it")
    precision: Precision = Field(
        "fp32", description="Precision of the forward pass; `fp16` uses loss scaling, `bf16` needs none"
    )
    validate_every: int = Field(
        1, ge=1, description="Epochs from one validation to the next; the last epoch always has one"
    )
    patience: int = Field(8, ge=1, description="Early stopping: epochs without a better validation")
    checkpoint_every: int = Field(5, ge=1, description="Epochs between kept checkpoints")
    keep_checkpoints: int = Field(2, ge=0, description="Kept checkpoints, besides the last one and the best weights")

    @property
    def global_batch_size(self) -> int:
        """`batch`, or `reference_batch` as long as none is chosen."""
        return self.reference_batch if self.batch == "auto" else self.batch


class Detector(Recipe):
    """Training of the one-class pill detector (ultralytics)."""

    epochs: int = Field(
        12,
        ge=0,
        description=f"{Recipe.model_fields['epochs'].description}; 0: none, the weights that `model` names are used",
    )
    model: str = Field(
        "yolo11n.yaml",
        description=(
            "ultralytics model: a `.yaml` name trains from scratch, a path of a `.pt` or `.safetensors` file starts "
            "from its weights. What is not below the working folder is looked for where the workflow lies"
        ),
    )
    image_size: int = Field(256, ge=64, le=1280, multiple_of=32, description="Side of the letterboxed input in pixels")
    start_share: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0,
        description=(
            "Share of a pill detector's starting weights in the weights that are used: the mean of both keeps what a "
            "short training forgets (WiSE-FT, arXiv:2109.01903). Changing it trains nothing anew"
        ),
    )

    @property
    def starting_files(self) -> list[str]:
        """File of starting weights, if any."""
        return [_with_workflow(self.model)] if self.model.endswith((".pt", ".safetensors")) else []

    @property
    def start(self) -> str:
        """What a training starts from: `model`, or the path of its file."""
        return (self.starting_files or [self.model])[0]


class Classifier(Recipe):
    """Training of the drug classifier (timm)."""

    model: str = Field("resnet10t", description="timm model name, or `hf-hub:…`")
    model_args: dict[str, Any] | None = Field(
        None,
        description=(
            "Arguments of `timm.create_model` besides the name (`channels`, `drop_path_rate`, …); an "
            "overlay that names another model sets it to `null`"
        ),
    )
    weights: str | None = Field(
        None,
        description=(
            "Starting weights: a path of a safetensors file, `pretrained` for the model's own from its hub, "
            "empty for none"
        ),
    )
    image_size: int = Field(112, ge=32, le=768, description="Side of the input in pixels")
    start_size: int | None = Field(
        None,
        ge=32,
        le=768,
        description="Side of the input in the first `resize_every` epochs; empty: `image_size` from the start",
    )
    resize_every: int = Field(10, ge=1, description="Epochs at each size, from `start_size` on")
    resize_by: int = Field(64, ge=8, description="Pixels from one size to the next, up to `image_size`")
    epochs: int = Field(20, ge=1, description=Recipe.model_fields["epochs"].description)
    horizon: int = Field(20, ge=1, description=Recipe.model_fields["horizon"].description)
    batch: Annotated[int, Field(ge=2)] | Literal["auto"] = Field(
        64, description=Recipe.model_fields["batch"].description
    )
    learning_rate: float = Field(3e-3, gt=0, lt=1, description=Recipe.model_fields["learning_rate"].description)
    layer_decay: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Each layer's learning rate as a share of the next one's towards the output; 1: all the same",
    )
    weight_decay: float = Field(5e-2, ge=0, lt=1, description="Weight decay; norms and biases have none")
    warmup_epochs: float = Field(2, ge=0, description=Recipe.model_fields["warmup_epochs"].description)
    patience: int = Field(10, ge=1, description=Recipe.model_fields["patience"].description)
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="Label smoothing")
    mixup: float = Field(0.0, ge=0, description="Mix-up: alpha of its beta distribution; 0: none")
    cutmix: float = Field(0.0, ge=0, description="Cut-mix: alpha of its beta distribution; 0: none")
    balance: Fraction = Field(
        0.0, description="Class-balanced sampling: 0 samples each pill once an epoch, 1 all drugs equally often"
    )
    average_decay: float = Field(
        0.99,
        ge=0,
        lt=1,
        description="Decay of the weights' exponential moving average (EMA), which is exported",
    )
    compile: bool | Literal["reduce-overhead"] = Field(
        False,
        description=(
            "`torch.compile` the model (worth it on a GPU); `reduce-overhead` replays CUDA graphs, for small batches"
        ),
    )
    cache_gb: float = Field(
        2.0, ge=0, description="Memory for decoded crops in GB; crops that fit are decoded once instead of every epoch"
    )

    @property
    def starting_files(self) -> list[str]:
        """File of starting weights, if any."""
        return [self.weights] if self.weights and self.weights != "pretrained" else []


class Reader(Section):
    """Reader of imprint, shape and colours, which goes with every answer."""

    weights: str | None = Field(
        "weights/pill-reader.safetensors",
        description=(
            "Weights of a reader (`.safetensors`); a path that is not below the working folder is looked for where the "
            "workflow lies. `null`: none, nothing is read"
        ),
    )

    @property
    def starting_files(self) -> list[str]:
        """File of the weights, if any."""
        return [_with_workflow(self.weights)] if self.weights else []


def _with_workflow(path: str) -> str:
    """A path below the working folder, or where the workflow lies if it is only there."""
    with_workflow = workflow_file(path)
    return with_workflow if not Path(path).exists() and Path(with_workflow).exists() else path


class Trainings(Section):
    """Execution of trainings. Of these settings only `processes` and the cycles change the weights."""

    processes: int = Field(
        1, ge=1, le=64, description="Processes of a training, one per GPU (torchrun, DDP); a batch is shared among them"
    )
    save_minutes: float = Field(
        10.0, gt=0, description="Minutes at most between saved states of the classifier, within an epoch too"
    )
    backup: str | None = Field(
        None, description="Folder for copies of every kept checkpoint, on another disk for instance; empty: none"
    )
    cycles: int = Field(
        0,
        ge=0,
        description=(
            "Cycles of both trainings in all: each adds its epochs to both, in place of `detector.epochs` and "
            "`classifier.epochs`, and the classifier resumes with the crops of the new detector; 0: no cycles"
        ),
    )
    detector_epochs_per_cycle: int = Field(2, ge=1, description="Detector epochs of each cycle")
    classifier_epochs_per_cycle: int = Field(1, ge=1, description="Classifier epochs of each cycle")
    sample_seconds: float = Field(5.0, gt=0, description="Seconds between measurements of memory and disk")

    @property
    def launcher(self) -> str:
        """Program that starts a training's script, with its arguments."""
        if self.processes == 1:
            return "python"
        return f"torchrun --standalone --nproc-per-node {self.processes} --max-restarts 4 --"


class Change(Section):
    """New values of hyper-parameters from an epoch on; empty: unchanged."""

    learning_rate: float | None = Field(
        None, gt=0, lt=1, description="Learning rate; from it a new cosine leads to the horizon"
    )
    weight_decay: float | None = Field(None, ge=0, lt=1, description="Weight decay")
    clip: float | None = Field(None, gt=0, description="Maximum gradient norm")
    precision: Precision | None = Field(None, description="Precision of the forward pass")

    @property
    def values(self) -> dict[str, Any]:
        """The values that are set."""
        return self.model_dump(exclude_none=True)


class Phase(Section):
    """A named part of the training."""

    name: str = Field(description="Name, as interventions and reports call it")
    from_epoch: int = Field(ge=1, description="First epoch")
    detector: Change = Field(default_factory=Change, description="What changes for the detector")
    classifier: Change = Field(default_factory=Change, description="What changes for the classifier")


class Condition(Section):
    """Condition at the end of an epoch: exactly one of `below`, `above`, `stagnates_epochs` and `not_finite`."""

    metric: str = Field(description="Column of the training's history, `val_top1` for instance")
    minus: str | None = Field(None, description="Another column, subtracted from the first")
    below: float | None = Field(None, description="True below this value")
    above: float | None = Field(None, description="True above this value")
    stagnates_epochs: int | None = Field(
        None, ge=1, description="True when the best of this many last epochs is no better than the best before them"
    )
    not_finite: bool = Field(False, description="True when the value is NaN or infinite")

    @model_validator(mode="after")
    def _one_of(self) -> "Condition":
        given = [self.below is not None, self.above is not None, self.stagnates_epochs is not None, self.not_finite]
        if sum(given) != 1:
            raise ValueError("exactly one of below, above, stagnates_epochs and not_finite must be given")
        return self


class Intervention(Section):
    """A change under a condition; applied, or advised, once in a training."""

    name: str = Field(description="Name, as the report calls it")
    model: Literal["detector", "classifier"] = Field(description="Whose training")
    phase: str | None = Field(None, description="Only in this phase; empty: in all")
    when: Condition = Field(description="The condition")
    change: Change = Field(description="The change")

    @model_validator(mode="after")
    def _metrics_are_there(self) -> "Intervention":
        for metric in filter(None, (self.when.metric, self.when.minus)):
            if metric not in METRICS[self.model]:
                raise ValueError(
                    f"{metric!r} is no metric of the {self.model}'s history; allowed: {', '.join(METRICS[self.model])}"
                )
        return self


class Milestone(Section):
    """Metrics to reach at the end of an epoch."""

    epoch: int = Field(ge=1, description="Epoch")
    top1: Fraction | None = Field(None, description="Classifier's validation top-1")
    map50: Fraction | None = Field(None, description="Detector's validation mAP@0.5")


class Steering(Section):
    """Phases, interventions and milestones of both trainings."""

    mode: Literal["advise", "apply"] = Field(
        "advise", description="Interventions: `advise` logs the change, `apply` makes and records it"
    )
    phases: tuple[Phase, ...] = Field((), description="Phases by first epoch")
    interventions: tuple[Intervention, ...] = Field((), description="Interventions")
    milestones: tuple[Milestone, ...] = Field((), description="Milestones")

    @model_validator(mode="after")
    def _names_fit(self) -> "Steering":
        names = [phase.name for phase in self.phases]
        starts = [phase.from_epoch for phase in self.phases]
        if starts != sorted(set(starts)):
            raise ValueError("phases must follow each other: each from_epoch must be above the one before")
        for intervention in self.interventions:
            if intervention.phase is not None and intervention.phase not in names:
                raise ValueError(
                    f"intervention {intervention.name!r}: there is no phase {intervention.phase!r} among {names}"
                )
        return self
