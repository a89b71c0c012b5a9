"""What the tests of the documents read out of them: commands, code in sentences, and the rules that they tell of."""

import re
import shlex
from collections.abc import Callable, Iterable
from functools import cache

import pytest

from tests.support.workflow import PROJECT

READMES = ("README.md", "README.ko.md")
PAGES = [
    *READMES,
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    *sorted(path.relative_to(PROJECT).as_posix() for path in (PROJECT / "docs").glob("*.md")),
]
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
RULE = re.compile(r"^ *rule (\w+):\n(.*?)(?=^ *rule |\Z)", re.MULTILINE | re.DOTALL)


@cache
def text_of(page: str) -> str:
    return (PROJECT / page).read_text(encoding="utf-8")


def fenced_commands(page: str) -> list[str]:
    """Commands in fenced bash blocks, one a line."""
    blocks = "".join(block for language, block in FENCE.findall(text_of(page)) if language == "bash")
    lines = blocks.replace("\\\n", " ").splitlines()
    return [command for line in lines if (command := shlex.join(shlex.split(line, comments=True)))]


def inline_code(page: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", FENCE.sub("", text_of(page)))


def in_pages(find: Callable[[str], Iterable[str]]) -> list:
    """What `find` gives for each page, each thing once, with the first page that has it."""
    found: dict[str, str] = {}
    for page in PAGES:
        for thing in find(page):
            found.setdefault(thing, page)
    return [pytest.param(thing, id=f"{page}:{thing}") for thing, page in found.items()]


def program_and_words(command: str) -> tuple[str, list[str]]:
    """Program and arguments, without variables of the environment before it."""
    words = shlex.split(command)
    while re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words.pop(0)
    return words[0], words[1:]


@cache
def rules() -> dict[str, str]:
    """Text of every rule by its name."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((PROJECT / "rules").glob("*.smk"))]
    return {name: body for text in texts for name, body in RULE.findall(text)}


def outputs(rule: str) -> list[str]:
    """A rule's outputs as the documents write them: `results/<stage>/…`."""
    block = re.search(r"^ +output:\n(.*?)^ +log:", rules()[rule], re.MULTILINE | re.DOTALL)[1]
    paths = re.findall(r'"(<results>/[^"]+)"', block)
    paths = [path for path in paths if "/provenance/" not in path]  # told once, for all rules
    return [path.replace("<results>", "results").replace("{", "<").replace("}", ">") for path in paths]
