"""Two runs at once in one folder: the second is refused, the first goes on."""

import time

from tests.support.faults.ledger import Ledger
from tests.support.faults.runs import Run, Unbroken

TARGET = "results/index/VS_1_combo.parquet"


def test_the_second_is_refused(unbroken: Unbroken, ledger: Ledger, tmp_path) -> None:
    workflow = unbroken.workflow.clone(tmp_path / "project")
    refused = []
    with Run(workflow, target=TARGET) as first:
        for jobs in first.watch():
            if jobs and not refused:
                jobs[0].process.suspend()  # so that the first is still at work, however fast it is
                refused.append(workflow.snakemake(target=TARGET, check=False))
                assert first.process.poll() is None
                jobs[0].process.resume()
    assert first.process.returncode == 0, first.output[-3000:]
    assert "Directory cannot be locked" in refused[0]
    assert "--unlock" in refused[0]
    assert "rule " not in refused[0], "no job was begun"
    ledger.fault("second run in the same folder", "index_archive")
    ledger.losses(unbroken.differences(workflow.folder, whole=False))
    assert workflow.planned(target=TARGET) == set()


def test_an_unlocked_second_run_beside_a_living_one(unbroken: Unbroken, ledger: Ledger, tmp_path) -> None:
    """What the documents forbid: unlocked beside a run that is alive. Both write the same files, each whole."""
    workflow = unbroken.workflow.clone(tmp_path / "project")
    with Run(workflow, target=TARGET) as first:
        for jobs in first.watch():
            if jobs:
                break
        workflow.snakemake("--unlock", target=TARGET)
        second = workflow.snakemake(target=TARGET, check=False)
        deadline = time.monotonic() + 120
        while first.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
    ledger.fault("second run, unlocked", "index_archive")
    ledger.losses(unbroken.differences(workflow.folder, whole=False))
    if "LockException" in workflow.snakemake(target=TARGET, check=False):
        workflow.snakemake("--unlock", target=TARGET)
    workflow.snakemake(target=TARGET)
    ledger.losses(unbroken.differences(workflow.folder, whole=False))
    assert workflow.planned(target=TARGET) == set(), second
