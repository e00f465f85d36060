"""Revisions of alembic by their symbolic names, and the check of both databases' revisions."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from pgmigrate import Migration
from pgmigrate.alembic._move import derived
from pgmigrate.errors import ConfigError

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

HEAD: Final = ("head", "heads")


def require_revision(
    migration: Migration,
    *,
    source: str | None = "head",
    target: str | None = "head",
    alembic_config: Config | str | os.PathLike[str] | None = None,
) -> Migration:
    """The migration with a guard: its preflight blocks if a database is at another revision.

    The names are those of alembic (https://alembic.sqlalchemy.org/en/latest/branches.html) and are
    resolved now, from the scripts; the guard itself is the key ``options.require_revision``.

    Args:
        migration: the migration to guard.
        source: the revision that the source must be at: ``head``, an id or its beginning, a branch
            label; any revision if None.
        target: the revision that the target must be at.
        alembic_config: alembic's configuration or the path of its file; if None, that of the
            running env.py, else ``alembic.ini``.

    Returns:
        A new migration; the one that was given stays as it is.

    Raises:
        ConfigError: the scripts have no such revision, or cannot be read.
    """
    script = _script(alembic_config)
    wanted = {"source": source, "target": target}
    rule = {side: resolved(script, name) for side, name in wanted.items() if name is not None}
    return derived(migration, {"require_revision": rule})


def resolved(script: ScriptDirectory, name: str) -> list[str]:
    """The full ids that a symbolic name means; all heads for ``head``.

    Args:
        script: where the revisions are.
        name: as alembic's commands take it.

    Raises:
        ConfigError: there is none.
    """
    from alembic.util import CommandError

    try:
        if name in HEAD:
            found = script.get_heads(consider_depends_on=True)
        else:
            found = [revision.revision for revision in script.get_revisions(name)]
    except CommandError as error:
        raise ConfigError(f"alembic's revision {name}: {error}", name="revision_unknown") from error
    if not found:
        raise ConfigError(
            f"alembic's revision {name}: the scripts have none of that name",
            name="revision_unknown",
        )
    return sorted(found)


def applied(script: ScriptDirectory, heads: set[str]) -> set[str]:
    """The revisions of a database at these heads: they, their ancestors and their dependencies."""
    from alembic.util import to_tuple

    found: set[str] = set()
    open_ = list(heads)
    while open_:
        revision = script.get_revision(open_.pop())
        if revision.revision not in found:
            found.add(revision.revision)
            open_ += to_tuple(revision.down_revision, default=())
            open_ += to_tuple(revision.dependencies, default=())
    return found


def _script(alembic_config: Config | str | os.PathLike[str] | None) -> ScriptDirectory:
    from alembic import context
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    if alembic_config is None:
        try:
            alembic_config = context.config
        except (AttributeError, NameError):
            # No env.py is running.
            alembic_config = Config("alembic.ini", toml_file="pyproject.toml")
    elif not isinstance(alembic_config, Config):
        alembic_config = Config(os.fspath(alembic_config))
    try:
        return ScriptDirectory.from_config(alembic_config)
    except CommandError as error:
        raise ConfigError(
            f"alembic's scripts cannot be read: {error}",
            name="scripts_unreadable",
            remedy="name alembic's configuration in alembic_config",
        ) from error
