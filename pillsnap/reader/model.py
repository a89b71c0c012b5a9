"""Network of the reader: a small convolutional network that looks for the places of an imprint, in order."""

import json
from pathlib import Path

import timm
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from pillsnap.files import replacing
from pillsnap.reader.looks import CHARACTERS, COLOUR_NAMES, PLACES, SHAPE_NAMES

STRIDE = 8
"""Pixels of the input to a cell of the map in which places are looked for."""


class Reader(nn.Module):
    """float (N, 3, S, S) normalised crops -> where the places of the imprint are, and what is read.

    Features of three resolutions are added up at a stride of 8 pixels. Each place of the imprint has a map of attention
    over these cells; the mean features under it name its character.

    Args:
        model, model_args: timm model that gives features at strides of 4, 8, 16 and 32 pixels.
        width: channels of the map.
    """

    def __init__(self, model: str, model_args: dict[str, object], *, width: int) -> None:
        super().__init__()
        self.body = timm.create_model(
            model, pretrained=False, features_only=True, out_indices=(1, 2, 3, 4), **model_args
        )
        _, fine, middle, coarse = self.body.feature_info.channels()
        self.fine, self.middle, self.coarse = (nn.Conv2d(count, width, 1) for count in (fine, middle, coarse))
        self.mix = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )
        self.attend = nn.Conv2d(width, PLACES, 1)
        self.name = nn.Sequential(nn.Linear(2 * width, 2 * width), nn.ReLU(), nn.Linear(2 * width, len(CHARACTERS) + 1))
        self.look = nn.Linear(coarse, len(SHAPE_NAMES) + len(COLOUR_NAMES))

    def forward(self, pictures: torch.Tensor, shown: torch.Tensor | None = None) -> tuple[torch.Tensor, ...]:
        """Returns logits of each place's cell (N, PLACES, cells), of its character (N, PLACES, 37), of the shape
        (N, 11), and of each colour for itself (N, 16).

        Args:
            pictures: normalised.
            shown: in training, the cell in which each place is, int64 (N, PLACES): logits of the characters there,
                (N, PLACES, 37), are returned, too. Characters are learned before their order is.
        """
        _, fine, middle, coarse = self.body(pictures)
        cells = functional.interpolate(self.coarse(coarse), scale_factor=2.0, mode="nearest") + self.middle(middle)
        cells = self.mix(functional.interpolate(cells, scale_factor=2.0, mode="nearest") + self.fine(fine))
        places = self.attend(cells).flatten(2)
        features = cells.flatten(2).transpose(1, 2)
        whole = cells.mean((2, 3))[:, None].expand(-1, PLACES, -1)
        characters = self.name(torch.cat([places.softmax(-1) @ features, whole], dim=-1))
        shapes, colours = self.look(coarse.mean((2, 3))).split([len(SHAPE_NAMES), len(COLOUR_NAMES)], dim=1)
        if shown is None:
            return places, characters, shapes, colours
        there = features.gather(1, shown[..., None].expand(-1, -1, features.shape[-1]))
        return places, characters, shapes, colours, self.name(torch.cat([there, whole], dim=-1))


def save_reader(path: Path, reader: Reader, facts: dict[str, object], *, half: bool = False) -> None:
    """Write a reader as safetensors.

    Args:
        path: written.
        reader: in FP32.
        facts: `model`, `model_args`, `width` and `image_size`, as `ReaderRecipe.network` has them.
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


def load_reader(weights: Path) -> tuple[Reader, int]:
    """The reader that `save_reader` wrote, FP32, in evaluation mode on the CPU, and the side of its input in pixels."""
    with safe_open(weights, framework="pt") as stored:
        facts = json.loads(stored.metadata()["pillsnap"])
        state = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 (not a mapping)
    reader = Reader(facts["model"], facts["model_args"], width=facts["width"])
    reader.load_state_dict(state)
    return reader.float().eval(), facts["image_size"]
