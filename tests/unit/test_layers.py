"""One direction of imports: each package takes from those below it alone, and none in a cycle.

Every import counts, also one within a function or for type checkers: a reader follows them all.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "python" / "pgmigrate"
# Lines of a function.
LONGEST: Final = 60

# From the bottom up. A name is a package or a module of the package.
LAYERS: Final = (
    ("_values",),
    ("errors", "events"),
    ("_bridge",),
    ("_journal",),
    ("_results",),
    ("_display",),
    ("_procedure",),
    ("_migration",),
    ("progress",),
    ("",),
    ("embedded",),
    ("demo_database",),
    ("demo",),
    ("cli", "airflow", "alembic"),
    ("__main__",),
)
HEIGHT: Final = {name: height for height, names in enumerate(LAYERS) for name in names}


def modules() -> dict[str, Path]:
    """The modules below the package, by their dotted paths; the package itself has none."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES: Final = modules()


def layer(module: str) -> str:
    return module.partition(".")[0]


def imports(module: str) -> set[str]:
    """The modules that a module imports anywhere in it; its own ancestors are none of these."""
    found = set()
    for name in _names(ast.parse(MODULES[module].read_text())):
        inner = name.removeprefix(PACKAGE.name).removeprefix(".")
        # `from pgmigrate.a import b`: a module b, or a name in a.
        for candidate in (inner, inner.rpartition(".")[0]):
            if candidate in MODULES:
                found.add(candidate)
                break
    return found - {module}


def _names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from filter(_is_counted, names)


def _is_counted(name: str) -> bool:
    # The core is below all of them.
    is_core = f"{name}.".startswith(f"{PACKAGE.name}._native.")
    return f"{name}.".startswith(f"{PACKAGE.name}.") and not is_core


def test_every_module_has_a_layer() -> None:
    assert {layer(module) for module in MODULES} == HEIGHT.keys()


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_module_imports_from_above(module: str) -> None:
    above = {
        other
        for other in imports(module)
        if HEIGHT[layer(other)] > HEIGHT[layer(module)]
        or (HEIGHT[layer(other)] == HEIGHT[layer(module)] and layer(other) != layer(module))
    }
    assert above == set()


def test_no_modules_import_each_other_in_a_cycle() -> None:
    try:
        TopologicalSorter({module: imports(module) for module in MODULES}).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_functions_stay_short_enough_to_read() -> None:
    """With their parameters and their docstrings, as the core's; decorators declare options."""
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for folder in ("python", "tests", "notebooks")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= LONGEST
    ]
    assert long == [], "divide it by what it does"
