"""Response bodies as dataclasses, and a query, by which FastAPI validates and writes the OpenAPI schema."""

from dataclasses import asdict, dataclass, field, fields
from typing import Annotated, Any

from pydantic import BaseModel, Field

from pillsnap.answers.answer import Answer, ModelInfo, SamePillAnswer
from pillsnap.catalogue.search import MOST
from pillsnap.tables.classes import DrugClass

NOTICE = "This is no medical advice: never take or give a drug because of this answer."


class LookUpQuery(BaseModel, extra="forbid"):
    """What a person read of a pill, as parameters of `GET /v1/catalogue`."""

    imprint: str = Field("", max_length=200, description="Of one side or both, in any order")
    colour: str = Field("", max_length=100, description="One or two, such as white,blue or 하양,파랑")
    shape: str = Field("", max_length=50, description="Such as round or 원형")
    score_line: str = Field("", max_length=50, description="none, line, cross or other")
    length: float | None = Field(None, description="Longer side, mm")
    width: float | None = Field(None, description="Shorter side, mm")
    tolerance: float = Field(0.5, description="Standard deviation of the sizes, mm")
    limit: int = Field(20, ge=1, le=MOST)


@dataclass(frozen=True)
class ServiceAnswer(Answer):
    """What a photograph of width x height pixels shows; no pills where none was found."""

    more_pills: Annotated[
        bool, Field(description="Whether a photograph of mode single shows a further pill, which is not answered")
    ] = field(default=False, kw_only=True)
    model: Annotated[str, Field(description="First 12 digits of the model's SHA-256", examples=["0123456789ab"])]
    notice: Annotated[str, Field(description="What an answer must not be taken for", examples=[NOTICE])]
    kept: Annotated[
        str | None, Field(description="ID under which photograph and answer are kept, for a correction; null: not kept")
    ] = None


@dataclass(frozen=True)
class SamePillServiceAnswer(SamePillAnswer):
    """What two photographs of one pill show together; `width`, `height` and `pills` are of the first one."""

    model: Annotated[str, Field(description="First 12 digits of the model's SHA-256", examples=["0123456789ab"])]
    notice: Annotated[str, Field(description="What an answer must not be taken for", examples=[NOTICE])]
    kept: Annotated[None, Field(description="Photographs that are answered together are not kept")] = None


def service_answer(answer: Answer, model: str, kept: str | None) -> SamePillServiceAnswer | ServiceAnswer:
    """An answer with the model that gave it, the notice, and the ID under which it is kept."""
    if isinstance(answer, SamePillAnswer):
        return SamePillServiceAnswer(**_fields(answer), model=model, notice=NOTICE)
    return ServiceAnswer(**_fields(answer), model=model, notice=NOTICE, kept=kept)


def _fields(answer: Answer) -> dict[str, Any]:
    return {field.name: getattr(answer, field.name) for field in fields(answer)}


@dataclass(frozen=True)
class Health:
    """Whether the service takes photographs, and what a client has to know before it sends one."""

    ready: bool
    api_key_required: bool
    max_bytes: Annotated[int, Field(description="Bytes that a photograph's file may have")]
    max_pixels: Annotated[int, Field(description="Pixels that a photograph may have")]
    keeps: Annotated[bool, Field(description="Whether photographs and answers are kept (`--keep`)")]
    catalogue: Annotated[bool, Field(description="Whether pills can be looked up (`--catalogue`)")]


@dataclass(frozen=True)
class ModelCard(ModelInfo):
    """What the model says of itself, the drugs that it can name, and what was measured."""

    classes: Annotated[tuple[DrugClass, ...], Field(description="Every drug that the model can name")]
    metrics: Annotated[dict[str, Any] | None, Field(description="Content of metrics.json; null where there is none")]
    metrics_missing: Annotated[str | None, Field(description="Why there are no metrics; null where there are")]

    @classmethod
    def of(
        cls, info: ModelInfo, classes: list[DrugClass], metrics: dict[str, Any] | None, missing: str | None
    ) -> "ModelCard":
        """A model's facts, drugs and measured figures."""
        return cls(**asdict(info), classes=tuple(classes), metrics=metrics, metrics_missing=missing)


@dataclass(frozen=True)
class ErrorDetail:
    """What is wrong and what to do."""

    code: Annotated[str, Field(description="For programs; docs/serve.md lists every code", examples=["photo_empty"])]
    message: Annotated[str, Field(description="What is wrong", examples=["The photograph has 0 bytes."])]
    cure: Annotated[str, Field(description="What to do", examples=["Send the file again."])]


@dataclass(frozen=True)
class ErrorBody:
    """The one shape of every error."""

    error: ErrorDetail
