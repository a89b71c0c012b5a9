"""`pillsnap doctor`: what it finds, what a stage would need, and how it ends."""

import itertools
import json
import platform
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from pillsnap.cli import app
from pillsnap.config.config import Config
from pillsnap.config.load import ConfigError, load_config, merge_into, read_config
from pillsnap.hardware import gpus
from pillsnap.preflight.amounts import count_photos, estimate_amounts
from pillsnap.preflight.disk import disk_parts
from pillsnap.preflight.doctor import examine
from pillsnap.preflight.findings import GIB, Verdict
from tests.support.aihub_files import png
from tests.support.workflow import PROJECT

FIXED = ("models", "report", "training state, detector", "training state, classifier")


@pytest.fixture(autouse=True)
def nothing_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without results: where a stage has a plan, the doctor goes by it."""
    monkeypatch.chdir(tmp_path)


def config(**changes: Any) -> Config:
    """The project's configuration with some values changed."""
    values = yaml.safe_load((PROJECT / "config.yaml").read_text(encoding="utf-8"))
    merge_into(values, changes)
    return load_config(values)


def yolo_set(folder: Path, **photos: int) -> dict[str, Any]:
    """The source of a YOLO data set with so many photographs in each part, and other files among them."""
    for kind, part in itertools.product(("images", "labels"), ("train", "val", "test")):
        (folder / kind / part).mkdir(parents=True)
    for part, count in photos.items():
        images = folder / "images" / part
        (images / "notes.txt").write_text("no photograph")
        for number in range(count):
            (images / f"{number}{('.jpg', '.PNG', '.webp')[number % 3]}").write_bytes(png())
    (folder / "data.yaml").write_text("names: [red, blue]\n")
    return {"kind": "yolo", "root": str(folder)}


def needed_bytes(one: Config, stage: str) -> int:
    """The estimated need of everything that grows with the photographs."""
    parts = disk_parts(estimate_amounts(one, stage), one, stage)
    return sum(part.need for part in parts if part.name not in FIXED)


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["doctor", *(str(word) for word in words)], env={"COLUMNS": "200"})


def test_photographs_of_the_synthetic_source(tmp_path: Path) -> None:
    made = {"drugs": 10, "photos_per_drug": 6, "validation_photos_per_drug": 2, "combos": 3, "validation_combos": 1}
    drawn = 10 * (6 + 2) + 3 * (3 + 1)
    # with defects, the validation part has a drug of its own and views of the training part's groups
    for defects, photos in {0: drawn, 1: drawn + 2 + 1, 3: drawn + 2 + 3}.items():
        source = {"root": str(tmp_path), "synthetic": made | {"defects": defects}}
        assert count_photos(config(source=source)) == photos


def test_photographs_of_a_yolo_data_set(tmp_path: Path) -> None:
    assert count_photos(config(source=yolo_set(tmp_path, train=5, val=2))) == 7


def test_photographs_of_aihub_are_known_by_their_index_only(tmp_path: Path) -> None:
    aihub = config(source={"kind": "aihub", "root": str(tmp_path)})
    assert count_photos(aihub) is None
    small, large = (needed_bytes(aihub, stage) for stage in ("stage3", "stage4"))
    assert small * 4 < large < small * 6, "a fifth of the budget, a fifth of the need"
    assert needed_bytes(aihub, "stage4") > 50 * GIB


def test_a_small_data_set_needs_little(tmp_path: Path) -> None:
    """The need follows what is there, not the stage's budget of half a million photographs."""
    one = needed_bytes(config(source=yolo_set(tmp_path / "one", train=30)), "stage4")
    two = needed_bytes(config(source=yolo_set(tmp_path / "two", train=60)), "stage4")
    assert 0 < one < two < GIB / 10
    assert two == pytest.approx(2 * one, rel=0.01)


def test_synthetic_archives_count_until_they_are_drawn(tmp_path: Path) -> None:
    from pillsnap.sources.registry import list_archives

    drawn = config(source={"root": str(tmp_path)})
    before = needed_bytes(drawn, "stage1")
    for archive in list_archives(drawn.source).values():
        Path(archive.photos).parent.mkdir(parents=True, exist_ok=True)
        Path(archive.photos).write_bytes(b"")
    photos = count_photos(drawn)
    assert before - needed_bytes(drawn, "stage1") == pytest.approx(photos * 976 * 1280 * 1.26 * 1.1, rel=1e-6)


@pytest.mark.parametrize("size", [416, 1280])
def test_estimate_holds_for_synthetic_photographs(tmp_path: Path, size: int) -> None:
    """A few photographs, drawn and prepared: the estimate is above what they take, and below twice of it."""
    from pillsnap.config.data import Prepare
    from pillsnap.crops.crop import cut_crop
    from pillsnap.manifest.prepare_archive import prepare_photo
    from pillsnap.pictures.decode import decode_jpeg, encode_jpeg
    from pillsnap.sources.aihub_labels import read_aihub_labels
    from pillsnap.sources.archives import Archive
    from pillsnap.sources.containers.container import Container
    from pillsnap.sources.synthetic.archives import SyntheticArchive
    from pillsnap.sources.synthetic.make_synthetic_archive import make_synthetic_archive
    from pillsnap.tables.files import make_table
    from pillsnap.tables.schemas import PILLS

    made = {"drugs": 4, "photos_per_drug": 6, "validation_photos_per_drug": 1, "combos": 2, "validation_combos": 1}
    archive = SyntheticArchive("training", "single", 1, "TS_1_단일.zip", "TL_1_단일.zip")
    photos, labels = tmp_path / archive.photos, tmp_path / archive.labels
    parts = {"single_archives": 1, "combo_archives": 1, "defects": 0, "seed": 1}
    make_synthetic_archive(
        archive=archive, photos_zip=photos, labels_zip=labels, planted_csv=tmp_path / "p", **made, **parts
    )
    source = Archive("TS_1_single", str(photos), str(labels), "single", "")
    pills = make_table(read_aihub_labels(source).pills, PILLS).assign(split="train")
    taken, settings = 0, Prepare(photo_size=size)
    with Container(photos) as container:
        for member, rows in pills.groupby("member"):
            done = prepare_photo(container.read(str(member)), list(rows.itertuples()), settings, test=False)
            window = decode_jpeg(done.contexts[0][1])
            crop = encode_jpeg(cut_crop(window, [0, 0, *window.shape[1::-1]], size=144, margin=0.15), 95)
            taken += 2 * len(done.jpeg) + len(done.contexts[0][1]) + 2 * len(crop)
    aihub = {"kind": "aihub", "root": str(tmp_path)}
    stages = {"stage1": {"images": len(pills)}}
    plan = {"test_fraction": 1e-9, "combo_fraction": 0, "unseen_drugs": 0}
    need = needed_bytes(config(source=aihub, stages=stages, plan=plan, prepare={"photo_size": size}), "stage1")
    assert taken < need < 2.5 * taken


def test_every_part_of_the_machine_is_looked_at(tmp_path: Path) -> None:
    findings = examine(config(source=yolo_set(tmp_path, train=2)), "stage1")
    names = [finding.what for finding in findings]
    around = ["versions", "commit", "processor", "user", "home", "paths"]
    machine = ["disk", "temporary folder", "file locks", "memory", "shared memory"]
    assert [name for name in names if name != "GPU"] == [*around, "source", *machine, "plan"]
    assert "GPU" in names
    assert all(finding.found for finding in findings)
    assert all(finding.cure for finding in findings if finding.verdict != Verdict.ok), "a problem comes with its cure"


def verdict_of(what: str, one: Config, stage: str = "stage4") -> tuple[Verdict, str]:
    finding = next(finding for finding in examine(one, stage) if finding.what == what)
    return finding.verdict, finding.cure or finding.found


def test_too_small_a_disk_is_refused(tmp_path: Path) -> None:
    (tmp_path / "TS_1_single").mkdir()
    (tmp_path / "TL_1_single").mkdir()
    aihub = {"kind": "aihub", "root": str(tmp_path)}
    huge = config(source=aihub, stages={"stage4": {"images": 10**9}})
    assert verdict_of("disk", huge) == (
        Verdict.refused,
        "Free some space, choose a smaller stage, or move pathvars.results to a larger disk",
    )


def test_missing_source_is_refused(tmp_path: Path) -> None:
    verdict, cure = verdict_of("source", config(source={"kind": "yolo", "root": str(tmp_path / "nowhere")}))
    assert verdict is Verdict.refused
    assert "there is no folder" in cure


def test_missing_gpu_is_refused_when_it_is_asked_for(tmp_path: Path) -> None:
    if gpus():
        pytest.skip("there is a GPU here")
    source = yolo_set(tmp_path, train=2)
    assert verdict_of("GPU", config(source=source, device="cuda")) == (
        Verdict.refused,
        "Set device to auto or cpu, or run where there is a GPU with its driver",
    )
    assert verdict_of("GPU", config(source=source)) == (Verdict.ok, "none; trainings run on the CPU")


def test_a_planned_stage_is_checked_by_its_plan(tmp_path: Path) -> None:
    from tests.support.archives import hand_made, prepare_source

    source = hand_made().write(tmp_path / "raw")
    prepare_source(source, tmp_path / "results" / "stage1")
    one = config(source=source.model_dump(exclude={"synthetic"}), pathvars={"results": str(tmp_path / "results")})
    found = {finding.what: finding.found for finding in examine(one, "stage1")}
    assert found["plan: budget"] == "43 photographs of 1,000,000, 3 drugs of 100"
    assert found["raw archives"] == "archives of photographs: 4, none newer than its index"
    assert "are written already" in found["disk"]
    (tmp_path / "results" / "stage1" / "plan.json").write_text("{")
    assert verdict_of("plan", one, "stage1")[0] is Verdict.warning


def test_unknown_stage_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"--stage stage5: must be one of stage1, stage2, stage3, stage4\."):
        examine(config(), "stage5")


def test_archives_that_are_not_drawn_yet_are_said_to_be(tmp_path: Path) -> None:
    (found,) = (
        one for one in examine(config(source={"root": str(tmp_path / "raw")}), "stage1") if one.what == "source"
    )
    assert re.search(r"(\d+) archives below .*, \1 of them still to be drawn$", found.found)


def test_command_prints_every_finding(tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(yaml.safe_dump({"source": yolo_set(tmp_path / "set", train=2, val=1, test=1)}))
    done = run("--config", PROJECT / "config.yaml", "--config", overlay, "--stage", "stage1")
    assert done.exit_code == 0
    for words in ("versions", "torch", "usable cores", "free, stage1 needs about", "not made yet", "3 archives below"):
        assert words in done.stdout


def test_json_has_versions_and_every_finding(tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(yaml.safe_dump({"source": {"kind": "yolo", "root": "nowhere"}}))
    done = run("--config", PROJECT / "config.yaml", "--config", overlay, "--stage", "stage1", "--json")
    report = json.loads(done.stdout)
    assert done.exit_code == 1
    assert (report["stage"], report["versions"]["python"]) == ("stage1", platform.python_version())
    found = examine(read_config(PROJECT / "config.yaml", overlay), "stage1")
    rows = [(row["what"], row["verdict"], bool(row["cure"])) for row in report["findings"]]
    assert rows == [(one.what, one.verdict.value, bool(one.cure)) for one in found]
    (source,) = [row for row in report["findings"] if row["what"] == "source"]
    assert source["verdict"] == "refused" and "there is no folder" in source["cure"]


@pytest.mark.parametrize(
    ("change", "words", "status", "said"),
    [
        ({}, ["--stage", "stage9"], 2, "--stage stage9: must be one of"),
        ({"detector": {"epoch": 3}}, [], 2, "detector.epoch: unknown key; allowed here: "),
        ({"seed": -1}, [], 2, "seed = -1"),
        ({"source": {"kind": "yolo", "root": "nowhere"}}, [], 1, "there is no folder"),
    ],
    ids=["stage", "key", "value", "source"],
)
def test_command_says_what_is_wrong(tmp_path: Path, change: dict, words: list[str], status: int, said: str) -> None:
    (tmp_path / "overlay.yaml").write_text(yaml.safe_dump(change))
    done = run("--config", PROJECT / "config.yaml", "--config", tmp_path / "overlay.yaml", *words)
    assert done.exit_code == status
    assert said in " ".join(done.output.replace("│", " ").split())
    assert "Traceback" not in done.output


def test_missing_configuration_is_said(tmp_path: Path) -> None:
    done = run("--config", tmp_path / "none.yaml")
    assert done.exit_code == 2
    assert "none.yaml" in done.stderr


def test_real_photographs_fit(real_photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The overlay of the real photographs counts them and asks for little disk."""
    monkeypatch.setenv("PILLSNAP_REAL_DATA", str(real_photos.parent))
    overlaid = read_config(PROJECT / "config.yaml", PROJECT / "examples" / "pushin-pill.yaml")
    assert count_photos(overlaid) == 267
    assert needed_bytes(overlaid, "stage4") < GIB
