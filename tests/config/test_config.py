"""Configuration: every wrong key or value stops with its cure."""

import copy

import pytest
import yaml
from typer.testing import CliRunner

from pillsnap.cli import app
from pillsnap.config.config import Config
from pillsnap.config.load import ConfigError, load_config, merge_into, read_config
from tests.support.workflow import PROJECT

DEFAULT = yaml.safe_load((PROJECT / "config.yaml").read_text(encoding="utf-8"))


def changed(path: str, value: object) -> dict:
    values = copy.deepcopy(DEFAULT)
    *parents, last = path.split(".")
    section = values
    for name in parents:
        section = section[name]
    section[last] = value
    return values


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (
            "classifier.epochs",
            0,
            "classifier.epochs = 0: input should be greater than or equal to 1. Edit config.yaml line",
        ),
        ("classifier.epoch", 5, "classifier.epoch: unknown key; allowed here: epochs, horizon, batch"),
        ("sorce", {}, "sorce: unknown key; allowed here: seed, device"),
        (
            "source.kind",
            "webcam",
            "source.kind = 'webcam': input should be 'synthetic', 'aihub', 'yolo', 'coco' or",
        ),
        ("plan.val_fraction", 1.4, "plan.val_fraction = 1.4: input should be less than or equal to 0.5"),
        ("detector.image_size", 100, "detector.image_size = 100: input should be a multiple of 32"),
        ("detector.image_size", 640, "detector.image_size = 640: must not exceed prepare.photo_size"),
        ("classifier.image_size", 512, "classifier.image_size = 512: must not exceed crops.size"),
        (
            "source.synthetic.photos_per_drug",
            1296,
            "source.synthetic.photos_per_drug = 1296: training and validation together must fit",
        ),
        ("audit.lowest_score", 0.4, "audit.lowest_score = 0.4: must not exceed audit.min_score = 0.6 and benchmark"),
        ("yolo.partly_labelled", "keep", "yolo.partly_labelled = 'keep': input should be 'leave_out' or 'use'"),
        ("device", "tpu", "device = 'tpu': input should be 'auto', 'cpu' or 'cuda'"),
        ("classifier.start_size", 144, "classifier.start_size = 144: must not exceed classifier.image_size = 112"),
        (
            "steering",
            {"phases": [{"name": "a", "from_epoch": 0}]},
            "steering.phases.0.from_epoch = 0: input should be greater than or equal to 1. Edit config.yaml line",
        ),
        (
            "steering",
            {"phases": [{"name": "a", "from_epoch": 1, "detector": {"rate": 1}}]},
            "steering.phases.0.detector.rate: unknown key; allowed here: learning_rate, weight_decay, clip, precision",
        ),
        (
            "steering",
            {"phases": [{"name": "a", "from_epoch": 5}, {"name": "b", "from_epoch": 5}]},
            "phases must follow each other",
        ),
        (
            "steering",
            {
                "interventions": [
                    {
                        "name": "low",
                        "model": "classifier",
                        "phase": "last",
                        "when": {"metric": "val_top1", "below": 0.6},
                        "change": {"learning_rate": 1e-4},
                    }
                ]
            },
            "intervention 'low': there is no phase 'last' among []",
        ),
        (
            "steering",
            {
                "interventions": [
                    {
                        "name": "low",
                        "model": "detector",
                        "when": {"metric": "val_top1", "below": 0.6},
                        "change": {"learning_rate": 1e-4},
                    }
                ]
            },
            "'val_top1' is no metric of the detector's history; allowed: box_loss, cls_loss",
        ),
        ("seed", "many", "seed = 'many': input should be a valid integer"),
    ],
)
def test_wrong_values_are_explained(tmp_path, path: str, value: object, says: str) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(changed(path, value)))
    with pytest.raises(ConfigError) as error:
        read_config(tmp_path / "config.yaml")
    assert says in str(error.value)


def test_a_wrong_value_of_the_command_line_is_not_searched_in_a_file() -> None:
    with pytest.raises(ConfigError, match=r"device = 'gpu': .* It was given on the command line"):
        load_config(changed("device", "gpu"), [PROJECT / "config.yaml"])


def test_the_line_to_edit_is_the_one_of_the_winning_file(tmp_path) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("# overlay\nclassifier:\n  epochs: -1\n")
    with pytest.raises(ConfigError, match=r"classifier\.epochs = -1: .* Edit overlay\.yaml line 3\."):
        read_config(PROJECT / "config.yaml", overlay)


def test_all_problems_are_told_at_once() -> None:
    values = changed("classifier.epochs", 0)
    values["seed"] = -1
    with pytest.raises(ConfigError) as error:
        load_config(values)
    assert "classifier.epochs" in str(error.value)
    assert "seed" in str(error.value)


UNREADABLE = {
    "YAML that breaks off": (b"a: [1", "cannot be read as YAML"),
    "a date that there is not": (b"seed: 2026-13-45", "cannot be read as YAML (month must be in 1..12"),
    "bytes": (b"\0\0", "cannot be read as YAML"),
    "lists in lists": (b"seed: " + b"[" * 3000 + b"]" * 3000, "cannot be read as YAML"),
    "CP949": ("# 시드\nseed: 1".encode("cp949"), "is not text in UTF-8"),
    "UTF-16": ("seed: 1".encode("utf-16"), "is not text in UTF-8"),
    "a list": (b"- seed\n- 1", "holds no settings by name. A configuration has lines `key: value`"),
    "CSV": (b"seed,device\n1,cpu", "holds no settings by name"),
    "a number": (b"0", "holds no settings by name"),
}


@pytest.mark.parametrize(("data", "says"), UNREADABLE.values(), ids=UNREADABLE)
def test_unreadable_file_is_named(tmp_path, data: bytes, says: str) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_bytes(data)
    with pytest.raises(ConfigError) as error:
        read_config(PROJECT / "config.yaml", broken)
    assert str(error.value).startswith(f"{broken}: {says}") and str(error.value).endswith(" path.")
    done = CliRunner().invoke(app, ["monitor", "--config", str(broken)])
    assert (done.exit_code, done.stdout) == (2, "") and f"{broken}: {says}" in done.stderr


@pytest.mark.parametrize(
    "text", ["source: &a [*a]", "classifier: &a\n  epochs: *a", "&a\nseed: *a", "pathvars: &a {results: *a}"]
)
def test_a_value_that_holds_itself_is_refused(tmp_path, text: str) -> None:
    (tmp_path / "overlay.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"overlay\.yaml: a value holds itself, by an anchor \(&\) and an alias"):
        read_config(PROJECT / "config.yaml", tmp_path / "overlay.yaml")


def test_an_empty_overlay_changes_nothing(tmp_path) -> None:
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert read_config(PROJECT / "config.yaml", tmp_path / "empty.yaml") == read_config(PROJECT / "config.yaml")


def test_overlays_merge_key_by_key() -> None:
    target = {"a": {"b": 1, "c": 2}, "d": 3}
    merge_into(target, {"a": {"c": 5}, "e": {"f": 6}})
    assert target == {"a": {"b": 1, "c": 5}, "d": 3, "e": {"f": 6}}


@pytest.mark.parametrize("overlay", ["examples/pushin-pill.yaml"])
def test_shipped_overlays_are_valid(overlay: str) -> None:
    assert isinstance(read_config(PROJECT / "config.yaml", PROJECT / overlay), Config)


FOLDERS = {"kind": "folders", "root": "a"}
SCRATCH = {"model": "yolo11n.yaml"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"detector": SCRATCH | {"epochs": 0}},
            "detector.epochs = 0: nothing is trained, and detector.model = yolo11n.yaml has",
        ),
        (
            {"source": FOLDERS, "detector": SCRATCH},
            "detector.model = yolo11n.yaml: has no weights, and source.box = detector (folders)",
        ),
        ({"source": FOLDERS, "detector": {"model": "no.pt", "epochs": 0}}, "detector.model = no.pt: does not exist"),
        ({"source": FOLDERS, "detector": SCRATCH}, "detector.epochs: 0, or set source.box: whole"),
        ({"source": FOLDERS | {"box": "whole"}}, ""),
        ({"source": FOLDERS, "detector": {"model": "MODEL", "epochs": 0}}, ""),
        ({"source": FOLDERS, "detector": {"model": "weights/pill-detector.safetensors", "epochs": 0}}, ""),
    ],
)
def test_boxes_that_nobody_labelled_need_weights(tmp_path, given: dict, says: str) -> None:
    (tmp_path / "best.pt").write_bytes(b"weights")
    text = yaml.safe_dump(given).replace("MODEL", str(tmp_path / "best.pt"))
    (tmp_path / "overlay.yaml").write_text(text)
    if not says:
        assert read_config(PROJECT / "config.yaml", tmp_path / "overlay.yaml")
        return
    with pytest.raises(ConfigError) as error:
        read_config(PROJECT / "config.yaml", tmp_path / "overlay.yaml")
    assert says in str(error.value)


TWO = [{"kind": "yolo", "root": "a"}, {"kind": "yolo", "root": "b", "name": "own"}]


@pytest.mark.parametrize(
    ("files", "command_line", "names"),
    [
        ([{"sources": TWO}], {}, ["yolo", "own"]),
        ([{"sources": TWO}, {"source": {"kind": "coco"}}], {}, ["coco"]),
        ([{"sources": TWO}], {"source": {"kind": "coco"}}, ["coco"]),
        ([{"sources": [*TWO, {"kind": "yolo"}]}], {}, ["yolo", "own", "yolo_3"]),
        ([{"source": {"kind": "aihub", "name": "hub"}}], {"sources": TWO}, ["yolo", "own"]),
        ([{"source": {"name": "hub"}}], {}, ["hub"]),
    ],
)
def test_one_source_or_several_whichever_is_given_last(tmp_path, files: list, command_line: dict, names: list) -> None:
    paths = [PROJECT / "config.yaml"]
    values = copy.deepcopy(DEFAULT)
    for number, given in enumerate([*files, command_line]):
        merge_into(values, given)
        if number < len(files):
            paths.append(tmp_path / f"{number}.yaml")
            paths[-1].write_text(yaml.safe_dump(given))
    # Snakemake names the default file once more
    config = load_config(values, [*paths, paths[0]])
    assert list(config.named_sources) == names


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"sources": TWO, "source": {"kind": "coco"}}, "source, sources: give one of the two"),
        ({"sources": [*TWO, {"kind": "coco", "name": "own"}]}, "sources: two are named 'own'. Give each a `name`"),
        ({"sources": [{"kind": "yolo", "name": "몸"}]}, "sources.0.name = '몸': string should match pattern"),
        ({"sources": [{"kind": "yolo", "name": "a-b"}]}, "sources.0.name = 'a-b': string should match pattern"),
        ({"sources": [{"kid": "yolo"}]}, "sources.0.kid: unknown key; allowed here: kind, name, root"),
        ({"sources": [{}, {"name": "again"}]}, "the built-in photographs can be drawn for one source only"),
        ({"source": None}, "source, sources: give one of the two"),
    ],
)
def test_wrong_sources_are_explained(tmp_path, given: dict, says: str) -> None:
    (tmp_path / "overlay.yaml").write_text(yaml.safe_dump(given, allow_unicode=True))
    with pytest.raises(ConfigError) as error:
        read_config(PROJECT / "config.yaml", tmp_path / "overlay.yaml")
    assert says in str(error.value)
