"""Check two processes, one for each of two GPUs: a step that they share, and the end of both where one fails."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from pillsnap.classifier.trainer import ClassifierTrainer
from pillsnap.config.config import Config
from pillsnap.config.training import Classifier
from pillsnap.files import read_json, write_json
from pillsnap.preflight.gpu_check.classifier import draw_crops
from pillsnap.preflight.gpu_check.compute import need_precision
from pillsnap.preflight.gpu_check.rows import NotCheckedError, Row, Verdict
from pillsnap.training.processes import process_group

PROCESSES = 2
SECONDS = 60
"""Within which the other one ends after one failed."""
PATIENCE = 180


def check_several_gpus(config: Config, *, drugs: int, device: str, there: int) -> Iterator[Row]:
    """Have torchrun start the two processes: they share a step of the classifier, then one of them fails.

    Args:
        config: its `classifier` is trained, from random weights.
        drugs: number of classes.
        device: `cuda` or `cpu`.
        there: GPUs that are visible.
    """
    if there < PROCESSES:
        raise NotCheckedError("there is no second GPU")
    recipe = config.classifier.model_copy(update={"weights": None, "compile": False})
    need_precision(recipe, device)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_json(folder / "job.json", {"recipe": recipe.model_dump(), "drugs": drugs, "device": device})
        ended = _run(folder)
        sums = [read_json(path)["weights"] for path in sorted(folder.glob("rank-*.json"))]
        failed_at = read_json(folder / "failed.json")["at"] if (folder / "failed.json").is_file() else None
    same = len(sums) == PROCESSES and len(set(sums)) == 1
    text = f"{len(sums)} processes did it, {'to the same' if same else 'not to the same'} weights"
    cure = "" if same else "See the log above, or set training.processes to 1"
    yield Row("two GPUs: a step", text, f"{PROCESSES}, the same", Verdict.ok if same else Verdict.failed, cure)
    fine = ended is not None and failed_at is not None and ended - failed_at <= SECONDS
    text = f"both ended after {ended - failed_at:.0f} s" if ended and failed_at else "they did not end"
    cure = "" if fine else "See the log above, or set training.processes to 1"
    verdict = Verdict.ok if fine else Verdict.failed
    yield Row("two GPUs: memory of one ends", text, f"<= {SECONDS} s", verdict, cure)


def _run(folder: Path) -> float | None:
    """Run the processes to their end; the time of it, `None` where they were killed."""
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(PROCESSES)]
    command = [sys.executable, *words, "-m", "pillsnap.preflight.gpu_check.several", str(folder)]
    try:
        subprocess.run(command, stdout=sys.stderr, stderr=sys.stderr, check=False, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return None
    return time.time()


def train(folder: Path) -> None:
    """Do one step as this process of the two, then fail as the last of them, or wait for it."""
    job = read_json(folder / "job.json")
    recipe, batch = Classifier(**job["recipe"]), PROCESSES * 2
    with process_group(PROCESSES, job["device"]) as processes:
        device = processes.device(job["device"])
        trainer = ClassifierTrainer(recipe, job["drugs"], seed=0, device=device, processes=processes)
        trainer.use_precision(recipe.precision)
        trainer.set_rates(learning_rate=recipe.learning_rate, weight_decay=recipe.weight_decay)
        torch.manual_seed(0)  # the same crops in both
        pictures, targets = draw_crops(batch, recipe.image_size, job["drugs"], device)
        own = processes.shard
        views = trainer.views(pictures[own], recipe.image_size, global_batch_size=batch)
        trainer.step(views, targets[own], global_batch_size=batch, accumulation_steps=1, max_grad_norm=recipe.clip)
        weights = sum(float(each.detach().double().abs().sum()) for each in trainer.model.parameters())
        write_json(folder / f"rank-{processes.rank}.json", {"weights": weights})
        processes.barrier()
        if processes.rank == PROCESSES - 1:
            write_json(folder / "failed.json", {"at": time.time()})
            raise torch.OutOfMemoryError("CUDA out of memory (played by the check)")
        processes.barrier()


if __name__ == "__main__":
    train(Path(sys.argv[1]))
