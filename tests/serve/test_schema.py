"""Schemathesis asks the service whatever its OpenAPI allows, and forbids: no 5xx, and nothing undocumented."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from pillsnap.predict.model import PillSnap
from tests.support.models import onnx_models
from tests.support.services import KEY, PHOTO, HeldUp, service

OPERATIONS = {
    ("POST", "/v1/identify"): 250,
    ("GET", "/v1/model"): 25,
    ("GET", "/v1/health"): 25,
    ("GET", "/metrics"): 25,
}
"""Operations with the number of requests that are made up for each way of making them up."""

schemathesis.openapi.media_type("image/jpeg", st.sampled_from([PHOTO, PHOTO[:500], b""]) | st.binary(max_size=64))


@pytest.fixture(scope="module")
def served(base: Path) -> Any:
    snap = PillSnap.load(onnx_models(base), threads=1, device="cpu")
    return schemathesis.openapi.from_asgi("/openapi.json", service(HeldUp(snap), key=KEY, max_bytes=100_000))


def _ask(operation: Any, mode: GenerationMode, count: int) -> Counter[int]:
    """Make up `count` requests, check each response against OpenAPI, and count the statuses."""
    statuses: Counter[int] = Counter()

    @settings(
        max_examples=count, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case) -> None:
        # any bytes may be sent as a photograph, and few are one
        excluded = [schemathesis.checks.CHECKS.get_one("positive_data_acceptance")]
        statuses[case.call_and_validate(headers={"X-API-Key": KEY}, excluded_checks=excluded).status_code] += 1

    ask()
    return statuses


def test_every_operation_is_asked(served: Any) -> None:
    assert {(found.ok().method.upper(), found.ok().path) for found in served.get_all_operations()} == set(OPERATIONS)


@pytest.mark.campaign
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_service_keeps_its_contract(served: Any, method: str, path: str) -> None:
    statuses = _ask(served[path][method], GenerationMode.POSITIVE, OPERATIONS[method, path])
    # 422 where it made up more fields beside the photograph than a form may have
    assert {200, 400} <= set(statuses) <= {200, 400, 422} if method == "POST" else set(statuses) == {200}


@pytest.mark.campaign
def test_service_withstands_what_its_contract_forbids(served: Any) -> None:
    operation = served["/v1/identify"]["POST"]
    statuses = _ask(operation, GenerationMode.NEGATIVE, OPERATIONS["POST", "/v1/identify"])
    assert statuses[422] and not [status for status in statuses if status >= 500]
