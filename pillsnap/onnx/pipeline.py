"""Graphs joined from steps and networks: the classifier with distances, and the whole answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from pillsnap.answers.calibration import Calibration
from pillsnap.answers.drug_space import DrugSpace
from pillsnap.answers.naming import Imprints
from pillsnap.onnx import steps
from pillsnap.predict.nms import MAX_BOXES

PHOTO = helper.make_tensor_value_info("photo", TensorProto.UINT8, ["H", "W", 3])
OUTPUTS = (
    *("boxes", "scores", "classes", "probabilities", "all_probabilities"),
    *("distances", "relative_distances", "features"),
)
READINGS = ("disagreements", "characters", "shapes", "colours")
"""Outputs of a graph with a reader: the imprint's disagreement with the named drug, and calibrated probabilities."""
IR_VERSION = 10


@dataclass(frozen=True)
class AnswerSettings:
    """Settings of the steps of an answer.

    Attributes:
        image_size: side of the detector's input in pixels.
        crop_size, crop_margin: of `pillsnap.crops.crop.cut_crop`.
        min_score, nms_iou: of a detection that counts.
        temperature: of the softmax.
        drugs: number of classes.
    """

    image_size: int
    crop_size: int
    crop_margin: float
    min_score: float
    nms_iou: float
    temperature: float
    drugs: int


def with_distances(
    network: onnx.ModelProto, space: DrugSpace, imprints: Imprints, calibration: Calibration
) -> onnx.ModelProto:
    """Whiten the classifier's `features`, and add `distances` and `relative_distances` to the nearest drug.

    Without a reader, `logits` stay. With one they are joined with what was read, and so are `relative_distances`;
    `READINGS` are added.
    """
    parts = {
        "net": network,
        "space": steps.distances_step(space.whitening, space.centroids),
        "relative": steps.relative_distances_step(space),
    }
    wires = {"space/raw": "net/features", "relative/raw": "net/features"}
    outputs = ["logits", "distances", "relative_distances", "features"]
    if calibration.reading:
        parts["read"] = steps.reading_step(imprints, calibration)
        wires |= {"read/raw": "net/logits", "read/nearest": "relative/relative_distances"}
        wires |= {"read/letters": "net/characters", "read/forms": "net/shapes", "read/tints": "net/colours"}
        outputs += READINGS
    return join(parts, wires, list(network.graph.input), outputs)


def pipeline(detector: onnx.ModelProto, classifier: onnx.ModelProto, settings: AnswerSettings) -> onnx.ModelProto:
    """Join one graph from a photograph to its pills and their drugs.

    Inputs: `photo`, uint8 (H, W, 3) RGB; `min_score`, float (1,), and `max_pills`, int64 (1,), which have defaults.
    Outputs for N pills, best detection first: `boxes`, float (N, 4): x, y, w, h in pixels; `scores`, float (N,);
    `classes`, int64 (N, 5), and their `probabilities`, float (N, 5); `all_probabilities`, float (N, drugs);
    `relative_distances`, float (N,), which verdicts rest on; `distances`, float (N,), and `features`, whitened, float
    (N, D), by which drugs are enrolled from photographs. With a reader also `disagreements`, float (N,), of the imprint
    with the most probable drug, and probabilities of the `characters` of its places, float (N, PLACES, 37), of the
    `shapes`, float (N, 11), and of `colours`, float (N, 16).

    Args:
        detector: `pictures` -> `boxes`.
        classifier: `crops` -> the outputs of `with_distances`.
        settings: of the steps between.
    """
    parts = {
        "letterbox": steps.letterbox_step(settings.image_size),
        "detector": detector,
        "find": steps.boxes_step(settings.nms_iou),
        "cut": steps.crops_step(settings.crop_size, settings.crop_margin),
        "classifier": classifier,
        "name": steps.names_step(settings.temperature, settings.drugs),
        "describe": steps.features_step(_width(classifier, "features")),
    }
    wires = {
        "letterbox/photo": "photo",
        "detector/pictures": "letterbox/pictures",
        "find/found": "detector/boxes",
        "find/photo": "photo",
        "find/scale": "letterbox/scale",
        "find/bars": "letterbox/bars",
        "find/min_score": "min_score",
        "find/max_pills": "max_pills",
        "cut/photo": "photo",
        "cut/boxes": "find/boxes",
        "classifier/crops": "cut/pictures",
        "name/logits": "classifier/logits",
        "name/nearest": "classifier/distances",
        "name/relative": "classifier/relative_distances",
        "name/boxes": "find/boxes",
        "describe/white": "classifier/features",
        "describe/boxes": "find/boxes",
    }
    outputs = list(OUTPUTS)
    if READINGS[0] in {value.name for value in classifier.graph.output}:
        parts["read"] = steps.readings_step()
        wires |= {"read/apart": "classifier/disagreements", "read/letters": "classifier/characters"}
        wires |= {"read/forms": "classifier/shapes", "read/tints": "classifier/colours", "read/boxes": "find/boxes"}
        outputs += READINGS
    question = [
        helper.make_tensor_value_info("min_score", TensorProto.FLOAT, [1]),
        helper.make_tensor_value_info("max_pills", TensorProto.INT64, [1]),
    ]
    defaults = [
        numpy_helper.from_array(np.array([settings.min_score], np.float32), "min_score"),
        numpy_helper.from_array(np.array([MAX_BOXES], np.int64), "max_pills"),
    ]
    return join(parts, wires, [PHOTO, *question], outputs, defaults)


def _width(model: onnx.ModelProto, output: str) -> int:
    """Columns of an output of two dimensions."""
    shape = next(value.type.tensor_type.shape for value in model.graph.output if value.name == output)
    return int(shape.dim[1].dim_value)


def join(
    parts: Mapping[str, onnx.ModelProto],
    wires: Mapping[str, str],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[str],
    defaults: Sequence[onnx.TensorProto] = (),
) -> onnx.ModelProto:
    """Join models, in the order in which they run, to one graph.

    `onnx.compose.merge_models` joins two models at a time, gives no input to several of them, and knows no defaults.

    Args:
        parts: models by name; their own names get the prefix `name/`.
        wires: source of each input of a part.
        inputs: of the joined graph; a part's own input of that name takes it if no wire does.
        outputs: names of outputs; the last part that has one of that name gives it.
        defaults: values of inputs that may be left out.
    """
    nodes, weights = [], list(defaults)
    results: dict[str, Any] = {}
    for name, part in parts.items():
        graph = compose.add_prefix(part, f"{name}/").graph
        for value in graph.input:
            source = wires.get(value.name, value.name.removeprefix(f"{name}/"))
            nodes.append(helper.make_node("Identity", [source], [value.name]))
        nodes += graph.node
        weights += graph.initializer
        results |= {value.name.removeprefix(f"{name}/"): value for value in graph.output}
    for output in outputs:
        nodes.append(helper.make_node("Identity", [results[output].name], [output]))
    shown = [helper.make_value_info(output, results[output].type) for output in outputs]
    graph = helper.make_graph(nodes, "pillsnap", inputs, shown, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", steps.OPSET)], producer_name="pillsnap")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=False)
    return model
