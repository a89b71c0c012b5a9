"""What users get wrong stops before any job, with the cure; or ends in the quarantine."""

import zipfile
from pathlib import Path

import pytest

from tests.support.workflow import Workflow


@pytest.fixture(scope="module")
def workflow(tmp_path_factory) -> Workflow:
    """A copy in which nothing was made."""
    return Workflow.copy_to(tmp_path_factory.mktemp("bad") / "project")


@pytest.mark.parametrize(
    ("overlay", "says"),
    [
        ("classifier: {epoch: 3}", "classifier.epoch: unknown key; allowed here: epochs"),
        ("plan: {val_fraction: 1.4}", "plan.val_fraction = 1.4: input should be less than or equal to 0.5"),
        ("source: {kind: aihub, root: data/nowhere}", "source.root = data/nowhere: there is no folder"),
        (
            "source: {kind: yolo, root: tests}",
            "has no data.yaml. Set it to the folder of a YOLO data set",
        ),
        ("stages: {stage4: {images: many}}", "stages.stage4.images = 'many'"),
    ],
)
def test_wrong_configuration_stops_before_any_job(workflow, overlay, says) -> None:
    (workflow.folder / "overlay.yaml").write_text(overlay)
    words = ("--cores", "2", "--configfile", "config.yaml", "overlay.yaml", "--", "results/stage4/report.html")
    said = workflow.run_quickly("snakemake", *words, check=False)
    assert says in said
    assert not (workflow.folder / "results").exists()


def test_a_gpu_that_is_not_there_is_told_by_the_training(workflow) -> None:
    pytest.importorskip("torch")
    import torch

    if torch.cuda.is_available():
        pytest.skip("needs a machine without a GPU")
    said = workflow.run(
        "python", "scripts/train_detector.py", "--dataset", "tests", "--best", "out/best.pt", "--weights",
        "out/best.safetensors", "--history", "out/h.csv", "--events", "out/e.json", "--resources", "out/u.json",
        "--record", "out/r.json", "--work", "out/work", "--settings", "{}", "--steering", "{}", "--training", "{}",
        "--seed", "1", "--threads", "1", "--device", "cuda", check=False,
    )  # fmt: skip
    assert "device = cuda: no CUDA device works on this machine" in said
    assert not (workflow.folder / "out" / "best.pt").exists()


@pytest.mark.campaign
def test_a_truncated_photo_and_a_label_without_box_end_in_the_quarantine(workflow) -> None:
    workflow.snakemake(target="archives")
    photos = next((workflow.folder / "data").rglob("TS_1_단일.zip"))
    labels = next((workflow.folder / "data").rglob("TL_1_단일.zip"))
    photo = _change(photos, ".png", lambda data: data[: len(data) // 2], skip=("_index", "._"), place=-1)
    label = _change(labels, ".json", lambda data: data.replace(b'"bbox"', b'"box"'), skip=("._",), place=-2)
    workflow.snakemake(target="results/stage4/manifest/quarantine.csv")
    listed = (workflow.folder / "results/stage4/manifest/quarantine.csv").read_text(encoding="utf-8-sig")
    rows = {tuple(line.split(",")[1:4]) for line in listed.splitlines()}
    assert (photo, "", "photo_truncated") in rows
    assert any(row[1:] == (label, "bbox_missing") for row in rows)


def _change(archive: Path, ending: str, change, *, skip: tuple[str, ...], place: int) -> str:
    """Write the archive again with one member changed; returns the member's name."""
    with zipfile.ZipFile(archive) as old:
        members = {info.filename: old.read(info) for info in old.infolist()}
    names = [name for name in sorted(members) if name.endswith(ending) and not any(word in name for word in skip)]
    members[names[place]] = change(members[names[place]])
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as new:
        for name, data in members.items():
            new.writestr(name, data)
    return names[place]
