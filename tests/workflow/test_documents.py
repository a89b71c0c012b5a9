"""The documents are complete, not stale, and lead to what is there."""

import json
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import get_args

import jsonschema
import pytest
import yaml
from pydantic import BaseModel

from pillsnap.answers.answer import Answer, EnrolledCandidate, Pill, Reading, Verdict
from pillsnap.config import reference as config_reference
from pillsnap.config.config import Config
from pillsnap.config.load import read_config, section_of
from pillsnap.predict.formats import CSV_COLUMNS
from pillsnap.tables.quarantine_reasons import QUARANTINED, REPAIRED, SKIPPED
from tests.support.documents import (
    FENCE,
    PAGES,
    READMES,
    fenced_commands,
    in_pages,
    inline_code,
    outputs,
    rules,
    text_of,
)
from tests.support.workflow import PROJECT

PRODUCTION = PROJECT / "profiles" / "production" / "pillsnap.yaml"
ELSEWHERE = ("images/", "labels/", "<part>/", "dvc_plots/", ".dvc/cache")
"""Beginnings of paths inside a YOLO data set, or that tools make."""


def test_configuration_page_and_schema_are_not_stale(tmp_path, monkeypatch) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "config.yaml").write_bytes((PROJECT / "config.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    config_reference.main()
    for path in (config_reference.PAGE, config_reference.SCHEMA):
        now = path.read_text(encoding="utf-8")
        assert (PROJECT / path).read_text(encoding="utf-8") == now, f"{path} is stale. Run `make docs` and commit it."


def test_every_key_has_a_row() -> None:
    def keys(model: type[BaseModel], path: str = "") -> Iterator[str]:
        annotations = {name: field.annotation for name, field in model.model_fields.items()}
        sections = {name: section_of(annotation) for name, annotation in annotations.items()}
        for name, section in sections.items():
            if section:
                yield from keys(section, f"{path}{name}.")
                continue
            yield f"{path}{name}"
            for item in filter(None, map(section_of, get_args(annotations[name]))):
                if item not in sections.values():  # `sources` has the keys of `source`
                    yield from keys(item, f"{path}{name}[].")

    listed = set(re.findall(r"^\| `([^`]+)` \|", text_of("docs/configuration.md"), re.MULTILINE))
    assert listed == {re.sub(r"^stages\.stage\d", "stages.<stage>", key) for key in keys(Config)}


@pytest.mark.parametrize(
    ("described", "words"),
    [
        ({"type": "integer", "minimum": 1}, "whole number ≥ 1"),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 0.5}, "number > 0, ≤ 0.5"),
        ({"type": "integer", "minimum": 64, "multipleOf": 32}, "whole number ≥ 64, multiple of 32"),
        ({"type": "number", "exclusiveMaximum": 2**31}, "number < 2147483648"),
        ({"enum": ["a", "b"], "type": "string"}, "`a`, `b`"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "text or empty"),
        ({"type": "boolean"}, "`true`, `false`"),
        ({"type": "object", "additionalProperties": True}, "mapping"),
    ],
)
def test_bounds_in_words(described: dict, words: str) -> None:
    assert config_reference.allowed(described) == words


def test_schema_accepts_the_configuration_and_refuses_unknown_keys() -> None:
    schema = json.loads((PROJECT / config_reference.SCHEMA).read_text(encoding="utf-8"))
    values = yaml.safe_load((PROJECT / "config.yaml").read_text(encoding="utf-8"))
    jsonschema.validate(values, schema)
    with pytest.raises(jsonschema.ValidationError, match="epoch"):
        jsonschema.validate(values | {"classifier": {"epoch": 3}}, schema)


@pytest.mark.parametrize("stage", ["stage1", "stage2", "stage3", "stage4"])
def test_pipeline_page_tells_budget_and_targets(stage: str) -> None:
    settings = getattr(read_config(PROJECT / "config.yaml").stages, stage)
    names = {"top1": "top-1", "top5": "top-5", "macro_f1": "macro-F1", "map50": "mAP@0.5", "map50_95": "mAP@0.5:0.95"}
    wanted = settings.targets.model_dump(exclude_none=True)
    told = ", ".join(f"{name} {wanted[key]:.2f}" for key, name in names.items() if key in wanted)
    row = next(line for line in text_of("docs/pipeline.md").splitlines() if line.startswith(f"| `{stage}` |"))
    assert f"| {settings.images:,} | {settings.classes:,} |" in row
    assert f"| {told}" in row and ("p95" in row) == ("p95_ms" in wanted)
    assert "p95_ms" not in wanted or f"{wanted['p95_ms']:g} ms" in row


def test_drawing_shows_every_rule() -> None:
    drawing = next(block for language, block in FENCE.findall(text_of("docs/pipeline.md")) if language == "mermaid")
    assert set(re.findall(r"\[\"(\w+_\w+)", drawing)) == set(rules()) - {"make_synthetic_archive"}


def test_predict_page_tells_every_key_of_an_answer() -> None:
    keys = {"photo"} | {field.name for field in fields(Answer)}
    keys |= {f"pills[].{field.name}" for field in fields(Pill)}
    keys |= {f"pills[].reading.{field.name}" for field in fields(Reading)}
    keys |= {f"pills[].candidates[].{field.name}" for field in fields(EnrolledCandidate)}
    cells = re.findall(r"^\| (`[^|]+`) \| [^|]+ (?:\| [^|]+ )?\|$", text_of("docs/predict.md"), re.MULTILINE)
    told = {key for cell in cells for key in re.findall(r"`([^`]+)`", cell)}
    assert keys <= told and {*CSV_COLUMNS, *get_args(Verdict)} <= told


@pytest.mark.parametrize(("reason", "meaning"), [*QUARANTINED.items(), *SKIPPED.items(), *REPAIRED.items()])
def test_reason_is_documented(reason: str, meaning: str) -> None:
    assert f"\n| `{reason}` | {meaning} |" in text_of("docs/quarantine.md")


def test_no_reason_is_documented_that_is_none() -> None:
    listed = set(re.findall(r"^\| `(\w+)` \| .* \| `\w+_\w+`", text_of("docs/quarantine.md"), re.MULTILINE))
    assert listed == {*QUARANTINED, *SKIPPED, *REPAIRED}


@pytest.mark.parametrize("rule", rules())
def test_pipeline_page_tells_a_rules_outputs_and_settings(rule: str) -> None:
    sections = re.split(r"^###? ", text_of("docs/pipeline.md"), flags=re.MULTILINE)
    told = next((section for section in sections if section.startswith(f"`{rule}`\n")), "")
    assert told, f"docs/pipeline.md has no section `{rule}`"
    assert [path for path in outputs(rule) if f"`{path}`" not in told] == []
    settings = re.search(r"^- Settings: (.*)$", told, re.MULTILINE)[1]
    body = re.sub(r'CONFIG\.recipe\("(\w+)"\)', r"CONFIG.\1", rules()[rule])
    body = body.replace("CONFIG.away_sets", "CONFIG.away, CONFIG.source")  # those of `away` that no source reads
    read = set(re.findall(r"CONFIG(?:\.|, )(?!pathvars|model_dump)(\w+)", body))
    read |= {"source"} if re.search(r"vars\(ARCHIVES|KINDS|SOURCE_OF|DRAWN", body) else set()
    assert settings == "all" if "CONFIG.model_dump" in body else set(re.findall(r"`(\w+)`", settings)) == read


def test_production_recipe_is_the_documented_one() -> None:
    config = read_config(PROJECT / "config.yaml", PRODUCTION)
    expected = {
        "threads": 8,
        "source.kind": "aihub",
        "stages.stage4.images": 500_000,
        "stages.stage4.classes": 4523,
        "detector.model": "yolo11l.yaml",
        "detector.image_size": 640,
        "detector.epochs": 50,
        "detector.batch": 8,
        "detector.learning_rate": 1e-3,
        "detector.weight_decay": 5e-4,
        "detector.patience": 8,
        "detector.validate_every": 5,
        "detector.checkpoint_every": 5,
        "classifier.model": "tf_efficientnetv2_l",
        "classifier.model_args": None,
        "classifier.image_size": 384,
        "classifier.epochs": 50,
        "classifier.batch": 8,
        "classifier.learning_rate": 5e-5,
        "classifier.weight_decay": 5e-4,
        "classifier.label_smoothing": 0.1,
        "classifier.patience": 10,
        "classifier.validate_every": 5,
        "classifier.checkpoint_every": 5,
        "classifier.start_size": 128,
        "classifier.resize_every": 10,
        "classifier.resize_by": 64,
        "training.detector_epochs_per_cycle": 2,
        "training.classifier_epochs_per_cycle": 1,
        "steering.mode": "advise",
    }
    assert {key: _value(config, key) for key in expected} == expected


def _value(config: Config, key: str) -> object:
    node: object = config
    for name in key.split("."):
        node = getattr(node, name)
    return node


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text_of(page)) if not link.startswith("https://")]
    broken = []
    for link in links:
        path, _, anchor = link.partition("#")
        target = (PROJECT / page).parent / path if path else PROJECT / page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            broken.append(link)
    assert broken == []


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _paths(page: str) -> list[str]:
    return [code for code in inline_code(page) if re.fullmatch(r"\.?[\w<][^\s()]*/\S*", code) and "://" not in code]


@pytest.mark.parametrize("path", in_pages(_paths))
def test_path_exists_or_is_made(path: str) -> None:
    if path.startswith(("work/", "logs/", "data/", *ELSEWHERE)):
        return
    if path.startswith("results/") and "/provenance" in path:  # of every rule, see test_scripts.py
        assert re.fullmatch(r"results/(?:(?:<stage>|stage\d)/)?provenance(?:/<rule>\.json)?", path)
        return
    if path.startswith("results/"):
        made = [output for rule in rules() for output in outputs(rule)]
        pattern = re.escape(re.sub(r"stage\d", "<stage>", path).rstrip("/"))
        assert [output for output in made if re.match(rf"{pattern}(/|$)", output) or path_below(path, output)]
        return
    assert (PROJECT / path).exists()


def path_below(path: str, output: str) -> bool:
    """Whether `path` lies in the folder `output`."""
    return re.sub(r"stage\d", "<stage>", path).startswith(f"{output}/")


def test_both_readmes_have_the_same_commands_and_headings() -> None:
    english, korean = READMES
    assert fenced_commands(english) == fenced_commands(korean)
    levels = [re.findall(r"^(#+) ", FENCE.sub("", text_of(page)), re.MULTILINE) for page in READMES]
    assert levels[0] == levels[1]
    assert all(text_of(page).count("\n") <= 200 for page in READMES)


@pytest.mark.parametrize("page", PAGES)
def test_page_names_no_place_of_one_machine(page: str) -> None:
    assert re.findall(r"(?<![\w.>])/(?:work|root|home)/\S*", text_of(page)) == []
