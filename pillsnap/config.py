"""The configuration: frozen pydantic models, the one source of `docs/configuration.md` and of every check."""

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0, le=1)]
Quality = Annotated[int, Field(ge=50, le=100)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Pathvars(Section):
    """Folders that Snakemake puts into the rules' paths; an overlay moves a whole run by changing them."""

    results: str = Field("results", description="Folder of everything a run delivers")
    work: str = Field("work", description="Folder of training state, never an output")
    logs: str = Field("logs", description="Folder of log files and of each rule's measured duration")


class SyntheticSource(Section):
    """The built-in synthetic data."""

    drugs: int = Field(42, ge=2, le=4523, description="Number of invented drugs (K-codes)")
    photos_per_drug: int = Field(36, ge=6, le=1296, description="Single-pill training photos of each drug")
    validation_photos_per_drug: int = Field(
        8, ge=1, le=324, description="Single-pill photos of each drug in the validation part, which is the test set"
    )
    combos: int = Field(60, ge=0, description="Training combinations of 2 to 5 drugs, 3 photos each")
    validation_combos: int = Field(20, ge=0, description="Combinations in the validation part, 3 photos each")
    single_archives: int = Field(4, ge=1, le=81, description="Number of single-pill training archives (zips)")
    combo_archives: int = Field(2, ge=1, le=8, description="Number of combo training archives (zips)")
    defects: int = Field(1, ge=0, description="Planted defects of each kind in each training archive")


class Source(Section):
    """Where the raw photographs come from."""

    kind: Literal["synthetic", "aihub", "yolo"] = Field(
        "synthetic",
        description=(
            "`synthetic`: drawn by PillSnap; `aihub`: AIHub data set 576, zips or folders; `yolo`: a YOLO data set"
        ),
    )
    root: str = Field(
        "data/raw/synthetic",
        description="Folder of the raw data; `${NAME}` and `${NAME:-default}` take a variable of the environment",
    )
    synthetic: SyntheticSource = Field(
        default_factory=SyntheticSource, description="Read when `source.kind` is `synthetic`"
    )


class Targets(Section):
    """What a stage should reach on the test part; compared with what was measured, never assumed."""

    top1: Fraction | None = Field(None, description="Classifier top-1")
    top5: Fraction | None = Field(None, description="Classifier top-5")
    macro_f1: Fraction | None = Field(None, description="Classifier macro-F1")
    map50: Fraction | None = Field(None, description="Detector mAP@0.5")
    map50_95: Fraction | None = Field(None, description="Detector mAP@0.5:0.95")
    p95_ms: float | None = Field(None, gt=0, description="Whole answer, 95th percentile, milliseconds")


class Stage(Section):
    """A budget of photographs and drugs with its targets."""

    images: int = Field(ge=1, description="Photographs at most (training, validation and test together)")
    classes: int = Field(ge=2, description="Drugs (K-codes) at most")
    targets: Targets = Field(default_factory=Targets, description="Targets on the test part")


class Stages(Section):
    """The four stages; they differ in budget and targets only."""

    stage1: Stage = Field(description="The pipeline works")
    stage2: Stage = Field(description="Baseline")
    stage3: Stage = Field(description="It scales")
    stage4: Stage = Field(description="Production")


class Plan(Section):
    """Which photographs a stage uses, and on which side of the split they stand."""

    val_fraction: float = Field(0.2, gt=0, le=0.5, description="Share of each drug's capture groups that validates")
    test_fraction: float = Field(
        0.2,
        gt=0,
        le=0.5,
        description=(
            "Share of the photo budget for the test part; where the source has no test part of its own, also "
            "the share of capture groups held out"
        ),
    )
    combo_fraction: Fraction = Field(
        0.3, description="Share of the photo budget for combos, as far as there are so many"
    )
    shared_groups: Literal["hold_out", "keep"] = Field(
        "hold_out",
        description=(
            "A capture group that the source's own parts have on two sides: `hold_out` leaves its training (and "
            "validation) photographs out, `keep` uses them all, and the audit counts the leak"
        ),
    )


class Prepare(Section):
    """What is written when a raw photograph is decoded, once."""

    photo_size: int = Field(
        416,
        ge=64,
        le=4096,
        description="Long side in pixels of the JPEG that the detector is trained on (never enlarged)",
    )
    photo_quality: Quality = Field(90, description="JPEG quality of the detector's photographs")
    crop_context: float = Field(
        0.6, ge=0.1, le=2, description="Context kept around each labelled box, in box sides on each side"
    )
    crop_quality: Quality = Field(
        95, description="JPEG quality of context crops and of test photographs, both at native resolution"
    )


class Manifest(Section):
    """What happens to defects."""

    remove_corrupt: bool = Field(
        True,
        description="Leave corrupt photographs out and list them; `false`: stop at the first manifest that has any",
    )
    max_quarantined_fraction: Fraction = Field(
        0.05,
        description=(
            "The run stops when a larger share of the photographs is quarantined: of all by the index, or of the "
            "stage's own from the decode on"
        ),
    )
    near_duplicate_bits: int = Field(
        10,
        ge=0,
        le=40,
        description=(
            "Photographs on two sides of the split whose perceptual hashes (256 bits) differ in at most so many bits "
            "are counted and listed as near-duplicates"
        ),
    )


class Yolo(Section):
    """The detector's data set."""

    max_single_photos: int = Field(
        480,
        ge=0,
        description=(
            "Single-pill training photographs at most; all usable combos are taken, since only combos need a "
            "detector that separates pills"
        ),
    )
    partly_labelled: Literal["leave_out", "use"] = Field(
        "leave_out",
        description=(
            "Training photographs whose name counts more pills than are labelled: `leave_out`, since an unlabelled "
            "pill teaches the detector that it is background, or `use`. Validation never has them, and crops always do"
        ),
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


class Audit(Section):
    """Labels that the detector disagrees with, listed for people; nothing is changed by it."""

    lowest_score: float = Field(
        0.05,
        gt=0,
        le=1,
        description=(
            "Detections below this score are not kept at all. A label counts as not found only where not even such a "
            "weak detection matches it"
        ),
    )
    min_score: Fraction = Field(
        0.6, description="A detection without label is listed from this score on: the detector is confident of it"
    )
    max_iou: float = Field(
        0.3, ge=0, lt=1, description="A detection is without label when its IoU with every label is at most this"
    )
    pictures: int = Field(12, ge=0, description="Photographs at most that are drawn for each kind of finding")


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
