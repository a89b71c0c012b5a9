"""Networks in FP16 for GPUs and in INT8 for CPUs."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16

PRECISIONS = ("fp32", "fp16", "int8")
BATCH = 8
"""Pictures of a calibration step: the smallest and the largest value of a batch are those of its pictures."""


def half_precision(network: onnx.ModelProto) -> onnx.ModelProto:
    """Convert weights and arithmetic to FP16; inputs and outputs keep their types."""
    copy = onnx.ModelProto()
    copy.CopyFrom(network)
    _give_each_its_own_scales(copy.graph)
    return convert_float_to_float16(copy, keep_io_types=True)


def _give_each_its_own_scales(graph: onnx.GraphProto) -> None:
    """The scales of a Resize stay in FP32; shared by two, they would get two casts of one name."""
    values = {value.name: value for value in graph.initializer}
    for number, node in enumerate(node for node in graph.node if node.op_type == "Resize"):
        if len(node.input) > 2 and node.input[2] in values:
            scales = onnx.TensorProto()
            scales.CopyFrom(values[node.input[2]])
            scales.name = node.input[2] = f"{node.input[2]}_{number}"
            graph.initializer.append(scales)


def quantized(network: onnx.ModelProto, examples: np.ndarray) -> onnx.ModelProto:
    """Quantize the convolutions to INT8: weights by channel, activations by their range over the examples.

    Args:
        network: takes one uint8 input.
        examples: validation pictures, uint8 (N, S, S, 3).
    """
    with tempfile.TemporaryDirectory() as folder:
        plain, prepared, small = (Path(folder) / f"{name}.onnx" for name in ("plain", "prepared", "small"))
        onnx.save(network, plain)
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            small,
            _Examples(network.graph.input[0].name, examples),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return onnx.load(small)


class _Examples(CalibrationDataReader):
    def __init__(self, name: str, pictures: np.ndarray) -> None:
        starts = range(0, len(pictures), BATCH)
        self._batches: Iterator[dict[str, np.ndarray]] = ({name: pictures[at : at + BATCH]} for at in starts)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._batches, None)
