"""From an operator's arguments to a `Migration`: a configuration with connections inserted."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypeAlias

from pgmigrate import Configuration, Migration
from pgmigrate._bridge.options import from_keywords, read_documents
from pgmigrate.airflow.connection import conninfo_of
from pgmigrate.errors import ConfigError

Config: TypeAlias = "str | os.PathLike[str] | Configuration | None"
"""The path of a config file, or a mapping of the same shape."""


def migration_of(
    config: Config, source_conn_id: str | None, target_conn_id: str | None
) -> Migration:
    """The migration that an operator is to do.

    Args:
        config: what to move; everything if None.
        source_conn_id: the Airflow connection that replaces the configuration's source.
        target_conn_id: the same for the target.

    Raises:
        ConfigError: something is wrong in the configuration or in a connection.
    """
    options = _options(config)
    for side, conn_id in (("source", source_conn_id), ("target", target_conn_id)):
        if conn_id:
            options[side] = conninfo_of(conn_id)
    return Migration._from_options(options)


def _options(config: Config) -> dict[str, Any]:
    if config is None:
        return {}
    if isinstance(config, Mapping):
        return from_keywords(config, {})
    documents = read_documents(config)
    if len(documents) != 1:
        raise ConfigError(
            f"{os.fspath(config)} describes {len(documents)} migrations, not one",
            name="several_migrations",
            remedy="make a file, and a task, for each of them",
        )
    return documents[0]
