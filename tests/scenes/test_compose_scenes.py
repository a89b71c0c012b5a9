"""Scenes: right labels, the same bytes whatever the shards, no photograph of another part, clear refusals."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from pillsnap.config.data import SCENES_PER_SHARD, Scenes, Yolo
from pillsnap.detector.build_yolo_dataset import build_yolo_dataset
from pillsnap.detector.yolo_shards import unpack_shards
from pillsnap.files import read_json, sha256_of
from pillsnap.pictures.decode import decode_jpeg
from pillsnap.scenes import compose_scenes as module
from pillsnap.scenes.backgrounds import BackgroundsError
from pillsnap.scenes.compose_scenes import compose_scenes
from pillsnap.scenes.cut_outs import CutOuts
from pillsnap.scenes.cut_pills import cut_pills
from pillsnap.scenes.draw_cut_outs import draw_cut_outs
from pillsnap.scenes.frame import draw_frame
from pillsnap.scenes.scene import KINDS, PIECES, compose_scene
from tests.support.archives import DRUGS, DataRun, photo_png, run_by_hand

SIDE = 160


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> DataRun:
    return run_by_hand(tmp_path_factory.mktemp("run"))


def cut(run: DataRun, folder: Path, per_drug: int = 12) -> list[Path]:
    paths = [folder / path.name for path in run.prepared]
    for prepared, path in zip(run.prepared, paths, strict=True):
        train = run.manifest("train")["train"]
        cut_pills(train=train, prepared=prepared, cut_outs=path, per_drug=per_drug, seed=1)
    return paths


@pytest.fixture(scope="module")
def cut_outs(run: DataRun, tmp_path_factory) -> list[Path]:
    return cut(run, tmp_path_factory.mktemp("cut_outs"))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "pills"
    draw_cut_outs(folder=folder, drugs=4, views=2, scale=9, seed=3)
    return folder


def compose(cut_outs: list[Path], folder: Path, *, settings: Scenes, shard: int = 0, prepared: list[Path] = []) -> Path:  # noqa: B006
    words = {"cut_outs": cut_outs, "prepared": prepared, "side": SIDE, "settings": settings, "seed": 1}
    compose_scenes(scenes=folder, shard=shard, **words)
    return folder


def tables(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    return pd.read_parquet(folder / "scenes.parquet"), pd.read_parquet(folder / "pills.parquet")


def test_pills_are_cut_from_training_photographs_of_one_pill(run, cut_outs) -> None:
    pills = pd.concat([pd.read_parquet(path / "pills.parquet") for path in cut_outs])
    train = run.pills("train")
    singles = train.loc[train["domain"] == "single", "image_id"]
    assert set(pills["image_id"]) <= set(singles)
    assert set(pills["k_code"]) == set(DRUGS)


def test_read_is_cut_out_and_refused(run, cut_outs) -> None:
    train = run.pills("train")
    singles = train[train["domain"] == "single"]
    read = 0
    for path in cut_outs:
        summary = read_json(path / "summary.json")
        pills, refused = (pd.read_parquet(path / f"{name}.parquet") for name in ("pills", "refused"))
        assert summary["cut_out"] == len(pills) and sum(summary["refused"].values()) == len(refused)
        assert summary["read"] == len(pills) + len(refused)
        read += summary["read"]
    assert read == len(singles)
    assert sum(len(pd.read_parquet(path / "refused.parquet")) for path in cut_outs) <= read / 10


def test_so_many_photographs_of_a_drug_whatever_the_archives(run, tmp_path) -> None:
    read = [read_json(path / "summary.json")["read"] for path in cut(run, tmp_path, per_drug=2)]
    assert sum(read) == 2 * len(DRUGS)


def test_the_same_cut_outs_each_time(run, cut_outs, tmp_path) -> None:
    assert [sha256_of(path) for path in cut(run, tmp_path)] == [sha256_of(path) for path in cut_outs]


def test_a_scene_depends_on_seed_and_number_alone(drawn, tmp_path, monkeypatch) -> None:
    whole = compose([drawn], tmp_path / "whole", settings=Scenes(photos=6))
    monkeypatch.setattr(module, "SCENES_PER_SHARD", 4)
    parts = [compose([drawn], tmp_path / f"{n}", settings=Scenes(photos=6), shard=n) for n in (0, 1)]
    assert (whole / "scenes.bin").read_bytes() == b"".join((part / "scenes.bin").read_bytes() for part in parts)
    joined = pd.concat([tables(part)[1] for part in parts], ignore_index=True)
    pd.testing.assert_frame_equal(tables(whole)[1], joined)


@pytest.mark.parametrize(("photos", "shards"), [(0, 0), (1, 1), (SCENES_PER_SHARD, 1), (SCENES_PER_SHARD + 1, 2)])
def test_shards_hold_all_scenes(photos: int, shards: int) -> None:
    assert len(Scenes(photos=photos).shards) == shards


def test_labels_lie_in_their_scene(drawn, tmp_path) -> None:
    scenes, pills = tables(compose([drawn], tmp_path / "scenes", settings=Scenes(photos=30)))
    assert (scenes[["width", "height"]].max(axis=1) == SIDE).all()
    sized = pills.merge(scenes, on="scene")
    assert len(sized) == len(pills) > 30
    assert ((sized["x"] + sized["w"] <= sized["width"]) & (sized["y"] + sized["h"] <= sized["height"])).all()
    counts = pills["scene"].value_counts()
    assert counts.max() <= 25 and 0 < scenes["scene"].isin(pills["scene"]).mean() < 1
    long = (sized[["w", "h"]].max(axis=1) / SIDE).to_numpy()
    assert long.min() < 0.06 and long.max() > 0.5


def test_the_box_lies_on_the_pill(drawn, monkeypatch) -> None:
    """Without things, light and camera, what differs from a ground of magenta is the pill, or its faint reflection."""
    monkeypatch.setattr("pillsnap.scenes.canvas.cast_shadows", lambda *_: None)
    monkeypatch.setattr("pillsnap.scenes.scene._TRANSLUCENT", 0.0)
    monkeypatch.setattr("pillsnap.scenes.frame._BORDERED", 0.0)
    magenta = np.array([255, 0, 255], np.float32)
    ground = {"magenta": (1, lambda rng, shape: np.broadcast_to(magenta, (*shape, 3)).copy())}
    seen: list[np.ndarray] = []
    pieces = replace(
        PIECES,
        plain=ground,
        wild=ground,
        things={},
        light=lambda rng, shape: np.ones(shape, np.float32),
        camera=lambda scene, rng: seen.append(scene) or (b"", scene.astype(np.uint8)),
    )
    pills, checked = CutOuts([drawn]), 0
    for number in range(40):
        rng = np.random.default_rng((4, number))
        scene = compose_scene(pills, side=SIDE, settings=Scenes(photos=1), rng=rng, pieces=pieces)
        coloured = (np.abs(seen[-1] - magenta) > 60).any(axis=2).astype(np.uint8)
        if len(scene.pills) == 1:
            assert np.abs(np.array(cv2.boundingRect(coloured)) - scene.pills[0].box).max() <= 3
            checked += 1
    assert checked > 5


def test_no_pill_is_covered_more_than_allowed(drawn) -> None:
    pills, visible = CutOuts([drawn]), []
    for number in range(25):
        settings = Scenes(photos=1, max_covered=0.2, max_pills=9)
        scene = compose_scene(pills, side=SIDE, settings=settings, rng=np.random.default_rng((6, number)))
        assert len(scene.pills) <= 9
        inside = [
            pill
            for pill in scene.pills
            if min(pill.box[:2]) > 2
            and pill.box[0] + pill.box[2] < scene.width - 2
            and pill.box[1] + pill.box[3] < scene.height - 2
        ]
        visible += [pill.visible for pill in inside]
    assert min(visible) >= 0.8 and len(visible) > 25


@pytest.mark.parametrize(("gain", "labelled"), [(0.0, False), (1.0, True)])
def test_a_pill_that_is_lost_in_the_dark_has_no_label(drawn, gain: float, labelled: bool) -> None:
    pieces = replace(PIECES, camera=lambda scene, rng: (b"", np.clip(scene * gain, 0, 255).astype(np.uint8)))
    found = [
        compose_scene(CutOuts([drawn]), side=SIDE, settings=Scenes(photos=1), rng=rng, pieces=pieces).pills
        for rng in (np.random.default_rng((5, number)) for number in range(6))
    ]
    assert (sum(map(len, found)) > 6) == labelled and (labelled or not any(found))


def test_beyond_a_turned_copy_no_pill_is_labelled(monkeypatch) -> None:
    monkeypatch.setattr("pillsnap.scenes.frame._BORDERED", 1.0)
    shares = []
    for number in range(8):
        frame = draw_frame(np.random.default_rng((7, number)), SIDE)
        seen = frame.view(np.ones(frame.canvas, np.uint8))
        picture = frame.view(np.full((*frame.canvas, 3), 60, np.float32))
        shares.append(float((seen == 0).mean()))
        far = cv2.dilate(seen, np.ones((5, 5), np.uint8)) == 0
        near = cv2.erode(seen, np.ones((5, 5), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0
        assert np.allclose(picture[far], frame.beyond)
        assert np.allclose(picture[near], 60, atol=0.1)
    assert 0.02 < np.mean(shares) < 0.4


def test_shares_of_kinds_are_whole() -> None:
    assert sum(kind.share for kind in KINDS.values()) == pytest.approx(1)


def test_without_cut_outs_nothing_is_composed(cut_outs, tmp_path) -> None:
    empty = [path for path in cut_outs if read_json(path / "summary.json")["read"] == 0]
    assert empty, "archives of combinations have no single-pill photograph"
    for folders in (empty, []):
        with pytest.raises(ValueError, match=r"scenes.photos = 3: no pill could be cut out .* Set scenes.photos to 0"):
            compose(folders, tmp_path / "scenes", settings=Scenes(photos=3))


def test_grounds_out_of_the_users_folder(drawn, run, tmp_path) -> None:
    folder = tmp_path / "grounds"
    (folder / "more").mkdir(parents=True)
    cv2.imwrite(str(folder / "more" / "green.png"), np.full((90, 200, 3), (30, 160, 40), np.uint8))
    settings = Scenes(photos=12, backgrounds=str(folder))
    scenes, _ = tables(compose([drawn], tmp_path / "scenes", settings=settings, prepared=run.prepared))
    assert 2 < (scenes["ground"] == "photograph").sum() < 10


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (None, "there is no folder"),
        ({}, "holds no photograph"),
        ({"notes.txt": b"pills"}, "holds no photograph"),
        ({"own.png": photo_png(1, seed=0)}, "own.png is a photograph of this stage"),
        ({"cut.png": photo_png()[:80]}, "cut.png cannot be decoded"),
    ],
    ids=["missing", "empty", "no picture", "the stage's own", "damaged"],
)
def test_folders_that_give_no_grounds_are_refused(drawn, run, tmp_path, files, says: str) -> None:
    folder = tmp_path / "grounds"
    if files is not None:
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
    settings = Scenes(photos=6, backgrounds=str(folder))
    with pytest.raises(BackgroundsError, match=says):
        compose([drawn], tmp_path / "scenes", settings=settings, prepared=run.prepared)
    assert not (tmp_path / "scenes").exists()


def test_the_detector_trains_on_scenes_and_validates_on_photographs(run, drawn, tmp_path) -> None:
    scenes = compose([drawn], tmp_path / "scenes", settings=Scenes(photos=8))
    words = {"manifest": run.manifest("train", "val"), "prepared": run.prepared, "settings": Yolo(), "seed": 1}
    for name, shards in (("yolo", [scenes]), ("without", [])):
        build_yolo_dataset(scenes=shards, dataset=tmp_path / "shards" / name, **words)
        unpack_shards(tmp_path / "shards" / name, tmp_path / name)
    names = {split: {path.stem for path in (tmp_path / "yolo/images" / split).iterdir()} for split in ("train", "val")}
    composed, pills = tables(scenes)
    assert names["train"] - {path.stem for path in (tmp_path / "without/images/train").iterdir()} == set(
        composed["scene"]
    )
    assert not names["val"] & set(composed["scene"])
    for scene in composed.itertuples():
        picture = decode_jpeg((tmp_path / f"yolo/images/train/{scene.scene}.jpg").read_bytes())
        assert picture.shape == (scene.height, scene.width, 3)
        lines = (tmp_path / f"yolo/labels/train/{scene.scene}.txt").read_text().splitlines()
        rows = pills[pills["scene"] == scene.scene]
        assert len(lines) == len(rows)
        for line, row in zip(lines, rows.itertuples(), strict=True):
            assert float(line.split()[3]) == pytest.approx(row.w / scene.width, abs=1e-6)


def test_capsules_of_two_colours_have_their_share(tmp_path: Path) -> None:
    colours = {}
    for share in (0.0, 0.5):
        draw_cut_outs(folder=tmp_path / f"{share}", drugs=8, views=1, scale=6, seed=3, capsules=share)
        pills = CutOuts([tmp_path / f"{share}"])
        rng = np.random.default_rng(1)
        taken = {pill.k_code: pill for pill in (pills.take(rng)[0] for _ in range(200))}
        colours[share] = [taken[code] for code in sorted(taken)]
    plain, capsules = colours.values()
    assert [pill.k_code for pill in plain] == [pill.k_code for pill in capsules]
    same = [np.array_equal(one.colour, other.colour) for one, other in zip(plain, capsules, strict=True)]
    assert same == [False] * 4 + [True] * 4
    for pill in capsules[:4]:
        rows, columns = np.nonzero(pill.alpha > 200)
        points = np.stack([columns, rows], axis=1) - [columns.mean(), rows.mean()]
        along = points @ np.linalg.eigh(np.cov(points.T))[1][:, 1]
        ends = [pill.colour[rows[end], columns[end]].astype(float).mean(0) for end in (along < 0, along > 0)]
        assert np.ptp(along) > 1.8 * np.sqrt(len(points) / np.ptp(along)), "longer than wide"
        assert np.abs(ends[0] - ends[1]).max() > 15, "two colours"


def test_pills_like_the_ground_are_chosen_where_asked(tmp_path: Path) -> None:
    """On grounds of one colour, the pills of scenes with `alike` are nearer to it than those of others."""
    draw_cut_outs(folder=tmp_path / "drawn", drugs=20, views=1, scale=6, seed=3)
    pills = CutOuts([tmp_path / "drawn"])
    blue = np.array([90, 130, 200], np.float32)
    ground = {"blue": (1, lambda rng, shape: np.broadcast_to(blue, (*shape, 3)).copy())}
    pieces = replace(PIECES, plain=ground, wild=ground, things={}, kinds={"many": replace(KINDS["many"], share=1.0)})
    of_drug = {pill.k_code: pill for pill in (pills.take(np.random.default_rng(i))[0] for i in range(400))}
    unlike = {}
    for share in (0.0, 1.0):
        scenes = [
            compose_scene(
                pills,
                side=SIDE,
                settings=Scenes(photos=1, alike=share),
                rng=np.random.default_rng((5, number)),
                pieces=pieces,
            )
            for number in range(12)
        ]
        codes = [pill.k_code for scene in scenes for pill in scene.pills]
        assert len(codes) > 50
        means = [of_drug[code].colour[of_drug[code].alpha > 127].mean(0) for code in codes]
        unlike[share] = np.linalg.norm(np.array(means) - blue, axis=1).mean()
    assert unlike[1.0] < 0.75 * unlike[0.0]
