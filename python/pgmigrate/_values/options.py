"""What a configuration may hold, as types. Written by `python tests/reference` from the core.

No default and no check of a value stands here: the core has them. Annotations are evaluated at
once, which is faster than to keep them as text: `TypedDict` compiles each text.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias, TypedDict

RolesMode: TypeAlias = Literal["needed", "all", "none"]
"""What the section ``roles`` may be by itself."""


class Connection(TypedDict, total=False):
    """A database as a mapping: the keywords of a libpq conninfo."""

    conninfo: str
    """libpq's key=value pairs or a postgresql:// URI; stands alone."""

    host: str
    """The server."""

    port: int | str
    """Its port."""

    database: str
    """The database; also written ``dbname``."""

    username: str
    """The role; also written ``user``."""

    password: str
    """Its password; better left to ``${NAME}``, a service file or .pgpass."""

    application_name: str | int
    """As libpq takes it."""

    channel_binding: str | int
    """As libpq takes it."""

    client_encoding: str | int
    """As libpq takes it."""

    connect_timeout: str | int
    """As libpq takes it."""

    dbname: str
    """The same as ``database``."""

    fallback_application_name: str | int
    """As libpq takes it."""

    gssencmode: str | int
    """As libpq takes it."""

    hostaddr: str | int
    """As libpq takes it."""

    keepalives: str | int
    """As libpq takes it."""

    keepalives_count: str | int
    """As libpq takes it."""

    keepalives_idle: str | int
    """As libpq takes it."""

    keepalives_interval: str | int
    """As libpq takes it."""

    load_balance_hosts: str | int
    """As libpq takes it."""

    options: str | int
    """As libpq takes it."""

    passfile: str | int
    """As libpq takes it."""

    service: str | int
    """As libpq takes it."""

    servicefile: str | int
    """As libpq takes it."""

    ssl_max_protocol_version: str | int
    """As libpq takes it."""

    ssl_min_protocol_version: str | int
    """As libpq takes it."""

    sslcert: str | int
    """As libpq takes it."""

    sslcertmode: str | int
    """As libpq takes it."""

    sslcompression: str | int
    """As libpq takes it."""

    sslkey: str | int
    """As libpq takes it."""

    sslmode: str | int
    """As libpq takes it."""

    sslnegotiation: str | int
    """As libpq takes it."""

    sslrootcert: str | int
    """As libpq takes it."""

    sslsni: str | int
    """As libpq takes it."""

    target_session_attrs: str | int
    """As libpq takes it."""

    tcp_user_timeout: str | int
    """As libpq takes it."""

    user: str
    """The same as ``username``."""


class Schemas(TypedDict, total=False):
    """The section ``schemas``: which schemas are in scope."""

    mode: Literal["all", "include", "exclude"]
    """All but ``exclude``; or only ``include``; or all but ``exclude``."""

    include: Sequence[str]
    """The schemas of ``mode: include``, by exact name."""

    exclude: Sequence[str]
    """The schemas left out, in every mode."""


class Roles(TypedDict, total=False):
    """The section ``roles``: which roles are in scope."""

    mode: RolesMode
    """Which roles that the target lacks are created; needed: those that objects in scope name
    (owners, grantees, grantors, policies, user mappings), their members and the roles that they
    are members of; all: all of the source's server.
    """


class TableOptions(TypedDict, total=False):
    """How the rows of a table are copied."""

    chunk_column: str
    """The integer column whose ranges make the chunks."""

    chunk_size: int
    """Key values per chunk."""

    where: str
    """A condition that copied rows meet, evaluated on the source."""

    order_by: str
    """The order in which rows are read."""

    limit: int
    """The most rows to copy, 0 for all; of a partitioned table for each partition; switches
    chunking off.
    """

    on_existing: Literal["append", "truncate", "error", "skip"]
    """What happens to a table that exists on the target before the run."""

    on_conflict: Literal["auto", "error", "nothing", "update"]
    """What happens to a row whose unique key is taken."""

    format: Literal["auto", "text", "binary"]
    """The format of the COPY stream."""

    exclude_columns: Sequence[str]
    """Columns of the source that are not copied; on the target they get their defaults."""


class TableRule(TableOptions, total=False):
    """A table in scope, and how it is copied."""

    schema: str
    """The table's schema, by exact name."""

    name: str
    """The table's name, exactly."""


class TableName(TypedDict, total=False):
    """A table that is left out."""

    schema: str
    """The table's schema, by exact name."""

    name: str
    """The table's name, exactly."""


class Tables(TypedDict, total=False):
    """The section ``tables``: which tables are in scope, and how."""

    mode: Literal["all", "include", "exclude"]
    """All tables of the schemas in scope but ``exclude``, ``include`` only tunes; or only
    ``include``; or all but ``exclude``.
    """

    default: TableOptions
    """How tables are copied that say nothing else."""

    include: Sequence[str | TableRule]
    """Tables as "schema.table" or as mappings with options of their own."""

    exclude: Sequence[str | TableName]
    """Tables left out, in every mode, as "schema.table" or as mappings."""


class Parallel(TypedDict, total=False):
    """The section ``parallel``: how much is done at once."""

    max_jobs: int
    """The most tasks at once; never more than 80 % of the CPUs."""


class RevisionRule(TypedDict, total=False):
    """The revisions of alembic that are needed."""

    source: str | Sequence[str]
    """The source's revision, or the heads of its branches."""

    target: str | Sequence[str]
    """The target's; with neither side, both must be the same."""

    table: str
    """alembic's version table, where it is not the only alembic_version of its database."""


class Options(TypedDict, total=False):
    """The section ``options``, whose keys are keywords of `Migration`."""

    data_only: bool
    """true: only rows, sequences' values and, if requested, large objects, into tables that the
    target has; needs no pg_dump.
    """

    target_triggers: Literal["fire", "disable"]
    """data_only: whether triggers of the target's tables fire for copied rows; disable: disabled
    in the run's transactions only.
    """

    target_foreign_keys: Literal["order", "defer", "drop"]
    """data_only: order: referenced rows are copied first; defer: cycles of tables in one
    transaction; drop: dropped and created again.
    """

    create_indexes_after_data: bool
    """true: each table's indexes are built as its last rows land; false: this run builds none."""

    create_constraints_after_data: bool
    """The same for PRIMARY KEY, UNIQUE, EXCLUDE and FOREIGN KEY constraints."""

    analyze_after_load: bool
    """Whether each table is analyzed once it is loaded."""

    statistics: Literal["auto", "analyze", "copy"]
    """Where planner statistics come from; copy: from the source, between servers from 18 on;
    auto: copy but for small tables.
    """

    maintenance_work_mem: int | str
    """Memory of each index build and foreign key; auto: a job's share of half of the target's
    shared_buffers.
    """

    parallel_maintenance_workers: Literal["auto"] | int
    """Parallel workers of each index build; auto: as many as there are jobs without a task."""

    on_existing: Literal["append", "truncate", "error", "skip"]
    """The default of the tables' ``on_existing``."""

    on_conflict: Literal["auto", "error", "nothing", "update"]
    """The default of the tables' ``on_conflict``; auto: nothing where the table existed and has a
    unique key, else error.
    """

    format: Literal["auto", "text", "binary"]
    """The default of the tables' ``format``; auto: binary where that is safe on both servers and
    no more work than text.
    """

    split_larger_than: int | str
    """A larger table without ``chunk_column`` is cut into ranges; auto: one is cut where that
    shortens the run; kB, MB, GB, TB are powers of 1024.
    """

    consistent: bool
    """Whether a resumed run keeps each table to one snapshot; false lets it mix the chunks of
    two.
    """

    ledger_schema: str
    """The schema on the target that records what is done."""

    keep_ledger: bool
    """false: drop the ledger after a run without failures."""

    backup: bool
    """Whether the target is dumped before it is touched."""

    backup_dir: str | os.PathLike[str]
    """The folder of those dumps."""

    verify: bool
    """Whether source and target are compared at the end."""

    large_objects: Literal["auto"] | bool
    """Whether large objects are copied; auto: when neither schemas nor tables are filtered, and
    data_only is false.
    """

    publications: bool
    """Whether publications are created."""

    subscriptions: bool
    """Whether subscriptions are created."""

    owners: bool
    """Whether objects get their owners; false: the target's role owns them, as with pg_dump
    --no-owner.
    """

    privileges: bool
    """Whether privileges and default privileges are granted and revoked; false: none are, as with
    pg_dump --no-privileges.
    """

    tablespaces: bool
    """true: tablespaces as on the source; false: the target's default."""

    pg_dump: str | os.PathLike[str]
    """The path of the pg_dump program."""

    lock_timeout: int
    """How long a schema statement waits for a lock on the target; 0: forever."""

    retries: int
    """Attempts after the first, where a failure may pass."""

    accept_newer_servers: bool
    """Whether a server of a major version that this pgmigrate does not know is accepted without a
    warning.
    """

    require_revision: Literal["same"] | RevisionRule
    """The revisions of alembic that the databases must be at, else the preflight blocks; same:
    both at the same.
    """


class Command(TypedDict, total=False):
    """A command of the safe procedure."""

    run: str | Sequence[str]
    """The command."""

    shell: bool
    """true: ``run`` is a text for ``/bin/sh``."""

    timeout: int
    """How long it may take."""


OneCommand: TypeAlias = str | Sequence[str] | Command
"""A command: a text that is cut into words, a list of words, or a mapping."""


class StopCheck(Command, total=False):
    """A command that shows whether the application is stopped."""

    expect: Literal["success", "failure", "no_output"]
    """What the command does where the application is stopped: exit code 0, another one, or print
    nothing.
    """


class Procedure(TypedDict, total=False):
    """The section ``procedure``: what is done around a safe run."""

    stop: OneCommand | Sequence[OneCommand]
    """Stops the application; a command is a text (cut into words as a shell would, nothing
    expanded), a list of words or a mapping.
    """

    check_stopped: StopCheck | Sequence[StopCheck]
    """Shows that the application is stopped; where all show it before and after, ``stop`` may
    fail.
    """

    start: OneCommand | Sequence[OneCommand]
    """Starts the application after a migration that was verified."""

    start_on_failure: bool | OneCommand | Sequence[OneCommand]
    """What starts the application again when a step has failed after ``stop``; true: ``start``;
    false: nothing.
    """

    start_on_failed_restore: bool
    """Whether the application is started, as ``start_on_failure`` says, where the target had to
    be restored and is not.
    """

    on_failure: Literal["restore", "keep"]
    """What becomes of a target that was changed when a step has failed; keep: it can be resumed,
    the default without a backup.
    """

    backup: bool
    """Whether the target is backed up before it is touched."""

    wait_for_writers: int
    """How long to wait until ``check_stopped`` succeeds, and then until no session writes to
    source and target.
    """

    timeout: int
    """How long a command may take before it and its children are ended; 0: forever."""

    cwd: str | os.PathLike[str]
    """The folder that commands run in."""

    env: Mapping[str, str]
    """Variables for the commands, in addition to the environment; ``${NAME}`` as in ``source``;
    values of four characters and more are hidden in what the commands print.
    """

    checklist: Sequence[str]
    """Points of the checklist that only a person can tick."""


class Configuration(TypedDict, total=False):
    """A configuration: what a file describes one migration by."""

    name: str
    """What the migration is called in logs and summaries."""

    source: str | Connection
    """The database that is read; ``${NAME}`` is taken from the environment."""

    target: str | Connection
    """The database that is written; takes the same keys as ``source``."""

    schemas: Schemas | Sequence[str]
    """The schemas in scope; a list means ``mode: include``."""

    roles: Roles | RolesMode
    """The roles in scope; ``needed``, ``all`` or ``none`` means that mode."""

    tables: Tables | Sequence[str | TableRule]
    """The tables in scope; a list means ``mode: include``."""

    parallel: Parallel
    """How much is done at once."""

    options: Options
    """Everything else."""

    procedure: Procedure
    """What ``pgmigrate safe`` does around the migration."""
