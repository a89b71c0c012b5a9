"""The configuration: frozen pydantic models, the one source of `docs/configuration.md` and of every check."""

import math
from typing import Any, Literal

from pydantic import Field, model_validator

from pillsnap.config_data import (
    Audit,
    Fraction,
    Manifest,
    Pathvars,
    Plan,
    Prepare,
    Quality,
    Section,
    Source,
    Stages,
    Yolo,
)


class Detector(Section):
    """Training of the one-class pill detector (ultralytics)."""

    model: str = Field(
        "yolo11n.yaml",
        description=(
            "ultralytics model: a `.yaml` name trains from scratch, a path of a `.pt` file starts from its weights"
        ),
    )
    image_size: int = Field(256, ge=64, le=1280, multiple_of=32, description="Side of the letterboxed input in pixels")
    epochs: int = Field(12, ge=1, description="Epochs")
    batch: int = Field(8, ge=1, description="Photographs in a batch")
    learning_rate: float = Field(1e-3, gt=0, lt=1, description="Peak learning rate (AdamW)")
    weight_decay: float = Field(5e-4, ge=0, lt=1, description="Weight decay")
    warmup_epochs: float = Field(1, ge=0, description="Epochs of linear warm-up")
    patience: int = Field(8, ge=1, description="Epochs without a better validation mAP before the training stops")


class Crops(Section):
    """The one way in which a pill is cut out of a photograph, in training and in every answer."""

    size: int = Field(
        144,
        ge=32,
        le=1024,
        description=(
            "Side of the stored square crop in pixels; leaves room above `classifier.image_size` to move and "
            "zoom in training"
        ),
    )
    margin: float = Field(
        0.15,
        ge=0,
        le=1,
        description="Margin around the box: the window's side is (1 + margin) times the box's longer side",
    )
    quality: Quality = Field(95, description="JPEG quality of the stored crops")
    min_iou: float = Field(0.5, gt=0, le=1, description="A detected box counts as a labelled pill's from this IoU on")


class Classifier(Section):
    """Training of the drug classifier (timm)."""

    model: str = Field("resnet10t", description="timm model name, or `hf-hub:…`")
    model_args: dict[str, Any] | None = Field(
        None,
        description=(
            "Arguments for the timm model besides its name, as timm takes them (`channels`, `drop_path_rate`, …); an "
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
    epochs: int = Field(20, ge=1, description="Epochs")
    batch: int = Field(64, ge=2, description="Crops in a batch")
    learning_rate: float = Field(3e-3, gt=0, lt=1, description="Peak learning rate (AdamW, cosine)")
    weight_decay: float = Field(5e-2, ge=0, lt=1, description="Weight decay")
    warmup_epochs: float = Field(2, ge=0, description="Epochs of linear warm-up")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="Label smoothing")
    patience: int = Field(10, ge=1, description="Epochs without a better validation top-1 before the training stops")


class Onnx(Section):
    """Export, and the check of ONNX Runtime against PyTorch."""

    opset: int = Field(18, ge=17, le=22, description="ONNX opset of both graphs")
    parity_photos: int = Field(64, ge=1, description="Validation photographs and crops that are compared")
    max_box_error: float = Field(
        0.5, gt=0, description="Largest allowed difference of a box coordinate, in pixels of the detector's input"
    )
    max_logit_error: float = Field(1e-3, gt=0, description="Largest allowed difference of a logit")


class Benchmark(Section):
    """How answers are made and how they are timed."""

    min_score: Fraction = Field(0.3, description="Detections below this score are no pills")
    nms_iou: float = Field(
        0.5, gt=0, lt=1, description="IoU from which non-maximum suppression keeps only the better box"
    )
    latency_photos: int = Field(100, ge=5, description="Timed answers for each of single and combo")
    warmup: int = Field(10, ge=0, description="Untimed answers before")
    threads: int = Field(2, ge=1, description="Threads of ONNX Runtime, at most the cores that are there")


class Config(Section):
    """Everything that can be set."""

    seed: int = Field(576, ge=0, lt=2**31, description="Seed of drawing, sampling, splitting and training")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Device of training; `auto` takes the GPU when one works"
    )
    threads: int = Field(
        2,
        ge=1,
        description=(
            "Threads of arithmetic on the CPU in trainings and crops. It is a part of the recipe, like the seed: sums "
            "that are split otherwise round otherwise. So it does not follow `--cores`"
        ),
    )
    pathvars: Pathvars = Field(default_factory=Pathvars, description="Folders in the rules' paths")
    source: Source = Field(description="Raw photographs")
    stages: Stages = Field(description="Budgets and targets")
    plan: Plan = Field(default_factory=Plan, description="Selection and split")
    prepare: Prepare = Field(default_factory=Prepare, description="The one decode")
    manifest: Manifest = Field(default_factory=Manifest, description="Quarantine")
    yolo: Yolo = Field(default_factory=Yolo, description="Detector's data set")
    detector: Detector = Field(default_factory=Detector, description="Detector")
    audit: Audit = Field(default_factory=Audit, description="Label audit")
    crops: Crops = Field(default_factory=Crops, description="Crops")
    classifier: Classifier = Field(default_factory=Classifier, description="Classifier")
    onnx: Onnx = Field(default_factory=Onnx, description="Export")
    benchmark: Benchmark = Field(default_factory=Benchmark, description="Answers and timing")

    @model_validator(mode="after")
    def _sizes_fit(self) -> "Config":
        if self.detector.image_size > self.prepare.photo_size:
            raise ValueError(
                f"detector.image_size = {self.detector.image_size}: must not exceed prepare.photo_size = "
                f"{self.prepare.photo_size}, the size that photographs are kept at"
            )
        if self.classifier.image_size > self.crops.size:
            raise ValueError(
                f"classifier.image_size = {self.classifier.image_size}: must not exceed crops.size = {self.crops.size}"
            )
        if self.crops.margin > 2 * self.prepare.crop_context:
            raise ValueError(
                f"crops.margin = {self.crops.margin}: must not exceed twice prepare.crop_context = "
                f"{self.prepare.crop_context}, the context that is kept"
            )
        if self.audit.lowest_score > min(self.audit.min_score, self.benchmark.min_score):
            raise ValueError(
                f"audit.lowest_score = {self.audit.lowest_score}: must not exceed audit.min_score = "
                f"{self.audit.min_score} and benchmark.min_score = {self.benchmark.min_score}, which choose among what "
                "it leaves"
            )
        drawn = self.source.synthetic
        if math.ceil(drawn.photos_per_drug / 18) + math.ceil(drawn.validation_photos_per_drug / 18) > 72:
            raise ValueError(
                f"source.synthetic.photos_per_drug = {drawn.photos_per_drug}: training and validation together must "
                "fit into the 72 capture groups of 18 views that a drug has"
            )
        return self
