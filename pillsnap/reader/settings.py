"""Recipe of the reader's training."""

from typing import Any, Literal

from pydantic import Field

from pillsnap.settings import Section


class ReaderRecipe(Section):
    """Training of the reader."""

    model: str = Field(description="timm model that sees the whole crop")
    model_args: dict[str, Any] = Field({}, description="Arguments of the timm model")
    image_size: int = Field(96, ge=32, description="Side in pixels of the crop that the timm model sees")
    epochs: int = Field(
        ge=1, description="Epochs: the learning rate falls to their end, so another number is another training"
    )
    batch: int = Field(64, ge=2, description="Crops of a step")
    learning_rate: float = Field(3e-3, gt=0, lt=1, description="Peak learning rate (AdamW; warm-up, then a cosine)")
    final_rate: float = Field(0.01, gt=0, le=1, description="Learning rate at the end, as a share of the peak")
    warmup_steps: int = Field(200, ge=0, description="Steps of linear warm-up")
    weight_decay: float = Field(0.05, ge=0, lt=1, description="Weight decay; norms and biases have none")
    clip: float = Field(5.0, gt=0, description="Maximum gradient norm")
    precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="Precision of the forward pass; losses are not scaled"
    )

    @property
    def network(self) -> dict[str, Any]:
        """What the network is made of again: the facts that `save_reader` stores."""
        return self.model_dump(include={"model", "model_args", "image_size"})
