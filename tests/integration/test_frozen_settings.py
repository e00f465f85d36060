"""Case S12: settings that keep a source still stay there and are named, and the others arrive."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import Pair
from pgmigrate import Migration, PreflightError, Report, VerifyResult
from support import servers


def _findings(report: Report, check: str) -> list[tuple[str, str]]:
    return [(found.object, found.message) for found in report.findings if found.check == check]


def _one(conninfo: str, query: str) -> Any:
    return servers.fetch(conninfo, query)[0][0]


FROZEN = """
CREATE ROLE {p}a;
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t SELECT g, 'x' FROM generate_series(1, 9) g;
CREATE MATERIALIZED VIEW m AS SELECT count(*) FROM t;
ALTER ROLE {p}a SET default_transaction_read_only = on; ALTER ROLE {p}a SET work_mem = '5MB';
ALTER ROLE {p}a IN DATABASE :"DBNAME" SET row_security = off;
ALTER DATABASE :"DBNAME" SET session_replication_role = replica;
ALTER DATABASE :"DBNAME" SET work_mem = '6MB';
ALTER DATABASE :"DBNAME" SET default_transaction_read_only = on;
ALTER DATABASE :"DBNAME" CONNECTION LIMIT 50;
"""


@pytest.mark.case("S12")
def test_what_froze_the_source_does_not_freeze_the_target(pair: Pair, prefix: str) -> None:
    source, target = pair.filled(FROZEN.format(p=prefix))
    report = Migration(source=source, target=target, verify=True).run()
    report.raise_for_failures()
    assert report.verification is not None and report.verification.equal
    report.verification.raise_for_differences()
    named = {
        (name, message.split()[2].split("=")[0])
        for name, message in _findings(report, "setting_left_out")
    }
    _assert_left_out(report.verification, prefix)
    _assert_left_out(Migration(source=source, target=target).verify(), prefix)
    assert named >= {
        ("DATABASE", "default_transaction_read_only"),
        ("DATABASE", "session_replication_role"),
        (f"{prefix}a", "default_transaction_read_only"),
        (f"{prefix}a", "row_security"),
    }
    remedies = " ".join(found.remedy for found in report.findings)
    assert 'ALTER DATABASE :"DBNAME" SET "default_transaction_read_only" TO \'on\'' in remedies
    assert "CONNECTION LIMIT 50" in remedies
    assert servers.fetch(target, "SHOW default_transaction_read_only", "SHOW work_mem") == [
        ("6MB",)
    ]
    servers.run_script(target, "INSERT INTO t VALUES (1000, 'written')")
    config = f"SELECT rolconfig::text FROM pg_roles WHERE rolname = '{prefix}a'"
    assert _one(target, config) == "{work_mem=5MB}"
    settings = """SELECT setrole = 0, setconfig::text FROM pg_db_role_setting
        JOIN pg_database d ON d.oid = setdatabase WHERE datname = current_database()"""
    assert servers.fetch(target, settings) == [(True, "{work_mem=6MB}")]


def _assert_left_out(verification: VerifyResult, prefix: str) -> None:
    """Every setting that froze the source is a line of a verification, which is equal."""
    assert verification.equal
    found = {(item.object, item.message.split()[2]) for item in verification.not_moved}
    wanted = {
        ("DATABASE", "default_transaction_read_only=on"),
        ("DATABASE", "session_replication_role=replica"),
        (f"role {prefix}a", "default_transaction_read_only=on"),
        (f"role {prefix}a", "row_security=off"),
    }
    assert {item for item in found if item[0] in ("DATABASE", f"role {prefix}a")} == wanted
    assert {item.kind for item in verification.not_moved} == {"setting left out"}
    text = verification.text()
    read_only = (
        "the setting default_transaction_read_only=on is not carried over: it would make the "
        "target read-only, as it keeps the source still for a move; where the target needs it, run "
        "there: "
    )
    here = 'ALTER DATABASE :"DBNAME" SET "default_transaction_read_only" TO \'on\''
    assert f"not moved: setting left out DATABASE: {read_only}{here}" in text
    assert f"ALTER ROLE {prefix}a SET" in text or f'ALTER ROLE "{prefix}a" SET' in text
    assert "row_security=off is not carried over" in text


@pytest.mark.case("S12")
def test_a_setting_that_the_target_has_by_hand_is_not_named(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    frozen = 'ALTER DATABASE :"DBNAME" SET row_security = off'
    servers.run_script(source, f"CREATE TABLE t (id int); {frozen}")
    migration = Migration(source=source, target=target, roles="none")
    migration.run().raise_for_failures()
    assert [item.object for item in migration.verify().not_moved] == ["DATABASE"]
    part = Migration(source=source, target=target, roles="none", schemas=["public"])
    assert part.verify().not_moved == (), "a part of a database has no settings"
    servers.run_script(target, frozen)
    verification = migration.verify()
    assert verification.equal and verification.not_moved == ()


@pytest.mark.case("S12")
def test_a_frozen_target_is_refused_and_can_be_cleaned_up(pair: Pair) -> None:
    source, target = pair.filled("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    migration = Migration(source=source, target=target, roles="none")
    migration.run().raise_for_failures()
    servers.run_script(
        target,
        """ALTER DATABASE :"DBNAME" SET session_replication_role = replica;
        ALTER DATABASE :"DBNAME" SET row_security = off;
        ALTER DATABASE :"DBNAME" SET default_transaction_read_only = on""",
    )
    with pytest.raises(PreflightError) as caught:
        migration.run()
    assert "default_transaction_read_only" in str(caught.value)
    migration.cleanup()
    assert servers.fetch(target, "SELECT FROM pg_namespace WHERE nspname = 'pgmigrate'") == []


@pytest.mark.case("S12")
def test_plans_are_the_same_each_time(pair: Pair, prefix: str) -> None:
    source, target = pair.filled(FROZEN.format(p=f"{prefix}f"))
    migration = Migration(source=source, target=target)
    assert migration.plan().text == migration.plan().text
