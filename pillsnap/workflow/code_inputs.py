"""Modules that a rule's result depends on: its own and, through their imports, all others of the package.

Snakemake sees neither an edit of an imported module nor of a script that `shell:` starts. As inputs named `code` they
are compared by content, so that an edit runs again just the rules that it can change.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from pillsnap.files import sha256_of

PACKAGE = Path(__file__).parents[1]
ROOT = PACKAGE.parent
"""The checkout: it holds `Snakefile`, `rules/`, `scripts/` and the package."""

NOT_TRACKED = {
    "config.config",
    "config.data",
    "config.load",
    "config.training",
    "files",
    "hardware",
    "progress",
    "tables.quarantine_reasons",
    "training.checkpoints",
    "training.resources",
    "training.state",
    "training.tensorboard",
    "training.tolerant_read",
    "training.watch",
    "workflow.code_inputs",
    "workflow.provenance",
}
"""Modules that carry settings, files and names from place to place and decide no result: edits rerun nothing."""


def code_of(rule: str, *modules: str, files: Iterable[str] = ()) -> list[str]:
    """Paths of the modules behind a rule, as inputs of it (`workflow_file`).

    Args:
        rule: its name, which is the name of one module of the package.
        modules: names of modules that the rule's function loads by their name.
        files: more files, as paths from the checkout's root; returned after the modules.

    Raises:
        LookupError: no module, or more than one, has such a name.
    """
    return [workflow_file(path) for path in (*_modules_of(rule, *modules), *files)]


def workflow_file(path: str) -> str:
    """A file of the checkout, given from its root, as a rule's input.

    Below the working folder the path is relative, so that clones agree on it; results that are kept apart from the
    workflow (`snakemake --directory`) get an absolute one.
    """
    whole = ROOT / path
    here = Path.cwd()
    return (whole.relative_to(here) if whole.is_relative_to(here) else whole).as_posix()


def path_from_root(path: str | Path) -> str:
    """The path of a file of the checkout from its root, whatever the working folder."""
    return Path(path).absolute().relative_to(ROOT).as_posix()


def hash_of_code(rule: str) -> str:
    """SHA-256 of the modules behind a rule: names and contents; hexadecimal."""
    lines = [f"{path} {sha256_of(ROOT / path)}" for path in _modules_of(rule)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _modules_of(*names: str) -> list[str]:
    found: set[Path] = set()
    for name in names:
        places = sorted(PACKAGE.rglob(f"{name}.py"))
        if len(places) != 1:
            raise LookupError(f"one module {name}.py is wanted below {PACKAGE}, and there are {len(places)}")
        _collect(places[0], found)
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


def _collect(path: Path, found: set[Path]) -> None:
    found.add(path)
    for name in _imports(path):
        module = name.removeprefix(f"{PACKAGE.name}.")
        target = PACKAGE.joinpath(*module.split(".")).with_suffix(".py")
        if module not in NOT_TRACKED and target not in found:
            _collect(target, found)


def _imports(path: Path) -> Iterator[str]:
    """Names of the package's modules that a module imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == PACKAGE.name:
            names = [f"{node.module}.{alias.name}" for alias in node.names]  # each a module, or something in one
            yield from filter(_is_module, (node.module, *names))
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith(f"{PACKAGE.name}."))


def _is_module(name: str) -> bool:
    """Whether it is a module: packages hold no code of their own."""
    return PACKAGE.parent.joinpath(*name.split(".")).with_suffix(".py").is_file()
