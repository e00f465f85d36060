"""The demonstration database: an airline's bookings, about a million rows in twelve tables.

``fill`` runs ``demo.sql``, which is next to this file and can also be run in psql by hand. The
rows are the same on every server and at every call with the same scale.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from pgmigrate.embedded import EmbeddedServerError, find_tool

__all__ = ["SCRIPT", "fill"]

SCRIPT: Final = Path(__file__).with_name("demo.sql")
"""What `fill` runs."""

# keyword = value; the value is quoted or has no blanks; a backslash escapes the next character.
_SETTING: Final = re.compile(r"\s*(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s\\']|\\.)*)\s*", re.DOTALL)


def fill(conninfo: str, scale: float = 1.0, psql: Path | None = None) -> None:
    """Creates the schema ``bookings`` with its rows in a database.

    Args:
        conninfo: the database, as key/value string or ``postgresql://`` URI, of a role that may
            create roles and schemas.
        scale: 1.0 makes about one million rows; the large tables grow in proportion.
        psql: the program to run the script with; that of the newest PostgreSQL found if None.

    Raises:
        ValueError: ``scale`` is not above zero, or ``conninfo`` cannot be read.
        EmbeddedServerError: there is no psql, or the script failed; nothing was created.
    """
    if not 0 < scale <= 1000:
        raise ValueError(f"scale must be above 0 and at most 1000, not {scale}")
    target, password = _split_password(conninfo)
    environment = dict(os.environ)
    if password is not None:
        environment["PGPASSWORD"] = password
    done = subprocess.run(
        [
            psql or find_tool("psql"),
            "--no-psqlrc",
            "--no-password",
            f"--set=rows_scale={scale:f}",
            f"--file={SCRIPT}",
            f"--dbname={target}",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise EmbeddedServerError(
            f"filling the demonstration database failed:\n{done.stderr.strip()}"
        )


def _split_password(conninfo: str) -> tuple[str, str | None]:
    """The conninfo without its password, and the password: command lines are visible to others."""
    if conninfo.startswith(("postgresql://", "postgres://")):
        return _split_uri(conninfo)
    kept: list[str] = []
    password: str | None = None
    position = 0
    while position < len(conninfo):
        match = _SETTING.match(conninfo, position)
        if match is None:
            raise ValueError(
                "conninfo is neither a postgresql:// URI nor made of keyword=value pairs"
            )
        if match[1] == "password":
            raw = match[2][1:-1] if match[2].startswith("'") else match[2]
            password = re.sub(r"\\(.)", r"\1", raw, flags=re.DOTALL)
        else:
            kept.append(f"{match[1]}={match[2]}")
        position = match.end()
    return " ".join(kept), password


def _split_uri(uri: str) -> tuple[str, str | None]:
    scheme, _, rest = uri.partition("://")
    location, question_mark, query = rest.partition("?")
    authority, slash, dbname = location.partition("/")
    user, at, hosts = authority.rpartition("@")
    user, colon, quoted = user.partition(":")
    password = unquote(quoted) if colon else None
    kept: list[str] = []
    for setting in query.split("&"):
        keyword, _, value = setting.partition("=")
        if keyword == "password":
            password = unquote(value)
        else:
            kept.append(setting)
    query = "&".join(kept)
    return f"{scheme}://{user}{at}{hosts}{slash}{dbname}{question_mark}{query}", password
