"""Forms with photographs, parsed in bounded memory without temporary files; and that of `POST /v1/identify`."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, get_args

from fastapi import Request
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from pillsnap.answers.answer import PHOTOS_OF_ONE_PILL, Mode
from pillsnap.serve.errors import ServiceError

FORM_OVERHEAD = 65_536
"""Bytes that the form may have besides the photograph."""

_MOST_FIELDS = 16
"""Fields besides files that are parsed: more than any route knows, so that it can say which are too many."""


@dataclass(frozen=True)
class PhotoForm:
    """What a route says of its form.

    Attributes:
        most: photographs that it may have.
        cure: how to send it.
        too_large, smaller: how its photographs exceed the limit of bytes, as in "… more than 5 bytes", and the cure.
    """

    most: int
    cure: str
    too_large: str
    smaller: str

    def too_many_bytes(self, max_bytes: int) -> ServiceError:
        """The error of photographs above the limit."""
        return ServiceError(413, "too_many_bytes", f"{self.too_large} more than {max_bytes} bytes.", self.smaller)


_IDENTIFY = PhotoForm(
    most=PHOTOS_OF_ONE_PILL,
    cure="Send multipart/form-data with the file `photo`, or two, the front and the back of one pill: "
    "curl -F photo=@picture.jpg -F mode=single",
    too_large="The photograph, or two of one pill together, have",
    smaller="Send a smaller file.",
)


def form_in_openapi(title: str, properties: dict[str, Any], *, required: list[str]) -> dict[str, Any]:
    """Describe a form with photographs, for the API's schema."""
    schema = {"type": "object", "title": title, "required": required, "properties": properties}
    encoding = {"photo": {"contentType": "image/jpeg, image/png"}}
    form = {"multipart/form-data": {"schema": schema, "encoding": encoding}}
    return {"requestBody": {"required": True, "content": form}}


FORM_IN_OPENAPI = form_in_openapi(
    "Photograph",
    {
        "photo": {
            "type": "array",
            "items": {"type": "string", "format": "binary"},
            "minItems": 1,
            "maxItems": PHOTOS_OF_ONE_PILL,
            "description": "A photograph (JPEG, PNG, WebP, HEIC, AVIF, TIFF, BMP, GIF, JPEG 2000 or PPM), or two, the "
            "front and the back of one pill that is alone in them",
        },
        "mode": {
            "type": "string",
            "enum": list(get_args(Mode)),
            "default": "single",
            "description": "What the photograph shows: one pill, or several; `single` for two photographs of one pill",
        },
    },
    required=["photo"],
)


@dataclass(frozen=True)
class Form:
    """A photograph's file, or two of one pill, and what each shows according to the sender."""

    photos: tuple[bytes, ...]
    mode: Mode


class _MemoryParser(MultiPartParser):
    """Reads the forms that programs send, also where they leave out what browsers write.

    A part `photo` is a file whatever its headers say: `filename*` alone, or no file name. So is a part with a file name
    and no name, which is taken for the photograph.
    """

    spool_max_size = 0  # 0: a spooled file never moves to disk

    def on_headers_finished(self) -> None:
        disposition = self._current_part.content_disposition or b""
        _, options = parse_options_header(disposition)
        if b"name" not in options and (b"filename" in options or b"filename*" in disposition):
            disposition, options = disposition + b'; name="photo"', options | {b"name": b"photo"}
        if options.get(b"name") == b"photo" and b"filename" not in options:
            disposition += b'; filename="photo"'
        self._current_part.content_disposition = disposition
        super().on_headers_finished()


async def read_form(request: Request, max_bytes: int) -> Form:
    """Read the form of a photograph, or of two of one pill; raises as `parse_form`."""
    fields, photos = await parse_form(request, max_bytes, _IDENTIFY)
    mode = _mode(fields.get("mode", "single"))
    if len(photos) > 1 and mode != "single":
        message = f"Several photographs show one pill, and the field `mode` says {mode}."
        raise ServiceError(422, "mode_invalid", message, "Send single, or one photograph.")
    return Form(photos, mode)


async def parse_form(request: Request, max_bytes: int, form: PhotoForm) -> tuple[FormData, tuple[bytes, ...]]:
    """Parse a form, and refuse it at the first byte above the limit.

    Args:
        request: with the form.
        max_bytes: of all photographs together.
        form: what it may have.

    Returns:
        its fields, and its photographs, of which there is one at least.

    Raises:
        ServiceError: 413, 415 or 422.
        ClientDisconnect: the client closed the connection.
    """
    kind = request.headers.get("content-type", "")
    if kind.split(";")[0].strip().lower() != "multipart/form-data":
        raise ServiceError(415, "not_multipart", "The request is no multipart form.", form.cure)
    limit = max_bytes + FORM_OVERHEAD
    if int(request.headers.get("content-length", 0)) > limit:
        raise form.too_many_bytes(max_bytes)
    body = _counted(request, limit, form.too_many_bytes(max_bytes))
    parser = _MemoryParser(request.headers, body, max_files=form.most, max_fields=_MOST_FIELDS, max_part_size=1024)
    try:
        fields = await parser.parse()
    except MultiPartException as error:
        raise ServiceError(422, "form_invalid", f"The form cannot be read: {error.message}", form.cure) from error
    files = [file for file in fields.getlist("photo") if isinstance(file, UploadFile)]
    photos = tuple([await file.read() for file in files])
    if not photos:
        raise ServiceError(422, "photo_missing", "The form has no file `photo`.", form.cure)
    if sum(map(len, photos)) > max_bytes:
        raise form.too_many_bytes(max_bytes)
    return fields, photos


async def _counted(request: Request, limit: int, too_many: ServiceError) -> AsyncGenerator[bytes, None]:
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > limit:
            raise too_many
        yield chunk


def _mode(value: str | UploadFile) -> Mode:
    for mode in get_args(Mode):
        if value == mode:
            return mode
    allowed = " or ".join(get_args(Mode))
    raise ServiceError(422, "mode_invalid", f"The field `mode` must be {allowed}.", f"Send {allowed}.")
