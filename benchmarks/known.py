"""Compare scores that tell drugs never seen from trained ones, by what they leave `known`.

    python benchmarks/known.py                                   # of results/stage4
    python benchmarks/known.py --stages seeds/seed-{576,1,2}/results/stage4     # the figures of benchmarks/known.md

Aim: of the scores that cost next to nothing in the graph, verdicts rest on the one that validation prefers. By the rule
below that is a threshold for each drug, which was added last. Here nothing is read, though; where the reader's opinion
is added, as answers do, it gains nothing (docs/answers.md).

Method: stages that are made, one for each seed (`benchmarks/seeds.py` makes them). Each score is fitted on the training
crops of photographs; thresholds are chosen as rule `calibrate_answers` chooses them, on validation and one half of the
held-out drugs; the test part and the other half have no say. On that first half the AUROC, in the mean over the stages,
chooses the score; of those that differ by less than 0.01, the one that leaves most answers `known`. *Left out* are
validation pills as though their own drug were not trained: a check by many drugs, though not by new ones, since the
features were trained with them. Pooled stages are the second and third but last of the network's, which the exported
graph does not give. Graph: the chosen score's step alone, in ONNX Runtime on one thread.
"""

import argparse
import datetime
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import known_page
import numpy as np
import onnxruntime
from known_outputs import Stage, outputs_of
from known_scores import Score, scores
from sklearn.metrics import roc_auc_score

from pillsnap.answers.calibrate_answers import fit_drug_space
from pillsnap.answers.calibration_metrics import Predictions, verdict_metrics
from pillsnap.answers.thresholds import choose_thresholds
from pillsnap.config.config import Answers
from pillsnap.files import write_json, write_text
from pillsnap.onnx.steps import relative_distances_step
from pillsnap.workflow.provenance import describe_device, git_commit, package_versions


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--stages", type=Path, nargs="+", default=[Path("results/stage4")], help="that are made")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/known"), help=".json and .md are added")
    words = parser.parse_args()
    stages = [outputs_of(stage, words.threads) for stage in words.stages]
    found = [scores(stage) for stage in stages]
    result = {
        "command": shlex.join(["python", "benchmarks/known.py", *sys.argv[1:]]),
        "date": datetime.date.today().isoformat(),
        "device": describe_device("cpu"),
        "commit": git_commit(),
        "versions": package_versions(),
        "stages": [str(stage) for stage in words.stages],
        "pills": [{part: len(pills.targets) for part, pills in stage.parts.items()} for stage in stages],
        "scores": {
            name: [figures(stage, of_stage[name]) for stage, of_stage in zip(stages, found, strict=True)]
            for name in found[0]
        },
        "milliseconds": {str(crops): step_milliseconds(stages[0], crops) for crops in (1, 4)},
    }
    write_json(words.out.with_suffix(".json"), result)
    write_text(words.out.with_suffix(".md"), known_page.page(result))
    print(known_page.page(result))


def figures(stage: Stage, score: Score) -> dict[str, Any]:
    """AUROC of strangers, the `known` share, their right share, and the share of strangers that are not `known`; on
    validation and on the test part."""
    pills = {
        part: Predictions(stage.parts[part].logits, score[part], stage.parts[part].targets)
        for part in ("val", "unseen_val", "test", "unseen_test")
    }
    without = pills["val"].logits.copy()
    without[np.arange(len(without)), pills["val"].targets] = -1e9
    pills["left_out"] = Predictions(without, score["left_out"], np.full(len(without), -1))
    chosen = choose_thresholds(pills["val"], pills["unseen_val"], Answers())
    verdicts = {part: verdict_metrics(each, chosen)["known"] for part, each in pills.items()}
    result = {}
    for name, seen, strangers in (("val", "val", ("unseen_val", "left_out")), ("test", "test", ("unseen_test",))):
        result[name] = {"known": verdicts[seen]["share"], "right": verdicts[seen]["right"]}
        for part in strangers:
            result[name][f"auroc_{part}"] = auroc(pills[seen].with_class().distances, pills[part].distances)
            result[name][f"not_known_{part}"] = 1 - verdicts[part]["share"]
    return result


def auroc(seen: np.ndarray, strangers: np.ndarray) -> float | None:
    """AUROC of scores, higher for strangers; `None` without pills of either kind."""
    if not len(seen) or not len(strangers):
        return None
    return float(roc_auc_score(np.r_[np.zeros(len(seen)), np.ones(len(strangers))], np.r_[seen, strangers]))


def step_milliseconds(stage: Stage, crops: int, times: int = 500) -> float:
    """Median time of the step that computes the chosen score for so many crops."""
    train = stage.parts["train"]
    step = relative_distances_step(fit_drug_space(train.features, train.targets, len(stage.bias)))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(step.SerializeToString(), options, providers=["CPUExecutionProvider"])
    took = []
    for _ in range(times):
        started = time.perf_counter()
        session.run(None, {"raw": train.features[:crops]})
        took.append(time.perf_counter() - started)
    return float(np.median(took)) * 1000


if __name__ == "__main__":
    main()
