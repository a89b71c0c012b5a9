"""What comes from outside is data: no code, no mark-up, no formula and no word of a shell."""

import ast
import csv
import importlib.metadata
import re
import shlex
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from packaging.requirements import Requirement

from pillsnap.dataset.write_dataset_page import write_dataset_page
from pillsnap.report.write_report import write_report
from pillsnap.sources.archives import SourceError
from pillsnap.sources.settings import Source
from pillsnap.sources.yolo_data import read_yolo_data
from pillsnap.tables.csv_cells import escape_formula, unescape_formula
from pillsnap.tables.files import read_texts, write_csv
from tests.support import dataset_runs
from tests.support.archives import hand_made, prepare_source
from tests.support.dataset_runs import aihub_run, page_arguments
from tests.support.report_inputs import NAMES, card_of, write_inputs
from tests.support.workflow import PROJECT, Workflow

HOSTILE = (
    "</script><script>alert('정')</script>", '"><img src=x onerror=alert(1)>', "{{7*7}}${7*7}{% raw %}",
    "javascript:alert(1)", "' onmouseover='alert(1)", "<svg onload=alert(1)>", "]]><!--", "</style><b>x</b>&lt;",
)  # fmt: skip
FORMULAS = ("=1+1", "+1", "-cmd|' /C calc'!A0", "@SUM(1)", "'=1", "\uff1d1+1")
BEGINS = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")


class Elements(HTMLParser):
    """Tags of a page, and what is wrong with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.wrong: list[tuple[str, str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            starts_script = (value or "").strip().lower().startswith("javascript:")
            if name.startswith("on") or (starts_script and name in ("href", "src", "action", "xlink:href")):
                self.wrong.append((tag, name, value))


def check_page(hostile: str, ordinary: str) -> None:
    """The same elements as a page of ordinary names, but for those that mark Hangul; every name is text."""
    found, plain = Elements(hostile), Elements(ordinary)
    assert found.wrong == []
    for tag in ("script", "style", "img", "b", "svg"):
        assert found.tags.count(tag) == plain.tags.count(tag), tag
    assert "{{7*7}}" in hostile and "49$" not in hostile


def test_names_are_no_mark_up_in_the_report_and_its_figures(tmp_path: Path) -> None:
    pages = {}
    for kind, names in (("hostile", HOSTILE), ("ordinary", NAMES)):
        arguments = write_inputs(tmp_path / kind, names=names)
        write_report(**arguments)
        pages[kind] = arguments["report"].read_text(encoding="utf-8")
        for figure in arguments["figures"].glob("*.svg"):
            text = figure.read_text(encoding="utf-8")
            assert not re.search(r"<(script|img|b)\b|<[^>]*\son\w+=", text), figure
    check_page(pages["hostile"], pages["ordinary"])
    shown = unescape(pages["hostile"])
    assert all(name in shown for name in HOSTILE[:3])


def test_names_are_no_mark_up_in_the_model_card(tmp_path: Path) -> None:
    card = card_of(write_inputs(tmp_path, names=HOSTILE), tmp_path)
    assert Elements(card).tags == []
    assert "{{7" in card


def test_names_are_no_mark_up_in_the_dataset_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = []
    for number, names in enumerate((HOSTILE[:3], ("a", "b", "c"))):
        monkeypatch.setattr(dataset_runs, "NAMES", dict(zip(dataset_runs.DRUGS, names, strict=True)))
        folder = tmp_path / str(number)
        run = aihub_run(folder)
        run.build_manifest()
        arguments = page_arguments(run, "aihub", folder / "results/stage4/dataset.html")
        write_dataset_page(**arguments)
        pages.append(arguments["page"].read_text(encoding="utf-8"))
    check_page(*pages)


def test_no_cell_of_a_manifest_is_a_formula_and_every_name_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset_runs, "NAMES", dict(zip(dataset_runs.DRUGS, FORMULAS[:3], strict=True)))
    run = aihub_run(tmp_path)
    run.build_manifest()
    tables = sorted((tmp_path / "results").rglob("*.csv"))
    assert {path.name for path in tables} >= {"train.csv", "drugs.csv", "quarantine.csv", "near_duplicates.csv"}
    for path in tables:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            cells = [cell for row in csv.reader(stream) for cell in row]
        assert [cell for cell in cells if cell.startswith(BEGINS) and not _number(cell)] == [], path
    assert set(run.pills()["drug_name"]) == set(FORMULAS[:3])
    assert set(read_texts(run.folder / "manifest/drugs.csv", ["drug_name"])["drug_name"]) == set(FORMULAS[:3])


def _number(cell: str) -> bool:
    return bool(re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", cell))


TEXTS = [*FORMULAS, "''=", "'A", "약", "", "\t1", "a=1", "K-000001"]


def test_a_column_is_defused_cell_by_cell_and_given_back(tmp_path: Path) -> None:
    path = tmp_path / "names.csv"
    write_csv(pd.DataFrame({"number": range(len(TEXTS)), "name": TEXTS}), path)
    with path.open(encoding="utf-8-sig", newline="") as stream:
        assert [cell for _, cell in csv.reader(stream)] == ["name", *map(escape_formula, TEXTS)]
    assert list(read_texts(path)["name"]) == TEXTS


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_defused_is_given_back(text: str) -> None:
    assert not escape_formula(text).startswith(BEGINS)
    assert unescape_formula(escape_formula(text)) == text
    if not text.lstrip("'").startswith(BEGINS):
        assert escape_formula(text) == text


def test_names_of_a_data_yaml_are_no_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight levels of aliases: 43 million letters out of some hundred bytes."""
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "data.yaml"
    (tmp_path / "images/train").mkdir(parents=True)
    path.write_text("\n".join([*lines, "names: [*a8]"]))
    with pytest.raises(SourceError, match="a list is not a class name"):
        read_yolo_data(path)
    path.write_text("names: !!python/object/apply:os.system ['touch pwned']")
    assert read_yolo_data(path).names == {0: "touch pwned"}
    assert not (tmp_path / "pwned").exists()
    path.write_text('names: ["a\\nb"]')
    assert read_yolo_data(path).names == {0: "a b"}


CODE = sorted(path for part in ("pillsnap", "scripts", "benchmarks") for path in (PROJECT / part).rglob("*.py"))
REFUSED = {
    "pickle.load", "pickle.loads", "joblib.load", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "eval", "exec",
    "os.system", "os.popen", "marshal.load", "marshal.loads", "shelve.open", "pd.read_pickle", "tempfile.mktemp",
    "subprocess.getoutput", "subprocess.getstatusoutput",
}  # fmt: skip


def test_nothing_foreign_is_run() -> None:
    calls = [(path, node) for path in CODE for node in ast.walk(ast.parse(path.read_text())) if type(node) is ast.Call]
    assert len(calls) > 5000
    wrong = []
    for path, call in calls:
        name, words = ast.unparse(call.func), {word.arg: ast.unparse(word.value) for word in call.keywords}
        unsafe = name in REFUSED or words.get("shell") == "True" or words.get("allow_pickle") == "True"
        if unsafe or (name == "torch.load" and words.get("weights_only") != "True"):
            wrong.append(f"{path.relative_to(PROJECT)}:{call.lineno} {name}")
    assert wrong == []


LICENCES = re.compile(
    r"\b(MIT|(?:Free)?BSD|[0-9]BSD|Apache|ISC|MPL|Mozilla|PSF|Python Software Foundation|Zlib|HPND|CC0|Unlicense|"
    r"Public Domain|LGPL\w*|Lesser General|AGPL\w*|Affero|GPL-2\.0-or-later|GPL-3\S*|GPLv3\S*)\b",
    re.IGNORECASE,
)
"""What may be part of a program under AGPL-3.0."""
MAKERS_TERMS = re.compile(r"(nvidia|cuda)-(?!ml-py)")
"""The GPU maker's libraries, which torch loads where they are: under its own terms, not passed on by this project."""
OTHER_PROGRAMS = {"codespell", "grandalf", "pygit2"}
"""Programs of their own, which this one does not import: codespell (GPL-2.0), and what the command `dvc` uses, grandalf
(GPL-2.0 or EPL-1.0) and pygit2 (GPL-2.0 with an exception for linking)."""


def licence_of(package: importlib.metadata.Distribution) -> str:
    told = package.metadata
    stated = [told.get("License-Expression") or "", (told.get("License") or "")[:300]]
    stated += [line for line in told.get_all("Classifier") or () if "License" in line]
    files = [file for file in package.files or () if re.search("licen[cs]e", file.name, re.IGNORECASE)]
    return "; ".join(stated) if any(stated) else files[0].locate().read_text(encoding="utf-8")[:300] if files else ""


def locked() -> dict[str, str]:
    """Block of each requirement of the lock file, hashes with it, by its name."""
    text = (PROJECT / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return {re.split(r"[=\[ ;]", line)[0].lower(): line for line in lines}


def test_every_requirement_is_pinned_with_its_hashes_and_from_no_index() -> None:
    text = (PROJECT / "requirements.lock").read_text(encoding="utf-8")
    assert not re.search(r"^\s*(-i|--index|--extra-index|--find-links|--trusted)|https?://|git\+", text, re.MULTILINE)
    lines = locked()
    assert len(lines) > 100
    for line in lines.values():
        assert Requirement(line.split("--hash")[0].strip()).specifier, line
        assert re.search(r"==\S+", line) and re.search(r"--hash=sha256:[0-9a-f]{64}", line), line


def test_licences_go_with_the_projects_own() -> None:
    """Of every locked package that is installed here, by its own metadata."""
    installed = {d.metadata["Name"].lower().replace("_", "-"): d for d in importlib.metadata.distributions()}
    known = {name: installed[name] for name in locked() if name in installed}
    assert len(known) > 100
    told = {name: licence_of(one) for name, one in known.items() if not MAKERS_TERMS.match(name)}
    assert {name: text for name, text in told.items() if not LICENCES.search(text)}.keys() == OTHER_PROGRAMS


WORD = "a b$(touch pwned)`touch pwned`;touch pwned;'&"


@pytest.mark.campaign
def test_no_name_is_a_word_of_a_shell(tmp_path: Path) -> None:
    """The source lies in a folder of a hostile name; the results go to one."""
    workflow = Workflow.copy_to(tmp_path / "project")
    raw = hand_made()
    raw.photos["TS_1_단일"]["K-000001/$(touch pwned);`touch pwned`.png"] = b"x"
    raw.write(workflow.folder / WORD)
    (workflow.folder / WORD / "TS_9_단일;touch pwned;.zip").write_bytes(b"no archive by its name")
    (workflow.folder / "o.yaml").write_text(
        f'source: {{kind: aihub, root: "{WORD}"}}\n'
        "manifest: {max_quarantined_fraction: 1}\nplan: {unseen_drugs: 0}\n"
    )
    words = ("--configfile", "config.yaml", "o.yaml")
    workflow.snakemake(*words, target="results/stage4/manifest/summary.json")
    assert (workflow.folder / "results/stage4/manifest/train.csv").stat().st_size > 1000
    (workflow.folder / "p.yaml").write_text(
        "pathvars: {results: 'out$(touch pwned)', work: 'w;touch pwned', logs: logs}\n"
    )
    told = workflow.snakemake(
        *words, "p.yaml", "--dry-run", "--printshellcmds", target="out$(touch pwned)/stage4/detector/best.pt"
    )
    (command,) = re.findall(r"python scripts/train_detector\.py --.*", told)
    assert "out$(touch pwned)/stage4/yolo" in shlex.split(command)
    assert any(word.startswith("w;touch pwned/") for word in shlex.split(command))
    assert not list(workflow.folder.rglob("pwned"))


def test_source_of_hostile_root_is_read_as_a_path(tmp_path: Path) -> None:
    hand_made().write(tmp_path / WORD)
    run = prepare_source(Source(kind="aihub", root=str(tmp_path / WORD)), tmp_path / "results")
    assert run.plan.is_file() and not list(tmp_path.rglob("pwned"))
