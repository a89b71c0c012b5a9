"""Answers on a GPU against those on the CPU; the export compared one of the two with PyTorch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pillsnap.answers.agreement import agreement
from pillsnap.answers.answer import Mode
from pillsnap.pictures.decode import decode_photo
from pillsnap.predict.model import PillSnap
from pillsnap.predict.sessions import distances_of_verdicts, open_session
from pillsnap.predict.unfused import SeparateSteps

ON_GPU = {"cuda": "", "cuda fp16": ".fp16"}
"""Suffix of the graphs' files by what is compared."""


def compare_devices(models: Path, photos: Mapping[Mode, Sequence[bytes]], *, threads: int) -> dict[str, dict[str, Any]]:
    """Compare answers on the GPU, in FP32 and in FP16, with those on the CPU in FP32.

    Args:
        models: folder of `export_onnx`.
        photos: files' bytes by the mode in which they are answered.
        threads: of ONNX Runtime on the CPU.

    Returns:
        for `cuda` and `cuda fp16` the agreement of whole answers, see `pillsnap.answers.agreement`, and
        `max_logit_error` and `max_distance_error` of the classifier on the crops that answers on the CPU take.
    """
    pictures = [(mode, decode_photo(data)) for mode, some in photos.items() for data in some]
    plain = PillSnap.load(models, threads=threads, device="cpu")
    answers = [plain.identify(picture, mode) for mode, picture in pictures]
    steps = SeparateSteps.load(models, threads=threads, device="cpu")
    crops = [
        steps.cut(picture, [pill.box for pill in answer.pills])
        for (_, picture), answer in zip(pictures, answers, strict=True)
    ]
    expected = [steps.classify(each) for each in crops]
    found = {}
    for name, suffix in ON_GPU.items():
        snap = PillSnap.load(models / f"pipeline{suffix}.onnx", threads=threads, device="cuda")
        classifier = open_session(models / f"classifier{suffix}.onnx", threads=threads, device="cuda")
        others = [snap.identify(picture, mode) for mode, picture in pictures]
        errors = [
            [np.abs(ours - theirs).max() for ours, theirs in zip(outputs, _classify(classifier, each), strict=True)]
            for each, outputs in zip(crops, expected, strict=True)
            if len(each)
        ]
        logits, distances = np.max(errors, axis=0) if errors else (0.0, 0.0)
        found[name] = agreement(zip(answers, others, strict=True)) | {
            "crops": sum(map(len, crops)),
            "max_logit_error": float(logits),
            "max_distance_error": float(distances),
        }
    return found


def _classify(session: Any, crops: np.ndarray) -> list[np.ndarray]:
    return session.run(["logits", distances_of_verdicts(session)], {"crops": crops})
