"""Which parts of a stage's files tell of a machine or a moment, so that no second run has them again."""

from fnmatch import fnmatch

WHOLE = (
    "preflight.json",
    "*/resources.json",
    "benchmark/latency.json",
    "figures/durations.svg",
    "figures/latency.svg",
    "figures/side_by_side.svg",
    "model_card.md",
    "report.html",
)
"""Files below a stage's folder that hold durations, memory or free disk among their text."""
PARTS = {
    "*/history.csv": {"seconds"},
    "metrics.json": {"latency", "environment"},
    "provenance/*": {"ended", "seconds", "inputs", "outputs"},
}
"""Columns, or keys at the top, that do so in an otherwise equal file; hashes in records follow the files."""
TRAINED = (
    "detector/*",
    "detections.parquet",
    "label_audit/*",
    "crops/*",
    "classifier/*",
    "answers/*",
    "onnx/*",
    "benchmark/*",
    "figures/*",
)
"""Files that floating-point arithmetic of a training shapes: another device rounds otherwise."""


def is_measured(path: str) -> bool:
    """Whether a file, by its path below the stage's folder, is measured as a whole."""
    return any(fnmatch(path, pattern) for pattern in WHOLE)


def measured_parts(path: str) -> set[str]:
    """Columns or keys of a file, by its path below the stage's folder, that are measured."""
    return set().union(*(parts for pattern, parts in PARTS.items() if fnmatch(path, pattern)))


def is_trained(path: str) -> bool:
    """Whether a file, by its path below the stage's folder, follows from a training."""
    return any(fnmatch(path, pattern) for pattern in TRAINED)
