"""Provenance: code, machine, versions, times and hashes."""

from collections.abc import Mapping
from typing import Any

import altair as alt
import yaml

from pillsnap.pages.drawing import BLUE, Figure, bars, descriptions, draw
from pillsnap.pages.formats import count, duration, size
from pillsnap.pages.table import Rows, Table, code, number
from pillsnap.report.inputs import DetectorFacts
from pillsnap.report.section import Section


def section(inputs: DetectorFacts) -> Section:
    """Origin of the stage's results, and the time that they took."""
    return Section(
        id="provenance",
        title="Provenance",
        tables={
            "made_by": Table(
                "Code, seed and device", ("Part", code("Commit"), number("Seed"), "Device"), _made_by(inputs)
            ),
            "machine": Table("Machine and models", ("", number("Value")), _machine_rows(inputs)),
            "versions": Table("Versions", ("Package", code("Version")), list(inputs.resources["versions"].items())),
            "times": Table(
                "Time and memory of every rule",
                (code("Rule"), *map(number, ("Jobs", "Time", "Processor time", "Peak memory"))),
                _time_rows(inputs),
                summed=True,
            ),
            "hashes": Table("SHA-256 of inputs", ("Input", code("SHA-256")), _input_hashes(inputs)),
        },
        figures=[_durations(inputs)],
        values={
            "longest": max(inputs.times, key=lambda time: time.seconds, default=None),
            "config": yaml.safe_dump(inputs.config, allow_unicode=True, sort_keys=False),
        },
    )


def _made_by(inputs: DetectorFacts) -> Rows:
    """Commit, seed and device of the trainings and the benchmark."""
    parts = [(word, record, record["seed"]) for word, record in _records(inputs).items()]
    parts.append(("Benchmark", inputs.resources, inputs.config["seed"]))
    return [[word, _commit(part["commit"]), str(seed), part["device"]] for word, part, seed in parts]


def _records(inputs: DetectorFacts) -> dict[str, Mapping[str, Any]]:
    return {model.capitalize(): getattr(inputs, f"{model}_record") for model in inputs.models}


def _commit(commit: Mapping[str, Any]) -> str:
    if not commit["hash"]:
        return "unknown"
    earlier = " or earlier" if commit.get("shallow") else ""
    return commit["hash"][:12] + earlier + (" + local changes" if commit["dirty"] else "")


def _machine_rows(inputs: DetectorFacts) -> Rows:
    """The benchmark's machine and what the exported models weigh."""
    used = inputs.resources
    return [
        ["Device", used["device"]],
        ["Threads", count(used["threads"])],
        ["Memory of the machine", size(used["memory_total_bytes"])],
        ["Peak memory of the benchmark", size(used["peak_memory_bytes"])],
        *([f"Model {name}", size(value)] for name, value in used["model_bytes"].items()),
    ]


def _time_rows(inputs: DetectorFacts) -> Rows:
    """Each rule's jobs, duration, processor time and peak memory, and the sum."""
    rows = [
        [time.rule, count(time.jobs), duration(time.seconds), duration(time.cpu_seconds), size(time.peak_memory)]
        for time in inputs.times
    ]
    if not rows:
        return []
    memory = [time.peak_memory for time in inputs.times if time.peak_memory is not None]
    cpu = [time.cpu_seconds for time in inputs.times if time.cpu_seconds is not None]
    total = [count(sum(time.jobs for time in inputs.times)), duration(sum(time.seconds for time in inputs.times))]
    return [*rows, ["All jobs", *total, duration(sum(cpu) if cpu else None), size(max(memory, default=None))]]


def _input_hashes(inputs: DetectorFacts) -> Rows:
    """SHA-256 of what the trainings and this report were made from."""
    rows = [
        [f"{word}: {path}", digest]
        for word, record in _records(inputs).items()
        for path, digest in record["inputs"].items()
    ]
    return rows + [[f"Report: {role}", digest] for role, digest in inputs.hashes.items()]


def _durations(inputs: DetectorFacts) -> Figure | None:
    rows = [
        {"what": time.rule, "number": time.seconds / 60, "description": f"{time.rule}: {duration(time.seconds)}"}
        for time in inputs.times
    ]
    if not rows:
        return None
    layers = [bars(rows, [time.rule for time in inputs.times], "Minutes, all jobs of a rule", alt.value(BLUE))]
    return draw(
        "durations", "Time of each rule", f"Bars: {descriptions(rows)}.", layers, width=200, height=24 * len(rows)
    )
