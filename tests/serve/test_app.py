"""The service in this process: answers, errors in one shape, key, limits, queue, figures and log lines."""

import asyncio
import io
import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pillsnap.answers.answer import Answer
from pillsnap.predict.model import PillSnap, SamePillError
from pillsnap.serve.app import Measured
from pillsnap.serve.form import FORM_OVERHEAD, _MemoryParser
from pillsnap.serve.kept import Kept
from pillsnap.serve.logs import JsonFormatter, Throttle
from pillsnap.serve.page import policy_of
from tests.support.heic_bytes import small
from tests.support.models import DRUGS, onnx_models
from tests.support.pages import FixedSnap, both_sides, enrolled, single
from tests.support.services import KEY, PHOTO, HeldUp, service
from tests.support.workflow import PROJECT


@pytest.fixture(scope="module")
def loaded(base: Path) -> PillSnap:
    return PillSnap.load(onnx_models(base), threads=1, device="cpu")


@pytest.fixture
def snap(loaded: PillSnap) -> HeldUp:
    return HeldUp(loaded)


def client(snap: Any, **options: Any) -> TestClient:
    return TestClient(service(snap, **options))


def picture(width: int, height: int, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height), "grey").save(stream, kind)
    return stream.getvalue()


def code(response: Any) -> str:
    """The code of an error, which has the one shape."""
    body = response.json()
    assert list(body) == ["error"] and list(body["error"]) == ["code", "message", "cure"]
    assert all(body["error"].values())
    return body["error"]["code"]


@pytest.mark.parametrize("mode", ["single", "combo", None])
def test_answer_is_that_of_the_models(snap: HeldUp, loaded: PillSnap, mode: str | None) -> None:
    response = client(snap).post("/v1/identify", files={"photo": PHOTO}, data={"mode": mode} if mode else {})
    assert response.status_code == 200
    body = response.json()
    assert body.pop("model") == loaded.info.sha256[:12]
    assert "no medical advice" in body.pop("notice")
    assert body.pop("kept") is None
    assert body == json.loads(json.dumps(asdict(loaded.identify(PHOTO, mode or "single"))))
    assert body["pills"]


def test_answer_of_an_enrolled_drug_says_so() -> None:
    """Beside it, trained drugs have no such key."""
    snap = FixedSnap(enrolled(5))
    body = client(snap).post("/v1/identify", files={"photo": PHOTO}).json()
    first, second = body["pills"][0]["candidates"][:2]
    assert first == {"k_code": "K-012345", "edi_codes": ["645600001"], "name": "카타정 5mg"} | {
        "confidence": None,
        "references": 5,
    }
    assert body["pills"][0]["prediction_set"] == [first]
    assert second["confidence"] == 0.52 and "references" not in second


SIDES = [("photo", PHOTO), ("photo", picture(60, 40))]


@pytest.mark.parametrize("keeps", [False, True])
def test_two_photographs_of_one_pill_get_one_answer(tmp_path: Path, keeps: bool) -> None:
    """They are not kept: a correction is one of a photograph."""
    snap = FixedSnap(single("uncertain"), both_sides("known"))
    kept = Kept(tmp_path / "kept", 1e9) if keeps else None
    response = client(snap, kept=kept).post("/v1/identify", files=SIDES)
    assert response.status_code == 200
    body = response.json()
    assert body.pop("model") == snap.info.sha256[:12] and "no medical advice" in body.pop("notice")
    assert body.pop("kept") is None
    assert body == json.loads(json.dumps(asdict(both_sides("known"))))
    assert [view["width"] for view in body["photos"]] == [480, 640]
    assert not list(tmp_path.rglob("*.jpg"))
    alone = client(snap).post("/v1/identify", files=SIDES[:1]).json()
    assert "photos" not in alone and alone["pills"][0]["verdict"] == "uncertain"


@pytest.mark.parametrize(
    ("files", "together", "status", "reason", "says"),
    [
        (
            SIDES,
            SamePillError("not_one_pill", 2, "shows 3 pills."),
            422,
            "not_one_pill",
            "Photograph 2: shows 3 pills.",
        ),
        (SIDES, SamePillError("same_photo", 2, "is the same."), 422, "same_photo", "Photograph 2: is the same."),
        ([SIDES[0], ("photo", b"")], None, 400, "photo_empty", "photograph 2: 0 bytes"),
        ([("photo", b"no picture"), SIDES[0]], None, 400, "photo_unreadable", "photograph 1:"),
        ([("photo", PHOTO + bytes(70_000))] * 2, None, 413, "too_many_bytes", "100000 bytes"),
    ],
)
def test_an_error_says_which_of_two_photographs(
    files: list, together: Exception | None, status: int, reason: str, says: str
) -> None:
    snap = FixedSnap(single("known"), together)
    response = client(snap, max_bytes=100_000).post("/v1/identify", files=files)
    assert (response.status_code, code(response)) == (status, reason)
    assert says in response.json()["error"]["message"]


def test_no_pill_is_an_answer(snap: HeldUp) -> None:
    snap.identify = lambda photo, mode: Answer(mode, 240, 320, ())  # type: ignore[method-assign]
    response = client(snap).post("/v1/identify", files={"photo": PHOTO}, data={"mode": "combo"})
    assert (response.status_code, response.json()["pills"]) == (200, [])


@pytest.mark.parametrize(
    ("photo", "status", "reason"),
    [
        (b"", 400, "photo_empty"),
        (b"no picture", 400, "photo_unreadable"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 400, "photo_unreadable"),
        (picture(60, 60)[:-30], 400, "photo_truncated"),
        (picture(60, 60, "JPEG")[:-30], 400, "photo_truncated"),
        (picture(101, 100), 413, "photo_too_large"),
        (picture(100, 100, "GIF"), 200, ""),
        (picture(100, 100, "WEBP"), 200, ""),
        (picture(100, 100, "MPO"), 200, ""),
        (picture(100, 100, "AVIF"), 200, ""),
        (small(), 200, ""),
        (small()[:-30], 400, "photo_truncated"),
        (picture(101, 100, "JPEG2000"), 413, "photo_too_large"),
        (bytes(20_001), 413, "too_many_bytes"),
        (bytes(20_000 + FORM_OVERHEAD), 413, "too_many_bytes"),
    ],
    ids=range(15),
)
def test_picture_that_cannot_be_used(snap: HeldUp, photo: bytes, status: int, reason: str) -> None:
    asked = client(snap, max_pixels=100 * 100, max_bytes=20_000)
    response = asked.post("/v1/identify", files={"photo": photo})
    assert response.status_code == status
    assert not reason or code(response) == reason


FORM = {"content-type": "multipart/form-data; boundary=x"}
PART = b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a.jpg"\r\n\r\n'


@pytest.mark.parametrize(
    ("request_", "status", "reason"),
    [
        ({"content": PHOTO, "headers": {"content-type": "image/jpeg"}}, 415, "not_multipart"),
        ({"json": {"photo": "a"}}, 415, "not_multipart"),
        ({}, 415, "not_multipart"),
        ({"data": {"mode": "single"}, "files": {"other": PHOTO}}, 422, "photo_missing"),
        ({"files": {"photo": (None, "text")}}, 400, "photo_unreadable"),
        ({"files": {"photo": PHOTO}, "data": {"mode": "triple"}}, 422, "mode_invalid"),
        ({"files": [("photo", PHOTO)] * 3}, 422, "form_invalid"),
        ({"files": [("photo", PHOTO)] * 2, "data": {"mode": "combo"}}, 422, "mode_invalid"),
        ({"files": {"photo": PHOTO}, "data": {"mode": "s" * 2000}}, 422, "form_invalid"),
        ({"content": b"", "headers": {"content-type": "multipart/form-data"}}, 422, "form_invalid"),
        ({"content": b"", "headers": FORM}, 422, None),
        ({"content": PART + PHOTO, "headers": FORM}, 422, None),
        ({"content": b"garbage", "headers": FORM}, 422, "form_invalid"),
    ],
    ids=range(13),
)
def test_form_that_cannot_be_used(snap: HeldUp, request_: dict, status: int, reason: str | None) -> None:
    response = client(snap).post("/v1/identify", **request_)
    assert response.status_code == status
    assert code(response) in ((reason,) if reason else ("form_invalid", "photo_missing"))
    assert snap.asked == 0


@settings(max_examples=60, derandomize=True, database=None, deadline=None)
@given(data=st.data())
def test_damaged_form_is_answered(loaded: PillSnap, data: st.DataObject) -> None:
    whole = bytearray(
        PART + PHOTO + b'\r\n--x\r\nContent-Disposition: form-data; name="mode"\r\n\r\ncombo\r\n--x--\r\n'
    )
    for place in data.draw(st.lists(st.integers(0, 200) | st.integers(0, len(whole) - 1), max_size=6)):
        whole[place] = data.draw(st.integers(0, 255))
    body = bytes(whole[: data.draw(st.integers(0, len(whole)) | st.just(len(whole)))])
    kind = data.draw(st.sampled_from([FORM["content-type"], "multipart/form-data; charset=none; boundary=x"]))
    response = client(loaded).post("/v1/identify", content=body, headers={"content-type": kind})
    assert response.status_code in (200, 400, 413, 422)


def test_bytes_are_counted_while_they_arrive(snap: HeldUp) -> None:
    """Without a length, or with one that is too small, reading stops soon after the limit."""
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield PART
        while True:
            sent += 10_000
            yield bytes(10_000)

    response = _ask_all(
        service(snap, max_bytes=50_000), lambda one: one.post("/v1/identify", content=endless(), headers=FORM)
    )[0]
    assert (response.status_code, code(response)) == (413, "too_many_bytes")
    assert sent < 50_000 + FORM_OVERHEAD + 2 * 50_000


def _ask_all(app: FastAPI, *asks: Callable[[httpx.AsyncClient], Awaitable[Any]]) -> list[Any]:
    async def all_at_once() -> list[Any]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as one:
            return await asyncio.gather(*(ask(one) for ask in asks))

    return asyncio.run(all_at_once())


async def _until(one: httpx.AsyncClient, *lines: str) -> None:
    """Wait until the figures hold the lines."""
    async with asyncio.timeout(10):
        while not set(lines) <= set((await one.get("/metrics")).text.splitlines()):
            await asyncio.sleep(0.01)


async def _identify(one: httpx.AsyncClient) -> httpx.Response:
    return await one.post("/v1/identify", files={"photo": PHOTO})


def test_queue_is_bounded(snap: HeldUp) -> None:
    snap.go.clear()

    async def third(one: httpx.AsyncClient) -> httpx.Response:
        await _until(one, "pillsnap_queue_depth 1.0", "pillsnap_running 1.0")
        refused = await _identify(one)
        snap.go.set()
        return refused

    *answered, refused = _ask_all(service(snap, workers=1, waiting=1), _identify, _identify, third)
    assert [response.status_code for response in answered] == [200, 200]
    assert (refused.status_code, code(refused), refused.headers["retry-after"]) == (429, "busy", "1")


def test_time_limit_keeps_the_place_of_work_that_goes_on(snap: HeldUp) -> None:
    snap.go.clear()

    async def ask(one: httpx.AsyncClient) -> list[httpx.Response]:
        responses = [await _identify(one), await _identify(one)]
        snap.go.set()
        await _until(one, "pillsnap_running 0.0", "pillsnap_queue_depth 0.0")
        return [*responses, await _identify(one)]

    (responses,) = _ask_all(service(snap, workers=1, waiting=0, seconds=0.3), ask)
    assert [response.status_code for response in responses] == [504, 429, 200]
    assert code(responses[0]) == "time_limit"


def test_what_waited_too_long_is_never_worked_on(snap: HeldUp) -> None:
    snap.go.clear()
    responses = _ask_all(service(snap, workers=1, waiting=2, seconds=0.3), _identify, _identify, _identify)
    snap.go.set()
    assert [response.status_code for response in responses] == [504, 504, 504]
    assert snap.asked == 1


def test_slow_upload_ends_at_the_time_limit(snap: HeldUp) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        yield PART
        await asyncio.sleep(20)

    app = service(snap, workers=1, waiting=0, seconds=0.2)
    late, after = _ask_all(
        app, lambda one: one.post("/v1/identify", content=slowly(), headers=FORM), lambda one: _after(one, 0.6)
    )
    assert (late.status_code, code(late)) == (408, "upload_slow")
    assert after.status_code == 200


async def _after(one: httpx.AsyncClient, seconds: float) -> httpx.Response:
    await asyncio.sleep(seconds)
    return await _identify(one)


def test_stopping_service_takes_nothing_in(snap: HeldUp) -> None:
    app = service(snap)
    asked = TestClient(app)
    assert (asked.get("/v1/health").status_code, asked.get("/v1/health").json()["ready"]) == (200, True)
    app.state.queue.stop()
    refused = asked.post("/v1/identify", files={"photo": PHOTO})
    assert (refused.status_code, code(refused)) == (503, "stopping")
    assert (asked.get("/v1/health").status_code, asked.get("/v1/health").json()["ready"]) == (503, False)


def test_unforeseen_error_has_the_shape_and_a_log_line(snap: HeldUp, caplog: pytest.LogCaptureFixture) -> None:
    snap.identify = lambda photo, mode: 1 / 0  # type: ignore[method-assign]
    response = client(snap).post("/v1/identify", files={"photo": PHOTO}, headers={"X-Request-ID": "abc-1"})
    assert (response.status_code, code(response)) == (500, "internal")
    assert "abc-1" in response.text and "division" not in response.text
    lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records if record.name == "pillsnap.serve"]
    assert lines[0]["request_id"] == "abc-1" and "ZeroDivisionError" in lines[0]["exception"]


def test_key_protects_answers_and_the_model(snap: HeldUp) -> None:
    asked = client(snap, key=KEY)
    for method, path in (("POST", "/v1/identify"), ("GET", "/v1/model")):
        for headers, reason in (
            ({}, "key_missing"),
            ({"X-API-Key": KEY + "x"}, "key_wrong"),
            ({"X-API-Key": "é"}, "key_wrong"),
        ):
            sent = {name: value.encode() for name, value in headers.items()}
            response = asked.request(method, path, headers=sent)
            assert (response.status_code, code(response)) == (401, reason)
            assert response.headers["www-authenticate"] == "APIKey"
    assert snap.asked == 0
    right = {"X-API-Key": KEY}
    assert asked.post("/v1/identify", files={"photo": PHOTO}, headers=right).status_code == 200
    assert asked.get("/v1/model", headers=right).status_code == 200
    for path in ("/", "/v1/health", "/metrics", "/openapi.json"):
        assert asked.get(path).status_code == 200
    assert [client(snap, key=key).get("/v1/health").json()["api_key_required"] for key in (KEY, None)] == [True, False]


def test_model_card(snap: HeldUp) -> None:
    metrics = {"classifier": {"top1": 0.5}}
    card = client(snap, measured=Measured(metrics, None)).get("/v1/model").json()
    assert card["metrics"] == metrics and card["metrics_missing"] is None
    assert [drug["k_code"] for drug in card["classes"]] == [drug.k_code for drug in DRUGS]
    assert {name: card[name] for name in asdict(snap.info)} == asdict(snap.info)
    without = client(snap).get("/v1/model").json()
    assert without["metrics"] is None and without["metrics_missing"]


def test_figures(snap: HeldUp, loaded: PillSnap) -> None:
    asked = client(snap)
    asked.post("/v1/identify", files={"photo": PHOTO}, data={"mode": "combo"})
    asked.post("/v1/identify", files={"photo": b"x"})
    asked.get("/made/up")
    lines = asked.get("/metrics").text.splitlines()
    verdicts = [pill.verdict for pill in loaded.identify(PHOTO, "combo").pills]
    assert {
        'pillsnap_requests_total{path="/v1/identify",status="200"} 1.0',
        'pillsnap_requests_total{path="/v1/identify",status="400"} 1.0',
        'pillsnap_requests_total{path="other",status="404"} 1.0',
        'pillsnap_request_seconds_count{path="/v1/identify"} 2.0',
        "pillsnap_answer_seconds_count 2.0",
        "pillsnap_queue_depth 0.0",
        *(
            f'pillsnap_pills_total{{verdict="{name}"}} {verdicts.count(name)}.0'
            for name in ("known", "uncertain", "unknown")
        ),
    } <= set(lines)


def test_log_line(snap: HeldUp, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "pillsnap.serve"):
        response = client(snap, key=KEY).post(
            f"/v1/identify?key={KEY}", files={"photo": PHOTO}, data={"mode": "combo"}, headers={"X-API-Key": KEY}
        )
    (record,) = [record for record in caplog.records if record.name == "pillsnap.serve"]
    line = json.loads(JsonFormatter().format(record))
    pills = len(response.json()["pills"])
    assert line["bytes"] == int(response.request.headers["content-length"]) and 0 < line["ms"] < 30_000
    assert sum(line["pills"].values()) == pills
    told = {"method": "POST", "path": "/v1/identify", "status": 200, "mode": "combo", "level": "info"}
    assert told.items() <= line.items()
    assert line["request_id"] == response.headers["x-request-id"]
    own = [record.getMessage() for record in caplog.records if record.name.startswith(("pillsnap", "uvicorn"))]
    assert KEY not in json.dumps([own, line])


def test_repeated_errors_are_throttled() -> None:
    """Ten a minute of each; the first one of a later minute says how many were left out."""
    throttle = Throttle()

    def written(message: str, minute: float, level: int = logging.ERROR) -> logging.LogRecord | None:
        record = logging.LogRecord("asyncio", level, "", 0, message, (), None)
        record.created = 60 * minute
        return record if throttle.filter(record) else None

    assert sum(written("no more files", 0.5) is not None for _ in range(1000)) == 10
    assert written("another", 0.5) and all(written("request", 0.5, logging.INFO) for _ in range(1000))
    later = written("no more files", 1.6)
    assert later and json.loads(JsonFormatter().format(later))["left_out"] == 990
    assert sum(written("no more files", 1.7) is not None for _ in range(1000)) == 9


@pytest.mark.parametrize(("given", "kept"), [("abc-1.2_Z", True), ("", False), ("a b", False), ("x" * 65, False)])
def test_request_id(snap: HeldUp, given: str, kept: bool) -> None:
    found = client(snap).get("/v1/health", headers={"X-Request-ID": given}).headers["x-request-id"]
    assert (found == given) is kept
    assert kept or len(found) == 32


def test_unknown_paths_and_methods_have_the_shape(snap: HeldUp) -> None:
    asked = client(snap)
    assert [code(asked.get("/docs")), code(asked.get("/redoc"))] == ["not_found", "not_found"]
    assert code(asked.put("/v1/identify")) == "method_not_allowed"


def test_photograph_never_becomes_a_file(snap: HeldUp, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = []
    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", lambda file: moved.append(file))
    large = PHOTO + bytes(3_000_000)
    assert client(snap).post("/v1/identify", files={"photo": large}).status_code == 200
    assert moved == []
    monkeypatch.setattr(_MemoryParser, "spool_max_size", 1000)
    client(snap).post("/v1/identify", files={"photo": large})
    assert moved, "this is what would have been seen"


def test_page_lets_nothing_in(snap: HeldUp) -> None:
    response = client(snap).get("/")
    assert response.headers["content-type"].startswith("text/html")
    assert response.headers["content-security-policy"] == policy_of(response.text)
    rules = dict(rule.split(" ", 1) for rule in policy_of("<style>a</style><script type=x>b\n</script>").split("; "))
    assert rules["default-src"] == "'none'" and rules["connect-src"] == "'self'" and rules["img-src"] == "blob: data:"
    # printf 'b\n' | openssl dgst -sha256 -binary | base64
    assert rules["script-src"] == "'sha256-AmOCmYm2/ZVPcrqvL8ZLwuLwHWktTecphuqAj26ZgT8='"
    assert rules["style-src"].startswith("'sha256-") and "unsafe" not in policy_of(response.text)


def test_service_needs_no_torch() -> None:
    words = "import sys, pillsnap.serve.server; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", words], cwd=PROJECT, check=False).returncode == 0
