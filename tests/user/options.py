"""A configuration in which every key stands, and the keywords of runs, all of them with types."""

from __future__ import annotations

from pathlib import Path

from pgmigrate import (
    Command,
    Configuration,
    Connection,
    Migration,
    OneCommand,
    Options,
    Outcome,
    Parallel,
    Procedure,
    Rates,
    RevisionRule,
    Roles,
    RolesMode,
    RunOptions,
    SafeRunOptions,
    Schemas,
    StopCheck,
    TableName,
    TableOptions,
    TableRule,
    Tables,
    TaskOptions,
    run_all,
)
from pgmigrate.alembic import CopyOptions, MoveOptions

ROLES: RolesMode = "none"


def whole(folder: Path) -> Migration:
    """A migration that is described in full."""
    config = Configuration(
        name="all of it",
        source=Connection(conninfo="host=old dbname=shop"),
        target=by_parts(),
        schemas=Schemas(mode="all", include=[], exclude=["scratch"]),
        roles=Roles(mode=ROLES),
        tables=tables(),
        parallel=Parallel(max_jobs=4),
        options=options(folder),
        procedure=procedure(folder),
    )
    return Migration(**config, jobs=2)


def by_parts() -> Connection:
    server = Connection(host="new", hostaddr="127.0.0.1", port=5432)
    server |= Connection(database="shop", username="mover", password="${PGMIGRATE_PASSWORD}")
    return server


def encrypted() -> Connection:
    return Connection(
        service="shop",
        servicefile="service.conf",
        passfile=".pgpass",
        sslmode="verify-full",
        sslrootcert="root.pem",
        sslcert="mover.pem",
        sslkey="mover.key",
        sslcertmode="require",
        sslcompression=0,
        sslnegotiation="postgres",
        sslsni=1,
        ssl_min_protocol_version="TLSv1.2",
        ssl_max_protocol_version="TLSv1.3",
        channel_binding="prefer",
        gssencmode="disable",
    )


def tuned() -> Connection:
    return Connection(
        dbname="shop",
        user="mover",
        application_name="mover",
        fallback_application_name="mover",
        client_encoding="UTF8",
        options="-c statement_timeout=0",
        connect_timeout=10,
        keepalives=1,
        keepalives_idle=60,
        keepalives_interval=10,
        keepalives_count=3,
        tcp_user_timeout=60000,
        load_balance_hosts="disable",
        target_session_attrs="read-write",
    )


def tables() -> Tables:
    usual = TableOptions(
        chunk_column="id",
        where="",
        exclude_columns=[],
        chunk_size=100_000,
        order_by="",
        limit=0,
        on_existing="append",
        on_conflict="nothing",
        format="text",
    )
    orders = TableRule(
        schema="shop", name="orders", chunk_column="id", where="id > 0", exclude_columns=["note"]
    )
    rules: list[str | TableRule] = ["shop.customers", orders]
    left_out = TableName(schema="shop", name="sessions")
    return Tables(mode="all", default=usual, include=rules, exclude=["shop.log", left_out])


def options(folder: Path) -> Options:
    return Options(
        data_only=True,
        target_triggers="disable",
        target_foreign_keys="defer",
        create_indexes_after_data=True,
        create_constraints_after_data=True,
        analyze_after_load=True,
        statistics="analyze",
        maintenance_work_mem="512MB",
        parallel_maintenance_workers="auto",
        on_existing="truncate",
        on_conflict="error",
        format="binary",
        split_larger_than=1 << 30,
        consistent=True,
        ledger_schema="pgmigrate",
        keep_ledger=True,
        backup=True,
        backup_dir=folder,
        verify=True,
        large_objects="auto",
        publications=False,
        subscriptions=False,
        owners=True,
        privileges=True,
        tablespaces=False,
        pg_dump=folder / "pg_dump",
        lock_timeout=30,
        retries=3,
        accept_newer_servers=True,
        require_revision=RevisionRule(source="4f2a9c", target=["4f2a9c"], table="alembic_version"),
    )


def procedure(folder: Path) -> Procedure:
    start: list[OneCommand] = ["start-shop --now", ["start-worker", "1"]]
    return Procedure(
        stop=Command(run="stop-shop --wait", shell=True, timeout=60),
        check_stopped=StopCheck(run="pgrep shop | wc -l", shell=True, expect="success"),
        start=start,
        start_on_failure=True,
        start_on_failed_restore=False,
        on_failure="keep",
        backup=False,
        wait_for_writers=30,
        timeout=120,
        cwd=folder,
        env={"SHOP": "main"},
        checklist=["the shop's banner is up"],
    )


def moves() -> tuple[CopyOptions, MoveOptions]:
    """What revisions of alembic ask for."""
    shared = CopyOptions(
        name="prices",
        schemas=["shop"],
        roles="none",
        parallel=Parallel(max_jobs=2),
        options=Options(format="text"),
        on_conflict="nothing",
    )
    return shared, MoveOptions(tables=["shop.prices"], data_only=True)


def everywhere(migrations: list[Migration], folder: Path) -> list[Outcome]:
    """The same keywords for a run, its awaited twin and several migrations at once."""
    first = SafeRunOptions(resume=False, jobs=2, state=folder / "state.tsv", dry_run=True)
    more = RunOptions(backup=False, verify=False, consistent=True, rates=Rates.typical())
    part = TaskOptions(snapshot="own", wait=None, jobs=1, consistent=True)
    for migration in migrations:
        migration.run_safely(**first)
        plan = migration.plan()
        migration.run_tasks(plan, plan.ids("roles"), **part)
    return run_all(migrations, **more)
