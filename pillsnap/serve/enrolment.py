"""`POST /v1/references`: a new drug from photographs, for a service that may take some."""

import threading
from dataclasses import dataclass
from pathlib import Path

from fastapi import Request
from filelock import FileLock, Timeout

from pillsnap.enrol.enrol import EnrolError, LikenessError, Photo, check_folders, copy_models, new_drug
from pillsnap.files import sha256_of
from pillsnap.predict.model import PillSnap
from pillsnap.predict.references import read_references, write_references
from pillsnap.predict.sessions import ModelError
from pillsnap.serve.errors import ServiceError
from pillsnap.serve.form import PhotoForm, form_in_openapi, parse_form

MOST_PHOTOS = 32
MOST_EDI_CODES = 5
_FORM = PhotoForm(
    most=MOST_PHOTOS,
    cure=f"Send multipart/form-data with 1 to {MOST_PHOTOS} files `photo`, the fields `k_code` and `name`, and up to "
    f"{MOST_EDI_CODES} `edi`: curl -F photo=@1.jpg -F photo=@2.jpg -F k_code=K-012345 -F name=NAME -F edi=CODE",
    too_large="The photographs together have",
    smaller="Send fewer or smaller photographs.",
)

REFERENCES_IN_OPENAPI = form_in_openapi(
    "References",
    {
        "photo": {
            "type": "array",
            "items": {"type": "string", "format": "binary"},
            "minItems": 1,
            "maxItems": MOST_PHOTOS,
            "description": "Photographs of one pill of the drug each",
        },
        "k_code": {"type": "string", "pattern": "^K-[0-9]{6}$"},
        "name": {"type": "string", "minLength": 1, "maxLength": 200},
        "edi": {"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": MOST_EDI_CODES},
        "force": {
            "type": "string",
            "enum": ["true", "false"],
            "default": "false",
            "description": "Enrol it though it looks like a drug that is there",
        },
    },
    required=["photo", "k_code", "name"],
)


@dataclass(frozen=True)
class References:
    """A request: photographs of a drug, and what it is called."""

    photos: tuple[Photo, ...]
    k_code: str
    name: str
    edi_codes: tuple[str, ...]
    force: bool


@dataclass(frozen=True)
class Enrolled:
    """A drug that answers name from now on, the photographs that it rests on, and the model that names it."""

    k_code: str
    edi_codes: tuple[str, ...]
    name: str
    references: int
    model: str


class Enrolment:
    """A model folder that takes new drugs, used by one service at a time."""

    def __init__(self, models: Path, folder: Path, max_pixels: int) -> None:
        """Open the folder; one that is not there yet becomes a copy of the models.

        Raises:
            EnrolError: it holds other models, or another service uses it.
            ModelError: the models, or what is enrolled in the folder, cannot be used.
        """
        self.folder, self._max_pixels = folder, max_pixels
        self._mutex = threading.Lock()
        if not folder.exists():
            check_folders(models, folder)
            copy_models(models, folder, read_references(models).drugs)
        pipelines = [place / "pipeline.onnx" for place in (models, folder)]
        if not all(path.is_file() for path in pipelines):
            raise ModelError(f"--enrol {folder}: it or --models {models} has no pipeline.onnx. Name model folders.")
        if sha256_of(pipelines[0]) != sha256_of(pipelines[1]):
            raise EnrolError(f"--enrol {folder}: holds other models than {models}. Name a new folder.")
        self._file = FileLock(folder / ".lock")
        try:
            self._file.acquire(timeout=0)
        except Timeout as error:
            raise EnrolError(f"--enrol {folder}: another service enrols drugs there. Name another folder.") from error

    def close(self) -> None:
        """Let another service use the folder."""
        self._file.release()

    def add(self, snap: PillSnap, given: References) -> tuple[PillSnap, Enrolled]:
        """Enrol a drug: the folder has it before this returns.

        Args:
            snap: the model as it answers now; only its network is used.
            given: the request.

        Returns:
            the model that names the drug, too, and what is sent.

        Raises:
            ServiceError: 422 (the drug is refused) or 507 (the folder cannot be written).
        """
        with self._mutex:
            now = snap.reread(self.folder)
            try:
                drug = new_drug(
                    now, given.photos, k_code=given.k_code, name=given.name, edi_codes=given.edi_codes,
                    force=given.force, max_pixels=self._max_pixels,
                )  # fmt: skip
                write_references(self.folder, (*now.references.drugs, drug))
            except EnrolError as error:
                alike = "If it is another drug all the same, send them again with `force=true`: answers will list both."
                cure = alike if isinstance(error, LikenessError) else "Mend it and send all photographs again."
                raise ServiceError(422, "drug_refused", str(error), cure) from error
            except OSError as error:
                cure = "Tell whoever runs it."
                raise ServiceError(507, "not_written", "The drug cannot be written.", cure) from error
            added = now.reread(self.folder)
        return added, Enrolled(drug.k_code, drug.edi_codes, drug.name, drug.references, added.info.sha256[:12])


async def read_references_form(request: Request, max_bytes: int) -> References:
    """Read the form; its photographs together have at most `max_bytes`.

    Raises:
        ServiceError: 413, 415 or 422.
        ClientDisconnect: the client closed the connection.
    """
    fields, photos = await parse_form(request, max_bytes, _FORM)
    words = {key: [value for value in fields.getlist(key) if isinstance(value, str)] for key in ("k_code", "name")}
    for key, values in words.items():
        if len(values) != 1:
            message = f"The form has {len(values)} fields `{key}`, and one is needed."
            raise ServiceError(422, "field_invalid", message, _FORM.cure)
    force = fields.get("force", "false")
    if force not in ("true", "false"):
        raise ServiceError(422, "field_invalid", "The field `force` must be true or false.", _FORM.cure)
    edi_codes = tuple(code for code in fields.getlist("edi") if isinstance(code, str))
    if len(edi_codes) > MOST_EDI_CODES:
        message = f"The form has {len(edi_codes)} fields `edi`, and {MOST_EDI_CODES} are allowed."
        raise ServiceError(422, "field_invalid", message, _FORM.cure)
    numbered = tuple(Photo(f"photo {number}", data) for number, data in enumerate(photos, start=1))
    return References(numbered, words["k_code"][0], words["name"][0], edi_codes, force == "true")
