"""Duration and disk space of stage4 on a cluster: computed from measurements and from named assumptions.

    python benchmarks/cluster_page.py   # writes the tables of docs/cluster.md again

Claim: none beyond its sources. Rates are those of full_size.json (index, plan, manifest, the rules behind it),
prepare.json (the decode), rule_costs.json (everything else, at the demo's size) and slurm_jobs.json (what Slurm and
Snakemake add to a job).
No training was ever measured on a GPU: those hours are arithmetic over an assumed speed, `ASSUMED_TERAFLOPS`.
"""

import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pillsnap.config.config import Config
from pillsnap.config.load import read_config
from pillsnap.files import read_json
from pillsnap.preflight.amounts import Amounts, estimate_amounts
from pillsnap.preflight.disk import disk_parts

FOLDER = Path(__file__).parent
PROJECT = FOLDER.parent
NODES, CORES, ARCHIVES = 8, 16, 200
"""The cluster of the page: nodes, cores of each, one GPU in one of them; pairs of archives."""
ASSUMED_TERAFLOPS = 30.0
"""What a GPU keeps up in bf16 over a whole epoch, in 10^12 operations a second: an assumption."""
ASSUMED_EXPORT_HOURS = 1.0
"""Exporting production's models, and comparing them on a GPU, those in INT8 on the CPU: an assumption."""
FORWARD = {"detector": 86_815_129_600, "classifier": 71_807_856_128}
"""Operations of one forward pass: yolo11l at 640 px with one class, tf_efficientnetv2_l at 384 px with 4,523 drugs;
counted by torch.utils.flop_counter.FlopCounterMode."""
TRAINING = 3
"""Operations of a training step, in forward passes: forward, and twice as much backward."""
EXECUTOR_MB = 330
"""Peak memory of the two Snakemake processes in a Slurm job: 157 MB and 170 MB resident, seen by sstat."""
UNMADE = "unmade"
"""A stage that no working folder holds: what is made of another one changes no figure."""


@dataclass(frozen=True)
class Step:
    """One rule on the cluster.

    Attributes:
        rule: its name.
        jobs: how many.
        seconds: of one job, without what Slurm and Snakemake add.
        cores: of one job.
        gpu: whether it holds the GPU.
        source: where the rate is from.
    """

    rule: str
    jobs: int
    seconds: float
    cores: int
    gpu: bool
    source: str


@dataclass(frozen=True)
class Measured:
    """The files with measured rates, as they are read from this folder."""

    full_size: dict[str, Any]
    prepare: dict[str, Any]
    rules: dict[str, Any]
    slurm: dict[str, Any]

    @classmethod
    def read(cls) -> "Measured":
        names = ("full_size", "prepare", "rule_costs", "slurm_jobs")
        return cls(*(read_json(FOLDER / f"{name}.json") for name in names))


def production() -> Config:
    """The recipe of profiles/production over the default configuration."""
    return read_config(PROJECT / "config.yaml", PROJECT / "profiles" / "production" / "pillsnap.yaml")


def added_seconds(measured: Measured) -> float:
    """Seconds that Slurm and Snakemake add: median over the jobs of rules with one job that was not disturbed."""
    rules, jobs = measured.slurm["rules"], measured.slurm["jobs"]
    times = {rule: [job["ended"] - job["started"] for job in jobs if job["rule"] == rule] for rule in rules}
    return statistics.median(
        seconds[0] - rules[rule]["longest_seconds"]
        for rule, seconds in times.items()
        if len(seconds) == 1 and rules[rule]["jobs"] == 1
    )


def steps(measured: Measured, config: Config, amounts: Amounts) -> list[Step]:
    """Every rule of a stage4 that fills its budget, in the order of the pipeline; raw archives are there."""
    full, ours = measured.full_size, measured.prepare["runs"]["ours"]
    seconds = {name: step["seconds"] for name, step in full["steps"].items()}
    decode = statistics.median(run["steps"]["prepare"]["cpu_seconds"] / run["photos"] for run in ours)
    job = statistics.median(measured.prepare["job_seconds"])
    index = full["labels"] / ARCHIVES / full["labels_a_second_and_core"]
    size = "full_size.json"
    return [
        Step("index_archive", ARCHIVES, index, 1, False, size),
        Step("plan_stage", 1, seconds["plan stage4"], 1, False, size),
        Step("check_machine", 1, seconds["plan stage4"], 1, False, f"taken for plan_stage's, {size}"),
        Step("prepare_archive", ARCHIVES, amounts.photos / ARCHIVES * decode + job, 1, False, "prepare.json"),
        Step("build_manifest", 1, seconds["manifest"], 1, False, size),
        *_behind_the_manifest(measured, config, amounts),
        *_scaled(measured, amounts),
        *_on_the_gpu(config, amounts),
        Step("export_onnx", 1, ASSUMED_EXPORT_HOURS * 3600, config.threads, True, "assumed"),
        *_as_large_as_here(measured, config),
    ]


def _behind_the_manifest(measured: Measured, config: Config, amounts: Amounts) -> list[Step]:
    """Rules that were measured at full size without the photographs' bytes: these are hashed besides, as each job does
    with what it reads and writes, and the pills' pixels are cut by all cores of the job."""
    full = measured.full_size
    seconds = {name: step["seconds"] for name, step in full["steps"].items()}
    stored = {part.name: part.need for part in disk_parts(amounts, config, UNMADE)}

    def hashed(*parts: str) -> float:
        return sum(stored[part] for part in ("prepared photographs", *parts)) / full["hashed_bytes_a_second"]

    dataset = seconds["build_dataset"] + hashed("detector's data set")
    pixels = amounts.trained_pills * full["pill_cut_seconds"] / config.threads
    crops = seconds["cut_tables"] + pixels + hashed("crops")
    source = "full_size.json, and hashing"
    return [
        Step("build_yolo_dataset", 1, dataset, 1, False, source),
        Step("write_dataset_page", 1, seconds["write_page"] + hashed(), 1, False, source),
        Step("cut_crops", 1, crops, config.threads, False, f"{source}; pixels on {config.threads} cores"),
    ]


def _scaled(measured: Measured, amounts: Amounts) -> list[Step]:
    """A rule that was measured at the demo's size only: as many times longer as there are more pills."""
    times = amounts.pills / measured.rules["pills"]
    seconds = measured.rules["rules"]["audit_labels"]["longest_seconds"] * times
    return [Step("audit_labels", 1, seconds, 1, False, f"rule_costs.json, times {times:.0f}: so many more pills")]


def _as_large_as_here(measured: Measured, config: Config) -> list[Step]:
    """Rules whose work does not grow with the stage: so many photographs and scenes, one page."""
    seconds = {rule: cost["longest_seconds"] for rule, cost in measured.rules["rules"].items()}
    small = "rule_costs.json; as many photographs whatever the stage, small models on a CPU"
    same = "rule_costs.json; as large whatever the stage"
    return [
        *(
            Step(rule, 1, seconds[rule], config.threads, True, small)
            for rule in ("measure_references", "evaluate_away")
        ),
        *(Step(rule, 1, seconds[rule], 1, False, same) for rule in ("write_model_card", "write_report")),
    ]


def gpu_operations(config: Config, amounts: Amounts) -> dict[str, float]:
    """Operations of each rule that holds the GPU, in forward passes times what one takes. Validation is not counted."""
    trained = 1 - config.plan.val_fraction
    detector, classifier = config.detector, config.classifier
    tested = config.stages.stage4.images * config.plan.test_fraction + config.plan.unseen_photos / 2
    pills_a_photo = amounts.pills / amounts.photos
    return {
        "train_detector": detector.epochs * amounts.detector_photos * trained * TRAINING * FORWARD["detector"],
        "detect_pills": (amounts.photos - tested) * FORWARD["detector"],
        "train_classifier": sum(_shares_of_pixels(classifier))
        * amounts.trained_pills
        * trained
        * TRAINING
        * FORWARD["classifier"],
        "calibrate_answers": amounts.trained_pills * 2 * FORWARD["classifier"],
        # crops of the answer and of the labels
        "run_benchmark": tested * (FORWARD["detector"] + 2 * pills_a_photo * FORWARD["classifier"]),
    }


def _shares_of_pixels(recipe: Any) -> list[float]:
    """Of every epoch the picture's area, as a share of the full one: the picture grows."""
    sizes = (
        min(recipe.image_size, recipe.start_size + epoch // recipe.resize_every * recipe.resize_by)
        for epoch in range(recipe.epochs)
    )
    return [(size / recipe.image_size) ** 2 for size in sizes]


def _on_the_gpu(config: Config, amounts: Amounts) -> list[Step]:
    source = f"never measured: {ASSUMED_TERAFLOPS:.0f} TFLOP/s assumed"
    return [
        Step(rule, 1, operations / ASSUMED_TERAFLOPS / 1e12, config.threads, True, source)
        for rule, operations in gpu_operations(config, amounts).items()
    ]


def hours(step: Step, added: float) -> float:
    """Hours on the cluster: as many jobs at a time as there are cores, in whole rounds."""
    rounds = math.ceil(step.jobs * step.cores / (NODES * CORES))
    return rounds * (step.seconds + added) / 3600


def node_hours(step: Step, added: float) -> float:
    """Hours of a node: the share of its cores that the jobs hold; a job on the GPU holds its node whole."""
    held = 1 if step.gpu else step.cores / CORES
    return step.jobs * held * (step.seconds + added) / 3600


def disk(measured: Measured, config: Config, amounts: Amounts) -> dict[str, float]:
    """Bytes on the shared disk: raw archives, and each part of the stage with a tenth more."""
    raw = measured.full_size["photos"] * measured.prepare["photos"]["mean_bytes"]
    return {"raw archives, read where they lie": raw} | {
        part.name: part.need for part in disk_parts(amounts, config, UNMADE)
    }


def full_amounts(config: Config) -> Amounts:
    """A stage4 that fills its budget."""
    return estimate_amounts(config, "stage4")
