"""Tables of facts out of the inputs; nothing here knows of HTML."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scipy.stats import binomtest

from pillsnap.pages.formats import MISSING, SPACE, count, decimal, duration, figure, percent, size
from pillsnap.pages.quarantine import Rows
from pillsnap.report.inputs import Inputs

WORST_DRUGS = 15


def top1_interval(accuracy: Mapping[str, Any]) -> tuple[float, float] | None:
    """95 % Wilson score interval of the classifier's top-1, pills taken as independent; `None` without pills."""
    pills, top1 = (figure(accuracy, f"classifier.{name}") for name in ("pills", "top1"))
    return wilson(top1, pills)


def wilson(share: float | None, pills: float | None) -> tuple[float, float] | None:
    """95 % Wilson score interval of a share of so many pills; `None` where there is none."""
    if not pills or share is None:
        return None
    found = binomtest(round(share * pills), int(pills)).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def interval(share: float | None, pills: float | None, digits: int = 1) -> str:
    """The 95 % Wilson interval in words, such as `98.2 – 99.7 %`."""
    found = wilson(share, pills)
    if found is None:
        return MISSING
    low, high = (percent(value, digits) for value in found)
    return f"{low.split(SPACE)[0]}\u2009–\u2009{high}"


def budget(plan: Mapping[str, Any]) -> Rows:
    """Photographs and drugs: asked at most, used, share."""
    asked, used = plan["asked"], plan["used"]
    return [
        [word, count(asked[key]), count(used[key]), percent(used[key] / asked[key])]
        for key, word in (("images", "Photographs"), ("classes", "Drugs"))
    ]


def splits(manifest: Mapping[str, Any]) -> Rows:
    """What is on each side of the split; drugs have no sum, since each is on all sides."""
    columns = ("photos", "pills", "single", "combo", "groups", "classes")
    names = {"train": "Training", "val": "Validation", "test": "Test"}
    rows = [[names[key], *(count(side[column]) for column in columns)] for key, side in manifest["splits"].items()]
    summed = [count(sum(side[column] for side in manifest["splits"].values())) for column in columns[:4]]
    return [*rows, ["All", *summed, "", ""]]


def near_duplicates(manifest: Mapping[str, Any]) -> list[tuple[str, int, str]]:
    """Near-duplicates across two sides: which sides, how many pairs, and how many photographs are in them."""
    names = {"train": "training", "val": "validation", "test": "test"}
    rows = []
    for sides, found in manifest["audit"]["near_duplicates"]["by_sides"].items():
        first, second = sides.split("-")
        photos = f"{count(found[f'{first}_photos'])} {names[first]}, {count(found[f'{second}_photos'])} {names[second]}"
        rows.append((f"{names[first].capitalize()} and {names[second]}", found["pairs"], f"{photos} photographs"))
    return rows


def found_rows(inputs: Inputs) -> Rows:
    """How many pills the detector finds, and boxes that are no pill."""
    rows = []
    for part, word in (("train", "Training"), ("val", "Validation")):
        crops = inputs.crops.get(part, {})
        share = crops["found_by_detector"] / crops["pills"] if crops.get("pills") else None
        rows.append([word, count(crops.get("pills")), percent(share), decimal(crops.get("mean_iou"), 3), decimal(None)])
    for mode in ("single", "combo"):
        found, extra = (figure(inputs.metrics, f"pipeline.{mode}_{what}") for what in ("found", "extra_per_photo"))
        pills = figure(inputs.accuracy, f"classifier.{mode}.pills")
        rows.append([f"Test, {mode} (whole answers)", count(pills), percent(found), decimal(None), decimal(extra)])
    return rows


def domain_rows(accuracy: Mapping[str, Any]) -> Rows:
    """The classifier's figures: all test pills, single, combo."""
    rows = []
    for word, path in (("All test pills", ""), ("Single", "single."), ("Combo", "combo.")):
        shares = [percent(figure(accuracy, f"classifier.{path}{name}"), 2) for name in ("top1", "top5", "macro_f1")]
        rows.append([word, count(figure(accuracy, f"classifier.{path}pills")), *shares])
    return rows


def pipeline_rows(metrics: Mapping[str, Any]) -> Rows:
    """Whole answers by domain: found, found and named right, boxes that are no pill."""
    return [
        [
            word,
            percent(figure(metrics, f"pipeline.{mode}_found"), 2),
            percent(figure(metrics, f"pipeline.{mode}_correct"), 2),
            decimal(figure(metrics, f"pipeline.{mode}_extra_per_photo")),
        ]
        for mode, word in (("single", "Single"), ("combo", "Combo"))
    ]


def worst_drugs(by_drug: Sequence[Mapping[str, Any]]) -> Rows:
    """The drugs with the lowest top-1, with its interval, of those that are not always right."""
    wrong = sorted(
        (drug for drug in by_drug if drug["top1"] < 1), key=lambda drug: (drug["top1"], -drug["pills"], drug["k_code"])
    )
    return [
        [
            drug["k_code"],
            drug["name"],
            count(drug["pills"]),
            percent(drug["top1"]),
            interval(drug["top1"], drug["pills"], 0),
        ]
        for drug in wrong[:WORST_DRUGS]
    ]


def time_rows(inputs: Inputs) -> Rows:
    """Each rule's jobs, duration, processor time and peak memory, and the sum."""
    rows = [
        [time.rule, count(time.jobs), duration(time.seconds), duration(time.cpu_seconds), size(time.peak_memory)]
        for time in inputs.times
    ]
    if not rows:
        return []
    peak = _largest(time.peak_memory for time in inputs.times)
    cpu = [time.cpu_seconds for time in inputs.times if time.cpu_seconds is not None]
    total = [count(sum(time.jobs for time in inputs.times)), duration(sum(time.seconds for time in inputs.times))]
    return [*rows, ["All jobs", *total, duration(sum(cpu) if cpu else None), size(peak)]]


def _largest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def made_by(inputs: Inputs) -> Rows:
    """Commit, seed and device of both trainings and the benchmark."""
    parts = (
        ("Detector", inputs.detector_record, inputs.detector_record["seed"]),
        ("Classifier", inputs.classifier_record, inputs.classifier_record["seed"]),
        ("Benchmark", inputs.resources, inputs.config["seed"]),
    )
    return [[word, _commit(part["commit"]), str(seed), part["device"]] for word, part, seed in parts]


def _commit(commit: Mapping[str, Any]) -> str:
    if not commit["hash"]:
        return "outside a repository"
    return commit["hash"][:12] + (" + local changes" if commit["dirty"] else "")


def machine_rows(inputs: Inputs) -> Rows:
    """The benchmark's machine and what the delivered models weigh."""
    used = inputs.resources
    return [
        ["Device", used["device"]],
        ["Threads", count(used["threads"])],
        ["Memory of the machine", size(used["memory_total_bytes"])],
        ["Peak memory of the benchmark", size(used["peak_memory_bytes"])],
        *([f"Model {name}", size(value)] for name, value in used["model_bytes"].items()),
    ]


def input_hashes(inputs: Inputs) -> Rows:
    """SHA-256 of what the trainings and this report were made from."""
    rows = [
        [f"{word}: {path}", digest]
        for word, record in (("Detector", inputs.detector_record), ("Classifier", inputs.classifier_record))
        for path, digest in record["inputs"].items()
    ]
    return rows + [[f"Report: {role}", digest] for role, digest in inputs.hashes.items()]
