"""`GET /v1/catalogue`: what a running service looks up, and what it refuses."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from pillsnap.answers.answer import Reading
from pillsnap.catalogue.search import NOTICE
from pillsnap.cli import app
from tests.support.catalogues import opened_catalogue
from tests.support.pages import FixedSnap, both_sides, single
from tests.support.services import KEY, PHOTO, service

SAID = {"X-API-Key": KEY}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    catalogue = opened_catalogue(tmp_path_factory.mktemp("catalogue"))
    return TestClient(service(FixedSnap(single("unknown")), key=KEY, catalogue=catalogue), headers=SAID)


def look_up(asked: TestClient, **query: Any) -> Any:
    return asked.get("/v1/catalogue", params=query)


def test_drugs_that_look_alike(asked: TestClient) -> None:
    reply = look_up(asked, imprint="sI 8B5O", colour="빨강,white", shape="capsule", length="19")
    assert reply.status_code == 200
    found = reply.json()
    assert found["read"] == {
        "imprint": "SI8B5O", "colours": ["red", "white"], "shape": "oblong", "score_line": None,
        "length": 19.0, "width": None, "tolerance": 0.5,
    }  # fmt: skip
    assert found["notice"] == NOTICE
    (alike,) = found["alike"]
    assert alike["drug"]["name"] == "다라캡슐" and alike["drug"]["code"] == "199900002"
    assert alike["score"] == pytest.approx(sum(alike["parts"].values()), abs=0.02)
    assert set(alike["parts"]) == {"imprint", "colours", "shape", "length"}
    assert look_up(asked, imprint="QQQQ").json()["alike"] == []
    assert len(look_up(asked, shape="round", limit=1).json()["alike"]) == 1


def test_an_answer_has_what_was_read_and_the_schema_says_so() -> None:
    reading = Reading("GN", 0.9, "GN", "round", 0.97, ("white",), 0.95, False)
    plain, together = single("unknown"), both_sides("uncertain")
    answer = replace(plain, pills=(replace(plain.pills[0], reading=reading),))
    views = (replace(together.photos[0], reading=reading), together.photos[1])
    client = TestClient(service(FixedSnap(answer, replace(together, photos=views))))
    (pill,) = client.post("/v1/identify", files=[("photo", PHOTO)]).json()["pills"]
    assert pill["reading"] == asdict(reading) | {"colours": ["white"]}
    both = client.post("/v1/identify", files=[("photo", PHOTO), ("photo", PHOTO)]).json()
    assert [one["reading"] for one in (*both["photos"], *both["pills"])] == [pill["reading"], None, None]
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert set(schemas["Reading"]["required"]) == set(pill["reading"])
    assert {"$ref": "#/components/schemas/Reading"} in schemas["Pill"]["properties"]["reading"]["anyOf"]


def test_a_catalogue_changes_no_name_of_the_schema(asked: TestClient) -> None:
    schemas = asked.get("/openapi.json").json()["components"]["schemas"]
    assert {"Reading", "LookUp"} <= set(schemas)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({}, "Nothing to look up"),
        ({"imprint": ""}, "Nothing to look up"),
        ({"imprint": "A" * 201}, "imprint: String should have at most 200 characters"),
        ({"imprint": "A" * 41}, "Give 40 at most"),
        ({"colour": "puce"}, "is not known"),
        ({"shape": "round", "limit": 101}, "limit: Input should be less than or equal to 100"),
        ({"shape": "round", "limit": 0}, "limit: Input should be greater"),
        ({"length": "long"}, "length: Input should be a valid number"),
        ({"length": "nan"}, "length nan: must be between"),
        ({"length": "inf"}, "length inf: must be between"),
        ({"shape": "round", "color": "white"}, "color: Extra inputs are not permitted"),
        ({"shape": "round", "tolerance": "-1"}, "tolerance -1: must be between"),
    ],
)
def test_a_query_is_refused(asked: TestClient, query: dict[str, Any], says: str) -> None:
    reply = look_up(asked, **query)
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (422, "query_invalid")
    assert says in error["message"] and error["cure"]


def test_the_key_protects_it_and_it_is_off_by_default(asked: TestClient) -> None:
    reply = asked.get("/v1/catalogue", params={"imprint": "A"}, headers={"X-API-Key": "wrong"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (401, "key_wrong")
    assert asked.get("/v1/health").json()["catalogue"] is True
    operation = asked.get("/openapi.json").json()["paths"]["/v1/catalogue"]["get"]
    assert set(operation["responses"]) == {"200", "401", "422", "500"}
    plain = TestClient(service(FixedSnap(single("unknown"))))
    assert plain.get("/v1/catalogue").status_code == 404 and plain.get("/v1/health").json()["catalogue"] is False


def test_the_command_names_a_catalogue_that_cannot_be_used(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["serve", "--catalogue", str(tmp_path / "nothing.sqlite")])
    assert done.exit_code == 2 and "nothing.sqlite: there is no such file. Make one" in done.stderr
