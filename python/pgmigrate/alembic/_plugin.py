"""The operation `op.pgmigrate_copy`, which alembic finds by the entry point ``alembic.plugins``.

See https://alembic.sqlalchemy.org/en/latest/api/plugins.html.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from pgmigrate.alembic._hook import ask_for_copy
from pgmigrate.alembic._move import CopyOptions, MoveOptions

if TYPE_CHECKING:
    from alembic.operations import Operations
    from alembic.runtime.plugins import Plugin
    from typing_extensions import Unpack


def setup(plugin: Plugin) -> None:
    """Adds the operation to alembic's `op`.

    Args:
        plugin: the plugin as alembic knows it.
    """
    from alembic.operations import MigrateOperation, Operations

    class PgMigrateCopyOp(MigrateOperation):
        """Tables whose rows are copied after the upgrade has committed."""

        def __init__(self, tables: Sequence[str], keywords: CopyOptions) -> None:
            self.tables = tables
            self.keywords = keywords

        @classmethod
        def pgmigrate_copy(
            cls, operations: Operations, tables: Sequence[str], **keywords: Unpack[CopyOptions]
        ) -> None:
            """Copies the rows of tables from the migration's source after the upgrade's commit.

            Needs a `pgmigrate.alembic.PostUpgrade` in env.py, whose migration has the source.

            Args:
                operations: alembic's.
                tables: the tables, as ``schema.table``.
                keywords: more keywords of `pgmigrate.Migration`, as `CopyOptions` lists them.

            Raises:
                ConfigError: env.py has no hook, or a keyword is wrong.
            """
            operations.invoke(cls(tables, keywords))

    def implementation(operations: Operations, operation: PgMigrateCopyOp) -> None:
        keywords = {**operation.keywords, "tables": list(operation.tables)}
        ask_for_copy(operations.get_context(), cast("MoveOptions", keywords))

    Operations.register_operation("pgmigrate_copy")(PgMigrateCopyOp)
    Operations.implementation_for(PgMigrateCopyOp)(implementation)
