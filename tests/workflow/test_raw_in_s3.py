"""The real rules on archives in S3: Snakemake looks for no such file, and sees by its ETag that one has changed."""

import pytest

from tests.support.archives import hand_made, index_source
from tests.support.s3 import raw_bucket, upload
from tests.support.workflow import DATA_RULES, Workflow

TARGET = "results/stage1/manifest/train.csv"
OVERLAY = """
source: {kind: aihub, root: "s3://${PILLSNAP_BUCKET}/pills"}
plan: {unseen_drugs: 0}
"""


@pytest.mark.campaign
def test_rules_read_archives_in_s3_and_run_again_where_one_has_changed(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PILLSNAP_BUCKET", "raw")
    raw = hand_made().only("TS_1_단일", "VS_1_단일")
    source = raw.write(tmp_path / "raw")
    workflow = Workflow.copy_to(tmp_path / "project")
    (workflow.folder / "s3.yaml").write_text(OVERLAY)
    words = ("--configfile", "config.yaml", "s3.yaml")
    with raw_bucket(monkeypatch):
        upload(tmp_path / "raw", "pills")
        workflow.snakemake(*words, target=TARGET)
        run = index_source(source, tmp_path / "index")
        for name in run.archives:
            made = workflow.folder / "results/index" / f"{name}.parquet"
            assert made.read_bytes() == (run.folder / f"{name}.parquet").read_bytes()
        assert workflow.planned(*words, target=TARGET) == set()

        raw.labels["TS_1_단일"].popitem()
        raw.write(tmp_path / "raw")
        upload(tmp_path / "raw", "pills")
        assert workflow.planned(*words, target=TARGET) == DATA_RULES
