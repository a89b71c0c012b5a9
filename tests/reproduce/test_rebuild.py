"""The clone in which a stage is rebuilt: what settings name and git does not have is linked into it."""

from pathlib import Path

import pytest
import yaml

from pillsnap.reproduce.rebuild import _link_raw_data
from pillsnap.reproduce.records import RecordError
from tests.support.workflow import PROJECT

SOURCES = """
  - {kind: yolo, name: own, root: data/pills/own, classes: data/names.csv}
  - {kind: folders, name: all, root: data/pills, box: whole}
  - {kind: coco, name: away, root: /mnt/pills}
  - {kind: yolo, name: kept, root: kept, classes: kept/names.csv}
  - {kind: synthetic}
"""


def test_the_raw_data_of_every_source_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, clone = tmp_path / "here", tmp_path / "clone"
    for file in (
        "data/pills/own/a.png",
        "data/pills/b.png",
        "data/names.csv",
        "kept/names.csv",
        "data/raw/synthetic/x",
        "data/grounds/a.jpg",
        "data/mine.pt",
    ):
        (here / file).parent.mkdir(parents=True, exist_ok=True)
        (here / file).write_text(file)
    (clone / "kept").mkdir(parents=True)
    config = yaml.safe_load((PROJECT / "config.yaml").read_text()) | {"sources": yaml.safe_load(SOURCES)}
    config.pop("source")
    config["scenes"]["backgrounds"], config["detector"]["model"] = "data/grounds", "data/mine.pt"
    config["of_another_version"] = config["sources"][0]["of_another_version"] = True
    (clone / "config.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.chdir(here)
    _link_raw_data(clone)
    for file in ("data/pills/own/a.png", "data/pills/b.png", "data/names.csv", "kept/names.csv", "data/mine.pt"):
        assert (clone / file).read_text() == file
    linked = {path.name for path in (clone / "data").iterdir() if path.is_symlink()}
    assert linked == {"names.csv", "pills", "grounds", "mine.pt"}
    assert not (clone / "weights").exists()
    assert not (clone / "data/raw").exists()


@pytest.mark.parametrize("text", ["source: {kind: other}", "sources: [7]", "- source", "source: [", "sources: 7"])
def test_raw_data_that_are_not_told_end_the_command(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(RecordError, match=r"(?s)^config\.yaml of the commit: its raw data .* Verify it with"):
        _link_raw_data(tmp_path)
