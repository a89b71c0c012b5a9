"""The commands `pillsnap data summary` and `pillsnap data show`."""

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from pillsnap.cli import app
from pillsnap.dataset.write_dataset_page import write_dataset_page
from pillsnap.files import write_json
from pillsnap.sources.archives import Archive
from tests.support.archives import hand_made
from tests.support.dataset_runs import aihub_run, page_arguments, yolo_run
from tests.support.documents import fenced_commands, program_and_words


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of results whose stage4 has a manifest, prepared photographs and a dataset page."""
    folder = tmp_path_factory.mktemp("aihub")
    run = aihub_run(folder)
    write_dataset_page(**page_arguments(run, "synthetic", folder / "results/stage4/dataset.html"))
    record_index(folder / "results", "synthetic", run.archives["TS_1_single"])
    return folder / "results"


def record_index(results: Path, kind: str, archive: Archive) -> None:
    """Write what the rule's record tells of the raw archive."""
    settings = {"kind": kind, "archive": vars(archive)}
    write_json(results / f"provenance/index_archive/{archive.name}.json", {"settings": settings})


@pytest.fixture(scope="module")
def yolo_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("yolo")
    run = yolo_run(folder)
    run.build_manifest()
    record_index(folder / "results", "yolo", run.archives["train"])
    return folder / "results"


def data(*words: object, columns: int = 80) -> Result:
    return CliRunner().invoke(app, ["data", *(str(word) for word in words)], env={"COLUMNS": str(columns)})


def said(done: Result) -> str:
    """What was printed, in one line."""
    return " ".join(done.stdout.split())


def test_summary_tells_what_there_is(results: Path) -> None:
    done = data("summary", "--results", results)
    assert done.exit_code == 0, done.stderr
    text = said(done)
    assert text.startswith("stage4: synthetic photographs of invented drugs")
    for words in (
        "Training single",
        "1 photograph with fewer labels than pills",
        "latitude",
        "combo share of the photograph's area",
        "3 drugs; Gini coefficient of their training pills 0.",
        "1 drug with several, 1 without, 1 code shared by several drugs",
        "K-000002 타이레놀정 500mg",
        "photo_truncated 1 0",
        "Skipped: nothing",
    ):
        assert words in text, words


def test_tables_hold_each_drug_once_and_with_its_own_name(results: Path) -> None:
    lines = [line.split() for line in data("summary", "--results", results).stdout.splitlines()]
    drugs = {line[0]: line[1] for line in lines if line and line[0].startswith("K-0000")}
    assert drugs == {"K-000001": "가스모틴정", "K-000002": "타이레놀정", "K-000003": "<b>리피토정</b>"}


@pytest.mark.parametrize("words", [("summary",), ("show", "K-000001")])
def test_output_fits_80_columns_without_a_terminal(results: Path, words: tuple[str, ...]) -> None:
    done = data(*words, "--results", results)
    assert done.exit_code == 0
    wide = [line for line in done.stdout.splitlines() if sum(2 if "가" <= c <= "힣" else 1 for c in line.rstrip()) > 80]
    assert wide == []
    assert "\x1b[" not in done.stdout


def test_json_is_whole(results: Path) -> None:
    found = json.loads(data("summary", "--results", results, "--json").stdout)
    assert (found["stage"], found["source"], found["drugs"]) == ("stage4", "synthetic", 3)
    assert found["parts"][-1]["photos"] == found["photos"]["kept"]
    account = found["photos"]
    assert account["read"] == account["kept"] + sum({**account["quarantined"], **account["skipped"]}.values())
    assert 0 < found["gini_of_training_pills"] < 1
    assert found["edi_codes"]["shared"] == {"643303740": ["K-000001", "K-000002"]}
    assert found["boxes"]["single"]["area_share"]["p50"] == pytest.approx(31 * 24 / (97 * 128), abs=1e-4)
    assert {row["value"] for row in found["views"]["latitude"]} == {"70°", "75°", "90°"}


def test_show_tells_of_one_drug(results: Path) -> None:
    done = data("show", "K-000001", "--results", results, columns=200)
    assert done.exit_code == 0, done.stderr
    text = said(done)
    assert text.startswith("K-000001 가스모틴정 5mg stage4: synthetic photographs")
    for words in ("Class index: 0", "EDI codes: 643303740, A01200351", "front", "photo_empty", "0 bytes", "_200.png"):
        assert words in text, words
    assert "K-000002_0_" not in text, "rows about other drugs"


def test_show_finds_a_drug_by_a_part_of_its_name(results: Path) -> None:
    assert data("show", "타이레놀", "--results", results).stdout.startswith("K-000002  타이레놀정 500mg\n")


def test_show_of_a_yolo_set(yolo_results: Path) -> None:
    text = said(data("show", "red", "--results", yolo_results))
    assert text.startswith("red stage4: source not known before its dataset.html is made Class index: ")
    assert "names tell nothing of background" in text


def test_show_of_a_quarantined_photograph(yolo_results: Path, tmp_path: Path) -> None:
    """Its refused box, 0 pixels wide at the centre of the upper half, is drawn."""
    done = data("show", "train: a2.png", "--results", yolo_results, "--picture", tmp_path / "a.jpg")
    assert done.exit_code == 0, done.stderr
    text = said(done)
    assert text.startswith("train: a2.png stage4: source not known")
    assert "bbox_zero_size a2.txt:1 [0.5, 0.25, 0.0, 0.2]" in text and "photo_without_usable_label" in text
    with Image.open(tmp_path / "a.jpg") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    red = (pixels[..., 0] > 180) & (pixels[..., 1] < 120) & (pixels[..., 2] < 120)
    ys, xs = np.nonzero(red)
    assert (ys.min(), ys.max()) == pytest.approx((0.15 * 128, 0.35 * 128), abs=3)
    assert (xs.min(), xs.max()) == pytest.approx((0.5 * 97,) * 2, abs=3)


def test_show_of_a_kept_photograph(yolo_results: Path) -> None:
    done = data("show", "test: c1.png", "--results", yolo_results)
    assert done.exit_code == 0, done.stderr
    assert "Kept labels" in done.stdout and "Quarantined" not in done.stdout
    several = data("show", "c1.png", "--results", yolo_results)
    assert (
        several.exit_code == 2
        and "have this name. Name one: train: c1.png; val: c1.png; test: c1.png" in several.stderr
    )


def test_picture_holds_pills_of_all_parts(results: Path, tmp_path: Path) -> None:
    paths = [tmp_path / "out" / name for name in ("a.jpg", "b.jpg")]
    for path in paths:
        done = data("show", "K-000002", "--results", results, "--picture", path)
        assert done.exit_code == 0, done.stderr
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with Image.open(paths[0]) as picture:
        assert picture.format == "JPEG" and picture.width == 6 * 148 + 4


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("show", "K-0000"), "K-0000: no drug of this stage has this K-code. The nearest are: K-000001 가스모틴정"),
        (("show", "정"), "3 drugs have this in their name. Give the K-code of one: K-000001"),
        (("show", "K-000001", "--picture", "a.gif"), "--picture a.gif: the ending must be .jpg or .jpeg."),
        (("show", "K-000001", "--stage", "stage9"), "--stage stage9: must be one of stage1, stage2, stage3, stage4."),
        (("summary", "--stage", "stage1"), "stage1/manifest/train.csv: is not made yet. Make it with `snakemake"),
    ],
)
def test_what_is_wrong_is_said(results: Path, words: tuple[str, ...], says: str) -> None:
    """Exit status 2, the cure on standard error, nothing on standard output."""
    done = data(*words, "--results", results)
    assert done.exit_code == 2
    assert says in " ".join(done.stderr.split())
    assert done.stdout == ""


def test_a_picture_that_cannot_be_written_ends_the_command(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "file").touch()
    for place, why in (("folder.jpg", "Is a directory"), ("file/a.jpg", "File exists"), ("file/b/a.jpg", "Not a dir")):
        done = data("show", "K-000001", "--results", results, "--picture", tmp_path / place)
        assert (done.exit_code, done.stdout) == (2, "")
        assert f"--picture {tmp_path / place}: cannot be written ({why}" in done.stderr

    def refuse(path: Path, data: bytes) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    done = data("show", "K-000001", "--results", results, "--picture", tmp_path / "a.jpg")
    assert (done.exit_code, done.stdout) == (2, "") and "(Read-only file system). Name a file" in done.stderr
    assert "pathvars" not in done.stderr


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-150])


def _in_cp949(path: Path) -> None:
    path.write_bytes(path.read_text(encoding="utf-8-sig").encode("cp949"))


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


DAMAGED = [
    (damage, name)
    for damage, names in {
        _cut: ("manifest/train.csv", "manifest/classes.json", "plan.json", "plan.parquet"),
        _in_cp949: ("manifest/train.csv", "manifest/classes.json"),
        _emptied: ("manifest/val.csv", "manifest/summary.json", "manifest/quarantine.csv", "plan.parquet"),
        Path.unlink: ("manifest/test.csv", "plan.parquet"),
    }.items()
    for name in names
]


@pytest.mark.parametrize(("damage", "name"), DAMAGED)
def test_a_damaged_file_is_named(results: Path, tmp_path: Path, damage: Callable[[Path], None], name: str) -> None:
    stage = tmp_path / "stage4"
    shutil.copytree(results / "stage4" / "manifest", stage / "manifest")
    for file in ("plan.json", "plan.parquet"):
        shutil.copy(results / "stage4" / file, stage)
    damage(stage / name)
    says = f"{stage / name}: {'is not made yet' if damage is Path.unlink else 'cannot be read ('}"
    for words in [("summary",), ("show", "K-000001")]:
        done = data(*words, "--results", tmp_path)
        if name == "plan.parquet" and words == ("summary",):
            assert done.exit_code == 0, "it is not read"
            continue
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr.startswith(says), done.stderr


def test_prepared_photographs_that_are_damaged_are_named(results: Path, tmp_path: Path) -> None:
    shutil.copytree(results / "stage4", tmp_path / "stage4")
    for shard in tmp_path.rglob("*.bin"):
        _emptied(shard)
    done = data("show", "K-000001", "--results", tmp_path, "--picture", tmp_path / "a.jpg")
    assert (done.exit_code, done.stdout) == (2, "") and "prepared: its pills cannot be read" in done.stderr


def test_a_raw_archive_is_looked_for_in_the_folder_of_the_run(
    yolo_results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(yolo_results, tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    record = Path("results/provenance/index_archive/train.json")
    settings = {"kind": "yolo", "archive": {"photos": "data/raw"}}
    for text, says in (
        (json.dumps({"settings": settings}), f"data/raw: the raw archive is not there, looked for from {tmp_path}."),
        ('{"settings": {', f"{record}: cannot be read ("),
        ("{}", f"{record}: cannot be read ("),
    ):
        record.write_text(text)
        done = data("show", "train: a2.png", "--picture", "a.jpg")
        assert (done.exit_code, done.stdout) == (2, "") and done.stderr.startswith(says), done.stderr


def test_a_folder_that_is_not_there_is_named() -> None:
    done = data("summary", "--results", "nowhere")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "nowhere: there is no such folder" in done.stderr


def test_prepared_photographs_that_are_gone_are_named(results: Path, tmp_path: Path) -> None:
    stage = tmp_path / "results" / "stage4"
    stage.mkdir(parents=True)
    for name in ("manifest", "plan.json", "plan.parquet"):
        (stage / name).symlink_to(results / "stage4" / name)
    done = data("show", "K-000001", "--results", stage.parent, "--picture", tmp_path / "a.jpg")
    assert done.exit_code == 2 and "is not there. Make it with `snakemake --cores all -- " in done.stderr
    assert not (tmp_path / "a.jpg").exists()


def test_commands_of_the_page_run(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "results").symlink_to(results)
    hand_made().write(tmp_path / "data" / "photos")
    monkeypatch.chdir(tmp_path)
    commands = [words for words in map(program_and_words, fenced_commands("docs/data.md")) if words[0] == "pillsnap"]
    assert len(commands) >= 4
    for _, words in commands:
        # the page's examples are a real K-code, and a photograph of it
        words = [word.replace("K-000117_0_0_0_0_70_080", "K-000001_0_0_0_1_75_000") for word in words]
        done = CliRunner().invoke(app, [word.replace("K-000117", "K-000001") for word in words])
        assert done.exit_code == 0, (words, done.stderr)
