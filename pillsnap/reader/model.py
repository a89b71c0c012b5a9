"""Network of the reader: it finds the line of the imprint, turns it upright and reads it; shape and colours beside."""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import timm
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from pillsnap.classifier.transforms import resize
from pillsnap.files import replacing
from pillsnap.reader.looks import CHARACTERS, COLOUR_NAMES, PLACES, SHAPE_NAMES

STRIP_HEIGHT, STRIP_WIDTH = 48, 96
"""Pixels of the upright strip that holds the imprint."""
STRIP_REACH = (0.72, 0.44)
"""Width and height of the strip as shares of the crop's side."""
COLUMNS = STRIP_WIDTH // 4
"""Columns of features in which the places of the characters are looked for."""
_STROKES, _COLUMNS, _GLANCE = (16, 32, 64), (96, 128), (48, 48)
"""Channels of the layers."""


class ReaderError(ValueError):
    """Weights that do not exist, cannot be read, or are not a reader's of this version."""


class Reader(nn.Module):
    """Reader of crops: what a pill looks like, and what is imprinted on it.

    A timm model sees the whole crop, small, and tells shape, colours, and the axis of the imprint. Along it a strip is
    cut. The first layers see it in both directions, a glance at their features tells which one looks upright, and a
    network of columns reads that.

    Args:
        model, model_args: timm model without a classifier.
        image_size: side in pixels of the crop that it sees.
    """

    def __init__(self, model: str, model_args: dict[str, object], *, image_size: int) -> None:
        super().__init__()
        self.image_size = image_size
        self.body = timm.create_model(model, pretrained=False, num_classes=0, **model_args)
        self.looks = nn.Linear(self.body.num_features, 2 + len(SHAPE_NAMES) + len(COLOUR_NAMES))
        last = _COLUMNS[-1]
        self.strokes = nn.Sequential(*_layers((3, *_STROKES), ((2, 2), (2, 1), (2, 2))))
        self.glance = nn.Sequential(
            *_layers((_STROKES[-1], *_GLANCE), ((2, 2), (1, 1))),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(_GLANCE[-1], 1),
        )
        self.columns = nn.Sequential(
            *_layers((_STROKES[-1], *_COLUMNS), ((2, 1), (2, 1))),
            nn.Conv2d(last, last, (2, 3), padding=(0, 1), bias=False),
            nn.BatchNorm2d(last),
            nn.ReLU(),
        )
        self.attend = nn.Conv1d(last, PLACES, 5, padding=2)
        self.name = nn.Sequential(nn.Linear(2 * last, last), nn.ReLU(), nn.Linear(last, len(CHARACTERS) + 1))

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Read normalised crops, float (N, 3, S, S).

        Returns:
            logits of each place's character, (N, PLACES, 37), of the shape, (N, 11), and of each colour for itself,
            (N, 16).
        """
        # half the side without anti-aliasing's wider weights, which ONNX Runtime is slow at; views of the training are
        # sampled so, too
        half = pictures.shape[-1] == 2 * self.image_size
        small = functional.avg_pool2d(pictures, 2) if half else resize(pictures, self.image_size)
        axes, shapes, colours = self.look(small)
        strips = cut_strips(pictures, half_angle(axes))
        ahead, back = self.strokes(torch.cat([strips, strips.flip((2, 3))])).unflatten(0, (2, -1))
        upright = self.upright(ahead) >= self.upright(back)
        _, characters = self.read(torch.where(upright[:, None, None, None], ahead, back))
        return characters, shapes, colours

    def look(self, small: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Look at crops of `image_size` pixels: cosine and sine of twice the axis' angle, (N, 2), of unit length;
        logits of shapes and of colours."""
        axes, shapes, colours = self.looks(self.body(small)).split([2, len(SHAPE_NAMES), len(COLOUR_NAMES)], dim=1)
        return functional.normalize(axes, dim=1, eps=1e-6), shapes, colours

    def upright(self, strokes: torch.Tensor) -> torch.Tensor:
        """How much strips look upright, (N,), by their features of `strokes`, float (N, 64, 6, 24): the logit against
        another strip is the difference of both."""
        return self.glance(strokes).squeeze(1)

    def read(self, strokes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Read upright strips by their features of `strokes`: logits of each place's column, (N, PLACES, 24), and
        character, (N, PLACES, 37)."""
        features = self.columns(strokes).squeeze(2)
        places = self.attend(features)
        found = places.softmax(-1) @ features.transpose(1, 2)
        whole = features.mean(2)
        characters = self.name(torch.cat([found, whole[:, None].expand(-1, PLACES, -1)], dim=-1))
        return places, characters


def _layers(channels: Sequence[int], strides: Sequence[tuple[int, int]]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for (before, after), stride in zip(pairwise(channels), strides, strict=True):
        layers += [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return layers


def half_angle(doubled: torch.Tensor) -> torch.Tensor:
    """Cosine and sine, (N, 2), of half the angles between -180 and 180 degrees whose cosine and sine are given."""
    cosine, sine = doubled.unbind(1)
    # a little off zero: the square root has no slope there
    along = ((1 + cosine) / 2).clamp(min=1e-6).sqrt()
    across = ((1 - cosine) / 2).clamp(min=1e-6).sqrt()
    return torch.stack([along, torch.where(sine < 0, -across, across)], dim=1)


def cut_strips(pictures: torch.Tensor, directions: torch.Tensor, middles: torch.Tensor | None = None) -> torch.Tensor:
    """Cut the strip around the imprint's line out of crops.

    Args:
        pictures: float (N, 3, S, S).
        directions: cosine and sine of the line's angle, (N, 2): x to the right, y down.
        middles: of the strips, x and y in [-1, 1], (N, 2); that of the crop by default.

    Returns:
        float (N, 3, 48, 96).
    """
    width, height = STRIP_REACH
    x = torch.linspace(-1 + 1 / STRIP_WIDTH, 1 - 1 / STRIP_WIDTH, STRIP_WIDTH, device=pictures.device) * width
    y = torch.linspace(-1 + 1 / STRIP_HEIGHT, 1 - 1 / STRIP_HEIGHT, STRIP_HEIGHT, device=pictures.device) * height
    cosine, sine = directions[:, 0, None, None], directions[:, 1, None, None]
    grid = torch.stack([x * cosine - y[:, None] * sine, x * sine + y[:, None] * cosine], dim=-1)
    if middles is not None:
        grid = grid + middles[:, None, None]
    # zeros behind the edge, which the answers' strips never reach: ONNX Runtime has a fast path for them
    return functional.grid_sample(pictures, grid, padding_mode="zeros", align_corners=False)


def save_reader(path: Path, reader: Reader, facts: dict[str, object], *, half: bool = False) -> None:
    """Write a reader as safetensors.

    Args:
        path: written.
        reader: in FP32.
        facts: `model`, `model_args` and `image_size`, as `ReaderRecipe.network` has them.
        half: whether its numbers are written in FP16.
    """
    tensors = {
        name: value.half() if half and value.is_floating_point() else value
        for name, value in reader.state_dict().items()
    }
    with replacing(path) as temporary:
        save_file(
            {name: value.contiguous() for name, value in tensors.items()}, temporary, {"pillsnap": json.dumps(facts)}
        )


def load_reader(weights: Path) -> Reader:
    """The reader that `save_reader` wrote, FP32, in evaluation mode on the CPU.

    Raises:
        ReaderError: the file does not exist, or is not a reader of this version.
    """
    try:
        with safe_open(weights, framework="pt") as stored:
            facts = json.loads((stored.metadata() or {})["pillsnap"])
            state = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 (not a mapping)
        reader = Reader(facts["model"], facts["model_args"], image_size=facts["image_size"])
        reader.load_state_dict(state)
    except (OSError, SafetensorError, KeyError, RuntimeError, json.JSONDecodeError) as error:
        raise ReaderError(
            f"{weights}: no weights of this version's reader ({type(error).__name__}: {str(error).splitlines()[0]}). "
            "Name weights/pill-reader.safetensors, or one that this version trained (docs/weights.md)."
        ) from error
    return reader.float().eval()
