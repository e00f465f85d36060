"""What pg_dump says of a database, and what of that is the same for equal databases."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgmigrate.embedded import find_tool


def schema(
    conninfo: str, ignore_schemas: Iterable[str] = (), *, bin_dir: Path | None = None
) -> str:
    """`pg_dump --schema-only`, with what differs between equal databases taken out.

    Entries are sorted, since pg_dump breaks ties between them by OID. `bin_dir` holds another
    pg_dump than the newest one found, e.g. one built with TLS.
    """
    return "\n".join(sorted_entries(portable(dump(conninfo, ignore_schemas, bin_dir))))


def run(
    program: str, conninfo: str, *arguments: str, script: str = "", bin_dir: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Runs a client program on a database."""
    parameters = conninfo_to_dict(conninfo)
    # Arguments of a program are public.
    password = parameters.pop("password", None)
    environment = {**os.environ, "PGCLIENTENCODING": "UTF8"}
    if password is not None:
        environment["PGPASSWORD"] = str(password)
    return subprocess.run(
        [
            bin_dir / program if bin_dir is not None else find_tool(program),
            *arguments,
            f"--dbname={make_conninfo('', **parameters)}",
        ],
        # Bytes, because text mode would take carriage returns for line ends.
        input=script.encode(),
        capture_output=True,
        env=environment,
        check=False,
    )


def without_membership_options(script: str) -> str:
    """What pg_dumpall writes of memberships, as servers before 16 take it."""
    return re.sub(r"(?m)^(GRANT \S+ TO \S+) WITH INHERIT .*;$", r"\1;", script)


def dump(
    conninfo: str,
    ignore_schemas: Iterable[str] = (),
    bin_dir: Path | None = None,
    *,
    schema_only: bool = True,
) -> str:
    """What pg_dump writes of a database."""
    # In patterns, double quotes keep letters and wildcards as they are.
    excluded = ['--exclude-schema="{}"'.format(name.replace('"', '""')) for name in ignore_schemas]
    what = ["--schema-only"] if schema_only else []
    done = run("pg_dump", conninfo, *what, *excluded, bin_dir=bin_dir)
    if done.returncode != 0:
        raise AssertionError(f"pg_dump ended with {done.returncode}:\n{done.stderr.decode()}")
    return done.stdout.decode()


_VERSION_LINES = re.compile(
    r"^(?:-- (?:Dumped (?:from|by)|Started on|Completed on) .*|\\(?:un)?restrict .*)\n",
    re.MULTILINE,
)
# The settings at a dump's head depend on the versions of server and pg_dump; default_tablespace and
# default_table_access_method stand among the entries and matter.
_SESSION_LINES = re.compile(
    r"^(?:SET (?!default_table)\w+ = .*;|SELECT pg_catalog\.set_config\('search_path'.*\);)\n",
    re.MULTILINE,
)
_DEFAULT_LINES = re.compile(r"^SET (default_table\w+) = .*;\n", re.MULTILINE)
# Some servers number the columns' versions in attoptions, which others neither have nor take.
_ATTVER_ALONE = re.compile(
    r"""^ALTER [A-Z ]+ (?:"(?:[^"]|"")*"|[^"';(])* SET \(pg_attver='?\d+'?\);\n""", re.MULTILINE
)
_ATTVER_AMONG_OTHERS = re.compile(r"(?<=\()pg_attver='?\d+'?, |, pg_attver='?\d+'?(?=[,)])")


def without_attver(text: str) -> str:
    """A dump without the option that some servers keep for columns and others refuse."""
    return _ATTVER_AMONG_OTHERS.sub("", _ATTVER_ALONE.sub("", text))


_ROLE = r'(?:"(?:[^"]|"")*"|[a-z0-9_]+)'
_POLICY_ROLES = re.compile(rf"(?<= TO ){_ROLE}(?:, {_ROLE})+(?= USING \(| WITH CHECK \(|;)")


def _with_sorted_roles(entry: str) -> str:
    """The entry of a policy with its roles by name: a dump has them in the order of the catalog."""
    if not re.match("-- Name: .*; Type: POLICY;", entry):
        return entry
    return _POLICY_ROLES.sub(lambda found: ", ".join(sorted(re.findall(_ROLE, found[0]))), entry)


def portable(text: str) -> str:
    """A dump without what depends on the versions and the time."""
    return without_attver(_VERSION_LINES.sub("", text))


def sorted_entries(text: str) -> list[str]:
    """The entries of a dump, each with the settings that it stands under."""
    # A default_... line holds for all entries after it. Sorting would hand it to others, so each
    # entry gets the lines that were in force where it stood.
    text, _, _ = text.partition("\n--\n-- PostgreSQL database dump complete")
    head, *entries = re.split(
        r"^--\n(?=-- Name: )", _SESSION_LINES.sub("", text), flags=re.MULTILINE
    )
    in_force: dict[str, str] = {}
    settled: list[str] = []
    for entry in (head, *entries):
        has_storage = re.match(
            "-- Name: .*; Type: (TABLE|MATERIALIZED VIEW|INDEX|CONSTRAINT);", entry
        )
        applied = "".join(in_force.values()) if has_storage else ""
        plain = _DEFAULT_LINES.sub("", _with_sorted_roles(entry)).strip()
        settled.append(f"{plain}\n{applied}")
        in_force.update((match[1], match[0]) for match in _DEFAULT_LINES.finditer(entry))
    return sorted(settled[1:])
