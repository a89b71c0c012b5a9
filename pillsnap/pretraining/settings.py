"""Settings of the detector and the reader that come with the project."""

from pydantic import Field, model_validator

from pillsnap.config.data import Scenes
from pillsnap.config.training import Detector
from pillsnap.reader.settings import ReaderRecipe
from pillsnap.settings import Fraction, Section


class ReaderCrops(Section):
    """Drawn crops that the reader learns from."""

    photos: int = Field(10_000, ge=1, description="Drawn photographs of training, each of 4 to 7 pills")
    photos_per_shard: int = Field(500, ge=1, description="Photographs of a job; `photos` is a multiple of it")
    validation_photos: int = Field(400, ge=1, description="Drawn photographs of validation: one shard, other imprints")
    spared_drugs: int = Field(ge=0, description="Drugs of the catalogue `spared_seed` whose imprints are never drawn")
    spared_seed: int = Field(ge=0, description="Seed of the built-in photographs' drugs")
    any_imprint: Fraction = Field(0.3, description="Share of pills with an imprint of any characters and length")
    backs: Fraction = Field(0.2, description="Share of pills that show their back, which often has no imprint")
    box_error: float = Field(0.025, ge=0, description="Standard deviation of a box's errors, of its longer side")
    size: int = Field(144, ge=32, description="Side of a crop in pixels, as `crops.size`")
    margin: float = Field(0.15, ge=0, description="Margin of a crop, as `crops.margin`")
    quality: int = Field(95, ge=1, le=100, description="JPEG quality of a crop")

    @model_validator(mode="after")
    def _whole_shards(self) -> "ReaderCrops":
        if self.photos % self.photos_per_shard:
            raise ValueError(
                f"reader_crops.photos = {self.photos} is no multiple of photos_per_shard = {self.photos_per_shard}. "
                "Change one of the two."
            )
        return self

    def shards_of(self, split: str) -> list[str]:
        """Names of the jobs that share the photographs of `train`; `val` is one job."""
        return [f"{number:04d}" for number in range(self.photos // self.photos_per_shard if split == "train" else 1)]

    def photos_of(self, split: str) -> int:
        """Photographs of each of these jobs."""
        return self.photos_per_shard if split == "train" else self.validation_photos


class Round(Section):
    """A training of the detector; a later one starts from the packed weights of the one before."""

    seed: int = Field(ge=0, lt=2**31, description="Seed of drugs and scenes; that of the training is `seed` above")
    capsules: Fraction = Field(0.0, description="Share of the drugs that are drawn as hard capsules of two colours")
    scenes: Scenes = Field(description="Scenes of training")
    grounds: int = Field(0, ge=0, description="Scenes without a pill, besides")
    threads: int = Field(1, ge=1, description="Threads of the training on the CPU: a part of the recipe")
    detector: Detector = Field(
        description="Recipe of the training; `model` of a later round is a packed file of the one before"
    )

    def scenes_of(self, part: str, validation_scenes: int) -> Scenes:
        """The scenes of `train`, `grounds` or `val`."""
        changes = {
            "train": {},
            "grounds": {"photos": self.grounds, "max_pills": 0},
            "val": {"photos": validation_scenes},
        }
        return self.scenes.model_copy(update=changes[part])

    def seed_of(self, part: str) -> int:
        """The seed of the scenes of `train`, `val` or `grounds`."""
        return self.seed + ("train", "val", "grounds").index(part)


class Pretraining(Section):
    """A detector and a reader trained on drawn pills, and on no photograph: `weights/config.yaml`."""

    seed: int = Field(ge=0, lt=2**31, description="Seed of the trainings and of the reader's crops")
    device: str = Field("auto", description="Device of the trainings")
    drugs: int = Field(ge=1, description="Drawn drugs of each round")
    views: int = Field(ge=1, description="Cut-outs of each drug, alternately of front and back")
    scale: float = Field(gt=0, description="Pixels a millimetre of the cut-outs")
    side: int = Field(ge=64, description="Longer side of a scene in pixels")
    validation_scenes: int = Field(ge=1, description="Scenes of validation, of the first round's drugs")
    rounds: dict[str, Round] = Field(min_length=1, description="Trainings of the detector by name, in their order")
    reader_crops: ReaderCrops = Field(description="Crops of the reader's training")
    reader: ReaderRecipe = Field(description="Recipe of the reader's training")
    reader_threads: int = Field(ge=1, description="Threads of the reader's training on the CPU: a part of its recipe")

    def shards_of(self, name: str, part: str) -> list[str]:
        """Names of the jobs that compose the scenes `train`, `grounds` or `val` of a round."""
        return self.rounds[name].scenes_of(part, self.validation_scenes).shards
