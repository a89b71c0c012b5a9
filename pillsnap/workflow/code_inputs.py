"""Modules that a rule's result depends on: its own and, through their imports, all others of the package.

Snakemake sees neither an edit of an imported module nor of a script that `shell:` starts. As inputs named `code` they
are compared by content, so that an edit runs again just the rules that it can change.
"""

import ast
import functools
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from pillsnap.files import sha256_of

PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parent
"""The checkout: it holds `Snakefile`, `rules/`, `scripts/` and the package."""

NOT_TRACKED = {
    "config.config",
    "config.data",
    "config.load",
    "config.training",
    "files",
    "hardware",
    "pretraining.settings",
    "progress",
    "reader.settings",
    "settings",
    "sources.registry",
    "sources.settings",
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
"""Modules whose edits rerun nothing: they pass settings, files and names on and decide no result."""


def code_of(rule: str, *modules: str, files: Iterable[str] = ()) -> list[str]:
    """Return paths of the modules behind a rule, as inputs of it (`workflow_file`).

    Args:
        rule: its name, which is the name of one module of the package.
        modules: modules that the rule's function loads by their name, each with its folders where others share it.
        files: more files, as paths from the checkout's root; returned after the modules.

    Raises:
        LookupError: no module, or more than one, has such a name.
    """
    return [workflow_file(path) for path in (*_modules_of(rule, *modules), *files)]


def templates_in(*rooms: str) -> list[str]:
    """Find templates and styles in folders of the package, as paths from the checkout's root: `files` of `code_of`."""
    found = [path for room in rooms for path in (PACKAGE / room).rglob("*") if path.suffix in (".css", ".jinja")]
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


def workflow_file(path: str) -> str:
    """Return a file of the checkout, given from its root, as a rule's input.

    Below the working folder the path is relative, so that clones agree on it; where results are kept apart from the
    workflow (`snakemake --directory`) it is absolute.
    """
    file, here = ROOT / path, Path.cwd()
    return (file.relative_to(here) if file.is_relative_to(here) else file).as_posix()


def path_from_root(file: str) -> str:
    """Return the path from the checkout's root of what `workflow_file` gave.

    Raises:
        ValueError: the file belongs to another checkout than this package, which then is not what Snakemake compares.
    """
    path = Path(file).absolute()
    if not path.is_relative_to(ROOT):
        raise ValueError(
            f"{path}: the workflow is not of the checkout {ROOT}, which the package pillsnap is imported from. Install "
            "the package of the workflow's own checkout (`make env` there), or set PYTHONPATH to that folder."
        )
    return path.relative_to(ROOT).as_posix()


def hash_of_code(rule: str) -> str:
    """Hash the modules behind a rule, names and contents: SHA-256, hexadecimal."""
    lines = [f"{path} {sha256_of(ROOT / path)}" for path in _modules_of(rule)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _modules_of(*names: str) -> list[str]:
    found: set[Path] = set()
    for name in names:
        places = sorted(PACKAGE.rglob(f"{name}.py"))
        if len(places) != 1:
            raise LookupError(f"{name}.py: expected one module of this name below {PACKAGE}, found {len(places)}")
        _collect(places[0], found)
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


def _collect(path: Path, found: set[Path]) -> None:
    found.add(path)
    for name in imported_modules(path):
        target = PACKAGE.joinpath(*name.split(".")).with_suffix(".py")
        if name not in NOT_TRACKED and target not in found:
            _collect(target, found)


@functools.cache
def imported_modules(path: Path) -> tuple[str, ...]:
    """Find the package's modules that a module imports, at its top or inside a function: `predict.nms` for instance.

    Imports below `if TYPE_CHECKING` do not count.
    """
    found: list[str] = []
    for node in _nodes(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found += [
                node.module,
                *(f"{node.module}.{alias.name}" for alias in node.names),
            ]  # modules, or what is in one
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
    ours = [name.removeprefix(f"{PACKAGE.name}.") for name in found if name.startswith(f"{PACKAGE.name}.")]
    return tuple(name for name in ours if PACKAGE.joinpath(*name.split(".")).with_suffix(".py").is_file())


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield node
            yield from _nodes(node)
