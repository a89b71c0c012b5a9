"""Small stages with defects, as the rules up to the manifest leave them, for the tests of the dataset page."""

from pathlib import Path
from typing import Any

from pillsnap.sources.settings import Source
from tests.support.aihub_files import label
from tests.support.archives import BOXES, DRUGS, DataRun, hand_made, photo_png, prepare_source

NAMES = dict(zip(DRUGS, ("가스모틴정 5mg", "타이레놀정 500mg", "<b>리피토정</b> & 10mg"), strict=True))
CODES = dict(zip(DRUGS, ("643303740,A01200351", "643303740", ""), strict=True))


def aihub_run(folder: Path) -> DataRun:
    """Three drugs, nine photographs damaged, each in another way, a combination that is partly labelled.

    The archives lie in `folder/raw`, the stage in `folder/results/stage4`.
    """
    raw = hand_made()
    for archive, labels in raw.labels.items():
        for member in labels:
            code = member.split("/")[-2].removesuffix("_json")
            name = member.rpartition("/")[2].replace(".json", ".png")
            place = name.split("_")[0].removeprefix("K-").split("-").index(code.removeprefix("K-"))
            facts = {"dl_name": NAMES[code], "di_edi_code": CODES[code]}
            raw.labels[archive][member] = label(name, code, BOXES[place], **facts)
    photos, labels = raw.photos["TS_1_단일"], raw.labels["TS_1_단일"]
    members = sorted(photos)
    photos[members[0]] = b""
    photos[members[1]] = photo_png()[:300]
    photos[members[10]] = b"no picture at all"
    del photos[members[11]]
    boxes = [80, 20, 30, 40], [6567, 20, 30, 40], [10, 20, 0, 40], [1, 2, 3]
    for member, box in zip(members[12:16], boxes, strict=True):
        name = member.rpartition("/")[2]
        labels[_label_of(member)] = label(name, member.split("/")[0], box)
    del labels[_label_of(members[20])]
    combos = raw.labels["TS_1_조합"]
    del combos[sorted(combos)[0]]
    return prepare_source(raw.write(folder / "raw"), folder / "results" / "stage4", images=10**6)


def _label_of(member: str) -> str:
    return member.replace("/", "_json/", 1).replace(".png", ".json")


def yolo_run(folder: Path) -> DataRun:
    """Two drugs in a YOLO data set, with a box of no width."""
    lines = {
        "a": "0 0.24 0.19 0.32 0.19",
        "b": "1 0.24 0.19 0.32 0.19",
        "c": "0 0.24 0.19 0.32 0.19\n1 0.68 0.3 0.28 0.3",
    }
    files = {
        f"{part}/{name}{n}": text for part in ("train", "val", "test") for name, text in lines.items() for n in (1, 2)
    }
    files["train/a2"] = "0 0.5 0.25 0 0.2"
    for name, text in files.items():
        image, text_file = folder / f"raw/images/{name}.png", folder / f"raw/labels/{name}.txt"
        for path in (image, text_file):
            path.parent.mkdir(parents=True, exist_ok=True)
        image.write_bytes(photo_png(len(text.splitlines()), seed=len(name)))
        text_file.write_text(text + "\n", encoding="utf-8")
    (folder / "raw/data.yaml").write_text("names: [red, blue]\n", encoding="utf-8")
    return prepare_source(Source(kind="yolo", root=str(folder / "raw")), folder / "results" / "stage4")


def page_arguments(run: DataRun, kind: str, page: Path) -> dict[str, Any]:
    """The arguments of `write_dataset_page`."""
    if not (run.folder / "manifest").exists():
        run.build_manifest()
    return {
        "stage": "stage4",
        "manifest": run.manifest(),
        "quarantine": run.folder / "manifest/quarantine.csv",
        "classes": run.folder / "manifest/classes.json",
        "summary": run.folder / "manifest/summary.json",
        "overlapping_labels": run.folder / "manifest/overlapping_labels.csv",
        "plan_summary": run.folder / "plan.json",
        "prepared": run.prepared,
        "page": page,
        "raw": {name: archive.photos for name, archive in run.archives.items()},
        "sources": {kind: kind},
        "source_of": dict.fromkeys(run.archives, kind),
    }
