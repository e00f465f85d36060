"""Alembic's revisions in preflight and plan: the guard, and alembic's own table in scope."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from conftest import Pair
from pgmigrate import ConfigError, Finding, Migration, PreflightError
from pgmigrate.alembic import require_revision
from support import servers
from support.alembic_project import Project
from support.config_keys import shows

TABLES = (
    "CREATE SCHEMA shop",
    "CREATE TABLE shop.items (id int PRIMARY KEY)",
)


@pytest.fixture
def project(pair: Pair, tmp_path: Path) -> Project:
    """Two databases under alembic: the source at `bb02`, the target at `aa01`."""
    project = Project(tmp_path, pair.source(), pair.target())
    project.env("{}")
    project.revision("aa01", None, *TABLES)
    project.revision("bb02", "aa01", "ALTER TABLE shop.items ADD COLUMN name text")
    upgrade(project, project.source, "bb02")
    upgrade(project, project.target, "aa01")
    servers.run_script(project.source, "INSERT INTO shop.items VALUES (1, 'one')")
    return project


def upgrade(project: Project, conninfo: str, revision: str) -> None:
    Project(project.folder, project.source, conninfo).upgrade(revision)


def migration(project: Project, **keywords: Any) -> Migration:
    databases = {"source": project.source, "target": project.target}
    return Migration(**{"tables": ["shop.items"], "roles": "none", **databases, **keywords})


def found(migration: Migration, check: str = "revision") -> list[Finding]:
    return [item for item in migration.preflight().findings if item.check == check]


def execute(conninfo: str, *statements: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


@shows("options.require_revision")
def test_two_revisions_block_a_run_that_wants_the_same(project: Project) -> None:
    guarded = migration(project, require_revision="same")
    with pytest.raises(PreflightError) as caught:
        guarded.run()
    (finding,) = [item for item in caught.value.findings if item.severity == "blocking"]
    assert finding.message == (
        "alembic's revision is bb02 on the source and aa01 on the target; "
        "required is the same on both"
    )
    assert "`alembic upgrade bb02` on the target" in finding.remedy
    assert servers.rows(project.target, "shop", "items") == []
    upgrade(project, project.target, "bb02")
    guarded.run().raise_for_failures()
    assert servers.rows(project.target, "shop", "items") == [("1", "one")]


@shows("options.require_revision.source", "options.require_revision.target")
def test_named_revisions_are_required_on_each_side(project: Project) -> None:
    assert found(migration(project, require_revision={"source": "bb02", "target": ["aa01"]})) == []
    assert found(migration(project, require_revision={"source": "bb02"})) == []
    (finding,) = found(migration(project, require_revision={"source": "bb02", "target": "cc03"}))
    assert finding.severity == "blocking"
    assert finding.message == (
        "alembic's revision is bb02 on the source and aa01 on the target; "
        "required is bb02 on the source and cc03 on the target"
    )
    assert finding.remedy == "run `alembic upgrade cc03` on the target"


def test_heads_of_several_branches_are_a_set(project: Project) -> None:
    project.revision("dd01", None, "SELECT 1")
    upgrade(project, project.source, "heads")
    assert found(migration(project, require_revision={"source": ["dd01", "bb02"]})) == []
    (finding,) = found(migration(project, require_revision={"source": "bb02"}))
    assert "revision is bb02, dd01 on the source" in finding.message


@shows("options.require_revision.table")
def test_the_version_table_is_found_or_named(project: Project) -> None:
    execute(project.source, "ALTER TABLE alembic_version RENAME TO revision_of_shop")
    guard: dict[str, Any] = {"source": "bb02"}
    assert found(migration(project, require_revision=guard)) == []

    execute(project.source, "CREATE TABLE shop.versions (version_num text)")
    (finding,) = found(migration(project, require_revision=guard))
    assert finding.message.endswith("public.revision_of_shop, shop.versions")
    assert "options.require_revision.table" in finding.remedy
    named = {**guard, "table": "public.revision_of_shop"}
    assert found(migration(project, require_revision=named)) == []
    (finding,) = found(migration(project, require_revision={**guard, "table": "shop.items"}))
    assert (finding.severity, finding.object) == ("blocking", "shop.items")


def test_a_database_that_alembic_does_not_know(project: Project) -> None:
    execute(project.target, "DROP TABLE alembic_version")
    for rule in ("same", {"target": "bb02"}):
        (finding,) = found(migration(project, require_revision=rule))
        assert finding.message.startswith("the target has no version table of alembic")
    assert found(migration(project, require_revision={"source": "bb02"})) == []


def test_a_version_table_that_may_not_be_read(project: Project) -> None:
    name = "guard_reader"
    execute(project.source, f"CREATE ROLE {name} LOGIN PASSWORD 'guard'")
    try:
        execute(
            project.source,
            f"GRANT USAGE ON SCHEMA shop TO {name}",
            f"GRANT SELECT ON shop.items TO {name}",
        )
        source = make_conninfo(project.source, user=name, password="guard")
        (finding,) = found(migration(project, source=source, require_revision="same"))
        assert finding.remedy.endswith(
            'GRANT SELECT ON "public"."alembic_version" TO "guard_reader"'
        )
        execute(project.source, *finding.remedy.split("; "))
        (finding,) = found(migration(project, source=source, require_revision="same"))
        assert finding.message.startswith("alembic's revision is bb02 on the source")
    finally:
        execute(project.source, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def test_symbolic_names_are_resolved_by_the_scripts(project: Project) -> None:
    ini = project.folder / "alembic.ini"
    plain = migration(project)

    def rule(**names: Any) -> Any:
        guarded = require_revision(plain, alembic_config=ini, **names)
        return guarded.config["options"]["require_revision"]

    assert rule() == {"source": ["bb02"], "target": ["bb02"]}
    assert rule(source="aa", target=None) == {"source": ["aa01"]}
    assert rule(source="bb02", target="-1") == {"source": ["bb02"], "target": ["aa01"]}
    project.revision("dd01", None, labels="audit", depends_on="bb02")
    assert rule(source="head", target="audit@head") == {"source": ["dd01"], "target": ["dd01"]}
    assert plain.config["options"]["require_revision"] is None
    for wrong in ("ffff", "base"):
        with pytest.raises(ConfigError, match=f"alembic's revision {wrong}"):
            rule(source=wrong)
    with pytest.raises(ConfigError, match="alembic's scripts"):
        require_revision(plain, alembic_config=project.folder / "none.ini")

    (finding,) = found(require_revision(plain, source=None, target="bb02", alembic_config=ini))
    assert finding.message.endswith("required is bb02 on the target")


def test_a_plan_notes_alembics_own_table(project: Project) -> None:
    def notes(**keywords: Any) -> list[Finding]:
        plan = migration(project, **keywords).plan()
        return [item for item in plan.findings if item.check == "alembic_version"]

    (note,) = notes(tables=None)
    assert (note.severity, note.object) == ("info", "public.alembic_version")
    (note,) = notes(tables=None, data_only=True)
    assert note.severity == "warning"
    assert "tables.exclude: [public.alembic_version]" in note.remedy
    assert notes(tables={"exclude": ["public.alembic_version"]}) == []
    assert notes() == []
    assert notes(tables=["shop.items", "public.alembic_version"], on_existing="skip") == []


def test_a_preflight_warns_of_a_revision_that_is_written_over(project: Project) -> None:
    def warned(**keywords: Any) -> list[str]:
        chosen = migration(project, tables=["public.alembic_version"], **keywords)
        return [
            item.message for item in found(chosen, "alembic_version") if item.severity == "warning"
        ]

    (added,) = warned()
    assert "the source's revision bb02 is added to the target's aa01" in added
    (over,) = warned(on_existing="truncate")
    assert "the target's revision aa01 becomes the source's bb02" in over
    assert warned(on_existing="skip") == []
    upgrade(project, project.target, "bb02")
    assert warned() == []
