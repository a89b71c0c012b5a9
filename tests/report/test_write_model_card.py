"""The model card: out of measured files only, the same in Markdown and in the report, and no name is mark-up."""

import html
import re
from pathlib import Path
from typing import Any

import pytest

from pillsnap.files import read_json, sha256_of, write_json
from pillsnap.pages.blocks import Code, Section
from pillsnap.pages.markdown import card_markdown, escape
from pillsnap.pages.table import Table, code, number
from pillsnap.report.write_report import write_report
from tests.support.report_inputs import NAMES, NO_TARGETS, card_of, words_of, write_inputs


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return write_inputs(tmp_path_factory.mktemp("card"))


@pytest.fixture(scope="module")
def card(arguments: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> str:
    return card_of(arguments, tmp_path_factory.mktemp("written"))


def plain(text: str) -> str:
    return re.sub("[\u202f\u00a0\u2009]", " ", text)


def test_card_says_what_was_measured(arguments: dict[str, Any], card: str) -> None:
    text = plain(card)
    trust = read_json(arguments["accuracy"])["trust"]
    for words in (
        "# Model card: PillSnap, Stage 4",
        "**SYNTHETIC.**",
        "| SHA-256 of pipeline.onnx | " + "5e" * 32 + " |",
        "| Commit | 3a48ba7c0ffee3a48ba7c0ffee3a48ba7c0ffee0 |",
        "| Licence | AGPL-3.0-only |",
        "| Classifier top-1 | 646 | 93.42 % | 91.2 – 95.0 % |",
        "| Calibration error of answers (ECE) | ≤ 0.02 | 0.0134 | ✓ met |",
        f"| Test | 400 | {trust['ece']['before']:.4f} | {trust['ece']['after']:.4f} |",
        f"| AUROC by relative distance | 0.9968 | {trust['unseen']['auroc']:.4f} |",
        "differ by imprint only (AB12 / CD34)",
        "Of 13 mistakes, 9 (69.2 %) are between drugs that differ by imprint only",
        "| Device | CPU: AMD EPYC, 2 cores |",
        "| `pipeline.int8.onnx` | 4.5 MB |",
        "It is no medical device and gives no medical advice.",
        "pillsnap predict --models results/stage4/onnx --mode combo photo.jpg",
    ):
        assert words in text, words
    assert "None" not in text and "nan" not in text.split()


def test_composed_scenes_are_told_and_called_no_photographs(
    arguments: dict[str, Any], card: str, tmp_path: Path
) -> None:
    config = arguments["config"] | {"scenes": {"photos": 2000, "crops": True}}
    told = card_of(arguments, tmp_path, config=config)
    said = "The detector was trained on 2,000 composed scenes besides, the classifier on crops of their pills: "
    assert said in told and "They are no photographs" in told
    assert "composed" not in card


def test_same_inputs_same_bytes(arguments: dict[str, Any], card: str, tmp_path: Path) -> None:
    assert card_of(arguments, tmp_path) == card
    assert sha256_of(tmp_path / "model_card.md")


@pytest.mark.parametrize(
    ("kind", "there", "absent"),
    [
        ("aihub", "AIHub data set 576", "SYNTHETIC"),
        ("yolo", "a YOLO data set", "SYNTHETIC"),
        ("synthetic", "SYNTHETIC", "AIHub"),
    ],
)
def test_card_names_the_source(arguments: dict[str, Any], tmp_path: Path, kind: str, there: str, absent: str) -> None:
    text = card_of(arguments, tmp_path, sources={kind: kind})
    assert there in text and absent not in text


def test_report_shows_the_same_card(arguments: dict[str, Any], card: str, tmp_path: Path) -> None:
    changed = {"report": tmp_path / "report.html", "figures": tmp_path / "figures"}
    write_report(**arguments | changed)
    page = changed["report"].read_text(encoding="utf-8")
    shown = plain(words_of(re.search(r'<section id="card">.*?</section>', page, re.DOTALL).group()))
    assert re.findall(r"^## (.*)$", card, re.MULTILINE) == re.findall(
        r"<summary>(.*?)</summary>", re.search(r'<section id="card">.*?</section>', page, re.DOTALL).group()
    )
    for line in re.findall(r"^\| (.*) \|$", card, re.MULTILINE):
        for cell in re.split(r"(?<!\\) \| ", line):
            told = plain(re.sub(r"\\(.)", r"\1", cell).strip("`"))
            # rules below heads are none of the page's words
            assert re.fullmatch(r"[-: ]*", told) or told in shown, cell


def test_without_targets_and_held_out_drugs_nothing_is_claimed(arguments: dict[str, Any], tmp_path: Path) -> None:
    measured, chosen = read_json(arguments["accuracy"]), read_json(arguments["calibration"])
    measured["trust"]["unseen"] = chosen["validation"]["unseen"] = None
    measured["confused"] = []
    write_json(tmp_path / "accuracy.json", measured)
    write_json(tmp_path / "calibration.json", chosen)
    files = {name: tmp_path / f"{name}.json" for name in ("accuracy", "calibration")}
    text = card_of(arguments, tmp_path, targets=NO_TARGETS, **files)
    assert "Not measured: there is no pill of a drug that was held out" in text
    assert "Targets of the stage" not in text
    assert "AUROC" not in text and "held-out" not in text
    assert "The classifier made no mistake on the labelled boxes of the test part." in text


def test_commit_of_a_shallow_clone_may_be_an_earlier_one(arguments: dict[str, Any], tmp_path: Path) -> None:
    resources = read_json(arguments["resources"])
    resources["commit"] |= {"dirty": True, "shallow": True}
    write_json(tmp_path / "resources.json", resources)
    text = card_of(arguments, tmp_path, resources=tmp_path / "resources.json")
    assert f"| Commit | {resources['commit']['hash']} or earlier with local changes |" in text


def test_hostile_names_are_no_mark_up(tmp_path: Path) -> None:
    hostile = "<img src=x>|[정](http://x) `*_\n# 1"
    text = card_of(write_inputs(tmp_path, names=(hostile, *NAMES[1:])), tmp_path)
    assert "<img" not in text and not re.search(r"(?<!\\)\]\(", text)
    rows = [line for line in text.splitlines() if line.startswith("| `K-000000`")]
    assert rows and all("정" in row for row in rows)
    assert {len(re.split(r"(?<!\\)\|", row)) for row in rows} == {7, 8, 9}


def test_markdown_of_every_block() -> None:
    table = Table("Cap|tion", ("", number("Number"), code("Code")), [("a|b", "1", "x`|y"), ("c\nd", "2", "")])
    section = Section("Part", ("Some `code`.", ("one", "two"), table, Table("empty", ("A",), []), Code("bash", "ls")))
    assert card_markdown("Title", [section]) == (
        "# Title\n\n## Part\n\nSome `code`.\n\n- one\n- two\n\n**Cap\\|tion**\n\n"
        "|  | Number | Code |\n| --- | ---: | --- |\n| a\\|b | 1 | `x y` |\n| c d | 2 |  |\n\n```bash\nls\n```\n"
    )


@pytest.mark.parametrize("text", ["plain 5mg", "가스모틴정", "a & b", "1. x"])
def test_plain_texts_stay_readable(text: str) -> None:
    assert html.unescape(re.sub(r"\\(.)", r"\1", escape(text))) == text
