"""The package's rooms: few modules side by side, no circle between rooms, and imports that cost no more than needed."""

import ast
import importlib
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from pillsnap.workflow.code_inputs import PACKAGE, imported_modules
from tests.support.workflow import PROJECT

MOST_FLAT = 8
MOST_IN_A_ROOM = 16
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
ROOMS = sorted(path.parent for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE)


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def test_few_modules_lie_flat() -> None:
    flat = [path.name for path in MODULES if path.parent == PACKAGE]
    assert len(flat) <= MOST_FLAT, flat


@pytest.mark.parametrize("room", ROOMS, ids=name_of)
def test_a_room_holds_few_modules_and_says_what(room: Path) -> None:
    """`__init__.py` has one line and no code: a rule depends on what it uses, and `pillsnap.predict` loads no torch."""
    modules = [path.name for path in MODULES if path.parent == room]
    assert 0 < len(modules) <= MOST_IN_A_ROOM, modules
    (docstring,) = ast.parse((room / "__init__.py").read_text(encoding="utf-8")).body
    assert isinstance(docstring, ast.Expr) and isinstance(docstring.value, ast.Constant)
    assert len(docstring.value.value.splitlines()) == 1


def test_no_room_imports_another_in_a_circle() -> None:
    """Rooms are the folders of the first level, and the modules beside them; imports in functions count."""
    graph: dict[str, set[str]] = {}
    for path in MODULES:
        room = name_of(path).split("/")[0].removesuffix(".py")
        others = {name.split(".")[0] for name in imported_modules(path)} - {room}
        graph.setdefault(room, set()).update(others)
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle
    assert set(order) == set(graph)
    assert order.index("files") < order.index("manifest") < order.index("cli")


def test_every_folder_of_modules_is_a_package() -> None:
    assert {path.parent for path in MODULES} == {PACKAGE, *ROOMS}


def test_answering_class_is_imported_without_torch() -> None:
    code = "import sys; from pillsnap import PillSnap; print(PillSnap.__name__, *sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True)
    name, *loaded = done.stdout.split()
    assert name == "PillSnap"
    assert not {"torch", "ultralytics", "timm", "pandas", "snakemake"} & set(loaded)


def test_package_loads_nothing_before_it_is_asked() -> None:
    code = "import sys, pillsnap; print(pillsnap.__version__, 'onnxruntime' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True)
    assert done.stdout.split()[1:] == ["False", "False"]


SCRIPTS = sorted(path for folder in ("benchmarks", "scripts") for path in (PROJECT / folder).rglob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_imports_of_scripts_lead_somewhere(script: Path) -> None:
    """Scripts run for minutes and rarely; a name that has moved is found here."""
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "pillsnap":
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")
