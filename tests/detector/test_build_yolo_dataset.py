"""The detector's data set: right boxes, no test photograph, no unlabelled pill."""

import shutil
import subprocess
import tarfile
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import yaml

from pillsnap.config.data import Yolo
from pillsnap.detector.build_yolo_dataset import build_yolo_dataset
from pillsnap.detector.yolo_shards import ShardError, count_pictures, unpack_shards
from pillsnap.files import sha256_of
from pillsnap.pictures.decode import decode_jpeg
from tests.support.archives import DataRun, hand_made, prepare_source

ALL = Yolo(max_single_photos=1000)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> DataRun:
    """Hand-made archives; a combo of each side of the split has lost a label."""
    folder, raw = tmp_path_factory.mktemp("run"), hand_made()
    del raw.labels["TS_1_조합"][min(raw.labels["TS_1_조합"])]
    del raw.labels["TS_1_조합"][max(raw.labels["TS_1_조합"])]
    run = prepare_source(raw.write(folder / "raw"), folder / "results")
    run.build_manifest()
    return run


def build(run: DataRun, folder: Path, settings: Yolo = ALL, seed: int = 1) -> Path:
    paths = {"manifest": run.manifest("train", "val"), "prepared": run.prepared}
    build_yolo_dataset(**paths, dataset=folder / "shards", settings=settings, seed=seed)
    unpack_shards(folder / "shards", folder / "yolo")
    return folder / "yolo"


def images(dataset: Path, split: str) -> set[str]:
    photos = {path.stem for path in (dataset / "images" / split).glob("*.jpg")}
    assert photos == {path.stem for path in (dataset / "labels" / split).glob("*.txt")}
    return photos


def singles(names: set[str]) -> set[str]:
    return {name for name in names if name.startswith("TS_1_single.")}


@pytest.fixture(scope="module")
def dataset(run: DataRun, tmp_path_factory) -> Path:
    return build(run, tmp_path_factory.mktemp("dataset"))


@pytest.mark.parametrize("split", ["train", "val"])
def test_boxes_are_normalised_and_lie_on_their_pills(run, dataset, split) -> None:
    for image_id, rows in run.pills(split).groupby("image_id"):
        if not rows["fully_labelled"].all():
            continue
        lines = (dataset / "labels" / split / f"{image_id}.txt").read_text().splitlines()
        classes, *values = np.array([line.split() for line in lines], float).T
        assert set(classes) == {0}
        cx, cy, w, h = values
        assert (cx - w / 2) * 97 == pytest.approx(rows["x"], abs=1e-3)
        assert (cy - h / 2) * 128 == pytest.approx(rows["y"], abs=1e-3)
        assert w * 97 == pytest.approx(rows["w"], abs=1e-3)
        assert h * 128 == pytest.approx(rows["h"], abs=1e-3)
        picture = decode_jpeg((dataset / "images" / split / f"{image_id}.jpg").read_bytes()).max(axis=2)
        height, width = picture.shape
        assert max(height, width) == 64
        covered = np.zeros_like(picture, bool)
        for x, y, half_w, half_h in zip(cx * width, cy * height, w * width / 2, h * height / 2, strict=True):
            assert picture[int(y), int(x)] > 150
            covered[int(y - half_h) - 1 : int(y + half_h) + 2, int(x - half_w) - 1 : int(x + half_w) + 2] = True
        assert picture[~covered].max() < 110


def test_no_test_photo_and_no_photo_twice(run, dataset) -> None:
    train, val = images(dataset, "train"), images(dataset, "val")
    assert not train & val
    assert not (train | val) & set(run.pills("test")["image_id"])
    assert sorted(path.name for path in (dataset / "images").iterdir()) == ["train", "val"]


@pytest.mark.parametrize("split", ["train", "val"])
def test_every_fully_labelled_photo_is_in_and_no_other(run, dataset, split) -> None:
    rows = run.pills(split)
    assert images(dataset, split) == set(rows.loc[rows["fully_labelled"], "image_id"])


def test_partly_labelled_photos_were_there_to_leave_out(run) -> None:
    assert not run.pills("train", "val")["fully_labelled"].all()


def test_partly_labelled_photos_are_trained_on_when_asked_and_never_validate(run, dataset, tmp_path) -> None:
    wanted = build(run, tmp_path, Yolo(max_single_photos=1000, partly_labelled="use"))
    assert images(wanted, "train") == set(run.pills("train")["image_id"]) > images(dataset, "train")
    assert images(wanted, "val") == images(dataset, "val") < set(run.pills("val")["image_id"])


def test_data_yaml_names_one_class(dataset) -> None:
    description = yaml.safe_load((dataset / "data.yaml").read_text())
    assert description == {"train": "images/train", "val": "images/val", "nc": 1, "names": {0: "pill"}}


@pytest.mark.parametrize(("limit", "train", "val"), [(0, 0, 0), (4, 4, 1), (8, 8, 2), (1000, None, None)])
def test_single_photos_are_limited_and_combos_are_not(run, dataset, tmp_path, limit, train, val) -> None:
    limited = build(run, tmp_path, Yolo(max_single_photos=limit))
    for split, count in (("train", train), ("val", val)):
        everything, some = images(dataset, split), images(limited, split)
        assert some - singles(some) == everything - singles(everything)
        assert singles(some) <= singles(everything)
        assert len(singles(some)) == (len(singles(everything)) if count is None else count)


def test_a_smaller_limit_takes_a_part_of_the_larger_choice_and_the_seed_decides(run, tmp_path) -> None:
    choices = {}
    for limit, seed in ((4, 1), (8, 1), (8, 2)):
        (tmp_path / f"{limit}-{seed}").mkdir()
        choices[limit, seed] = images(
            build(run, tmp_path / f"{limit}-{seed}", Yolo(max_single_photos=limit), seed), "train"
        )
    assert choices[4, 1] < choices[8, 1]
    assert choices[8, 1] != choices[8, 2]


def test_the_same_input_gives_the_same_shards_in_place_of_old_ones(run, dataset, tmp_path) -> None:
    for old in (tmp_path / "shards/train/old.tar", tmp_path / "yolo/images/train/old.jpg"):
        old.parent.mkdir(parents=True)
        old.write_bytes(b"old")
    assert sha256_of(build(run, tmp_path)) == sha256_of(dataset)
    assert sha256_of(tmp_path / "shards") == sha256_of(dataset.with_name("shards"))


def test_a_shard_for_each_archive_that_any_tar_unpacks(run, dataset, tmp_path) -> None:
    shards = sorted(dataset.with_name("shards").glob("*/*.tar"))
    # those of the test part alone have none
    assert [f"{path.parent.name}/{path.stem}" for path in shards] == [
        f"{split}/TS_1_{domain}" for split in ("train", "val") for domain in ("combo", "single")
    ]
    for shard in shards:
        subprocess.run(["tar", "-xf", shard, "-C", tmp_path], check=True)
        with tarfile.open(shard) as members:
            assert {(member.mtime, member.uid, member.mode, member.uname) for member in members} == {(0, 0, 0o644, "")}
    for kind in ("images", "labels"):
        assert sha256_of(tmp_path / kind) == sha256_of(dataset / kind)
    for split in ("train", "val"):
        assert count_pictures(dataset.with_name("shards"), split) == len(images(dataset, split))


def cut(shard: Path) -> None:
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])


def spoil_a_head(shard: Path) -> None:
    """That of the third picture; a tar file is read up to there without a word."""
    data = bytearray(shard.read_bytes())
    with tarfile.open(shard) as members:
        place = members.getmembers()[4].offset
    data[place : place + 512] = b"?" * 512
    shard.write_bytes(data)


def smuggle(shard: Path) -> None:
    with tarfile.open(shard, "a") as members:
        members.addfile(tarfile.TarInfo("images/../../../stolen.jpg"))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (cut, "cannot be read"),
        (spoil_a_head, r"has 2 pictures of \d+"),
        (lambda shard: shard.write_bytes(b"no tar file" * 100), "cannot be read"),
        (Path.unlink, "cannot be read"),
        (smuggle, "cannot be read|none of its files"),
        (lambda shard: (shard.parents[1] / "shards.json").unlink(), "an earlier version wrote other files"),
    ],
    ids=["cut", "a damaged head", "no tar file", "gone", "a path that leads out", "of an earlier version"],
)
def test_a_shard_that_is_not_whole_leaves_nothing_unpacked(dataset, tmp_path, damage, says) -> None:
    shutil.copytree(dataset.with_name("shards"), tmp_path / "shards")
    damage(min((tmp_path / "shards/train").iterdir()))
    with pytest.raises(ShardError, match=rf"{says}.*Make it again: rule build_yolo_dataset"):
        unpack_shards(tmp_path / "shards", tmp_path / "yolo")
    assert [path.name for path in tmp_path.iterdir()] == ["shards"]


def test_a_source_without_single_photos(tmp_path) -> None:
    raw = hand_made().only("TS_1_조합")
    for pair in combinations([f"K-{number:06d}" for number in range(1, 10)], 2):
        raw.add_combo("TS_1_조합", pair, 60)
    run = prepare_source(raw.write(tmp_path / "raw"), tmp_path / "results")
    run.build_manifest()
    dataset = build(run, tmp_path)
    for split in ("train", "val"):
        assert images(dataset, split) == set(run.pills(split)["image_id"])
