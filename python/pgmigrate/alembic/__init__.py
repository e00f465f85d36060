"""Data moves that follow an alembic upgrade, and a guard of both databases' revisions.

    # env.py
    hook = PostUpgrade(migration, on={"4f2a9c": ["shop.orders"], "head": ["shop.prices"]})

    with connectable.connect() as connection:
        context.configure(connection=connection, on_version_apply=hook)
        with context.begin_transaction():
            context.run_migrations()
        hook.run()

Needs the extra ``alembic``.
"""

try:
    import alembic as _alembic  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "alembic":
        raise
    raise ModuleNotFoundError(
        "pgmigrate.alembic needs alembic: pip install 'pgmigrate[alembic]'", name="alembic"
    ) from None

from pgmigrate.alembic._hook import PostUpgrade
from pgmigrate.alembic._move import CopyOptions, MoveOptions, What
from pgmigrate.alembic._revision import require_revision

__all__ = ["CopyOptions", "MoveOptions", "PostUpgrade", "What", "require_revision"]
