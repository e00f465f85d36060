"""pgmigrate[alembic]: a data move after an upgrade, one that a script asked for, and a guard."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

given = json.loads(sys.argv[1])

ENV = f"""
import psycopg
from alembic import context
from sqlalchemy import create_engine

from pgmigrate import Migration
from pgmigrate.alembic import PostUpgrade

given = {given!r}
migration = Migration(roles="none", **given)
hook = PostUpgrade(migration, on={{"head": ["app.t"]}})
engine = create_engine(
    "postgresql+psycopg://", creator=lambda: psycopg.connect(given["target"])
)
with engine.connect() as connection:
    context.configure(connection=connection, on_version_apply=hook)
    with context.begin_transaction():
        context.run_migrations()
    hook.run()
    tables = ("app.t", "other.o")
    counts = [connection.exec_driver_sql(f"SELECT count(*) FROM {{t}}").scalar() for t in tables]
    assert counts == [40, 1], counts
"""
SCRIPT = """
from alembic import op

revision, down_revision = "aa01", None


def upgrade():
    op.execute("CREATE SCHEMA app")
    op.execute("CREATE TABLE app.t (id int PRIMARY KEY, n int, v text)")
    op.execute("CREATE SCHEMA other")
    op.execute("CREATE TABLE other.o (a int)")
    op.pgmigrate_copy(["other.o"])
"""
versions = Path("migrations/versions")
versions.mkdir(parents=True)
Path("alembic.ini").write_text("[alembic]\nscript_location = %(here)s/migrations\n")
Path("migrations/env.py").write_text(ENV)
(versions / "aa01.py").write_text(SCRIPT)
subprocess.run([sys.executable, "-m", "alembic", "upgrade", "head"], check=True)

from pgmigrate import Migration  # noqa: E402
from pgmigrate.alembic import require_revision  # noqa: E402

guarded = require_revision(Migration(roles="none", **given))
(finding,) = (item for item in guarded.preflight().findings if item.check == "revision")
assert "the source has no version table of alembic" in finding.message, finding
