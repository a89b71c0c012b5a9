"""Detector and classifier as ONNX, with pixels as input."""

import logging
import warnings
from pathlib import Path

import onnx
import torch
from torch import nn

from pillsnap.classifier.model import load_classifier
from pillsnap.classifier.transforms import normalise, resize
from pillsnap.detector.weights import load_detector, prepare_ultralytics
from pillsnap.onnx.steps import OPSET
from pillsnap.reader.model import Reader, load_reader


class BoxBins(nn.Module):
    """float (N, 4 * bins, anchors) logits of the distances from an anchor to its box's edges -> their means, float
    (N, 4, anchors), as ultralytics' `DFL` (Li et al., *Generalized Focal Loss*, 2020, section 3.2), but without a
    softmax over bins, for which ONNX Runtime transposes them there and back."""

    def __init__(self, bins: int) -> None:
        super().__init__()
        self.bins = bins

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        logits = logits.unflatten(1, (4, self.bins))
        weights = (logits - logits.amax(2, keepdim=True)).exp()
        places = torch.arange(self.bins, dtype=logits.dtype, device=logits.device)[:, None]
        return (weights * places).sum(2) / weights.sum(2)


class DetectorGraph(nn.Module):
    """uint8 (N, S, S, 3) letterboxed RGB -> float32 (N, anchors, 5): centre x, centre y, w, h in pixels, score."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        output = self.model(pictures.permute(0, 3, 1, 2).float() / 255)
        return (output[0] if isinstance(output, tuple | list) else output).permute(0, 2, 1)


class ClassifierGraph(nn.Module):
    """uint8 (N, S, S, 3) RGB crops -> what the classifier and the reader say of them, float32.

    `outputs` names it: logits (N, classes) and the features (N, D) that they are made from; with a reader also logits
    of each place's character (N, PLACES, 37), of the shape (N, 11), and of each colour (N, 16).
    """

    def __init__(self, model: nn.Module, image_size: int, reader: Reader | None = None, reader_size: int = 0) -> None:
        super().__init__()
        self.model, self.image_size = model, image_size
        self.reader, self.reader_size = reader, reader_size

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs."""
        return ["logits", "features", *(("characters", "shapes", "colours") if self.reader else ())]

    def forward(self, crops: torch.Tensor) -> tuple[torch.Tensor, ...]:
        pictures = crops.permute(0, 3, 1, 2)
        seen = resize(normalise(pictures, self.model), self.image_size)
        features = self.model.forward_head(self.model.forward_features(seen), pre_logits=True)
        named = self.model.get_classifier()(features), features
        if not self.reader:
            return named
        return *named, *self.reader(normalise(pictures, self.reader.body))


def detector_graph(weights: Path, work: Path) -> DetectorGraph:
    """Load the detector of `train_detector` and fuse its layers; `work` takes ultralytics' own settings."""
    prepare_ultralytics(work)
    model = load_detector(weights).fuse(verbose=False).eval()
    head = model.model[-1]
    head.export, head.format, head.dynamic = True, "onnx", False
    head.dfl = BoxBins(head.reg_max)
    return DetectorGraph(model).eval()


def classifier_graph(weights: Path, drugs: int, reader: Path | None = None) -> ClassifierGraph:
    """Load the classifier of `train_classifier`, and a reader."""
    return ClassifierGraph(*load_classifier(weights, drugs), load_reader(reader) if reader else None).eval()


def export_network(graph: nn.Module, example: torch.Tensor, inputs: str, outputs: list[str]) -> onnx.ModelProto:
    """Export a network to ONNX with a dynamic batch.

    Args:
        graph: takes one uint8 tensor.
        example: such a tensor, two of a batch: torch.export would take a batch of 1 for a constant.
        inputs, outputs: names.
    """
    for name in ("onnx_ir", "onnxscript"):  # they log every step of the optimizer
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        # ultralytics' head stores its anchors as it runs; the graph computes them
        warnings.filterwarnings("ignore", message="The tensor attributes? .* assigned during export")
        program = torch.onnx.export(
            graph,
            (example,),
            input_names=[inputs],
            output_names=outputs,
            opset_version=OPSET,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=1024)},),
            dynamo=True,
            verbose=False,
        )
    return program.model_proto
