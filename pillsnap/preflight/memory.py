"""Check that the memory is enough for a stage's rules."""

from pillsnap.config.config import Config
from pillsnap.hardware import SHARED_MEMORY, memory, shared_memory_free
from pillsnap.preflight.amounts import Amounts, composed_crops
from pillsnap.preflight.findings import Finding, finding, gib
from pillsnap.preflight.models import training_bytes

PROCESS = 200 * 2**20
"""A process that has imported a data rule's modules: 200 MiB resident, measured."""
TORCH_PROCESS = 611 * 2**20
"""The same with torch, measured."""
TRAINING_PROCESSES = 2 * 2**30
"""A training's processes beside the model on the CPU, readers and CUDA's libraries included: chosen."""
PREPARE_ROW, MANIFEST_ROW, CUT_ROW = 2_423, 2_024, 1_660
"""Bytes a plan row adds to the peak of `prepare_archive`, `build_manifest` and `cut_crops`: slope between plans of
20,000 and 100,000 made-up rows with AIHub's names; of `cut_crops`, with two crops a row, 8,534 and 49,598 rows."""
CUT_PIXEL = 60
"""Bytes that a thread of `cut_crops` holds for a pixel of a crop: FP32 at twice its side, and once more at its own."""
PHOTO_BYTES = 24
"""Bytes a pixel of the photographs that one decoding job holds: eight raw ones, and a few decoded copies of one."""
PREFETCHED, VALIDATION_PADDING = 5, 32
"""Batches that a loader process holds (`pillsnap.detector.loader`), and pixels that ultralytics adds to a validation
picture's side."""
LOGIT_COPIES = {"calibrate_answers": 4, "run_benchmark": 3}
"""Times that logits of all validation or test pills are held at once, those of parts and of pairs added up."""
CROPS_PER_DRUG, FEATURES = 64, 1280
"""Crops of each drug that `calibrate_answers` takes, and the width of their features in EfficientNets."""


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
        "calibrate_answers": int(TORCH_PROCESS + _calibration_bytes(amounts, config)),
        "run_benchmark": int(
            TORCH_PROCESS + _logit_bytes("run_benchmark", amounts.pills - amounts.trained_pills, amounts)
        ),
        "cut_crops": int(PROCESS + _cut_bytes(amounts, config)),
        "train_detector": TRAINING_PROCESSES + trained["detector"],
        "train_classifier": TRAINING_PROCESSES + trained["classifier"],
    }


def _cut_bytes(amounts: Amounts, config: Config) -> float:
    rows = amounts.pills + composed_crops(amounts, config)
    return rows * CUT_ROW + config.threads * CUT_PIXEL * config.crops.size**2


def _calibration_bytes(amounts: Amounts, config: Config) -> float:
    """Bytes of the features that the drugs' centroids and covariance are fitted on, FP32 and three copies in FP64; or,
    afterwards, of the validation pills' logits, where these are more."""
    crops = min(amounts.trained_pills, amounts.drugs * CROPS_PER_DRUG)
    validation = amounts.trained_pills * config.plan.val_fraction
    return max(crops * FEATURES * (4 + 3 * 8), _logit_bytes("calibrate_answers", validation, amounts))


def _logit_bytes(rule: str, pills: float, amounts: Amounts) -> float:
    return LOGIT_COPIES[rule] * pills * amounts.drugs * 4


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
    """Check the shared memory through which the detector's loaders pass batches: the training's, and the validation's
    with twice as many processes and twice as large batches. With less of it `train_detector` starts fewer processes.
    Containers often have 64 MiB; the classifier's loader needs none.
    """
    free = shared_memory_free()
    if free is None:
        return []
    batch = config.detector.global_batch_size * 3 * (config.detector.image_size + VALIDATION_PADDING) ** 2
    need = config.threads * PREFETCHED * batch * (1 + 2 * 2)
    cure = f"Start the container with more, such as --shm-size={max(1, -(-need // 2**30))}g, or lower threads"
    found = f"{gib(free)} free in {SHARED_MEMORY}; the detector's readers need about {gib(need)}"
    found += ", and are fewer with less" if free < need else ""
    return [finding("shared memory", found, warning=free < need, cure=cure)]
