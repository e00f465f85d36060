"""A user's scripts use every public name, pass mypy --strict against the package, and run.

A name is used where a script reads it; a member of a class where a function reads it of a parameter
or variable that is annotated with the class, so that no other class's member of the same name
counts, or where a script makes such an object with it.
"""

from __future__ import annotations

import ast
import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import griffe
import pytest

from pgmigrate import Connection, Migration, Procedure
from reference.public import every_base, members, public_names, shared_bases
from support import servers
from user import moves, options, parts, safely, throw_away

SCRIPTS: Final = Path(__file__).parents[1] / "user"


def trees() -> list[ast.Module]:
    return [ast.parse(path.read_text(encoding="utf-8")) for path in sorted(SCRIPTS.glob("*.py"))]


def imported(tree: ast.Module) -> dict[str, str]:
    """The name in a script -> what it imports by it."""
    return {
        alias.asname or alias.name: f"{statement.module}.{alias.name}"
        for statement in ast.walk(tree)
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }


def read_names(tree: ast.Module) -> set[str]:
    """What a script imports and then reads."""
    names = imported(tree)
    return {
        names[node.id]
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names
    }


def typed(function: ast.AST) -> Iterator[tuple[str, str]]:
    """Variables of a function and the names in their annotations."""
    for node in ast.walk(function):
        if isinstance(node, ast.arg) and node.annotation is not None:
            variable, annotation = node.arg, node.annotation
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            variable, annotation = node.target.id, node.annotation
        else:
            continue
        for part in ast.walk(annotation):
            if isinstance(part, ast.Name):
                yield variable, part.id


def read_members(tree: ast.Module) -> set[str]:
    """What a script reads of a class, as ``Class.member``."""
    found = {
        f"{call.func.id}.{keyword.arg}"
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
        for keyword in call.keywords
    }
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        types: dict[str, set[str]] = {}
        for variable, name in typed(function):
            types.setdefault(variable, set()).add(name)
        for node in ast.walk(function):
            if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
                # A key of a mapping with a type.
                key = getattr(node.slice, "value", "")
                found |= {f"{name}.{key}" for name in types.get(node.value.id, ())}
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                # A class method is read of the class itself.
                for name in types.get(node.value.id, {node.value.id}):
                    found.add(f"{name}.{node.attr}")
    return found


def test_every_public_name_is_used() -> None:
    used = set().union(*(read_names(tree) for tree in trees()))
    found = public_names()
    same = {found[title].path for title in used & found.keys()}
    assert [title for title, target in found.items() if target.path not in same] == []


def test_every_member_of_a_public_class_is_used() -> None:
    used = set().union(*(read_members(tree) for tree in trees()))
    unused = [
        f"{target.name}.{name}"
        for target in {one.path: one for one in public_names().values()}.values()
        if isinstance(target, griffe.Class)
        for name in members(target)
        if f"{target.name}.{name}" not in used
    ]
    assert unused == []


def test_every_member_of_a_shared_base_is_used() -> None:
    used = set().union(*(read_members(tree) for tree in trees()))
    for path, base in shared_bases().items():
        users = [
            target.name
            for target in public_names().values()
            if any(one.path == path for one in every_base(target))
        ]
        for name in members(base):
            assert any(f"{user}.{name}" in used for user in users), f"{base.name}.{name}"


def test_a_type_checker_finds_nothing_in_them(tmp_path: Path) -> None:
    """Away from the sources, so that it reads the installed package and its ``py.typed``.

    What mypy knows of other packages from a check of the project it need not read again.
    """
    shutil.copytree(SCRIPTS, tmp_path / "user", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--config-file=", "--python-version=3.10"),
            *(f"--cache-dir={SCRIPTS.parents[1] / '.mypy_cache'}", "user"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_migrations_of_a_user_run(
    databases: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moves.main(*databases, tmp_path)
    servers.assert_equal(*databases)
    assert "of a user" in capsys.readouterr().out


def test_parts_of_a_user_run(
    databases: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    migration = Migration(source=databases[0], target=databases[1], roles="none")
    parts.main(migration)
    servers.assert_equal(*databases)
    asyncio.run(parts.awaited(migration))
    assert "settled" in capsys.readouterr().out


def test_the_safe_procedure_of_a_user_runs(
    databases: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    procedure: Procedure = {"stop": "touch stopped", "start": "touch started", "cwd": str(tmp_path)}
    migration = Migration(
        source=databases[0],
        target=databases[1],
        roles="none",
        backup_dir=tmp_path,
        procedure=procedure,
    )
    safely.main(migration, tmp_path / "ticket.md")
    servers.assert_equal(*databases)
    assert asyncio.run(safely.awaited(migration))
    assert "the application is started" in capsys.readouterr().out
    assert {"stopped", "started", "ticket.md"} <= {path.name for path in tmp_path.iterdir()}


def test_a_configuration_with_every_key_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGMIGRATE_PASSWORD", "x")
    migration = options.whole(tmp_path)
    assert migration.config["options"]["statistics"] == "analyze"
    assert {*options.encrypted(), *options.tuned()} < Connection.__annotations__.keys()


def test_throw_away_servers_of_a_user_run(capsys: pytest.CaptureFixture[str]) -> None:
    throw_away.main()
    assert "verification: equal" in capsys.readouterr().out
