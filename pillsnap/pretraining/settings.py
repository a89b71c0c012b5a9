"""Settings of the detector that comes with the project."""

from pydantic import Field

from pillsnap.config.data import Scenes
from pillsnap.config.training import Detector
from pillsnap.settings import Section


class Pretraining(Section):
    """A detector trained on composed scenes of drawn pills, and on no photograph: `weights/config.yaml`."""

    seed: int = Field(
        ge=0, lt=2**31, description="Seed of drugs, scenes and training; another one than `config.yaml`'s"
    )
    device: str = Field("auto", description="Device of the training")
    threads: int = Field(ge=1, description="Threads of the training on the CPU: a part of the recipe")
    drugs: int = Field(ge=1, description="Drawn drugs")
    views: int = Field(ge=1, description="Cut-outs of each drug, alternately of front and back")
    scale: float = Field(gt=0, description="Pixels a millimetre of the cut-outs")
    side: int = Field(ge=64, description="Longer side of a scene in pixels")
    scenes: Scenes = Field(description="Scenes of training")
    validation_scenes: int = Field(ge=1, description="Scenes of validation, with another seed")
    detector: Detector = Field(description="Recipe of the training")

    def scenes_of(self, split: str) -> Scenes:
        """The scenes of `train` or `val`."""
        return self.scenes if split == "train" else self.scenes.model_copy(update={"photos": self.validation_scenes})

    def seed_of(self, split: str) -> int:
        """The seed of the scenes of `train` or `val`."""
        return self.seed if split == "train" else self.seed + 1
