"""Models: the exported networks against PyTorch and against each other."""

from pillsnap.pages.formats import percent, plural, tiny
from pillsnap.pages.table import Rows, Table, number
from pillsnap.report.facts.parity import map50_difference, precision_table, top1_difference
from pillsnap.report.facts.speed import DEVICES
from pillsnap.report.inputs import Inputs
from pillsnap.report.section import Section


def section(inputs: Inputs) -> Section:
    """Parity, and what the smaller networks cost."""
    return Section(
        id="models",
        title="Models",
        tables={
            "parity": Table(
                "Do the ONNX models answer like PyTorch, and the fused graph like its steps?",
                ("", *map(number, ("Compared on", "Largest difference, or share", "Allowed"))),
                _parity_rows(inputs),
            ),
            "devices": Table(
                "Does the GPU answer like the CPU?",
                ("", *map(number, ("Compared on", "Same pills", "Same drugs too", "Logits", "Distances"))),
                _device_rows(inputs),
            ),
            "precisions": precision_table(inputs),
        },
    )


def _device_rows(inputs: Inputs) -> Rows:
    """A row for each way to compute on a GPU; empty where the benchmark had none."""
    return [
        [
            DEVICES[name],
            plural(one["photos"], "photo"),
            *(percent(one[key], 2) for key in ("same_pills", "same_top1")),
            *(tiny(one[key]) for key in ("max_logit_error", "max_distance_error")),
        ]
        for name, one in inputs.accuracy.get("devices", {}).items()
    ]


def _parity_rows(inputs: Inputs) -> Rows:
    """Rows of comparisons: on how many photographs or crops, the largest difference, and the allowed one."""
    parity, allowed, tested = inputs.parity, inputs.config["onnx"], inputs.accuracy["fused"]
    detector, classifier, fused = (parity[name] for name in ("detector", "classifier", "fused"))
    photos, crops = plural(detector["photos"], "photo"), plural(classifier["crops"], "crop")
    least = f"at least {percent(allowed['min_same_answers'], 0)}"
    same = [("validation", fused, least), ("test", tested, "")]
    return [
        [
            "Detector: box coordinates",
            photos,
            f"{tiny(detector['max_box_error_px'])} px",
            f"{tiny(allowed['max_box_error'])} px",
        ],
        ["Detector: scores", photos, tiny(detector["max_score_error"]), ""],
        ["Detector: mAP@0.5", photos, tiny(map50_difference(parity)), tiny(allowed["max_map50_difference"])],
        ["Classifier: logits", crops, tiny(classifier["max_logit_error"]), tiny(allowed["max_logit_error"])],
        ["Classifier: distances", crops, tiny(classifier["max_distance_error"]), ""],
        ["Classifier: relative distances", crops, tiny(classifier["max_relative_distance_error"]), ""],
        ["Classifier: top-1", crops, tiny(top1_difference(parity)), tiny(allowed["max_top1_difference"])],
        *(
            row
            for word, one, share in same
            for row in (
                [
                    f"Fused graph and steps, {word}: same pills",
                    plural(one["photos"], "photo"),
                    percent(one["same_pills"], 2),
                    "",
                ],
                [
                    f"Fused graph and steps, {word}: same drugs too",
                    plural(one["photos"], "photo"),
                    percent(one["same_top1"], 2),
                    share,
                ],
            )
        ),
    ]
