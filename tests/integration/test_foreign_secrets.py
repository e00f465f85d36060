"""S13: secrets of foreign data and subscriptions are moved, and no file or message has them."""

from __future__ import annotations

import json
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from conftest import Pair
from pgmigrate import Migration
from support import servers
from support.roles import limited
from support.shell import Shell

# pg_dump sorts options; mappings with a password have the source's order all the same.
OPTIONS = """
SELECT 'mapping ' || usename || ' ' || srvname, umoptions::text FROM pg_catalog.pg_user_mappings
UNION ALL SELECT 'server ' || srvname,
    (SELECT array_agg(o ORDER BY o) FROM unnest(srvoptions) o)::text
FROM pg_catalog.pg_foreign_server
UNION ALL SELECT 'wrapper ' || fdwname,
    (SELECT array_agg(o ORDER BY o) FROM unnest(fdwoptions) o)::text
FROM pg_catalog.pg_foreign_data_wrapper
UNION ALL SELECT 'table ' || ftrelid::regclass,
    (SELECT array_agg(o ORDER BY o) FROM unnest(ftoptions) o)::text
FROM pg_catalog.pg_foreign_table
UNION ALL SELECT 'column ' || attrelid::regclass || '.' || attname, attfdwoptions::text
FROM pg_catalog.pg_attribute WHERE attfdwoptions IS NOT NULL
UNION ALL SELECT 'subscription ' || subname, subconninfo FROM pg_catalog.pg_subscription
JOIN pg_catalog.pg_database d ON d.oid = subdbid WHERE d.datname = current_database()
ORDER BY 1
"""

SCRIPT = r"""
CREATE EXTENSION postgres_fdw;
CREATE EXTENSION dblink;
CREATE EXTENSION file_fdw;
CREATE SERVER archive FOREIGN DATA WRAPPER postgres_fdw
    OPTIONS (host '127.0.0.1', port '1', dbname 'nowhere');
CREATE USER MAPPING FOR postgres SERVER archive OPTIONS (user 'arch', password '{0}');
CREATE USER MAPPING FOR PUBLIC SERVER archive OPTIONS (user 'pub', password 'it''s \{1}');
CREATE SERVER "Odd; server" FOREIGN DATA WRAPPER dblink_fdw
    OPTIONS (hostaddr '127.0.0.1', passfile '/x/{2}');
CREATE USER MAPPING FOR postgres SERVER "Odd; server" OPTIONS ("user" 'me', password '{3}');
CREATE FOREIGN DATA WRAPPER web OPTIONS (token '{4}', mode '***');
CREATE SERVER web TYPE 'OPTIONS' VERSION '1' FOREIGN DATA WRAPPER web
    OPTIONS (api_key '{5}', host 'https://me:{6}@example.org', port '1');
CREATE FOREIGN TABLE plain (id int OPTIONS (column_name 'ID'), v text OPTIONS ("Odd key" '{7}'))
    SERVER web OPTIONS (table_name 'far', bucket 's3://k:{8}@b');
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE listed (v text) SERVER files OPTIONS (program 'echo {9}');
CREATE TABLE t (id int PRIMARY KEY);
INSERT INTO t VALUES (1);
CREATE SUBSCRIPTION "Sub" CONNECTION 'host=127.0.0.1 port=1 dbname=x user=u password={10}'
    PUBLICATION p WITH (connect = false, slot_name = NONE);
"""

KEYS = {"roles": "none", "subscriptions": True}


@pytest.fixture
def pair(make_pair: Callable[[int, int], Pair]) -> Pair:
    """Two databases of 18: the build of 16 has no foreign data wrappers."""
    return make_pair(18, 18)


@pytest.fixture
def hidden() -> list[str]:
    return [secrets.token_hex(8) for _ in range(11)]


@pytest.fixture
def both(pair: Pair, hidden: list[str]) -> Iterator[tuple[str, str]]:
    source, target = pair.filled(SCRIPT.format(*hidden))
    yield source, target
    for conninfo in (source, target):
        # A database with a subscription is not dropped.
        servers.run_script(conninfo, 'DROP SUBSCRIPTION IF EXISTS "Sub"', stop_on_error=False)


def _options(conninfo: str) -> list[tuple[str, str]]:
    return servers.fetch(conninfo, OPTIONS)


def _shown(text: str, hidden: list[str]) -> list[int]:
    return [at for at, secret in enumerate(hidden) if secret in text]


@pytest.mark.case("S13")
def test_options_arrive_and_no_output_shows_them(
    both: tuple[str, str], hidden: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, target = both
    caplog.set_level("DEBUG")
    events: list[object] = []
    migration = Migration(source=source, target=target, **KEYS)  # type: ignore[arg-type]
    plan = migration.plan()
    assert _shown("\n".join(map(repr, plan)) + plan.text, hidden) == []
    sql = "\n".join(task.target_sql for task in plan)
    assert "password '***'" in sql and "CONNECTION '***'" in sql
    assert "host '127.0.0.1'" in sql and "table_name 'far'" in sql
    report = migration.run(
        jobs=1,
        verify=True,
        on_event=events.append,
        state=tmp_path / "state.tsv",
        plan_file=tmp_path / "plan.tsv",
    )
    report.raise_for_failures()
    report.save(tmp_path / "report.html")
    assert report.verification is not None
    report.verification.raise_for_differences()
    assert len(_options(source)) == 16
    assert _options(target) == _options(source)
    for name in ("state.tsv", "plan.tsv"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    written = [path.read_text() for path in tmp_path.iterdir()]
    assert len(written) == 3
    ledger = servers.fetch(
        target,
        "SELECT r::text FROM pgmigrate.migration_run r"
        " UNION ALL SELECT t::text FROM pgmigrate.migration_task t",
    )
    logged = "\n".join(record.getMessage() for record in caplog.records)
    for output in (*written, str(ledger), logged, repr(events), repr(report), report.to_json()):
        assert _shown(output, hidden) == []


@pytest.mark.case("S13")
def test_a_changed_password_makes_no_other_plan_and_is_the_one_that_arrives(
    both: tuple[str, str], tmp_path: Path
) -> None:
    source, target = both
    migration = Migration(source=source, target=target, **KEYS)  # type: ignore[arg-type]
    plan = migration.plan()
    servers.run_script(
        source, "ALTER USER MAPPING FOR postgres SERVER archive OPTIONS (SET password 'changed')"
    )
    assert migration.plan() == plan
    migration.run(plan, jobs=1).raise_for_failures()
    assert ("mapping postgres archive", "{user=arch,password=changed}") in _options(target)


@pytest.mark.case("S13")
def test_of_what_exists_only_hidden_values_are_not_compared(both: tuple[str, str]) -> None:
    migration = Migration(source=both[0], target=both[1], roles="none", subscriptions=True)
    migration.run().raise_for_failures()
    with psycopg.connect(both[1], autocommit=True) as connection:
        connection.execute("ALTER SERVER archive OPTIONS (SET port '2')")
        connection.execute(
            "ALTER USER MAPPING FOR PUBLIC SERVER archive OPTIONS (SET password 'other')"
        )
    plan = migration.plan()
    again = migration.run(plan)
    again.raise_for_failures()
    found = {(finding.check, finding.object) for finding in again.findings}
    hidden = {task.object for task in plan if "'***'" in task.target_sql}
    assert len(hidden) >= 8
    assert {name for check, name in found if check == "not_compared"} == hidden
    assert {name for check, name in found if check == "differs"} == {"archive"}


@pytest.mark.case("S13")
def test_an_option_that_is_gone_stops_the_run_before_it_begins(both: tuple[str, str]) -> None:
    source, target = both
    migration = Migration(source=source, target=target, **KEYS)  # type: ignore[arg-type]
    plan = migration.plan()
    servers.run_script(source, "ALTER SERVER web OPTIONS (DROP api_key)")
    with pytest.raises(
        Exception, match="api_key: its value cannot be read on the source"
    ) as caught:
        migration.run(plan)
    assert caught.value.object == "web"  # type: ignore[attr-defined]
    assert _options(target) == []


@pytest.mark.case("S13")
def test_a_statement_that_fails_shows_no_secret(
    both: tuple[str, str], hidden: list[str], tmp_path: Path, pair: Pair, prefix: str
) -> None:
    source, target = both
    # Each statement with a secret is refused: the role may neither use the wrappers nor subscribe.
    servers.run_script(target, "CREATE FOREIGN DATA WRAPPER web")
    target = limited(pair, prefix)
    shell = Shell(tmp_path)
    options = {"subscriptions": True}
    config = {"source": source, "target": target, "roles": "none", "options": options}
    (tmp_path / "config.json").write_text(json.dumps(config))
    done = shell.run(
        "migrate", "--config", "config.json", "--debug", "--report", "r.html", timeout=120
    )
    assert done.code == 1
    assert "archive" in done.text and "Sub" in done.text
    assert _shown(done.text, hidden) == []
    (tmp_path / "config.json").unlink()
    for path in tmp_path.iterdir():
        assert _shown(path.read_text(), hidden) == [], path
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert {modes[name] for name in modes if name.endswith((".tsv", ".log"))} == {0o600}, modes


@pytest.mark.case("S13")
def test_options_that_the_role_may_not_read_are_a_finding(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    name = f"{pair.name}_reader"
    servers.run_script(
        source,
        "CREATE EXTENSION postgres_fdw;"
        "CREATE SERVER archive FOREIGN DATA WRAPPER postgres_fdw;"
        "CREATE USER MAPPING FOR postgres SERVER archive OPTIONS (password 'x');"
        f"CREATE ROLE \"{name}\" LOGIN PASSWORD 'pw'",
    )
    try:
        reader = psycopg.conninfo.make_conninfo(source, user=name, password="pw")
        migration = Migration(source=reader, target=target, roles="none")
        found = [f.object for f in migration.preflight().findings if f.check == "mapping_options"]
        assert found == ["USER MAPPING postgres SERVER archive"]
    finally:
        servers.run_script(source, f'DROP OWNED BY "{name}"; DROP ROLE "{name}"')
