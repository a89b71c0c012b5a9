"""Which modules a rule's result depends on: its own and, through their imports, all others of the package.

Snakemake sees neither an edit of an imported module nor of a script that `shell:` starts. As inputs named `code` they
are compared by content, so that an edit runs again just the rules that it can change.
"""

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path

from pillsnap.files import sha256_of

PACKAGE = Path(__file__).parent

CARRIERS = {
    "config",
    "config_data",
    "config_training",
    "load_config",
    "files",
    "hardware",
    "progress",
    "provenance",
    "reasons",
    "training.board",
    "training.checkpoints",
    "training.resources",
    "training.state",
    "training.watch",
    "training.written",
}
"""Modules that carry settings, files and names from place to place and decide no result: edits rerun nothing."""


def code_of(module: str, *others: str) -> list[str]:
    """Paths from the project's root of the modules behind a rule.

    Args:
        module: the rule's own one below `pillsnap/`, without ending (`cut_crops`, `synthetic/archives`).
        others: more files, as paths from the project's root; given back after the modules.

    Raises:
        FileNotFoundError: there is no such module.
    """
    found: set[Path] = set()
    _collect(PACKAGE / f"{module}.py", found)
    return sorted(f"{PACKAGE.name}/{path.relative_to(PACKAGE).as_posix()}" for path in found) + list(others)


def hash_of_code(module: str) -> str:
    """SHA-256 of the modules behind `module`: names and contents; hexadecimal."""
    lines = [f"{path} {sha256_of(PACKAGE.parent / path)}" for path in code_of(module)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _collect(path: Path, found: set[Path]) -> None:
    found.add(path)
    for name in _imports(path):
        parts = name.split(".")[1:]
        if not parts or CARRIERS & {parts[0], ".".join(parts)}:
            continue
        place = PACKAGE.joinpath(*parts)
        target = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if target not in found:
            _collect(target, found)


def _is_module(name: str) -> bool:
    place = PACKAGE.parent.joinpath(*name.split("."))
    return place.is_dir() or place.with_suffix(".py").is_file()


def _imports(path: Path) -> Iterator[str]:
    """Names of the package's modules that a module imports at its top; what a function imports is another rule's."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module == PACKAGE.name:
            yield from (f"{PACKAGE.name}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE.name + "."):
            # a name may be a module of a package, or something in a module
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (node.module, *filter(_is_module, names))
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith(PACKAGE.name + "."))
