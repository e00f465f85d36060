"""From an Airflow connection to a conninfo: every field and every extra of it.

`PostgresHook.get_uri` is not used, because it drops the extras, ``sslmode`` among them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pgmigrate._bridge.logs import SteadyLogger
from pgmigrate.errors import ConfigError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

logger: Final = SteadyLogger("pgmigrate")

_TYPES: Final = ("postgres", "postgresql")
_SYNONYMS: Final = {"database": "dbname", "username": "user"}
# Extras of Airflow's Postgres connections that are not keywords of libpq:
# https://airflow.apache.org/docs/apache-airflow-providers-postgres/stable/connections/postgres.html
_OTHER_LOGINS: Final = ("iam", "azure_conn_id", "redshift", "redshift-serverless")
_OF_THE_HOOK: Final = (
    "cursor",
    "sqlalchemy_scheme",
    "sqlalchemy_query",
    "aws_conn_id",
    "cluster-identifier",
    "workgroup-name",
)


def conninfo_of(conn_id: str) -> dict[str, str]:
    """The conninfo of an Airflow connection, as keywords and values.

    If a field and an extra set the same keyword, the extra wins, as in Airflow's own hook. Extras
    that concern only that hook (``cursor``, ``sqlalchemy_...``) are left out. An extra that is not
    a keyword of a conninfo is passed on, because the core refuses it by name before it connects:
    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS

    Args:
        conn_id: the connection's id.

    Raises:
        ConfigError: the connection is not one to PostgreSQL, its extras cannot be read, or it
            requires a login by a token that only Airflow's hook can get.
    """
    from airflow.providers.common.compat.sdk import BaseHook

    connection = BaseHook.get_connection(conn_id)
    if (connection.conn_type or "").lower() not in _TYPES:
        raise ConfigError(
            f"connection {conn_id}: its type is {connection.conn_type!r}, not 'postgres'",
            name="connection_type",
            remedy="name a connection of type postgres",
        )
    fields = {
        "host": connection.host,
        "port": connection.port,
        "user": connection.login,
        "password": connection.password,
        "dbname": connection.schema,
    }
    given = {key: value for key, value in fields.items() if value not in (None, "")}
    given.update(_extras(conn_id, connection))
    return {key: _text(conn_id, key, value) for key, value in given.items() if value is not None}


def _extras(conn_id: str, connection: Connection) -> dict[str, Any]:
    try:
        extras = json.loads(connection.extra or "{}")
    except json.JSONDecodeError:
        # Airflow would go on without any of them; the decoder's own message quotes the text.
        extras = None
    if not isinstance(extras, dict):
        raise ConfigError(
            f"connection {conn_id}: its extras are not a JSON object", name="connection_extras"
        )
    if extras:
        # Read for its side effect: Airflow then redacts the secrets among them in logs.
        _ = connection.extra_dejson
    for key in _OTHER_LOGINS:
        if extras.get(key):
            raise ConfigError(
                f"connection {conn_id}: a login by {key} is not supported",
                name="connection_login",
                remedy="create a connection with a password, a certificate or a service file",
            )
    unused = [key for key in _OF_THE_HOOK if key in extras]
    if unused:
        logger.info("the connection %s: %s concern Airflow's hook only", conn_id, ", ".join(unused))
    left_out = (*_OTHER_LOGINS, *_OF_THE_HOOK)
    kept = {key: value for key, value in extras.items() if key not in left_out}
    return {_SYNONYMS.get(key, key): value for key, value in kept.items()}


def _text(conn_id: str, key: str, value: object) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, dict | list):
        raise ConfigError(
            f"connection {conn_id}: its extra {key} is not a single value",
            name="connection_extras",
        )
    # ${NAME} is an environment variable in a configuration, but plain text in a connection.
    return str(value).replace("${", "$${")
