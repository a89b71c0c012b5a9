"""Steps of an answer around the two networks, as ONNX: letterbox, non-maximum suppression, crops, probabilities.

Each computes what its counterpart in numpy does (`pillsnap.predict.letterbox`, `pillsnap.crops.crop.cut_crop`,
`pillsnap.predict.unfused`, `pillsnap.answers.calibration`, `pillsnap.answers.drug_space`): tests compare them, and
`export_onnx` compares whole answers.
"""

import math

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnxscript import FLOAT, INT64, UINT8, script
from onnxscript import opset18 as op

from pillsnap.answers.calibration import Calibration
from pillsnap.answers.drug_space import LEAST_LENGTH, DrugSpace
from pillsnap.answers.naming import Imprints
from pillsnap.answers.read_imprints import LEAST
from pillsnap.predict.letterbox import LETTERBOX_GREY
from pillsnap.reader.looks import CHARACTERS, COLOUR_NAMES, END, PLACES, SHAPE_NAMES

OPSET = 18
"""The opset that these steps are written in, and every graph with them."""

CODES = len(CHARACTERS) + 1
"""Characters of a place, and the end."""

_DOUBLE, _FLOAT, _INT, _BYTE = TensorProto.DOUBLE, TensorProto.FLOAT, TensorProto.INT64, TensorProto.UINT8


def letterbox_step(size: int) -> onnx.ModelProto:
    """uint8 (H, W, 3) photo -> uint8 (1, size, size, 3) pictures; float (1,) scale and (2,) bars, left and top."""

    float_grey = float(LETTERBOX_GREY)

    @script(default_opset=op)
    def letterbox(photo: UINT8["H", "W", 3]):
        sides = op.Shape(photo, start=0, end=2)
        longest = op.ReduceMax(sides, keepdims=1)
        ratio = op.Cast(size, to=_DOUBLE) / op.Cast(longest, to=_DOUBLE)
        fitted = op.Max(op.Cast(op.Round(op.Cast(sides, to=_DOUBLE) * ratio), to=_INT), 1)
        height, width = op.Split(sides, num_outputs=2)
        rows, columns = op.Split(fitted, num_outputs=2)
        down = (op.Range(0, op.Squeeze(rows * 2), 1) * 2 + 1) * height / (rows * 4)
        across = (op.Range(0, op.Squeeze(columns * 2), 1) * 2 + 1) * width / (columns * 4)
        points = op.Gather(op.Gather(photo, down, axis=0), across, axis=1)
        planes = op.Cast(op.Unsqueeze(op.Transpose(points, perm=[2, 0, 1]), [0]), to=_FLOAT)
        # halves are rounded up, as whole numbers do it
        means = op.Floor(op.AveragePool(planes, kernel_shape=[2, 2], strides=[2, 2]) + 0.5)
        before = (size - fitted) / 2
        after = size - fitted - before
        square = op.Pad(means, op.Concat(before, after, axis=0), float_grey, [2, 3])
        pictures = op.Cast(op.Transpose(square, perm=[0, 2, 3, 1]), to=_BYTE)
        scale = op.Cast(ratio, to=_FLOAT)
        bars = op.Cast(op.Gather(before, [1, 0]), to=_FLOAT)
        return pictures, scale, bars

    return letterbox.to_model_proto(output_types=[UINT8[1, size, size, 3], FLOAT[1], FLOAT[2]])


def boxes_step(nms_iou: float) -> onnx.ModelProto:
    """The detector's float (1, anchors, 5) output -> float (N, 4) boxes, x, y, w, h in pixels, and (N,) scores.

    Takes the letterbox's scale and bars, and of the question `min_score`, float (1,), and `max_pills`, int64 (1,).
    """

    @script(default_opset=op)
    def find_boxes(
        found: FLOAT[1, "anchors", 5],
        photo: UINT8["H", "W", 3],
        scale: FLOAT[1],
        bars: FLOAT[2],
        min_score: FLOAT[1],
        max_pills: INT64[1],
    ):
        centres, extents, confidences = op.Split(op.Squeeze(found, [0]), [2, 2, 1], axis=1)
        starts = (centres - extents / 2.0 - bars) / scale
        ends = starts + extents / scale
        corners = op.Unsqueeze(op.Concat(starts, ends, axis=1), [0])
        of_the_class = op.Unsqueeze(op.Transpose(confidences, perm=[1, 0]), [0])
        kept = op.NonMaxSuppression(corners, of_the_class, max_pills, op.Constant(value_floats=[nms_iou]), min_score)
        which = op.Gather(kept, 2, axis=1)
        sides = op.Cast(op.Gather(op.Shape(photo), [1, 0]), to=_FLOAT)
        low = op.Min(op.Max(op.Gather(starts, which), 0.0), sides - 1.0)
        high = op.Min(op.Max(op.Gather(ends, which), low + 1.0), sides)
        boxes = op.Concat(low, high - low, axis=1)
        scores = op.Squeeze(op.Gather(confidences, which), [1])
        return boxes, scores

    return find_boxes.to_model_proto(output_types=[FLOAT["pills", 4], FLOAT["pills"]])


def crops_step(size: int, margin: float) -> onnx.ModelProto:
    """uint8 (H, W, 3) photo and float (N, 4) boxes -> uint8 (max(N, 1), size, size, 3) crops.

    A photo without a pill gives one crop of its corner, since not every operator takes an empty batch.
    """
    none = numpy_helper.from_array(np.zeros((0, size, size, 3), np.uint8))
    corner = numpy_helper.from_array(np.array([[0, 0, 1, 1]], np.float32))
    grown, twice, four_times = 1 + margin, 2 * size, 4 * size
    points = numpy_helper.from_array(np.array([1, 3, 2 * size, 2 * size]))

    @script(default_opset=op)
    def cut_crops(photo: UINT8["H", "W", 3], boxes: FLOAT["N", 4]):
        edges = op.Shape(photo, start=0, end=2) - 1
        padded = op.Concat(boxes, op.Constant(value=corner), axis=0)
        count = op.Squeeze(op.Max(op.Shape(boxes, start=0, end=1), [1]))
        crops = op.Constant(value=none)
        for i in range(count):
            x, y, w, h = op.Split(op.Cast(op.Gather(padded, i), to=_DOUBLE), num_outputs=4)
            longest = op.Max(op.Round(op.Max(w, h) * grown), 1.0)
            start = op.Floor(op.Concat(y + (h - longest) / 2.0, x + (w - longest) / 2.0, axis=0) + 0.5)
            origin, side = op.Cast(start, to=_INT), op.Cast(longest, to=_INT)
            step = op.Max((side + twice) / four_times, 1)
            if_whole = op.Squeeze(step == 1)
            if if_whole:
                first = op.Max(op.Min(origin, edges), 0)
                end = op.Max(op.Min(origin + side, edges + 1), first + 1)
                inside = op.Slice(photo, first, end, [0, 1])
                before, after = op.Max(first - origin, 0), op.Max(origin + side - end, 0)
                window = op.Pad(inside, op.Concat(before, after, axis=0), None, [0, 1], mode="edge")
            else:
                places = (step - 1) / 2 + step * op.Range(0, op.Squeeze(side / step), 1)
                top, left = op.Split(origin, num_outputs=2)
                bottom, right = op.Split(edges, num_outputs=2)
                rows = op.Gather(photo, op.Max(op.Min(top + places, bottom), 0), axis=0)
                window = op.Gather(rows, op.Max(op.Min(left + places, right), 0), axis=1)
            planes = op.Cast(op.Unsqueeze(op.Transpose(window, perm=[2, 0, 1]), [0]), to=_FLOAT)
            fine = op.Resize(
                planes,
                None,
                None,
                op.Constant(value=points),
                mode="linear",
                coordinate_transformation_mode="half_pixel",
            )
            means = op.Round(op.AveragePool(fine, kernel_shape=[2, 2], strides=[2, 2]))
            crops = op.Concat(crops, op.Transpose(op.Cast(means, to=_BYTE), perm=[0, 2, 3, 1]), axis=0)
        pictures = op.Identity(crops)
        return pictures

    return cut_crops.to_model_proto(output_types=[UINT8["crops", size, size, 3]])


def distances_step(whitening: np.ndarray, centroids: np.ndarray) -> onnx.ModelProto:
    """float (N, D) raw features -> float (N,) Mahalanobis distances to the nearest drug's centroid; whitened features.

    Args:
        whitening: float32 (D, D); its product with itself transposed is the inverse covariance.
        centroids: float32 (drugs, D), whitened.
    """
    to_white, centres = numpy_helper.from_array(whitening), numpy_helper.from_array(centroids.T.copy())
    squares = numpy_helper.from_array((centroids**2).sum(axis=1))

    @script(default_opset=op)
    def measure(raw: FLOAT["crops", "D"]):
        features = op.MatMul(raw, op.Constant(value=to_white))
        apart = op.Constant(value=squares) - 2.0 * op.MatMul(features, op.Constant(value=centres))
        nearest = op.ReduceMin(apart + op.ReduceSumSquare(features, [1], keepdims=1), [1], keepdims=0)
        distances = op.Sqrt(op.Relu(nearest))
        return distances, features

    return measure.to_model_proto(output_types=[FLOAT["crops"], FLOAT["crops", whitening.shape[1]]])


def relative_distances_step(space: DrugSpace) -> onnx.ModelProto:
    """float (N, D) raw features -> float (N,) relative distances to the nearest drug, as `DrugSpace` computes them."""
    mean, background = numpy_helper.from_array(space.mean), numpy_helper.from_array(space.background)
    to_white, centres = (
        numpy_helper.from_array(each) for each in (space.unit_whitening, space.unit_centroids.T.copy())
    )
    squares = numpy_helper.from_array((space.unit_centroids**2).sum(axis=1))

    @script(default_opset=op)
    def measure(raw: FLOAT["crops", "D"]):
        unit = raw / op.Max(op.ReduceL2(raw, [1], keepdims=1), LEAST_LENGTH)
        centred = unit - op.Constant(value=mean)
        white = op.MatMul(centred, op.Constant(value=to_white))
        apart = op.Constant(value=squares) - 2.0 * op.MatMul(white, op.Constant(value=centres))
        nearest = op.ReduceMin(apart + op.ReduceSumSquare(white, [1], keepdims=1), [1], keepdims=0)
        odd = op.ReduceSumSquare(op.MatMul(centred, op.Constant(value=background)), [1], keepdims=0)
        relative_distances = nearest - odd
        return relative_distances

    return measure.to_model_proto(output_types=[FLOAT["crops"]])


def reading_step(imprints: Imprints, calibration: Calibration) -> onnx.ModelProto:
    """Join the opinions of classifier and reader, as `join_reading` and `held_back` of `pillsnap.answers.naming` do.

    From float (N, drugs) raw logits, (N,) nearest relative distances, and the reader's logits of characters
    (N, PLACES, 37), shapes (N, 11) and colours (N, 16) to the joined logits and distances, (N,) disagreements, and
    calibrated probabilities of characters, shapes and colours.
    """
    columns, reading = numpy_helper.from_array(imprints.one_hot), calibration.reading
    if reading is None:
        raise ValueError("the calibration has no reading")
    per_imprint, per_shape, per_colour = (
        float(value) for value in (reading.imprint_temperature, reading.shape_temperature, reading.colour_temperature)
    )
    weight, distance_weight = float(reading.weight), float(reading.distance_weight)
    blank_weight, blank_scale = float(reading.blank_weight), float(reading.blank_scale)
    contradicts_from, within = float(reading.contradicts_from), float(calibration.known_within)
    blank_within = math.inf if calibration.blank_within is None else float(calibration.blank_within)

    @script(default_opset=op)
    def join(
        raw: FLOAT["crops", "drugs"],
        nearest: FLOAT["crops"],
        letters: FLOAT["crops", PLACES, CODES],
        forms: FLOAT["crops", "shapes"],
        tints: FLOAT["crops", "colours"],
    ):
        scores = op.LogSoftmax(letters / per_imprint, axis=-1)
        apart = op.Reshape(scores - op.ReduceMax(scores, [2], keepdims=1), op.Constant(value_ints=[0, -1]))
        of_sides = op.Reshape(op.MatMul(apart, op.Constant(value=columns)), op.Constant(value_ints=[0, -1, 2]))
        likelihoods = op.Max(op.ReduceMax(of_sides, [2], keepdims=0), LEAST)
        blank = op.Exp(op.Gather(op.Gather(scores, 0, axis=1), op.Constant(value_ints=[END]), axis=1))
        by_weight = raw + (weight + (blank_weight - weight) * blank) * likelihoods
        logits = (1.0 + (blank_scale - 1.0) * blank) * by_weight
        named = op.ArgMax(logits, axis=1, keepdims=1)
        disagreements = op.Neg(op.Squeeze(op.GatherElements(likelihoods, named, axis=1), [1]))
        joined = nearest + distance_weight * disagreements
        unread = op.Equal(op.ArgMax(op.Gather(letters, 0, axis=1), axis=1, keepdims=0), END)
        faint = op.And(unread, joined >= blank_within)
        held = op.Or(faint, op.And(op.Not(unread), disagreements >= contradicts_from))
        relative_distances = op.Where(held, op.Max(joined, within), joined)
        characters = op.Exp(scores)
        shapes = op.Softmax(forms / per_shape, axis=1)
        colours = op.Sigmoid(tints / per_colour)
        return logits, relative_distances, disagreements, characters, shapes, colours

    drugs = len(imprints.codes)
    outputs = [FLOAT["crops", drugs], FLOAT["crops"], FLOAT["crops"], FLOAT["crops", PLACES, CODES]]
    outputs += [FLOAT["crops", len(SHAPE_NAMES)], FLOAT["crops", len(COLOUR_NAMES)]]
    return join.to_model_proto(output_types=outputs)


def readings_step() -> onnx.ModelProto:
    """What was read of crops, and (N, 4) boxes -> what was read of N pills: disagreements, and probabilities of
    characters, shapes and colours."""

    @script(default_opset=op)
    def slice_readings(
        apart: FLOAT["crops"],
        letters: FLOAT["crops", PLACES, CODES],
        forms: FLOAT["crops", "shapes"],
        tints: FLOAT["crops", "colours"],
        boxes: FLOAT["pills", 4],
    ):
        count = op.Shape(boxes, start=0, end=1)
        disagreements, characters = op.Slice(apart, [0], count), op.Slice(letters, [0], count)
        shapes, colours = op.Slice(forms, [0], count), op.Slice(tints, [0], count)
        return disagreements, characters, shapes, colours

    outputs = [FLOAT["pills"], FLOAT["pills", PLACES, CODES]]
    outputs += [FLOAT["pills", len(SHAPE_NAMES)], FLOAT["pills", len(COLOUR_NAMES)]]
    return slice_readings.to_model_proto(output_types=outputs)


def names_step(temperature: float, drugs: int) -> onnx.ModelProto:
    """float (crops, drugs) logits, (crops,) distances and (N, 4) boxes -> probabilities and distances of N pills.

    Their five best classes, int64 (N, 5), with probabilities, float (N, 5); the probabilities of all drugs, float
    (N, drugs); the distances and the relative ones, float (N,).
    """
    best = min(5, drugs)

    @script(default_opset=op)
    def name(
        logits: FLOAT["crops", "drugs"], nearest: FLOAT["crops"], relative: FLOAT["crops"], boxes: FLOAT["pills", 4]
    ):
        count = op.Shape(boxes, start=0, end=1)
        all_probabilities = op.Softmax(op.Slice(logits, [0], count) / temperature, axis=1)
        probabilities, classes = op.TopK(all_probabilities, op.Constant(value_ints=[best]), axis=1)
        distances, relative_distances = op.Slice(nearest, [0], count), op.Slice(relative, [0], count)
        return classes, probabilities, all_probabilities, distances, relative_distances

    outputs = [INT64["pills", best], FLOAT["pills", best], FLOAT["pills", drugs], FLOAT["pills"], FLOAT["pills"]]
    return name.to_model_proto(output_types=outputs)


def features_step(width: int) -> onnx.ModelProto:
    """float (crops, width) whitened features and (N, 4) boxes -> float (N, width) features of N pills."""

    @script(default_opset=op)
    def describe(white: FLOAT["crops", "D"], boxes: FLOAT["pills", 4]):
        features = op.Slice(white, [0], op.Shape(boxes, start=0, end=1))
        return features

    return describe.to_model_proto(output_types=[FLOAT["pills", width]])
