"""`POST /v1/references`: drugs that a running service takes, and what it refuses."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from pillsnap.cli import app
from pillsnap.enrol.enrol import EnrolError
from pillsnap.files import sha256_of
from pillsnap.predict.model import PillSnap
from pillsnap.predict.references import read_references
from pillsnap.predict.sessions import ModelError
from pillsnap.serve.enrolment import Enrolment
from tests.support.enrolled import FAR, one_box, photos
from tests.support.services import KEY, service

SAID = {"X-API-Key": KEY}
FIELDS = {"k_code": "K-012345", "name": "사아정 5mg", "edi": ["645600001", "645600002"], "force": "true"}
MAX_PIXELS = 10**6


@pytest.fixture(scope="module")
def models(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return one_box(base, tmp_path_factory.mktemp("models") / "onnx")


@pytest.fixture
def enrolment(models: Path, tmp_path: Path) -> Iterator[Enrolment]:
    opened = Enrolment(models, tmp_path / "served", MAX_PIXELS)
    yield opened
    opened.close()


def client(enrolment: Enrolment, **options: Any) -> TestClient:
    snap = PillSnap.load(enrolment.folder, threads=1, device="cpu")
    return TestClient(service(snap, key=KEY, enrolment=enrolment, **options), headers=SAID)


def send(asked: TestClient, count: int = 2, *, seed: int = 0, **fields: Any) -> Any:
    files = [("photo", (photo.name, photo.data)) for photo in photos(count, seed=seed)]
    return asked.post("/v1/references", files=files, data=FIELDS | fields)


def test_answers_name_the_drug_from_then_on(models: Path, enrolment: Enrolment) -> None:
    before, asked = sha256_of(models), client(enrolment)
    ask = {"files": {"photo": photos(1)[0].data}}
    first = asked.post("/v1/identify", **ask).json()
    reply = send(asked)
    told = {"k_code": "K-012345", "edi_codes": ["645600001", "645600002"], "name": "사아정 5mg", "references": 2}
    assert reply.status_code == 200 and reply.json() == told | {"model": reply.json()["model"]}
    answer = asked.post("/v1/identify", **ask).json()
    assert answer["pills"][0]["candidates"][0] == told | {"confidence": None}
    assert answer["model"] == reply.json()["model"] != first["model"]
    card = asked.get("/v1/model").json()
    assert card["classes"][-1]["k_code"] == "K-012345" and len(card["classes"]) == card["drugs"] == 4
    # what is written is a model folder, and the one that was named is as it was
    assert PillSnap.load(enrolment.folder, device="cpu").info.sha256[:12] == answer["model"]
    assert sha256_of(models) == before
    assert send(asked, seed=50, k_code="K-000777").status_code == 200
    assert [drug.k_code for drug in read_references(enrolment.folder).drugs] == ["K-012345", "K-000777"]


@pytest.fixture(scope="module")
def refusing(models: Path) -> Iterator[Enrolment]:
    """A folder to which nothing is added."""
    opened = Enrolment(models, models.parent / "refusing", MAX_PIXELS)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def refused(refusing: Enrolment) -> TestClient:
    return client(refusing)


@pytest.mark.parametrize(
    ("fields", "status", "code", "says"),
    [
        ({"k_code": "K-000001"}, 422, "drug_refused", "trained on that drug"),
        ({"k_code": "nothing"}, 422, "drug_refused", "is no K-code"),
        ({"k_code": ["K-000777", "K-000778"]}, 422, "field_invalid", "2 fields `k_code`"),
        ({"name": []}, 422, "field_invalid", "0 fields `name`"),
        ({"force": "perhaps"}, 422, "field_invalid", "`force` must be"),
        ({"edi": [" "]}, 422, "drug_refused", "EDI code"),
        ({"edi": [str(code) for code in range(6)]}, 422, "field_invalid", "6 fields `edi`, and 5 are allowed"),
        ({"edi": [str(code) for code in range(6)], "force": []}, 422, "field_invalid", "6 fields `edi`"),
        ({"count": 0}, 415, "not_multipart", "no multipart form"),
        ({"count": 40}, 422, "form_invalid", "Too many files"),
    ],
)
def test_a_drug_is_refused(
    refusing: Enrolment, refused: TestClient, fields: dict, status: int, code: str, says: str
) -> None:
    reply = send(refused, **fields)
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (status, code)
    assert says in error["message"] and "mode" not in error["cure"]
    assert ("-F k_code=" in error["cure"]) == (code != "drug_refused")
    assert not (refusing.folder / "references.json").exists()


def test_photographs_are_bounded_and_told_one_by_one(enrolment: Enrolment) -> None:
    size = len(photos(1)[0].data)
    for limit, count in ((size, 32), (size, 2), (5 * size, 6)):
        error = send(client(enrolment, max_bytes=limit), count).json()["error"]
        assert (error["code"], error["message"]) == (
            "too_many_bytes", f"The photographs together have more than {limit} bytes."
        )  # fmt: skip
    files = [("other", ("a.jpg", b"GIF"))]
    error = client(enrolment).post("/v1/references", files=files, data=FIELDS).json()["error"]
    assert error["code"] == "photo_missing" and "-F k_code=" in error["cure"]
    files = [("photo", ("a.jpg", b"GIF")), ("photo", ("b.jpg", b""))]
    error = client(enrolment).post("/v1/references", files=files, data=FIELDS).json()["error"]
    assert error["code"] == "drug_refused"
    assert "photo 1: no usable photograph" in error["message"] and "photo 2: no usable" in error["message"]


def test_a_drug_that_looks_like_another_is_told_in_words_of_http(base: Path, tmp_path: Path) -> None:
    models = one_box(base, tmp_path / "onnx", calibration=asdict(FAR))
    opened = Enrolment(models, tmp_path / "served", MAX_PIXELS)
    error = send(client(opened), force="false").json()["error"]
    opened.close()
    assert error["code"] == "drug_refused" and "The pills look like K-00000" in error["message"]
    assert "force=true" in error["cure"] and "--" not in error["message"] + error["cure"]


def test_a_folder_that_cannot_be_written_is_told(enrolment: Enrolment, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    asked = client(enrolment)
    monkeypatch.setattr("pillsnap.serve.enrolment.write_references", full)
    reply = send(asked)
    assert (reply.status_code, reply.json()["error"]["code"]) == (507, "not_written")


def test_the_key_protects_it_and_it_is_off_by_default(models: Path, enrolment: Enrolment) -> None:
    asked = client(enrolment)
    assert asked.post("/v1/references", headers={"X-API-Key": "wrong"}).json()["error"]["code"] == "key_wrong"
    plain = TestClient(service(PillSnap.load(models, threads=1, device="cpu"), key=KEY), headers=SAID)
    assert send(plain).status_code == 404
    done = CliRunner().invoke(
        app, ["serve", "--models", str(models), "--enrol", "served"], env={"PILLSNAP_API_KEY": None}
    )
    assert done.exit_code == 2 and "--enrol served: needs an API key" in done.stderr and not Path("served").exists()


def test_models_that_cannot_enrol_are_refused_at_the_start(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PillSnap, "gives_features", property(lambda _: False))
    words = ["serve", "--models", str(models), "--enrol", str(tmp_path / "served"), "--port", "0"]
    done = CliRunner().invoke(app, words, env={"PILLSNAP_API_KEY": KEY})
    assert done.exit_code == 2 and "give no features" in done.stderr


def test_a_folder_belongs_to_one_service_and_to_its_models(base: Path, models: Path, enrolment: Enrolment) -> None:
    with pytest.raises(EnrolError, match="another service enrols drugs there"):
        Enrolment(models, enrolment.folder, MAX_PIXELS)
    assert send(client(enrolment)).status_code == 200
    enrolment.close()
    Enrolment(models, enrolment.folder, MAX_PIXELS).close()  # started again, it knows the drug
    assert [drug.k_code for drug in read_references(enrolment.folder).drugs] == ["K-012345"]
    other = one_box(base, enrolment.folder.parent / "other", stage="stage2")
    with pytest.raises(EnrolError, match="holds other models"):
        Enrolment(other, enrolment.folder, MAX_PIXELS)
    with pytest.raises(ModelError, match=r"has no pipeline\.onnx"):
        Enrolment(models, enrolment.folder.parent, MAX_PIXELS)
