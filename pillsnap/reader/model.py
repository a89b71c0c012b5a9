"""Network of the reader: it finds the line of the imprint, turns it upright and reads it; shape and colours beside."""

import json
from pathlib import Path

import timm
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from pillsnap.classifier.transforms import resize
from pillsnap.files import replacing
from pillsnap.reader.looks import CHARACTERS, COLOUR_NAMES, PLACES, SHAPE_NAMES

STRIP_HEIGHT, STRIP_WIDTH = 64, 112
"""Pixels of the upright strip that holds the imprint."""
STRIP_REACH = (0.72, 0.44)
"""Width and height of the strip as shares of the crop's side."""
COLUMNS = STRIP_WIDTH // 4
"""Columns of features in which the places of the characters are looked for."""
_CHANNELS = (16, 32, 64, 96, 128)


class Reader(nn.Module):
    """Reader of crops: what a pill looks like, and what is imprinted on it.

    A timm model sees the whole crop, small, and tells shape, colours, and the axis of the imprint. Along it a strip is
    cut, which a network of columns reads in both directions; that one counts which looks upright.

    Args:
        model, model_args: timm model without a classifier.
        image_size: side in pixels of the crop that it sees.
    """

    def __init__(self, model: str, model_args: dict[str, object], *, image_size: int) -> None:
        super().__init__()
        self.image_size = image_size
        self.body = timm.create_model(model, pretrained=False, num_classes=0, **model_args)
        self.looks = nn.Linear(self.body.num_features, 2 + len(SHAPE_NAMES) + len(COLOUR_NAMES))
        strides = ((2, 2), (2, 1), (2, 2), (2, 1), (2, 1))
        layers: list[nn.Module] = []
        for before, after, stride in zip((3, *_CHANNELS), _CHANNELS, strides, strict=False):
            layers += [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        last = _CHANNELS[-1]
        layers += [nn.Conv2d(last, last, (2, 3), padding=(0, 1), bias=False), nn.BatchNorm2d(last), nn.ReLU()]
        self.columns = nn.Sequential(*layers)
        self.attend = nn.Conv1d(last, PLACES, 5, padding=2)
        self.name = nn.Sequential(nn.Linear(2 * last, last), nn.ReLU(), nn.Linear(last, len(CHARACTERS) + 1))
        self.upright = nn.Linear(last, 1)

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Read normalised crops, float (N, 3, S, S).

        Returns:
            logits of each place's character, (N, PLACES, 37), of the shape, (N, 11), and of each colour for itself,
            (N, 16).
        """
        axes, shapes, colours = self.look(resize(pictures, self.image_size))
        strips = cut_strips(pictures, half_angle(axes))
        _, ahead, upright = self.read(strips)
        _, back, upside_down = self.read(strips.flip((2, 3)))
        return torch.where((upright >= upside_down)[:, None, None], ahead, back), shapes, colours

    def look(self, small: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Look at crops of `image_size` pixels: cosine and sine of twice the axis' angle, (N, 2), of unit length;
        logits of shapes and of colours."""
        axes, shapes, colours = self.looks(self.body(small)).split([2, len(SHAPE_NAMES), len(COLOUR_NAMES)], dim=1)
        return functional.normalize(axes, dim=1, eps=1e-6), shapes, colours

    def read(self, strips: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Read strips of `cut_strips`: logits of each place's column, (N, PLACES, 28), of its character, (N, PLACES,
        37), and of the strip's being upright, (N,)."""
        features = self.columns(strips).squeeze(2)
        places = self.attend(features)
        found = places.softmax(-1) @ features.transpose(1, 2)
        whole = features.mean(2)
        characters = self.name(torch.cat([found, whole[:, None].expand(-1, PLACES, -1)], dim=-1))
        return places, characters, self.upright(whole).squeeze(1)


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
        float (N, 3, 64, 112).
    """
    width, height = STRIP_REACH
    x = torch.linspace(-1 + 1 / STRIP_WIDTH, 1 - 1 / STRIP_WIDTH, STRIP_WIDTH, device=pictures.device) * width
    y = torch.linspace(-1 + 1 / STRIP_HEIGHT, 1 - 1 / STRIP_HEIGHT, STRIP_HEIGHT, device=pictures.device) * height
    cosine, sine = directions[:, 0, None, None], directions[:, 1, None, None]
    grid = torch.stack([x * cosine - y[:, None] * sine, x * sine + y[:, None] * cosine], dim=-1)
    if middles is not None:
        grid = grid + middles[:, None, None]
    return functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


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
    """The reader that `save_reader` wrote, FP32, in evaluation mode on the CPU."""
    with safe_open(weights, framework="pt") as stored:
        facts = json.loads(stored.metadata()["pillsnap"])
        state = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 (not a mapping)
    reader = Reader(facts["model"], facts["model_args"], image_size=facts["image_size"])
    reader.load_state_dict(state)
    return reader.float().eval()
