"""A few drawn crops for the reader, and a recipe that trains on them in seconds."""

from pathlib import Path

from pillsnap.pretraining.draw_reader_crops import draw_reader_crops
from pillsnap.pretraining.settings import ReaderCrops
from pillsnap.reader.settings import ReaderRecipe
from tests.support.once import once_in_a_run

SETTINGS = ReaderCrops(spared_drugs=20, spared_seed=576, size=64)
RECIPE = ReaderRecipe(
    model="resnet10t",
    model_args={"stem_width": 8, "channels": [8, 16, 24, 32]},
    image_size=48,
    epochs=3,
    batch=8,
    warmup_steps=4,
)


@once_in_a_run
def reader_crops(base: Path, split: str) -> Path:
    """Folder of a shard of three photographs."""
    folder = base / "reader_crops" / split
    draw_reader_crops(folder=folder, split=split, shard=0, photos=3, settings=SETTINGS, seed=1)
    return folder
