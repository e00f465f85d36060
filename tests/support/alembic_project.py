"""A project with alembic: a folder with env.py and revisions, and its commands as processes."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy
from psycopg.conninfo import conninfo_to_dict

from support.shell import Done

INI = "[alembic]\nscript_location = %(here)s/migrations\n"

ENV = """
import os

from alembic import context
from sqlalchemy import create_engine, pool

from pgmigrate import Migration
from pgmigrate.alembic import PostUpgrade

migration = Migration(source=os.environ["SOURCE"], target=os.environ["TARGET"], roles="none")
{before}
hook = PostUpgrade(migration, on={on})


def online():
    engine = create_engine(os.environ["URL"], poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection, on_version_apply=hook{configure})
        with context.begin_transaction():
            context.run_migrations()
        {between}
        hook.run()


def offline():
    context.configure(
        url=os.environ["URL"], literal_binds=True, on_version_apply=hook, output_buffer=None
    )
    with context.begin_transaction():
        context.run_migrations()
    hook.run()


if context.is_offline_mode():
    offline()
else:
    online()
"""

REVISION = """
from alembic import op

revision = {revision!r}
down_revision = {below!r}
branch_labels = {labels!r}
depends_on = {depends_on!r}


def upgrade():
    {upgrade}


def downgrade():
    {downgrade}
"""


def url(conninfo: str) -> str:
    """A conninfo as SQLAlchemy writes it, with psycopg as its driver."""
    parts = conninfo_to_dict(conninfo)
    made = sqlalchemy.URL.create(
        "postgresql+psycopg",
        username=str(parts["user"]),
        password=str(parts["password"]),
        host=str(parts["host"]),
        port=int(str(parts["port"])),
        database=str(parts["dbname"]),
    )
    return made.render_as_string(hide_password=False)


@dataclass(frozen=True)
class Project:
    """A folder with alembic.ini and migrations, between two databases."""

    folder: Path
    source: str
    target: str

    def env(
        self,
        on: str,
        *,
        before: str = "",
        configure: str = "",
        between: str = "",
        text: str = ENV,
    ) -> None:
        """Writes alembic.ini and env.py.

        The arguments are Python: `on`, what stands before the hook, more of context.configure, and
        what stands between the commit and the hook's run.
        """
        (self.folder / "alembic.ini").write_text(INI)
        versions = self.folder / "migrations" / "versions"
        versions.mkdir(parents=True, exist_ok=True)
        made = text.format(on=on, before=before, configure=configure, between=between)
        (versions.parent / "env.py").write_text(made)

    def revision(
        self,
        revision: str,
        below: str | tuple[str, ...] | None,
        *upgrade: str,
        downgrade: tuple[str, ...] = (),
        labels: str | None = None,
        depends_on: str | None = None,
    ) -> None:
        """Writes a revision. Its statements are SQL, or Python where they begin with ``op.``."""
        text = REVISION.format(
            revision=revision,
            below=below,
            labels=labels,
            depends_on=depends_on,
            upgrade=_body(upgrade),
            downgrade=_body(downgrade),
        )
        (self.folder / "migrations" / "versions" / f"{revision}.py").write_text(text)

    def alembic(self, *arguments: str, **environment: str) -> Done:
        """Runs an alembic command to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "alembic", *arguments],
            cwd=self.folder,
            env={
                **os.environ,
                "SOURCE": self.source,
                "TARGET": self.target,
                "URL": url(self.target),
                **environment,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def upgrade(self, revision: str = "head", **environment: str) -> None:
        """Runs `alembic upgrade`, which must do."""
        done = self.alembic("upgrade", revision, **environment)
        assert done.code == 0, done.text


def _body(statements: tuple[str, ...]) -> str:
    lines = [line if line.startswith("op.") else f"op.execute({line!r})" for line in statements]
    return "\n    ".join(lines) or "pass"
