"""The registry of kinds: a new one is a module and a line; archives and folders of the built-in ones."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pillsnap.sources.archives import SourceError
from pillsnap.sources.registry import list_all_archives, list_archives
from pillsnap.sources.settings import Source, SyntheticSource
from tests.support.aihub_files import write_zip
from tests.support.archives import photo_png
from tests.support.workflow import PROJECT
from tests.support.yolo_files import write_yolo_set

WEBCAM = """
from pillsnap.sources.archives import Archive, SourceError, source_root
from pillsnap.sources.kind import SourceKind
from pillsnap.sources.labels import LabelReading


def list_shelves(source):
    return [Archive(f"shelf_{n}", f"{source_root(source)}/{n}", f"{source_root(source)}/{n}", "", "") for n in (10, 9)]


def read_labels(archive):
    reading = LabelReading(archive.name, photos_read=1, labels_read=1)
    names = dict.fromkeys(("edi_codes", "drug_name"), "")
    box = dict(zip("xywh", (1.0, 2.0, 30.0, 40.0)))
    reading.pills.append(
        {
            "image_id": "shelf.a", "archive": archive.name, "member": "a.png", "label_member": "a.txt",
            "domain": "single", "part": "", "group": "a", "k_code": "K-000001", **names, "expected_pills": 1,
            "width": 100, "height": 100, **box,
        }
    )
    return reading


KIND = SourceKind(
    title="a webcam",
    photographs="photographs of a webcam",
    banner=("From a webcam.", "Every figure of this {page} is the webcam's."),
    card="Trained on a webcam.",
    list_archives=list_shelves,
    read_labels=read_labels,
    count_photos=lambda source: 2,
    warns=True,
)
"""
REGISTERED = """
import json, sys
from pathlib import Path
import pillsnap.sources
from pillsnap.sources.registry import KINDS

folder = Path(sys.argv[1])
pillsnap.sources.__path__.append(str(folder))
KINDS["webcam"] = ("webcam", "pictures of a webcam")

from pillsnap.config.load import read_config
from pillsnap.config.reference import configuration_page
from pillsnap.manifest.index_archive import index_archive
from pillsnap.pages.html import render_page
from pillsnap.preflight.amounts import estimate_amounts
from pillsnap.sources.registry import list_all_archives, list_archives
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import PILLS

config = read_config("config.yaml", folder / "overlay.yaml")
archives = list_archives(config.source)
files = {name: folder / f"{name}.parquet" for name in ("pills", "backgrounds", "looks", "issues")}
index_archive(kind=config.source.kind, archive=archives["shelf_9"], counts=folder / "counts.json", **files)
sources = {"webcam": config.source.kind}
page = render_page("pages/frame.html.jinja", sources=sources, page="report", sections=[("a", "A")])
reference = configuration_page(config.model_dump())
print(json.dumps({
    "archives": list(archives),
    "pills": read_table(files["pills"], PILLS)["k_code"].tolist(),
    "banner": next(line for line in page.splitlines() if "banner" in line and "<div" in line),
    "key": next(line for line in reference.splitlines() if line.startswith("| `source.kind`")),
    "photos": estimate_amounts(config, "stage4").photos,
}))
"""


def test_a_new_kind_is_a_module_and_a_line(tmp_path) -> None:
    """In a process of its own: the configuration takes the kinds when it is imported."""
    (tmp_path / "webcam.py").write_text(WEBCAM)
    (tmp_path / "overlay.yaml").write_text("source: {kind: webcam, root: shelf}\nplan: {unseen_drugs: 0}\n")
    command = [sys.executable, "-c", REGISTERED, str(tmp_path)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["archives"] == ["shelf_9", "shelf_10"]
    assert found["pills"] == ["K-000001"]
    assert found["photos"] == 2
    assert 'class="banner warning"' in found["banner"]
    assert "From a webcam.</strong> Every figure of this report is the webcam" in found["banner"]
    assert re.search(r"\| `synthetic`, .*, `webcam` \|", found["key"])
    assert "`webcam`: pictures of a webcam" in found["key"]


def test_synthetic_archives_are_known_before_they_are_drawn(tmp_path) -> None:
    settings = SyntheticSource(single_archives=11, combo_archives=1)
    archives = list_archives(Source(kind="synthetic", root=str(tmp_path / "raw"), synthetic=settings))
    singles = [f"TS_{number}_single" for number in range(1, 12)]
    assert list(archives) == ["TS_1_combo", *singles, "VS_1_combo", "VS_1_single"]
    assert archives["TS_11_single"].photos.endswith("1.Training/원천데이터/단일경구약제 5000종/TS_11_단일.zip")
    assert archives["TS_11_single"].labels.endswith("1.Training/라벨링데이터/단일경구약제 5000종/TL_11_단일.zip")
    assert {archive.part for name, archive in archives.items() if name.startswith("T")} == {""}
    assert {archive.part for name, archive in archives.items() if name.startswith("V")} == {"test"}
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize("kind", ["aihub", "yolo"])
def test_a_missing_root_is_told_with_its_cure(tmp_path, kind) -> None:
    root = tmp_path / "nowhere"
    with pytest.raises(SourceError, match=rf"source\.root = {root}: there is no folder .*Mount or fetch the data"):
        list_archives(Source(kind=kind, root=str(root)))


@pytest.mark.parametrize(
    ("root", "variables", "expected"),
    [
        ("${PILLS}/raw", {"PILLS": "/mnt/pills"}, "/mnt/pills/raw"),
        ("${PILLS:-/data}/raw", {}, "/data/raw"),
        ("${PILLS:-/data}/raw", {"PILLS": "/mnt/pills"}, "/mnt/pills/raw"),
        ("data/raw", {}, "data/raw"),
    ],
)
def test_the_root_takes_variables_of_the_environment(monkeypatch, root, variables, expected) -> None:
    monkeypatch.delenv("PILLS", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    archives = list_archives(Source(kind="synthetic", root=root))
    assert archives["TS_1_single"].photos.startswith(f"{expected}/166.")


def test_only_the_registry_names_the_kinds() -> None:
    places = [
        *PROJECT.glob("pillsnap/**/*"),
        *PROJECT.glob("rules/*"),
        *PROJECT.glob("scripts/*"),
        PROJECT / "Snakefile",
    ]
    texts = [path for path in places if path.suffix in (".py", ".smk", ".jinja", ".css", ".html", ".js", "")]
    named = re.compile(r"""["'](synthetic|aihub)["']|[.]aihub\b""")
    knowing = {
        path.relative_to(PROJECT).as_posix() for path in texts if path.is_file() and named.search(path.read_text())
    }
    # the kind that the configuration begins with, and its own module
    assert {path for path in knowing if not path.startswith("pillsnap/sources/")} == set()


def test_a_test_part_alone_trains_nothing(tmp_path) -> None:
    write_yolo_set(tmp_path, names=["red"], parts={"test": {"a": ""}})
    (tmp_path / "data.yaml").write_text("names: [red]\ntrain: gone\ntest: images/test\n")
    source = Source(kind="yolo", root=str(tmp_path))
    assert list(list_archives(source)) == ["test"]
    with pytest.raises(SourceError, match=r"has no photographs to train on, only those of the parts test\. Fetch"):
        list_all_archives({"yolo": source})


@pytest.mark.parametrize(
    ("kind", "files", "names"),
    [
        ("coco", ["coco.json", "coco-2.json"], {"coco", "coco-2"}),
        ("coco", ["알.json", "약.json", "coco-2.json"], {"coco", "coco-2", "coco-3"}),
        ("coco", ["pills.json", "pills.v2.json"], {"pills", "pills_v2"}),
        ("coco", ["pills.v2.json", "pills v2.json"], {"pills_v2", "pills_v2-2"}),
        ("folders", ["photos_2.zip", "알약.zip"], {"photos_2", "photos_2-2"}),
    ],
)
def test_no_archive_takes_the_name_of_another(tmp_path, kind, files, names) -> None:
    """Names have no dot, behind which that of a photograph begins."""
    for number, file in enumerate(files):
        if kind == "folders":
            write_zip(tmp_path / file, {f"{word}/{number}.png": photo_png() for word in ("red", "blue")})
        else:
            (tmp_path / file).write_text('{"images": [], "annotations": [], "categories": []}')
    archives = list_archives(Source(kind=kind, root=str(tmp_path)))
    assert archives.keys() == names
    assert {Path(archive.labels).name for archive in archives.values()} == set(files)
