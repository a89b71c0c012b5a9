"""Raw data that disappear or change while a run is at work: refused with a cure, never mixed."""

import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.support.aihub_files import png
from tests.support.faults.ledger import Ledger
from tests.support.faults.runs import Run, Unbroken
from tests.support.workflow import Workflow

TARGET = "results/stage4/manifest/train.csv"
PREPARED = "results/stage4/prepared/TS_1_single"


@pytest.fixture
def project(unbroken: Unbroken, tmp_path: Path) -> Workflow:
    """The unbroken run's archives, as data that Snakemake does not know how to make."""
    workflow = unbroken.workflow.clone(tmp_path / "project")
    shutil.copytree(unbroken.workflow.folder / "data", workflow.folder / "data")
    path = workflow.folder / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["source"] |= {"kind": "aihub", "root": "data/raw/synthetic"}
    path.write_text(yaml.safe_dump(config, allow_unicode=True))
    return workflow


def archive_of(workflow: Workflow) -> Path:
    (path,) = workflow.folder.rglob("TS_1_단일.zip")
    return path


def run_and(workflow: Workflow, change: Callable[[], None]) -> str:
    """Run, change the raw data when all is indexed and nothing is prepared; returns what was said of the failure."""
    changed = False
    with Run(workflow, ("--keep-going",), target=TARGET) as run:
        for jobs in run.watch():
            if not changed and any(job.rule == "plan_stage" for job in jobs):
                change()
                changed = True
    assert changed
    assert run.process.returncode != 0
    assert not (workflow.folder / TARGET).exists()
    assert not (workflow.folder / PREPARED).exists(), "nothing is made of it"
    return run.output


def changed_zip(path: Path, other: Path) -> Path:
    """The same names with the same time stamps, and another picture under one of them."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(other, "w") as new:
        for number, info in enumerate(old.infolist()):
            data = old.read(info)
            new.writestr(info, png(976, 1280) if number == 0 and info.filename.endswith(".png") else data)
    shutil.copystat(path, other)
    return other


def test_an_archive_disappears(project: Workflow, unbroken: Unbroken, ledger: Ledger, tmp_path: Path) -> None:
    archive, aside = archive_of(project), tmp_path / "aside.zip"
    said = run_and(project, lambda: archive.rename(aside))
    assert re.search("archives of photographs are missing or empty: .*TS_1_single", said)
    assert "Fetch or mount them again" in said
    ledger.fault("source disappears", "after the index")
    gone = project.snakemake(target=TARGET, check=False)
    assert "TL_1_단일.zip: has labels, but there is no archive of its photographs (TS_1_single" in gone
    ledger.fault("source disappears", "before a run")
    archive.parent.mkdir(parents=True, exist_ok=True)  # Snakemake takes empty folders away
    aside.rename(archive)
    project.snakemake(target=TARGET)
    ledger.losses(results_that_differ(project, unbroken))


def test_a_zip_changes(project: Workflow, unbroken: Unbroken, ledger: Ledger, tmp_path: Path) -> None:
    """Its time stamp is the old one, as after `rsync --times`: only what is in it tells."""
    archive, aside = archive_of(project), tmp_path / "aside.zip"
    other = changed_zip(archive, tmp_path / "other.zip")
    shutil.copy2(archive, aside)
    said = run_and(project, lambda: other.replace(archive))
    assert f"{archive.name}: is not the zip that was indexed" in said
    counts = "results/index/TS_1_single.counts.json"
    assert f"Delete {counts} and give the same command again" in said
    ledger.fault("zip changes between index and prepare", "prepare_archive")
    ledger.losses(results_that_differ(project, unbroken))
    (project.folder / counts).unlink()
    assert "index_archive" in project.planned(target=TARGET), "the cure that was told"
    project.snakemake(target=PREPARED)
    assert set(results_that_differ(project, unbroken)) >= {f"{PREPARED}/photos.parquet differs"}
    aside.replace(archive)
    (project.folder / counts).unlink()
    project.snakemake(target=TARGET)
    ledger.losses(results_that_differ(project, unbroken))


def results_that_differ(project: Workflow, unbroken: Unbroken) -> list[str]:
    found = unbroken.differences(project.folder, whole=False)
    return [line for line in found if line.startswith("results/")]
