"""Train the classifier with and without a metric loss, and compare what its features are worth.

    python benchmarks/metric_loss.py                                    # of results/stage4, as many epochs as there
    python benchmarks/metric_loss.py --epochs 15 --threads 1            # the figures of benchmarks/metric_loss.md
    python benchmarks/metric_loss.py --epochs 1 --out /tmp/metric_loss  # to try it

Claim: beside cross entropy none of these losses tells drugs never seen better from trained ones, or enrolled drugs
from others, on validation; so the classifier has none.

Method: a stage that is made lends its crops. Each loss trains the configuration's classifier from the same starting
weights, with the same batches, views, learning rates and moving average of the weights; a metric loss is added to the
cross entropy with a factor, and sees the features of the last layer but one. They are those of the library
pytorch-metric-learning: supervised contrast (Khosla et al. 2020) and sub-centre ArcFace (Deng et al. 2020), whose
centres train with AdamW at the same rate. The loop is plainer than rule `train_classifier`, without mix-up and
steering, so that these figures are compared with each other alone. The test part has no say, and is not measured.

Measured on validation with the moving average: top-1; AUROC of the score that verdicts rest on (`benchmarks/known.py`),
of held-out drugs and of validation pills as though their own drug were not trained; and top-1 of held-out drugs among
all, each enrolled by five of its crops, by features alone, mean of a hundred draws. Nothing is read of the crops.
"""

import argparse
import datetime
import math
import shlex
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import metric_loss_page
import numpy as np
import torch
from known import auroc
from known_outputs import Network, Stage, outputs_of_crops
from known_scores import Space
from pytorch_metric_learning import losses
from torch import nn
from torch.nn import functional

from pillsnap.classifier.epoch_order import epoch_order
from pillsnap.classifier.model import Ema, create_classifier, parameter_groups
from pillsnap.classifier.transforms import augment, normalise
from pillsnap.config.load import read_config
from pillsnap.config.training import Classifier
from pillsnap.crops.dataset import CropDataset
from pillsnap.files import write_json, write_text
from pillsnap.progress import progress
from pillsnap.tables.classes import read_classes
from pillsnap.workflow.provenance import describe_device, git_commit, package_versions

ROOT = Path(__file__).resolve().parents[1]
CROSS_ENTROPY = "cross entropy"
ENROLLED_BY, DRAWS = 5, 100

MetricLoss = Callable[[int, int], nn.Module]
LOSSES: dict[str, tuple[float, MetricLoss] | None] = {
    CROSS_ENTROPY: None,
    "with supervised contrast x 0.1": (0.1, lambda drugs, width: losses.SupConLoss(temperature=0.1)),
    "with supervised contrast x 0.5": (0.5, lambda drugs, width: losses.SupConLoss(temperature=0.1)),
    "with sub-centre ArcFace x 0.1": (
        0.1,
        lambda drugs, width: losses.SubCenterArcFaceLoss(num_classes=drugs, embedding_size=width, scale=16),
    ),
}
"""Factor of the metric loss, and the loss for so many drugs and features."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--stages", type=Path, nargs="+", default=[Path("results/stage4")], help="that are made")
    parser.add_argument("--epochs", type=int, help="fewer than the configuration's")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/metric_loss"), help=".json and .md are added")
    words = parser.parse_args()
    torch.set_num_threads(words.threads)
    config = read_config(ROOT / "config.yaml")
    settings = config.classifier.model_copy(update={"epochs": words.epochs or config.classifier.epochs})
    result = {
        "command": shlex.join(["python", "benchmarks/metric_loss.py", *sys.argv[1:]]),
        "date": datetime.date.today().isoformat(),
        "device": describe_device("cpu"),
        "commit": git_commit(),
        "versions": package_versions() | {"pytorch-metric-learning": version("pytorch-metric-learning")},
        "epochs": settings.epochs,
        "stages": [str(stage) for stage in words.stages],
        "losses": {
            name: [figures(learn(stage, settings, config.seed, name), _held_out(stage)) for stage in words.stages]
            for name in LOSSES
        },
    }
    write_json(words.out.with_suffix(".json"), result)
    write_text(words.out.with_suffix(".md"), metric_loss_page.page(result))
    print(metric_loss_page.page(result))


def _held_out(stage: Path) -> np.ndarray:
    """K-code of each held-out crop of validation: str (N,)."""
    return CropDataset(stage / "crops", "unseen_val").pills["k_code"].to_numpy()


def learn(stage: Path, settings: Classifier, seed: int, name: str) -> Stage:
    """Train with a loss of `LOSSES`, and run the moving average on training, validation and held-out crops."""
    torch.manual_seed(seed)
    drugs = len(read_classes(stage / "manifest/classes.json"))
    model, average = (create_classifier(settings, drugs).to(memory_format=torch.channels_last) for _ in range(2))
    average.load_state_dict(model.state_dict())
    factor, metric = 0.0, None
    if chosen := LOSSES[name]:
        factor, metric = chosen[0], chosen[1](drugs, model.num_features)
    data, ema, generator = CropDataset(stage / "crops", "train"), Ema(average, model), torch.Generator()
    groups = [
        {"params": group["params"], "weight_decay": settings.weight_decay * group["decay_scale"]}
        for group in parameter_groups(model, 1.0)
    ]
    groups += [{"params": list(metric.parameters()), "weight_decay": 0.0}] if metric else []
    optimizer, step = torch.optim.AdamW(groups, lr=settings.learning_rate), 0
    for epoch in progress(range(settings.epochs), total=settings.epochs, title=f"{stage}, {name}", unit="epochs"):
        batches = epoch_order(
            data.targets.numpy(), settings.batch, balance=settings.balance, smallest=2, seed=seed, epoch=epoch
        )
        for number, batch in enumerate(batches):
            rate = _rate(settings, epoch + number / len(batches))
            for group in optimizer.param_groups:
                group["lr"] = rate
            crops, targets = zip(*(data[item] for item in batch), strict=True)
            labels = torch.tensor(targets)
            views = augment(
                normalise(torch.stack(crops), model), settings.image_size, generator.manual_seed(seed + step)
            )
            model.train()
            features = model.forward_head(model.forward_features(views), pre_logits=True)
            loss = functional.cross_entropy(model.get_classifier()(features), labels)
            if metric:
                loss = loss + factor * metric(features, labels)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
            optimizer.step()
            ema.update(decay=settings.average_decay, step=step)
            step += 1
    return outputs_of_crops(stage, Network(average.eval(), settings.image_size))


def _rate(settings: Classifier, epoch: float) -> float:
    """Learning rate: warm-up, then a cosine to the final share of it."""
    if epoch < settings.warmup_epochs:
        return settings.learning_rate * max(epoch / settings.warmup_epochs, 1e-3)
    share = (epoch - settings.warmup_epochs) / max(settings.epochs - settings.warmup_epochs, 1)
    return settings.learning_rate * (
        settings.final_rate + (1 - settings.final_rate) * (1 + math.cos(math.pi * share)) / 2
    )


def figures(stage: Stage, held_out: np.ndarray) -> dict[str, float | None]:
    """Measure a training; `held_out` is the K-code of each held-out crop, str (N,).

    Returns:
        `top1`; AUROC of held-out drugs (`auroc_unseen`) and of left-out ones (`auroc_left_out`); `enrolled`, top-1
        of held-out drugs; `None` where there are no such crops.
    """
    train, val, unseen = (stage.parts[part] for part in ("train", "val", "unseen_val"))
    space = Space(train.features, train.targets, len(stage.bias), unit=True)
    squares = space.squares(val.features)
    without = squares.copy()
    without[np.arange(len(val.targets)), val.targets] = np.inf
    odd = space.background(val.features)
    near = squares.min(axis=1) - odd
    far = space.squares(unseen.features).min(axis=1) - space.background(unseen.features)
    return {
        "top1": float((val.logits.argmax(axis=1) == val.targets).mean()),
        "auroc_unseen": auroc(near, far),
        "auroc_left_out": auroc(near, without.min(axis=1) - odd),
        "enrolled": _enrolled(stage, held_out),
    }


def _enrolled(stage: Stage, codes: np.ndarray) -> float | None:
    """Top-1 of held-out drugs, each enrolled by `ENROLLED_BY` of its crops, mean of `DRAWS` draws; `codes`, str (N,),
    are those of their pills."""
    train, unseen, random = stage.parts["train"], stage.parts["unseen_val"], np.random.default_rng(0)
    space = Space(train.features, train.targets, len(stage.bias), unit=False)
    white, trained = space.whitened(unseen.features), space.squares(unseen.features).min(axis=1)
    drugs = [np.flatnonzero(codes == code) for code in np.unique(codes)]
    drugs = [pills for pills in drugs if len(pills) > ENROLLED_BY]
    right = []
    for _ in range(DRAWS if drugs else 0):
        orders = [random.permutation(pills) for pills in drugs]
        means = np.stack([white[pills[:ENROLLED_BY]].mean(axis=0) for pills in orders])
        for drug, pills in enumerate(orders):
            asked = pills[ENROLLED_BY:]
            apart = ((white[asked][:, None] - means) ** 2).sum(axis=2) - white.shape[1] / ENROLLED_BY
            named = np.c_[apart, trained[asked]].argmin(axis=1)
            right.append(float((named == drug).mean()))
    return float(np.mean(right)) if right else None


if __name__ == "__main__":
    main()
