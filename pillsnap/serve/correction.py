"""Body of `POST /v1/corrections`: what a person says of a kept answer."""

import asyncio
import json
from dataclasses import dataclass

from fastapi import Request

from pillsnap.serve.errors import ServiceError, upload_slow
from pillsnap.serve.kept import NO_PILL, Kept
from pillsnap.tables.classes import is_k_code

MAX_BYTES = 65_536
_CURE = 'Send JSON: {"kept": ID, "drugs": ["K-000114", "none", null], "complete": true}, an entry for each pill.'


@dataclass(frozen=True)
class Correction:
    """A kept photograph's ID, what each box of its answer shows, and whether every pill has a box.

    `drugs` holds for each pill of the answer, in its order, the K-code of the right drug (also where the answer was
    right), `none` where the box shows no pill, or null where the person does not say.
    """

    kept: str
    drugs: tuple[str | None, ...]
    complete: bool


@dataclass(frozen=True)
class Corrected:
    """What came of a correction: the photograph's labels in the source; 0 where nothing can be learned of it."""

    kept: str
    labels: int


CORRECTION_IN_OPENAPI = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "title": "Correction",
                    "required": ["kept", "drugs", "complete"],
                    "properties": {
                        "kept": {"type": "string", "description": "`kept` of the answer"},
                        "drugs": {
                            "type": "array",
                            "items": {"type": ["string", "null"]},
                            "description": "For each pill of the answer: K-code, `none` (no pill), or null (not said)",
                        },
                        "complete": {"type": "boolean", "description": "Whether every pill has a box"},
                    },
                }
            }
        },
    }
}


async def read_correction(request: Request, known: set[str], *, seconds: float) -> Correction:
    """Read the body, of at most `MAX_BYTES`.

    Args:
        request: with the body.
        known: K-codes, or names, of the model's drugs; other drugs are K- and six digits.
        seconds: within which the body must arrive.

    Raises:
        ServiceError: 408, 413 or 422.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise ServiceError(413, "too_many_bytes", f"The body has more than {MAX_BYTES} bytes.", _CURE)
    except TimeoutError as error:
        raise upload_slow(seconds) from error
    try:
        given = json.loads(body)
        found = Correction(given["kept"], tuple(given["drugs"]), given["complete"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ServiceError(422, "correction_invalid", "The body is no correction.", _CURE) from error
    if not isinstance(found.kept, str) or not isinstance(found.complete, bool) or not isinstance(given["drugs"], list):
        raise ServiceError(422, "correction_invalid", "A value of the correction has another type.", _CURE)
    for drug in found.drugs:
        if drug is not None and not (isinstance(drug, str) and (drug in known or _allowed(drug))):
            cure = f"Send a K-code such as K-000114, {NO_PILL!r} where there is no pill, or null."
            raise ServiceError(422, "drug_invalid", f"{ascii(drug)[:100]} is no K-code.", cure)
    return found


def take_correction(kept: Kept, correction: Correction) -> int:
    """Write a correction; returns the photograph's labels in the source.

    Raises:
        ServiceError: 404, 422 (not an entry for each pill) or 507 (the folder cannot be written).
    """
    try:
        pills = len(kept.answer_of(correction.kept)["pills"])
        if pills == len(correction.drugs):
            return kept.correct(correction.kept, correction.drugs, complete=correction.complete)
    except KeyError as error:
        cure = "Ask again: POST /v1/identify gives the ID as `kept`."
        raise ServiceError(404, "not_kept", "No photograph is kept under this ID.", cure) from error
    except OSError as error:
        raise ServiceError(507, "not_written", "The correction cannot be written.", "Tell whoever runs it.") from error
    message = f"The answer has {pills} pills, and `drugs` {len(correction.drugs)} entries."
    raise ServiceError(422, "correction_invalid", message, _CURE)


def _allowed(drug: str) -> bool:
    return drug == NO_PILL or is_k_code(drug)
