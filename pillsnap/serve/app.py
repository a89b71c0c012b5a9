"""Routes of the service."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from pillsnap import __version__
from pillsnap.catalogue.records import CatalogueError
from pillsnap.catalogue.search import Catalogue, Found, LookUp
from pillsnap.predict.model import PillSnap
from pillsnap.serve.auth import key_check
from pillsnap.serve.correction import CORRECTION_IN_OPENAPI, Corrected, read_correction, take_correction
from pillsnap.serve.enrolment import (
    REFERENCES_IN_OPENAPI,
    Enrolled,
    Enrolment,
    References,
    read_references_form,
)
from pillsnap.serve.errors import error_responses, handle_errors, query_error
from pillsnap.serve.form import FORM_IN_OPENAPI, Form, read_form
from pillsnap.serve.http.middleware import RequestMiddleware
from pillsnap.serve.kept import Kept
from pillsnap.serve.limits import Limits
from pillsnap.serve.metrics import Metrics
from pillsnap.serve.page import read_page
from pillsnap.serve.request_queue import RequestQueue
from pillsnap.serve.schemas import Health, LookUpQuery, ModelCard, SamePillServiceAnswer, ServiceAnswer, service_answer


@dataclass(frozen=True)
class Measured:
    """Content of metrics.json, or why there is none."""

    metrics: dict[str, Any] | None
    missing: str | None


def create_app(
    snap: PillSnap,
    *,
    limits: Limits,
    key: str | None,
    measured: Measured,
    kept: Kept | None = None,
    enrolment: Enrolment | None = None,
    catalogue: Catalogue | None = None,
) -> FastAPI:
    """Build the ASGI application; `app.state.queue` is its `RequestQueue`.

    Args:
        snap: the loaded models.
        limits: of requests and of the queue.
        key: the API key; `None`: requests need none.
        measured: metrics for the model card.
        kept: where photographs and answers are kept; `None`: they are not.
        enrolment: where new drugs are written to; `None`: none are taken.
        catalogue: where pills that are not recognised are looked up; `None`: nowhere.
    """
    metrics = Metrics()
    app = FastAPI(
        title="PillSnap",
        summary="Names of pills in photographs.",
        version=__version__,
        docs_url=None,  # both pages load assets from elsewhere
        redoc_url=None,
    )
    app.state.queue = RequestQueue(snap, limits, metrics, kept)
    app.add_middleware(RequestMiddleware, metrics=metrics, drain_bytes=2 * limits.max_bytes)
    handle_errors(app)
    _add_protected_routes(app, metrics, limits=limits, key=key, measured=measured)
    if kept:
        _add_corrections(app, kept, limits=limits, key=key)
    if enrolment:
        _add_references(app, enrolment, limits=limits, key=key)
    if catalogue:
        _add_catalogue(app, catalogue, key=key)
    _add_open_routes(app, metrics, limits=limits, key=key, kept=kept, catalogue=catalogue)
    return app


def _add_protected_routes(
    app: FastAPI, metrics: Metrics, *, limits: Limits, key: str | None, measured: Measured
) -> None:
    """Add the routes that the API key protects."""
    queue: RequestQueue = app.state.queue
    protected = [Depends(key_check(key))] if key else []

    @app.post(
        "/v1/identify",
        dependencies=protected,
        responses=error_responses(400, 401, 408, 413, 415, 422, 429, 500, 503, 504),
        openapi_extra=FORM_IN_OPENAPI,
    )
    async def identify(request: Request) -> SamePillServiceAnswer | ServiceAnswer:
        """Name the pill (`single`) or every pill (`combo`) of a photograph; no pill is an empty list, not an error.

        Two files `photo` show the front and the back of one pill and get one answer, which has `photos`; each must show
        exactly one pill.
        """

        async def read() -> Form:
            form = await read_form(request, limits.max_bytes)
            request.state.log_fields["mode"] = form.mode
            return form

        answer, model, kept = await queue.answer(read)
        verdicts = Counter(pill.verdict for pill in answer.pills)
        request.state.log_fields["pills"] = dict(verdicts)
        metrics.count_pills(verdicts)
        return service_answer(answer, model, kept)

    @app.get("/v1/model", dependencies=protected, responses=error_responses(401, 500))
    async def model() -> ModelCard:
        """The model card: origin, promises, drugs and measured figures."""
        return ModelCard.of(queue.snap.info, queue.snap.named, measured.metrics, measured.missing)


def _add_references(app: FastAPI, enrolment: Enrolment, *, limits: Limits, key: str | None) -> None:
    """Add the route that takes photographs of new drugs; the API key protects it."""
    queue: RequestQueue = app.state.queue

    @app.post(
        "/v1/references",
        dependencies=[Depends(key_check(key))] if key else [],
        responses=error_responses(401, 408, 413, 415, 422, 429, 500, 503, 504, 507),
        openapi_extra=REFERENCES_IN_OPENAPI,
    )
    async def enrol(request: Request) -> Enrolled:
        """Enrol a drug from photographs: answers name it from now on."""

        def add(given: References) -> Enrolled:
            queue.snap, enrolled = enrolment.add(queue.snap, given)
            return enrolled

        return await queue.run(lambda: read_references_form(request, limits.max_bytes), add)


def _add_corrections(app: FastAPI, kept: Kept, *, limits: Limits, key: str | None) -> None:
    """Add the route that takes people's corrections of kept answers; the API key protects it."""
    queue: RequestQueue = app.state.queue

    @app.post(
        "/v1/corrections",
        dependencies=[Depends(key_check(key))] if key else [],
        responses=error_responses(401, 404, 408, 413, 422, 500, 507),
        openapi_extra=CORRECTION_IN_OPENAPI,
    )
    async def correct(request: Request) -> Corrected:
        """Take what a person says of a kept answer: labels are made of nothing else."""
        known = {drug.k_code for drug in queue.snap.named}
        correction = await read_correction(request, known, seconds=limits.seconds)
        return Corrected(correction.kept, await run_in_threadpool(take_correction, kept, correction))


def _add_catalogue(app: FastAPI, catalogue: Catalogue, *, key: str | None) -> None:
    """Add the route that looks up what a person read of a pill; the API key protects it."""
    one_at_a_time = asyncio.Semaphore(1)  # so that look-ups take at most one core from photographs

    @app.get(
        "/v1/catalogue",
        dependencies=[Depends(key_check(key))] if key else [],
        responses=error_responses(401, 422, 500),
    )
    async def look_up(query: Annotated[LookUpQuery, Query()]) -> Found:
        """List drugs of the catalogue that look like what was read of a pill: a look-up, never an answer."""
        try:
            reading = LookUp.of(**query.model_dump(exclude={"limit"}))
        except CatalogueError as error:
            raise query_error(str(error)) from error
        async with one_at_a_time:
            return await run_in_threadpool(catalogue.search, reading, limit=query.limit)


def _add_open_routes(
    app: FastAPI,
    metrics: Metrics,
    *,
    limits: Limits,
    key: str | None,
    kept: Kept | None,
    catalogue: Catalogue | None,
) -> None:
    """Add the routes that need no API key."""
    queue: RequestQueue = app.state.queue
    page = read_page()

    @app.get("/v1/health", responses={503: {"model": Health, "description": "The service is stopping"}})
    async def health(response: Response) -> Health:
        """Whether photographs are taken in."""
        response.status_code = 503 if queue.stopping else 200
        keeps = kept is not None and not kept.full
        looks_up = catalogue is not None
        return Health(not queue.stopping, key is not None, limits.max_bytes, limits.max_pixels, keeps, looks_up)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def prometheus() -> Response:
        """Figures for Prometheus."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def root() -> HTMLResponse:
        return HTMLResponse(
            page.html, headers={"Content-Security-Policy": page.policy, "Referrer-Policy": "no-referrer"}
        )
