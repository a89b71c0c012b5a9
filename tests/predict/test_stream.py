"""`pillsnap predict` for many photographs: order, formats, streams, exit statuses, and how it ends early."""

import csv
import io
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from pillsnap.answers.answer import Answer, Candidate, Pill
from pillsnap.cli import app
from pillsnap.pictures.decode import MAX_JPEG_SIDE
from pillsnap.pictures.scaled_photo import ScaledPhoto
from pillsnap.predict.annotate import write_answer_picture
from pillsnap.predict.model import PillSnap
from pillsnap.predict.photo_paths import Photo
from pillsnap.predict.stream import CURES, predict
from pillsnap.tables.quarantine_reasons import QUARANTINED
from tests.support.models import draw_photo, onnx_models
from tests.support.odd_pictures import ODD_PICTURES
from tests.support.workflow import PROJECT

COMMAND = (sys.executable, "-c", "from pillsnap.cli import app; app(prog_name='pillsnap')", "predict")


@pytest.fixture(scope="module")
def models(base: Path) -> Path:
    return onnx_models(base)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve photographs in two folders, every fifth one damaged."""
    root = tmp_path_factory.mktemp("photos")
    for number in range(12):
        path = root / ("b" if number % 2 else "a") / f"{number:02d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(draw_photo([number % 3, 1], seed=number)[0]).save(path)
        if number % 5 == 4:
            path.write_bytes(path.read_bytes()[:100])
    return root


def names_in(folder: Path) -> list[str]:
    return [str(path) for path in sorted(folder.rglob("*.png"))]


def run(*words: object, stdin: bytes = b"") -> Result:
    words = [str(word) for word in words]
    return CliRunner().invoke(app, ["predict", *words, "--device", "cpu"], input=stdin, env={"COLUMNS": "200"})


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(PROJECT), "TERM": "xterm"}


def test_order_is_that_of_the_photographs_and_bad_ones_stop_nothing(folder: Path, models: Path) -> None:
    done = run(folder, "--models", models, "--mode", "combo", "--format", "jsonl")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["photo"] for answer in answers] == names_in(folder)
    bad = [answer for answer in answers if "error" in answer]
    assert [Path(answer["photo"]).stem for answer in bad] == ["04", "09"]
    assert {answer["error"]["reason"] for answer in bad} == {"photo_truncated"}
    assert [line.split(": ")[0] for line in done.stderr.splitlines()] == [answer["photo"] for answer in bad]
    assert all("(photo_truncated: " in line and line.endswith("Copy it again, or take it again.")
               for line in done.stderr.splitlines())  # fmt: skip
    assert done.exit_code == 1


def test_decoding_ahead_changes_no_answer(folder: Path, models: Path) -> None:
    snap = PillSnap.load(models, device="cpu")
    usable = [name for name in names_in(folder) if Path(name).stem not in ("04", "09")]
    outcomes = list(predict(snap, map(Photo, usable), "combo"))
    assert [outcome.answer for outcome in outcomes] == [snap.identify(name, "combo") for name in usable]
    assert all(outcome.picture.shape == (outcome.answer.height, outcome.answer.width, 3) for outcome in outcomes)


def test_the_next_photograph_is_decoded_while_the_model_is_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = [threading.Event() for _ in range(3)]

    def decode(data: bytes, facts: None) -> ScaledPhoto:
        decoded[int(data)].set()
        return ScaledPhoto.of_pixels(np.full((1, 1, 3), int(data), np.uint8))

    class Model:
        facts = None

        def identify(self, photo: ScaledPhoto, mode: str) -> bool:
            return decoded[min(2, int(photo.picture[0, 0, 0]) + 1)].wait(timeout=20)

    monkeypatch.setattr("pillsnap.predict.stream.open_photo", decode)
    for number in range(3):
        (tmp_path / f"{number}.png").write_text(str(number))
    photos = [Photo(str(tmp_path / f"{number}.png")) for number in range(3)]
    assert [outcome.answer for outcome in predict(Model(), photos, "single")] == [True, True, True]


def test_answers_that_nobody_takes_are_not_made(folder: Path, models: Path) -> None:
    asked = []
    photos = (asked.append(name) or Photo(name) for name in names_in(folder))
    outcomes = predict(PillSnap.load(models, device="cpu"), photos, "single")
    next(outcomes)
    outcomes.close()
    assert len(asked) <= 4


@pytest.mark.parametrize("format", ["table", "json", "csv"])
def test_every_format_tells_every_photograph(folder: Path, models: Path, format: str) -> None:
    done = run(folder / "a", folder / "b" / "*.png", "--models", models, "--format", format)
    names = names_in(folder)
    if format == "json":
        assert [answer["photo"] for answer in json.loads(done.stdout)] == names
    elif format == "csv":
        rows = csv.DictReader(io.StringIO(done.stdout.removeprefix("\ufeff")))
        assert list(dict.fromkeys(row["photo"] for row in rows)) == names
    else:
        assert [name for name in names if name in done.stdout] == [name for name in names if name not in done.stderr]
    assert done.exit_code == 1


def test_standard_input_is_a_photograph(folder: Path, models: Path) -> None:
    photo = folder / "a" / "00.png"
    done = run("-", "--models", models, "--json", stdin=photo.read_bytes())
    by_name = json.loads(run(photo, "--models", models, "--json").stdout)
    assert json.loads(done.stdout) == by_name | {"photo": "-"}
    assert done.exit_code == 0
    assert run("-", "--models", models, stdin=b"").exit_code == 2


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["a/00.png"], 0),
        (["a/00.png", "b/01.png"], 0),
        (["a/00.png", "a/04.png"], 1),
        (["a/00.png", "missing.png"], 1),
        (["a/00.png", "*.gif"], 1),
        (["a/04.png"], 2),
        (["a/04.png", "missing.png"], 2),
        (["*.gif"], 2),
    ],
)
def test_exit_status(
    folder: Path, models: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], status: int
) -> None:
    monkeypatch.chdir(folder)
    done = run(*words, "--models", models)
    assert done.exit_code == status
    assert len(done.stderr.splitlines()) == sum(word in ("a/04.png", "missing.png", "*.gif") for word in words)


def test_several_photographs_are_drawn_into_a_folder(folder: Path, models: Path, tmp_path: Path) -> None:
    done = run(folder, "--models", models, "--mode", "combo", "--annotated", tmp_path / "drawn")
    assert done.exit_code == 1
    drawn = {
        path.relative_to(tmp_path / "drawn").as_posix() for path in (tmp_path / "drawn").rglob("*") if path.is_file()
    }
    usable = [Path(name) for name in names_in(folder) if Path(name).stem not in ("04", "09")]
    assert drawn == {f"{path.relative_to(folder).as_posix()}.jpg" for path in usable}
    with Image.open(tmp_path / "drawn/a/00.png.jpg") as picture:
        assert picture.size == (96, 128)


def test_a_photograph_is_never_drawn_over(folder: Path, models: Path) -> None:
    photo = folder / "a" / "00.png"
    before = photo.read_bytes()
    done = run(photo, "--models", models, "--annotated", photo)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "00.png is one of the photographs. Name another place." in done.stderr
    assert photo.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "there"),
    [
        (["--annotated", "a/00.png", "b/01.png"], "a/00.png"),
        (["--annotated", "drawn", "b"], "drawn/01.png.jpg"),
        (["--annotated", "drawn.jpg", "b/01.png"], "drawn.jpg"),
        (["--annotated", "drawn.jpg/", "b/01.png"], "drawn.jpg/01.png.jpg/notes.txt"),
    ],
)
def test_only_annotated_photographs_are_drawn_over(
    folder: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], there: str
) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    kept = Path(there)
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes((folder / "a/02.png").read_bytes())
    before = kept.read_bytes()
    done = run(*words, "--models", models)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "is there, and was not drawn by pillsnap predict. Name another place." in done.stderr
    assert kept.read_bytes() == before


@pytest.mark.parametrize("target", ["drawn", "drawn.jpg", "drawn.png"])
def test_annotated_photographs_are_replaced(folder: Path, models: Path, tmp_path: Path, target: str) -> None:
    words = (folder / "a/00.png", "--models", models, "--annotated", tmp_path / target)
    assert [run(*words, "--mode", mode).exit_code for mode in ("single", "combo", "single")] == [0, 0, 0]


def test_annotated_photographs_may_lie_below_the_photographs(folder: Path, models: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(folder / "b", photos)
    words = (photos, "--models", models, "--annotated", photos / "answers", "--format", "jsonl")
    first, again, later = run(*words), run(*words), run(*words[:3], "--format", "jsonl")
    assert {first.stdout, again.stdout, later.stdout} == {first.stdout} and first.exit_code == again.exit_code
    count = len(list((photos / "answers").iterdir()))
    for done in (again, later):
        assert done.stderr.startswith(f"left out, since drawn by pillsnap predict: {count} picture")


def test_a_file_that_appears_in_a_pictures_place_is_kept(
    folder: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "drawn.png"

    def draw(picture: np.ndarray, _: object) -> np.ndarray:
        target.write_text("kept")
        return picture

    monkeypatch.setattr("pillsnap.predict.annotate.draw_boxes", draw)
    done = run(folder / "a/00.png", "--models", models, "--annotated", target)
    assert done.exit_code == 1 and f"{target} is there, and was not drawn by" in done.stderr
    assert [path.read_text() for path in tmp_path.iterdir()] == ["kept"]


def test_no_picture_is_drawn_to_standard_output(
    folder: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(folder / "a/00.png", "--models", models, "--annotated", "-")
    assert (done.exit_code, done.stdout) == (2, "") and not Path("-").exists()
    assert "--annotated -: standard output is for the answers. Name a folder or a file." in done.stderr


def test_a_place_for_pictures_that_takes_nothing_is_told_before_the_first_answer(
    folder: Path, models: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    for place in (tmp_path / "file/drawn", tmp_path / "file/drawn/one.jpg"):
        done = run(folder / "a/00.png", "--models", models, "--annotated", place)
        assert (done.exit_code, done.stdout) == (2, "")
        assert "nothing can be written there" in done.stderr
        assert "Allow writing there, or name another place." in done.stderr


@pytest.mark.parametrize(
    ("name", "taken"),
    [("가" * 83 + ".png", "drawn/other"), ("sub/b.png", "drawn/sub")],
    ids=["long name", "file in the way"],
)
def test_a_picture_that_cannot_be_written_stops_no_other(
    folder: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, taken: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for place in ("a.png", name, "z.png"):
        Path("photos", place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / "a/00.png", Path("photos", place))
    Path("drawn").mkdir()
    Path(taken).touch()
    done = run("photos", "--models", models, "--annotated", "drawn", "--format", "jsonl")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert {answer["photo"] for answer in answers if "pills" in answer} == {
        f"photos/{place}" for place in ("a.png", name, "z.png")
    }
    told = [line.split(": ")[0] for line in done.stderr.splitlines()]
    assert (done.exit_code, told) == (1, [f"photos/{name}"])
    assert {str(path) for path in Path("drawn").iterdir()} == {"drawn/a.png.jpg", "drawn/z.png.jpg", taken}


def test_a_photograph_that_no_jpeg_can_hold_is_drawn_smaller(tmp_path: Path) -> None:
    wide = np.zeros((100, MAX_JPEG_SIDE + 100, 3), np.uint8)
    pill = Pill((65_000.0, 20.0, 50.0, 60.0), 0.9, "uncertain", (Candidate("K-000001", (), "a", 0.6),), ())
    answer = Answer("single", wide.shape[1], wide.shape[0], (pill,))
    for name, width in (("a.jpg", MAX_JPEG_SIDE), ("a.png", wide.shape[1])):
        write_answer_picture(wide, answer, tmp_path / name)
        with Image.open(tmp_path / name) as picture:
            assert (picture.width, picture.height) == (width, 100)


def test_odd_pictures_are_answered_or_told(models: Path, tmp_path: Path) -> None:
    """All at once: each one that can be used has an answer, each other one its reason; nothing else is said."""
    for number, odd in enumerate(ODD_PICTURES):
        (tmp_path / f"{number:03d}.jpg").write_bytes(odd.data)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        done = run(".", "--models", models, "--mode", "combo", "--format", "jsonl", "--annotated", "drawn")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    reasons = [answer.get("error", {}).get("reason") for answer in answers]
    assert reasons == [odd.reason for odd in ODD_PICTURES]
    sizes = [(answer["width"], answer["height"]) for answer in answers if "error" not in answer]
    assert sizes == [odd.size for odd in ODD_PICTURES if odd.usable]
    assert len(done.stderr.splitlines()) == sum(not odd.usable for odd in ODD_PICTURES)
    assert len(list((tmp_path / "drawn").iterdir())) == len(sizes)
    assert done.exit_code == 1


def test_every_reason_has_a_cure() -> None:
    assert set(CURES) <= set(QUARANTINED)
    assert {odd.reason for odd in ODD_PICTURES if odd.reason} <= set(CURES)


def test_a_pipe_that_closes_ends_it_quietly(folder: Path, models: Path) -> None:
    words = [*COMMAND, *names_in(folder / "a")[:2], str(folder), "--models", str(models), "--format", "jsonl"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as process:
        assert process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read().decode()
    # what was bad before the pipe closed may have been told
    assert [line for line in said.splitlines() if "no usable photograph" not in line] == []
    assert process.returncode == 141


def test_ctrl_c_ends_it_with_130(folder: Path, models: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    words = [*COMMAND, *names_in(folder / "b"), str(tmp_path / "pipe"), "--models", str(models), "--format", "jsonl"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # what a shell starts in the background ignores SIGINT, and so would its children
    heed = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    with subprocess.Popen(words, env=environment(), **pipes, **heed) as process:
        assert process.stdout.readline()
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
        assert "Traceback" not in process.stderr.read().decode()


def test_a_terminal_shows_how_far_it_is_and_standard_output_stays_clean(folder: Path, models: Path) -> None:
    control, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 100))
    words = [*COMMAND, str(folder), "--models", str(models), "--format", "jsonl"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=terminal, env=environment()) as process:
        os.close(terminal)
        lines = process.stdout.read().decode().splitlines()
        shown = b""
        with open(control, "rb", buffering=0) as stream:  # noqa: PTH123 (a descriptor)
            while part := _part(stream):
                shown += part
    assert [json.loads(line)["photo"] for line in lines] == names_in(folder)
    assert b"of 12 photos" in shown


def _part(stream: io.FileIO) -> bytes:
    try:
        return stream.read(4096)
    except OSError:  # how Linux tells that nobody has the terminal any more
        return b""


def test_the_command_needs_no_torch(folder: Path, models: Path) -> None:
    code = (
        "import sys; from pillsnap.cli import app\n"
        "try: app(sys.argv[1:])\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "sys.exit(sorted({'torch', 'pandas', 'ultralytics', 'timm'} & set(sys.modules)).__repr__().strip('[]') or 0)"
    )
    words = ["predict", folder / "a/00.png", "--models", models, "--annotated", folder / "drawn.png"]
    done = subprocess.run([sys.executable, "-c", code, *words], env=environment(), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    (folder / "drawn.png").unlink()


def test_python_answers_need_no_torch(folder: Path, models: Path) -> None:
    code = (
        "import sys; from pillsnap import PillSnap\n"
        "answer = PillSnap.load(sys.argv[1]).identify(sys.argv[2], 'combo')\n"
        "assert answer.pills[0].candidates[0].k_code\n"
        "sys.exit('torch' in sys.modules)"
    )
    words = [sys.executable, "-c", code, models, folder / "a/00.png"]
    assert subprocess.run(words, env=environment()).returncode == 0


def test_the_package_says_that_it_is_typed() -> None:
    assert (PROJECT / "pillsnap" / "py.typed").exists()
    assert '"py.typed"' in (PROJECT / "pyproject.toml").read_text()


def test_pixels_are_the_ones_that_were_answered(models: Path, tmp_path: Path) -> None:
    pixels = draw_photo([0], seed=1)[0]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (outcome,) = predict(PillSnap.load(models, device="cpu"), [Photo(str(tmp_path / "a.png"))], "single")
    assert np.array_equal(outcome.picture, pixels)
