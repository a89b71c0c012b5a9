"""Check that the memory is enough for a stage's rules."""

from pathlib import Path

from pillsnap.config.config import Config
from pillsnap.hardware import disk_free, memory
from pillsnap.preflight.amounts import Amounts
from pillsnap.preflight.findings import Finding, finding, gib
from pillsnap.preflight.models import training_bytes

PROCESS = 200 * 2**20
"""A process that has imported a data rule's modules: 200 MiB resident, measured."""
TORCH_PROCESS = 611 * 2**20
"""The same with torch, measured."""
TRAINING_PROCESSES = 2 * 2**30
"""A training's processes beside the model on the CPU, readers and CUDA's libraries included: chosen."""
PREPARE_ROW, MANIFEST_ROW, CUT_ROW = 2_423, 2_024, 9_319
"""Bytes a plan row adds to the peak of `prepare_archive`, `build_manifest` and `cut_crops`: slope between plans of
20,000 and 100,000 made-up rows with AIHub's names."""
PHOTO_BYTES = 24
"""Bytes a pixel of the photographs that one decoding job holds: eight raw ones, and a few decoded copies of one."""
SHARED = Path("/dev/shm")  # noqa: S108 (measured, never written to)
PREFETCHED = {"detector": 4, "classifier": 2}
"""Batches that a loader process prefetches: the defaults of ultralytics and torch."""


def memory_needs(amounts: Amounts, config: Config, *, jobs: int, gpu: bool) -> dict[str, int]:
    """Estimate each rule's peak memory in bytes.

    Args:
        amounts: of the stage.
        config: models and batches.
        jobs: parallel jobs of `prepare_archive`.
        gpu: whether trainings keep model and batch on a GPU.
    """
    one = PROCESS + amounts.pills * PREPARE_ROW + amounts.largest * PHOTO_BYTES
    trained = {part: 0 if gpu else training_bytes(config, part) for part in ("detector", "classifier")}
    return {
        "prepare_archive": int(jobs * one),
        "build_manifest": int(PROCESS + amounts.pills * MANIFEST_ROW),
        "cut_crops": int(TORCH_PROCESS + amounts.pills * CUT_ROW),
        "train_detector": TRAINING_PROCESSES + trained["detector"],
        "train_classifier": TRAINING_PROCESSES + trained["classifier"],
    }


def check_memory(needs: dict[str, int], *, jobs: int) -> Finding:
    """Check the rule with the largest peak against free and total memory.

    Rules other than `prepare_archive` run one at a time on two cores, and in parallel on more: the rule of thumb is the
    largest, not the sum. Refused is only what would not fit into twice the machine's memory.
    """
    total, available = memory()
    rule = max(needs, key=lambda name: needs[name])
    need = needs[rule]
    at_once = f", {jobs} jobs at a time" if rule == "prepare_archive" and jobs > 1 else ""
    cure = {
        "prepare_archive": "Run fewer jobs at a time: a smaller --cores",
        "train_detector": "Close something, or lower detector.batch or detector.image_size",
        "train_classifier": "Close something, or lower classifier.batch or classifier.image_size",
    }.get(rule, "Close something, or choose a smaller stage")
    found = f"{gib(available)} of {gib(total)} free; {rule} needs about {gib(need)}{at_once}"
    return finding("memory", found, refused=need > 2 * total, warning=need > available, cure=cure)


def check_shared_memory(config: Config) -> list[Finding]:
    """Check the shared memory through which loader processes pass batches; containers often have 64 MiB of it."""
    if not SHARED.is_dir():
        return []
    readers = {"detector": (config.threads, config.detector.image_size), "classifier": (1, config.crops.size)}
    need = max(
        processes * PREFETCHED[part] * getattr(config, part).batch * 3 * size**2
        for part, (processes, size) in readers.items()
    )
    free = disk_free(SHARED)
    cure = f"Start the container with more, such as --shm-size={max(1, -(-need // 2**30))}g, or lower threads"
    found = f"{gib(free)} free in {SHARED}; the trainings' readers need about {gib(need)}"
    return [finding("shared memory", found, warning=free < need, cure=cure)]
