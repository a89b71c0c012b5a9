"""The packed reader: the trained one's numbers in FP16, and what it says of itself."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from pillsnap.files import read_json, sha256_of
from pillsnap.pretraining.pack_pill_reader import pack_pill_reader
from pillsnap.reader.model import Reader, load_reader, save_reader
from pillsnap.training.history import write_history
from tests.support.reader_crops import RECIPE


def test_numbers_are_halved_and_the_last_epoch_is_told(tmp_path: Path) -> None:
    weights, history, packed = (tmp_path / name for name in ("last.safetensors", "history.csv", "packed.safetensors"))
    save_reader(weights, Reader(RECIPE.model, RECIPE.model_args, image_size=RECIPE.image_size), RECIPE.network)
    figures = {"imprint": 0.5, "characters": 0.75, "blank": None, "shape": 0.25, "colours": 0.125}
    write_history([{"epoch": 1, **dict.fromkeys(figures, 0.0)}, {"epoch": 2, **figures}], history)
    settings = {"seed": 1, "device": "cpu", "reader": RECIPE.model_dump(mode="json")}
    description = tmp_path / "packed.json"
    pack_pill_reader(weights=weights, history=history, packed=packed, description=description, settings=settings)

    whole, halves = load_file(weights), load_file(packed)
    assert whole.keys() == halves.keys()
    assert all(torch.equal(halves[name], each.half()) for name, each in whole.items() if each.is_floating_point())
    assert packed.stat().st_size < 0.6 * weights.stat().st_size
    assert load_reader(packed).image_size == RECIPE.image_size
    told = read_json(description)
    assert (told["sha256"], told["bytes"]) == (sha256_of(packed), packed.stat().st_size)
    assert told["validation_on_drawn_crops"] == {"epoch": 2, **figures}
    assert told["settings"] == settings and told["device"].startswith("CPU: ")
    assert {"trained_on", "made_by", "commit", "versions"} <= told.keys()
