"""Configuration as frozen pydantic models, from which `docs/configuration.md` is generated."""

import math
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from pillsnap.config.data import (
    Audit,
    Manifest,
    Pathvars,
    Plan,
    Prepare,
    Scenes,
    Stages,
    Yolo,
)
from pillsnap.config.training import Classifier, Detector, Reader, Recipe, Steering, Trainings
from pillsnap.settings import Fraction, Quality, Section
from pillsnap.sources.archives import expanded, source_root
from pillsnap.sources.containers.s3 import is_in_s3
from pillsnap.sources.registry import check_place, get_kind
from pillsnap.sources.settings import Source, named


class Crops(Section):
    """Crop of a pill, the same in training and in every answer."""

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
    min_iou: float = Field(0.5, gt=0, le=1, description="Least IoU at which a detected box matches a labelled pill")


class Answers(Section):
    """Promises of an answer: thresholds are chosen on validation to keep them, and measured on the test part."""

    precision: float = Field(0.99, gt=0.5, lt=1, description="Share of `known` answers that name the right drug")
    confidence: float = Field(
        0.9,
        gt=0.5,
        lt=1,
        description=(
            "Confidence with which validation must show the precision (Clopper-Pearson); where it has too few pills "
            "for that, no answer is `known`"
        ),
    )
    coverage: float = Field(
        0.95, gt=0.5, lt=1, description="Share of an answer's prediction sets that hold the right drug"
    )
    kept: float = Field(0.95, gt=0.5, lt=1, description="Share of pills of trained drugs that are not `unknown`")
    known: float = Field(
        0.88,
        gt=0,
        le=1,
        description=(
            "Largest share of pills of trained drugs that may be `known` on validation, each from one photograph; what "
            "lies beyond takes in pills of never-seen drugs"
        ),
    )
    unseen_known: Fraction = Field(
        0.02,
        description="Largest share of pills of drugs that were held out (`plan.unseen_drugs`) that may be `known`",
    )


class Onnx(Section):
    """ONNX export, and its comparison on validation: with PyTorch, and of the fused graph with separate steps."""

    parity_photos: int = Field(
        2000, ge=1, description="Validation photographs, and crops, compared at most; chosen evenly"
    )
    max_box_error: float = Field(
        0.5, gt=0, description="Largest allowed difference of a box coordinate, in pixels of the detector's input"
    )
    max_logit_error: float = Field(
        1e-3, gt=0, description="Largest allowed error of a logit, in parts of it where it is above 1"
    )
    max_map50_difference: float = Field(0.01, gt=0, description="Largest allowed difference of mAP@0.5")
    max_top1_difference: float = Field(0.005, gt=0, description="Largest allowed difference of top-1")
    min_same_answers: Fraction = Field(
        0.99, description="Least share of photographs with the same answer from the fused graph and from separate steps"
    )
    calibration_photos: int = Field(
        128, ge=1, description="Validation photographs, and crops, on which the INT8 models are calibrated"
    )


class Benchmark(Section):
    """Settings of answers, and of their timing."""

    min_score: Fraction = Field(0.3, description="Minimum detection score in mode `combo`")
    min_score_single: Fraction = Field(0.1, description="Minimum detection score in mode `single`")
    nms_iou: float = Field(
        0.5,
        gt=0,
        lt=1,
        description="IoU of non-maximum suppression: in answers, for crops and label audit",
    )
    latency_photos: int = Field(
        100,
        ge=5,
        description="Timed answers for each of single and combo; a fifth as many by each other implementation",
    )
    warmup: int = Field(10, ge=0, description="Untimed answers before each measurement")
    threads: int = Field(2, ge=1, description="Intra-op threads of ONNX Runtime, at most the available cores")


class Away(Section):
    """Answers away from the studio: to composed scenes, and to real photographs that are no source."""

    scenes: int = Field(
        120, ge=0, le=100_000, description="Scenes composed from pills of the test part, which are answered; 0: none"
    )
    real_data: str = Field(
        "${PILLSNAP_REAL_DATA:-}",
        description=(
            "Folder whose folders are sets of labelled real photographs, which are answered; `${NAME}` and "
            "`${NAME:-default}` take a variable of the environment. Empty: none"
        ),
    )

    @property
    def sets(self) -> list[str]:
        """Folders of the sets of real photographs, sorted."""
        root = expanded(self.real_data)
        # the path of an empty text is the working folder
        if root == Path():
            return []
        return sorted(str(path) for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))

    @model_validator(mode="after")
    def _is_there(self) -> "Away":
        root = expanded(self.real_data)
        if not root.is_dir():
            raise ValueError(
                f"away.real_data = {self.real_data}: there is no folder {root}. Mount the data, unset the variable, or "
                "leave the key empty"
            )
        return self


class Config(Section):
    """The whole configuration."""

    seed: int = Field(576, ge=0, lt=2**31, description="Seed of synthetic photographs, sampling, splits and trainings")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Device of trainings; `auto`: a GPU where one works"
    )
    threads: int = Field(
        2,
        ge=1,
        description=(
            "Intra-op threads on the CPU in trainings and crops. A part of the recipe, like the seed: another number "
            "of threads rounds differently. So it does not follow `--cores`"
        ),
    )
    portable: bool = Field(
        False,
        description=(
            "Keep pictures, trainings on the CPU, and what follows from them up to the export, to arithmetic that "
            "every x86-64 processor with AVX2 has, so that another kind of processor makes the same bytes "
            "(docs/reproduce.md)"
        ),
    )
    pathvars: Pathvars = Field(default_factory=Pathvars, description="Folders in the rules' paths")
    source: Source | None = Field(None, description="Raw photographs, of one source")
    sources: tuple[Source, ...] = Field(
        (),
        description=(
            "Raw photographs of several sources, in place of `source`, with its keys; later ones correct earlier ones"
        ),
    )
    stages: Stages = Field(description="Budgets and targets")
    plan: Plan = Field(default_factory=Plan, description="Selection and split")
    prepare: Prepare = Field(default_factory=Prepare, description="The one decode")
    manifest: Manifest = Field(default_factory=Manifest, description="Quarantine")
    scenes: Scenes = Field(default_factory=Scenes, description="Composed scenes")
    yolo: Yolo = Field(default_factory=Yolo, description="Detector's data set")
    detector: Detector = Field(default_factory=Detector, description="Detector")
    audit: Audit = Field(default_factory=Audit, description="Label audit")
    crops: Crops = Field(default_factory=Crops, description="Crops")
    classifier: Classifier = Field(default_factory=Classifier, description="Classifier")
    reader: Reader = Field(default_factory=Reader, description="Reader of imprint, shape and colours")
    steering: Steering = Field(default_factory=Steering, description="Phases, interventions and milestones")
    training: Trainings = Field(default_factory=Trainings, description="How trainings run")
    answers: Answers = Field(default_factory=Answers, description="Promises of an answer")
    onnx: Onnx = Field(default_factory=Onnx, description="Export")
    benchmark: Benchmark = Field(default_factory=Benchmark, description="Answers and timing")
    away: Away = Field(default_factory=Away, description="Answers away from the studio")

    @property
    def named_sources(self) -> dict[str, Source]:
        """The sources by name, in the configuration's order; one source has the name of its kind by default."""
        return named(self.sources or [source for source in (self.source,) if source])

    @property
    def away_sets(self) -> list[str]:
        """Folders of `away.sets` that share no photograph with a source: what is trained on is not away."""
        read = [source_root(source) for source in self.named_sources.values() if not get_kind(source.kind).drawn]
        roots = [root.resolve() for root in read if not is_in_s3(root)]
        sets = {path: Path(path).resolve() for path in self.away.sets}
        return [
            path
            for path, folder in sets.items()
            if not any(folder.is_relative_to(root) or root.is_relative_to(folder) for root in roots)
        ]

    def recipe(self, model: Literal["detector", "classifier"]) -> Recipe:
        """The recipe of a model, where `training.cycles` sets its epochs if there are any."""
        section: Recipe = getattr(self, model)
        if not self.training.cycles:
            return section
        epochs = self.training.cycles * getattr(self.training, f"{model}_epochs_per_cycle")
        return section.model_copy(update={"epochs": epochs})

    @model_validator(mode="after")
    def _sources_fit(self) -> "Config":
        if bool(self.source) == bool(self.sources):
            raise ValueError("source, sources: give one of the two, `source` for one source or `sources` for a list")
        for name, source in self.named_sources.items():
            check_place(source)
            if source.classes and get_kind(source.kind).k_coded:
                raise ValueError(f"{name}: source.classes is for class names; {source.kind} labels have K-codes")
        drawn = [source.synthetic for source in self.named_sources.values() if get_kind(source.kind).drawn]
        if len(drawn) > 1:
            raise ValueError("sources: the built-in photographs can be drawn for one source only")
        for one in drawn:
            if math.ceil(one.photos_per_drug / 18) + math.ceil(one.validation_photos_per_drug / 18) > 72:
                raise ValueError(
                    f"source.synthetic.photos_per_drug = {one.photos_per_drug}: training and validation together must "
                    "fit into the 72 capture groups of 18 views that a drug has"
                )
        return self

    @model_validator(mode="after")
    def _detector_has_weights(self) -> "Config":
        model, weights = self.detector.model, self.detector.starting_files
        finds = [name for name, one in self.named_sources.items() if one.kind == "folders" and one.box == "detector"]
        if finds and not (weights and Path(weights[0]).is_file()):
            why = "does not exist" if weights else "has no weights"
            raise ValueError(
                f"detector.model = {model}: {why}, and source.box = detector ({finds[0]}) finds the pills with it, "
                "since folders of one class have no boxes. Name a detector's weights (.pt or .safetensors) with "
                "detector.epochs: 0, or set source.box: whole to take whole photographs"
            )
        if self.recipe("detector").epochs == 0 and not weights:
            raise ValueError(
                f"detector.epochs = 0: nothing is trained, and detector.model = {model} has no weights. Name a .pt or "
                ".safetensors file, or train at least one epoch"
            )
        return self

    @model_validator(mode="after")
    def _sizes_fit(self) -> "Config":
        if self.detector.image_size > self.prepare.photo_size:
            raise ValueError(
                f"detector.image_size = {self.detector.image_size}: must not exceed prepare.photo_size = "
                f"{self.prepare.photo_size}, the size of stored photographs"
            )
        if self.classifier.image_size > self.crops.size:
            raise ValueError(
                f"classifier.image_size = {self.classifier.image_size}: must not exceed crops.size = {self.crops.size}"
            )
        if (self.classifier.start_size or 0) > self.classifier.image_size:
            raise ValueError(
                f"classifier.start_size = {self.classifier.start_size}: must not exceed classifier.image_size = "
                f"{self.classifier.image_size}, which it grows to"
            )
        if self.crops.margin > 2 * self.prepare.crop_context:
            raise ValueError(
                f"crops.margin = {self.crops.margin}: must not exceed twice prepare.crop_context = "
                f"{self.prepare.crop_context}, the stored context"
            )
        if self.audit.lowest_score > min(self.audit.min_score, self.benchmark.min_score):
            raise ValueError(
                f"audit.lowest_score = {self.audit.lowest_score}: must not exceed audit.min_score = "
                f"{self.audit.min_score} and benchmark.min_score = {self.benchmark.min_score}, which choose among what "
                "it leaves"
            )
        return self
