"""Sections of the configuration about data: stages, plan, decoding, manifest, YOLO data set and label audit."""

import math
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from pillsnap.settings import Fraction, Quality, Section


class Pathvars(Section):
    """Folders that Snakemake puts into the rules' paths (`pathvars`); an overlay can move a whole run."""

    results: str = Field("results", description="Folder of all results")
    work: str = Field("work", description="Folder of training state, which is never an output")
    logs: str = Field("logs", description="Folder of log files and of each rule's measured duration")


class Targets(Section):
    """Targets on the test part, which the report compares with the measured metrics."""

    top1: Fraction | None = Field(None, description="Classifier top-1")
    top5: Fraction | None = Field(None, description="Classifier top-5")
    macro_f1: Fraction | None = Field(None, description="Classifier macro-F1")
    map50: Fraction | None = Field(None, description="Detector mAP@0.5")
    map50_95: Fraction | None = Field(None, description="Detector mAP@0.5:0.95")
    p95_ms: float | None = Field(None, gt=0, description="Whole answer, 95th percentile, milliseconds")
    ece: Fraction | None = Field(None, description="Calibration error of answers (ECE, 15 bins), at most")
    known_right: Fraction | None = Field(None, description="Share of `known` answers that name the right drug")
    unseen_not_known: Fraction | None = Field(
        None, description="Share of pills of never-seen drugs (`plan.unseen_drugs`) that are not `known`"
    )


class Stage(Section):
    """Budget of photographs and drugs, and targets."""

    images: int = Field(ge=1, description="Photographs at most (training, validation and test together)")
    classes: int = Field(ge=2, description="Drugs (K-codes) at most")
    targets: Targets = Field(default_factory=Targets, description="Targets on the test part")


class Stages(Section):
    """The four stages, which differ in budget and targets only."""

    stage1: Stage = Field(description="The pipeline works")
    stage2: Stage = Field(description="Baseline")
    stage3: Stage = Field(description="It scales")
    stage4: Stage = Field(description="Production")


class Plan(Section):
    """Selection of photographs, and their split."""

    val_fraction: float = Field(0.2, gt=0, le=0.5, description="Share of each drug's capture groups for validation")
    test_fraction: float = Field(
        0.2,
        gt=0,
        le=0.5,
        description=(
            "Share of the photo budget for the test part; where the source has no test part of its own, also "
            "the share of capture groups held out"
        ),
    )
    combo_fraction: Fraction = Field(0.3, description="Share of the photo budget for combos, as far as available")
    shared_groups: Literal["hold_out", "keep"] = Field(
        "hold_out",
        description=(
            "A capture group that the source's own parts have on two sides: `hold_out` leaves its training (and "
            "validation) photographs out, `keep` uses them all, and the audit counts the leak"
        ),
    )
    unseen_drugs: int = Field(
        0,
        ge=0,
        description=(
            "Drugs, 0 or at least 2, kept out of both trainings, validation and test part, to measure how answers "
            "treat a drug that the model never saw; they do not count into a stage's budget"
        ),
    )
    unseen_share: Fraction = Field(
        0.2,
        description=(
            "Largest share of the source's trainable drugs that may be held out so; where `unseen_drugs` is more, "
            "fewer are, and the plan says it"
        ),
    )
    unseen_photos: int = Field(
        1000,
        ge=2,
        validate_default=True,
        description="Single-pill photographs of those drugs at most, spread evenly over them; at least one for each",
    )

    @field_validator("unseen_drugs")
    @classmethod
    def _two_halves(cls, number: int) -> int:
        if number == 1:
            raise ValueError("must be 0, or at least 2: one half chooses thresholds, the other measures")
        return number

    @field_validator("unseen_photos")
    @classmethod
    def _one_for_each(cls, number: int, info: ValidationInfo) -> int:
        if number < info.data.get("unseen_drugs", 0):
            raise ValueError("must not be below plan.unseen_drugs, so that each of them has a photograph")
        return number


class Prepare(Section):
    """Outputs of the one decode of each raw photograph."""

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
    """Handling of defects."""

    remove_corrupt: bool = Field(
        True,
        description="Leave corrupt photographs out and list them; `false`: fail where a manifest has any",
    )
    max_quarantined_fraction: Fraction = Field(
        0.05,
        description=(
            "The run stops when a larger share of the photographs is quarantined: of all by the index, or of the "
            "stage's own from the decode on"
        ),
    )
    near_duplicate_bits: int = Field(
        12,
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


SCENES_PER_SHARD = 250
"""Scenes of a job."""


class Scenes(Section):
    """Scenes composed from cut-out training pills; both models train on them beside the photographs."""

    photos: int = Field(
        0,
        ge=0,
        le=999_000,
        description=(
            "Scenes composed; their share of the detector's training is `photos` over `photos` and the training "
            "photographs that `yolo` leaves. 0: none, and no pill is cut out"
        ),
    )
    cut_outs_per_drug: int = Field(
        12, ge=1, description="Single-pill training photographs of each drug at most whose pill is cut out"
    )
    max_pills: int = Field(25, ge=0, le=200, description="Pills of a scene at most")
    max_covered: float = Field(
        0.35, ge=0, le=0.8, description="Share of a pill at most that other pills, or things, may cover"
    )
    alike: Fraction = Field(
        0.0,
        description="Share of scenes whose pills were each chosen of four for being most like the ground in colour",
    )
    crops: bool = Field(
        True,
        description=(
            "Whether the classifier trains on crops of their pills, too: of each drug at most as many as on those of "
            "photographs"
        ),
    )
    backgrounds: str | None = Field(
        None,
        description=(
            "Folder of photographs without pills, searched with its subfolders, that half of the scenes have as their "
            "ground; empty: all grounds are drawn"
        ),
    )

    @property
    def shards(self) -> list[str]:
        """Names of the jobs that share the scenes."""
        return [f"{number:04d}" for number in range(math.ceil(self.photos / SCENES_PER_SHARD))]


class Audit(Section):
    """List of labels that the detector disagrees with, for people to review; it changes no label."""

    lowest_score: float = Field(
        0.05,
        gt=0,
        le=1,
        description=(
            "Detections below this score are dropped. A label counts as not found only where not even such a weak "
            "detection matches it"
        ),
    )
    min_score: Fraction = Field(0.6, description="Minimum score at which a detection without label is listed")
    max_iou: float = Field(
        0.3, ge=0, lt=1, description="A detection is without label where its IoU with every label is at most this"
    )
    pictures: int = Field(12, ge=0, description="Photographs drawn at most for each kind of finding")
