"""Latency of an answer: step by step, on every device, and beside other ways to the same answer."""

from collections.abc import Mapping
from typing import Any

from pillsnap.pages.formats import MISSING, count, decimal, figure, milliseconds, plural
from pillsnap.pages.table import Rows, Table, number
from pillsnap.report.inputs import Measured

PERCENTILES = ("p50", "p95", "p99")
FUSED_STEPS = ("decode", "graph", "total")
SINGLE_STEPS = ("decode", "detector", "crop", "classifier", "total")
WAYS = {
    "fused": "One fused graph",
    "fp16": "One fused graph in FP16",
    "int8": "One fused graph in INT8",
    "steps": "Three steps, ONNX Runtime",
    "pytorch": "ultralytics + timm, PyTorch",
}
"""Ways to an answer that are timed side by side; FP16 on a GPU, INT8 on the CPU."""
DEVICES = {"cpu": "CPU", "cuda": "GPU, CUDA", "cuda fp16": "GPU, CUDA, FP16"}


def speed_tables(inputs: Measured) -> dict[str, Table]:
    """Tables of the report's section on latency and of the model card, by name."""
    percentiles = [number(f"{mode} {p}") for mode in ("Single", "Combo") for p in PERCENTILES]
    return {
        "latency": Table(
            "Milliseconds, one fused graph",
            ("Step", *percentiles),
            latency_rows(inputs.latency, FUSED_STEPS),
            summed=True,
        ),
        "steps": Table(
            "Milliseconds, the single steps",
            ("Step", *percentiles),
            latency_rows(inputs.latency["steps"], SINGLE_STEPS),
            summed=True,
        ),
        "devices": Table(
            "Whole answers on every device that works here",
            ("Device", *percentiles),
            device_rows(inputs.latency),
        ),
        "side_by_side": Table(
            "Side by side",
            ("Photograph", "Way", number("p50"), number("p95"), number("p99"), number("Times as long")),
            side_by_side_rows(inputs.latency),
        ),
        "throughput": Table(
            "Throughput with concurrent requests, photographs per second",
            ("Photographs", number("Concurrent"), number("Per second")),
            throughput_rows(inputs.latency),
        ),
    }


def latency_rows(latency: Mapping[str, Any], steps: tuple[str, ...]) -> Rows:
    """Milliseconds by step: the three percentiles of single, then of combo."""
    return [
        [
            "Whole answer" if step == "total" else step.capitalize(),
            *(
                milliseconds(figure(latency, f"{mode}.{step}.{p}_ms"))
                for mode in ("single", "combo")
                for p in PERCENTILES
            ),
        ]
        for step in steps
    ]


def device_rows(latency: Mapping[str, Any]) -> Rows:
    """Milliseconds of whole answers on each device: the three percentiles of single, then of combo."""
    return [
        [
            DEVICES.get(device, device),
            *(milliseconds(figure(found, f"{mode}.{p}_ms")) for mode in ("single", "combo") for p in PERCENTILES),
        ]
        for device, found in latency["devices"].items()
    ]


def side_by_side_rows(latency: Mapping[str, Any]) -> Rows:
    """Each way to an answer, by the number of pills: percentiles, and its median as a multiple of the fused graph's."""
    return [
        [
            plural(int(pills), "pill"),
            words,
            *(milliseconds(ways[name][f"{p}_ms"]) for p in PERCENTILES),
            f"{decimal(ways[name]['times'])}×",
        ]
        for pills, ways in latency["side_by_side"].items()
        for name, words in WAYS.items()
        if name in ways
    ]


def throughput_rows(latency: Mapping[str, Any]) -> Rows:
    """Photographs a second where so many are asked for at once."""
    found = latency["throughput"]
    return [
        [
            mode.capitalize(),
            count(figure(found, f"{mode}.workers")),
            decimal(figure(found, f"{mode}.photos_per_second"), 1) if mode in found else MISSING,
        ]
        for mode in ("single", "combo")
    ]
