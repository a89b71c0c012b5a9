"""Photographs and answers that are kept on request, and the source that people's corrections make of them."""

import io
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from pillsnap.dataset.check import check_source
from pillsnap.files import read_json
from pillsnap.pictures.decode import MAX_JPEG_SIDE, decode_photo
from pillsnap.serve.kept import KeepError, Kept
from pillsnap.sources.archives import SourceError
from pillsnap.sources.coco_labels import read_coco_labels
from pillsnap.sources.labels import LabelReading
from pillsnap.sources.registry import list_archives
from pillsnap.sources.settings import Source
from tests.support.pages import BOXES, DRUGS, FixedSnap, combo, single, write_photo
from tests.support.services import KEY, service
from tests.support.workflow import PROJECT


@pytest.fixture
def photo(tmp_path: Path) -> bytes:
    write_photo(tmp_path / "photo.jpg", 4)
    return (tmp_path / "photo.jpg").read_bytes()


def asking(kept: Kept, answer: Any = None, **options: Any) -> TestClient:
    return TestClient(service(FixedSnap(answer or combo()), kept=kept, **options))


def ask(client: TestClient, photo: bytes, name: str = "photo.jpg") -> dict[str, Any]:
    reply = client.post("/v1/identify", files={"photo": (name, photo)}, data={"mode": "combo"})
    assert reply.status_code == 200
    answer: dict[str, Any] = reply.json()
    return answer


def correct(client: TestClient, name: str, drugs: Any, complete: Any = True) -> Any:
    return client.post("/v1/corrections", json={"kept": name, "drugs": drugs, "complete": complete})


def source(folder: Path) -> LabelReading:
    (archive,) = list_archives(Source(kind="coco", root=str(folder))).values()
    return read_coco_labels(archive)


def test_only_what_a_person_said_becomes_a_label(tmp_path: Path, photo: bytes) -> None:
    folder = tmp_path / "kept"
    client = asking(Kept(folder, 1e9))
    assert client.get("/v1/health").json()["keeps"] is True
    name = ask(client, photo)["kept"]
    with pytest.raises(SourceError, match="no COCO file"):
        source(folder)
    reply = correct(client, name, [DRUGS[3].k_code, "none", "K-123456", DRUGS[0].k_code])
    assert (reply.status_code, reply.json()) == (200, {"kept": name, "labels": 3})
    reading = source(folder)
    assert reading.issues == []
    found = [(pill["k_code"], tuple(pill[side] for side in "xywh"), pill["expected_pills"]) for pill in reading.pills]
    assert found == [
        (drug, box, 3)
        for drug, box in ((DRUGS[3].k_code, BOXES[0]), ("K-123456", BOXES[2]), (DRUGS[0].k_code, BOXES[3]))
    ]
    # a second thought takes the place of the first
    assert correct(client, name, [None, None, None, DRUGS[1].k_code], complete=False).json()["labels"] == 1
    reading = source(folder)
    assert [(pill["k_code"], pill["expected_pills"]) for pill in reading.pills] == [(DRUGS[1].k_code, 2)]
    assert {issue["reason"] for issue in reading.issues} == {"label_is_proposal"}
    assert correct(client, name, [None] * 4).json()["labels"] == 0
    assert list((folder / "confirmed/photos").iterdir()) == []
    assert (folder / f"answers/{name}.jpg").is_file()


def test_a_photograph_without_a_pill_is_a_background(tmp_path: Path, photo: bytes) -> None:
    client = asking(Kept(tmp_path / "kept", 1e9))
    one, other = (ask(client, photo)["kept"] for _ in range(2))
    assert correct(client, one, ["none"] * 4).json()["labels"] == 0
    assert correct(client, other, ["none"] * 4, complete=False).json()["labels"] == 0
    reading = source(tmp_path / "kept")
    assert (reading.pills, reading.photos_read) == ([], 1)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 422, "correction_invalid"),
        (b"[]", 422, "correction_invalid"),
        (b"[" * 60_000, 422, "correction_invalid"),
        (b'{"kept": "ID", "drugs": "none", "complete": true}', 422, "correction_invalid"),
        (b'{"kept": "ID", "drugs": ["none", "none", "none", "none"], "complete": 1}', 422, "correction_invalid"),
        (b'{"kept": "ID", "drugs": ["none"], "complete": true}', 422, "correction_invalid"),
        (b'{"kept": "ID", "drugs": ["K-1", null, null, null], "complete": true}', 422, "drug_invalid"),
        (b'{"kept": "ID", "drugs": ["../../x", null, null, null], "complete": true}', 422, "drug_invalid"),
        (b'{"kept": "ID", "drugs": [["K-000001"], null, null, null], "complete": true}', 422, "drug_invalid"),
        (b'{"kept": "../answers/ID", "drugs": [null, null, null, null], "complete": true}', 404, "not_kept"),
        (b'{"kept": "00000000000000000000000000000000", "drugs": [], "complete": true}', 404, "not_kept"),
        (b'{"kept": "ID", "x": "' + b"a" * 70_000 + b'"}', 413, "too_many_bytes"),
    ],
)
def test_what_is_no_correction_changes_nothing(
    tmp_path: Path, photo: bytes, body: bytes, status: int, code: str
) -> None:
    client = asking(Kept(tmp_path / "kept", 1e9))
    name = ask(client, photo)["kept"]
    reply = client.post("/v1/corrections", content=body.replace(b"ID", name.encode()))
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
    assert read_json(tmp_path / f"kept/answers/{name}.json")["correction"] is None
    assert not (tmp_path / "kept/confirmed/coco.json").exists()


def test_the_api_key_protects_corrections(tmp_path: Path) -> None:
    client = asking(Kept(tmp_path / "kept", 1e9), key=KEY)
    assert correct(client, "0" * 32, []).status_code == 401
    assert client.post("/v1/corrections", json={}, headers={"X-API-Key": KEY}).status_code == 422


def test_without_the_option_nothing_is_kept_and_nothing_taken(photo: bytes) -> None:
    client = TestClient(service(FixedSnap(combo())))
    assert ask(client, photo)["kept"] is None
    assert client.get("/v1/health").json()["keeps"] is False
    assert correct(client, "0" * 32, []).status_code == 404


def test_kept_photographs_have_no_metadata_and_no_name_of_the_sender(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8825)[1] = "N"
    stream = io.BytesIO()
    Image.new("RGB", (64, 32), "grey").save(stream, "JPEG", exif=exif, comment=b"taken at home")
    kept = Kept(tmp_path / "kept", 1e9)
    name = ask(asking(kept, single("known")), stream.getvalue(), name="../../home of Kim.jpg")["kept"]
    files = sorted(path.relative_to(tmp_path / "kept").as_posix() for path in (tmp_path / "kept").rglob("*.*"))
    assert files == [".lock", f"answers/{name}.jpg", f"answers/{name}.json"]
    with Image.open(tmp_path / f"kept/answers/{name}.jpg") as stored:
        assert stored.size == (32, 64), "upright, as the answer's boxes are"
        assert not stored.getexif() and "comment" not in stored.info
    assert b"Kim" not in (tmp_path / f"kept/answers/{name}.json").read_bytes()


def test_the_limit_ends_keeping_and_no_answer(tmp_path: Path, photo: bytes) -> None:
    client = asking(Kept(tmp_path / "kept", 30_000))
    kept = [ask(client, photo)["kept"] for _ in range(6)]
    count = sum(name is not None for name in kept)
    assert 0 < count < 6 and kept[count:] == [None] * (6 - count)
    assert client.get("/v1/health").json()["keeps"] is False
    assert correct(client, kept[0], ["none", None, None, DRUGS[0].k_code]).json()["labels"] == 1


def test_a_full_disk_ends_keeping_and_no_answer(tmp_path: Path, photo: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    client = asking(Kept(tmp_path / "kept", 1e9))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pillsnap.serve.kept.write_json", full)
    assert [ask(client, photo)["kept"] for _ in range(2)] == [None, None]
    assert client.get("/v1/health").json()["keeps"] is False


def test_a_photograph_that_no_jpeg_can_hold_is_answered_and_ends_no_keeping(tmp_path: Path, photo: bytes) -> None:
    client = asking(Kept(tmp_path / "kept", 1e9))
    wide = io.BytesIO()
    Image.new("RGB", (MAX_JPEG_SIDE + 1, 32), "grey").save(wide, "PNG")
    assert ask(client, wide.getvalue())["kept"] is None
    assert ask(client, photo)["kept"] and client.get("/v1/health").json()["keeps"] is True


def test_many_at_a_time(tmp_path: Path, photo: bytes) -> None:
    kept = Kept(tmp_path / "kept", 1e9)
    names = [kept.keep(decode_photo(photo), combo(), "0") for _ in range(12)]
    with ThreadPoolExecutor(6) as pool:
        done = list(
            pool.map(lambda name: kept.correct(name, [DRUGS[0].k_code, None, "none", "none"], complete=True), names)
        )
    assert done == [1] * 12
    assert len(source(tmp_path / "kept").pills) == 12


def test_a_folder_has_one_service(tmp_path: Path) -> None:
    first = Kept(tmp_path / "kept", 1e9)
    with pytest.raises(KeepError, match="another service keeps its answers there"):
        Kept(tmp_path / "kept", 1e9)
    first.close()
    Kept(tmp_path / "kept", 1e9).close()


KILLED = """
import sys
from pathlib import Path
from pillsnap.answers.answer import Answer, Pill
from pillsnap.pictures.decode import decode_photo
from pillsnap.serve.kept import Kept

pill = Pill((4.0, 4.0, 40.0, 30.0), 0.9, "unknown", (), ())
answer = Answer("combo", 480, 640, (pill,) * 2)
kept, photo = Kept(Path(sys.argv[1]), 1e9), decode_photo(Path(sys.argv[2]).read_bytes())
while True:
    name = kept.keep(photo, answer, "0")
    kept.correct(name, ["K-000008", "none"], complete=False)
    kept.correct(name, [None, None], complete=False)
    kept.correct(name, ["K-000009", None], complete=False)
    print("labelled", flush=True)
"""


def test_kills_leave_a_source_that_is_whole(tmp_path: Path, photo: bytes) -> None:
    for pause in (0.06, 0.13):
        command = [sys.executable, "-c", KILLED, str(tmp_path / "kept"), str(tmp_path / "photo.jpg")]
        with subprocess.Popen(
            command, cwd=PROJECT, env=os.environ | {"PYTHONPATH": str(PROJECT)}, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout and process.stdout.readline() == b"labelled\n"
            time.sleep(pause)
            process.kill()
        Kept(tmp_path / "kept", 1e9).close()
        reading = source(tmp_path / "kept")
        assert {issue["reason"] for issue in reading.issues} <= {"label_is_proposal"}
        assert reading.photos_read == len({pill["member"] for pill in reading.pills}) > 0
        for stored in (tmp_path / "kept/confirmed/photos").iterdir():
            decode_photo(stored.read_bytes())


def test_data_check_reads_the_folder(tmp_path: Path, photo: bytes) -> None:
    kept = Kept(tmp_path / "kept", 1e9)
    for number in range(8):
        name = kept.keep(decode_photo(photo), single("known"), "0")
        assert name and re.fullmatch("[0-9a-f]{32}", name)
        kept.correct(name, [DRUGS[number % 2].k_code], complete=True)
    kept.keep(decode_photo(photo), single("known"), "0")
    checked = check_source(tmp_path / "kept")
    assert (checked.kind, checked.photos, checked.problem) == ("coco", 8, "")
    assert checked.drugs == {DRUGS[0].k_code: 4, DRUGS[1].k_code: 4}
