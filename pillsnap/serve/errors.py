"""Errors of the service: status, code, message and cure, in one JSON shape."""

from collections.abc import Mapping
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from pillsnap.pictures.decode import PictureError
from pillsnap.predict.model import SamePillError
from pillsnap.serve.schemas import ErrorBody, ErrorDetail

MEANINGS = {
    400: "The photograph is no usable picture",
    401: "The API key is missing or wrong",
    404: "No photograph is kept under that ID",
    408: "The request did not arrive within the time limit",
    413: "The photograph has too many bytes or pixels, or would take too long to decode",
    415: "The request is no multipart form",
    422: "The form lacks a photograph or a field, or what it or the query holds cannot be used",
    429: "As many photographs are waiting as may wait",
    500: "An error of the service itself",
    503: "The service is stopping",
    507: "What was sent cannot be written",
    504: "No answer within the time limit",
}
RETRY_SECONDS = 1
_RETRY_HEADER = {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "string", "pattern": "^[0-9]+$"}}}
_PICTURE_CURES = {
    "photo_empty": "Send the picture's file: it has no bytes.",
    "photo_truncated": "Send the whole file: its end is missing, or it is damaged.",
    "photo_too_large": "Send a smaller picture.",
    "photo_too_costly": "Save the picture again, as a plain JPEG or PNG.",
}
_OTHER_CURE = "Send a JPEG, PNG, WebP, HEIC, AVIF, TIFF, BMP, GIF, JPEG 2000 or PPM picture."


class ServiceError(Exception):
    """An error response: HTTP status, code, message and cure."""

    def __init__(
        self, status: int, code: str, message: str, cure: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.cure, self.headers = status, code, message, cure, headers

    def response(self) -> JSONResponse:
        """The response that is sent."""
        body = ErrorBody(ErrorDetail(self.code, self.message, self.cure))
        return JSONResponse(asdict(body), self.status, headers=dict(self.headers or {}))


def picture_error(error: PictureError) -> ServiceError:
    """The error for a photograph that cannot be used."""
    status = 413 if error.reason in ("photo_too_large", "photo_too_costly") else 400
    cure = _PICTURE_CURES.get(error.reason, _OTHER_CURE)
    return ServiceError(status, error.reason, f"The photograph cannot be used: {error.detail}.", cure)


def same_pill_error(error: SamePillError) -> ServiceError:
    """The error for photographs that cannot be answered together."""
    cure = "Send two photographs, a front and a back, that show the same pill and nothing but it."
    return ServiceError(422, error.reason, f"{str(error)[0].upper()}{str(error)[1:]}", cure)


def upload_slow(seconds: float) -> ServiceError:
    """The error of a request whose body arrives too slowly."""
    message = f"The request did not arrive within {seconds:g} s."
    return ServiceError(408, "upload_slow", message, "Send it again.")


def query_error(message: str) -> ServiceError:
    """The error of a query that cannot be used."""
    return ServiceError(422, "query_invalid", message, "/openapi.json tells every parameter and its bounds.")


def internal_error(request_id: str) -> ServiceError:
    """The error for an unexpected exception, whose traceback is in the log."""
    cure = f"Try again; if it stays, look up request {request_id} in the service's log."
    return ServiceError(500, "internal", "The service failed.", cure)


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI entries for the errors of a route."""
    found: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorBody, "description": MEANINGS[status]} for status in statuses
    }
    for status in {429, 503} & set(statuses):
        found[status]["headers"] = _RETRY_HEADER
    return found


def handle_errors(app: FastAPI) -> None:
    """Send errors of every route, and of unknown paths, in the one JSON shape."""

    @app.exception_handler(ServiceError)
    async def service_error(request: Request, error: ServiceError) -> JSONResponse:
        request.state.log_fields["error"] = error.code
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def validation_error(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        request.state.log_fields["error"] = "query_invalid"
        return query_error(f"{first['loc'][-1]}: {first['msg']}.").response()

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        code = HTTPStatus(error.status_code).name.lower()
        request.state.log_fields["error"] = code
        message = f"{request.method} {request.url.path}: {error.detail}."
        return ServiceError(error.status_code, code, message, "See /openapi.json.", error.headers).response()
