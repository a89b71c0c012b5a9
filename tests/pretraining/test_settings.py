"""Settings of the weights that come with the project, and what these say of themselves."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from pillsnap.config.load import read_config
from pillsnap.files import read_json, sha256_of
from pillsnap.pretraining.settings import Pretraining, ReaderCrops
from tests.support.workflow import PROJECT

SETTINGS = Pretraining.model_validate(yaml.safe_load((PROJECT / "weights/config.yaml").read_text(encoding="utf-8")))


def test_shards_share_the_photographs() -> None:
    crops = ReaderCrops(photos=6, photos_per_shard=2, validation_photos=5, spared_drugs=0, spared_seed=0)
    assert (crops.shards_of("train"), crops.photos_of("train")) == (["0000", "0001", "0002"], 2)
    assert (crops.shards_of("val"), crops.photos_of("val")) == (["0000"], 5)
    with pytest.raises(ValidationError, match=r"reader_crops\.photos = 7 is no multiple of photos_per_shard = 2"):
        ReaderCrops(photos=7, photos_per_shard=2, spared_drugs=0, spared_seed=0)


def test_imprints_of_the_built_in_photographs_are_spared() -> None:
    config = read_config(PROJECT / "config.yaml")
    assert SETTINGS.reader_crops.spared_seed == config.seed
    assert SETTINGS.reader_crops.spared_drugs >= config.source.synthetic.drugs
    assert SETTINGS.seed != config.seed


@pytest.mark.parametrize("description", sorted((PROJECT / "weights").glob("*.json")), ids=lambda path: path.stem)
def test_weights_are_those_described_and_of_these_settings(description: Path) -> None:
    told, weights = read_json(description), description.with_suffix(".safetensors")
    assert (told["sha256"], told["bytes"]) == (sha256_of(weights), weights.stat().st_size)
    assert "no photograph" in told["trained_on"]
    now = SETTINGS.model_dump(mode="json")
    assert _changed(told["settings"], now) == []
    if "rounds" in told["settings"]:
        assert _changed(now["rounds"], told["settings"]["rounds"]) == [], "of every round, and of all of its settings"


def _changed(told: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Keys of settings whose value is another one now."""
    nested = {key for key, value in told.items() if isinstance(value, dict) and isinstance(now.get(key), dict)}
    found = [key for key in told if key not in nested and told[key] != now.get(key)]
    return found + [f"{key}.{inner}" for key in sorted(nested) for inner in _changed(told[key], now[key])]
