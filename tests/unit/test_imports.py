"""What importing a public module imports: the base package nothing but itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

from reference.public import public_modules

# Of the standard library, what costs time and only some verbs need.
HEAVY = {"asyncio", "multiprocessing", "sqlite3", "subprocess", "xml"}

# Public module -> the packages that it may import: those that it is about.
BROUGHT = {
    "pgmigrate": set[str](),
    # Its operators are imported when they are asked for.
    "pgmigrate.airflow": set[str](),
    # Alembic's own imports: mako takes pygments where it is there, SQLAlchemy is partly Cython.
    "pgmigrate.alembic": {
        "alembic",
        "cython_runtime",
        "greenlet",
        "mako",
        "markupsafe",
        "pygments",
        "sqlalchemy",
        "typing_extensions",
    },
    "pgmigrate.cli": {"click"},
    "pgmigrate.demo": set[str](),
    "pgmigrate.demo_database": set[str](),
    "pgmigrate.embedded": set[str](),
    "pgmigrate.errors": set[str](),
    "pgmigrate.events": set[str](),
    "pgmigrate.progress": set[str](),
}


def imported(module: str) -> set[str]:
    """The packages that an import adds to those of a new interpreter."""
    script = (
        f"import sys; before = set(sys.modules); import {module}\n"
        "print(*{name.partition('.')[0] for name in sys.modules.keys() - before})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    # Names that begin with an underscore are parts of others, such as what Cython shares.
    found = {name for name in done.stdout.split() if not name.startswith("_")}
    return found - {"pgmigrate"}


def test_every_public_module_is_tried() -> None:
    assert {module.path for module in public_modules()} == BROUGHT.keys()


@pytest.mark.parametrize("module", BROUGHT)
def test_a_module_brings_no_package_that_it_is_not_about(module: str) -> None:
    assert imported(module) - sys.stdlib_module_names <= BROUGHT[module]


def test_the_base_package_brings_nothing_that_takes_long() -> None:
    assert imported("pgmigrate") & HEAVY == set()
