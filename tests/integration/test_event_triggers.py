"""L7: event triggers of the target do not fire on our statements where the role may say so."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from psycopg.conninfo import make_conninfo

from conftest import Pair
from pgmigrate import Migration, PreflightError, SchemaError
from support import servers
from support.roles import prefixed

MakePair = Callable[[int, int], Pair]
GUARD = """
CREATE FUNCTION guard() RETURNS event_trigger LANGUAGE plpgsql
    AS 'BEGIN RAISE EXCEPTION ''schema changes only by deployments''; END';
CREATE EVENT TRIGGER guard ON ddl_command_start {} EXECUTE FUNCTION guard();
"""
NOTE = """
CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql
    AS 'BEGIN INSERT INTO ddl_log VALUES (tg_tag); END';
CREATE EVENT TRIGGER note ON ddl_command_end EXECUTE FUNCTION note();
"""
KINDS = {
    "every statement": GUARD.format(""),
    "DROP TABLE": GUARD.format("WHEN TAG IN ('DROP TABLE')"),
    "CREATE INDEX": GUARD.format("WHEN TAG IN ('CREATE INDEX')"),
    # A function without a search_path of its own, as in input 15, case B.
    "a name without schema": NOTE,
}
TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'x');"


@pytest.mark.case("L7")
@pytest.mark.parametrize("kind", KINDS)
def test_from_17_on_a_superuser_s_sessions_fire_none(pair: Pair, kind: str) -> None:
    source, target = pair.filled(TABLE)
    servers.run_script(target, KINDS[kind])
    migration = Migration(source=source, target=target, roles="none")
    for _ in range(2):
        report = migration.run()
        report.raise_for_failures()
        assert "event_triggers" not in {f.check for f in report.findings}
    assert migration.cleanup().dropped[-1] == '"pgmigrate"'
    assert servers.rows(target, "public", "t") == servers.rows(source, "public", "t")


@pytest.mark.case("L7")
@pytest.mark.parametrize("kind", KINDS)
def test_before_17_it_is_named_before_anything_is_touched(make_pair: MakePair, kind: str) -> None:
    pair = make_pair(18, 16)
    source, target = pair.filled(TABLE)
    migration = Migration(source=source, target=target, roles="none")
    migration.run().raise_for_failures()
    servers.run_script(target, KINDS[kind])
    before = servers.fetch(target, "SELECT count(*), max(run) FROM pgmigrate.migration_run")
    with pytest.raises(PreflightError) as caught:
        migration.run()
    (finding,) = [f for f in caught.value.findings if f.check == "event_triggers"]
    name = "note" if kind == "a name without schema" else "guard"
    assert finding.object == name and finding.severity == "blocking"
    assert f"ALTER EVENT TRIGGER {name} DISABLE" in finding.remedy
    assert servers.fetch(target, "SELECT count(*), max(run) FROM pgmigrate.migration_run") == before
    servers.run_script(target, f"ALTER EVENT TRIGGER {name} DISABLE")
    migration.run().raise_for_failures()
    servers.run_script(target, f"ALTER EVENT TRIGGER {name} ENABLE")
    assert migration.cleanup().dropped[-1] == '"pgmigrate"', "the ledger goes all the same"


@pytest.mark.case("L7")
def test_one_that_refuses_nothing_is_a_warning(make_pair: MakePair) -> None:
    pair = make_pair(18, 16)
    source, target = pair.filled(TABLE)
    log = "CREATE TABLE public.ddl_log (tag text);" + NOTE.replace(
        "INTO ddl_log", "INTO public.ddl_log"
    )
    servers.run_script(target, log)
    report = Migration(source=source, target=target, roles="none", keep_ledger=False).run()
    report.raise_for_failures()
    (finding,) = [f for f in report.findings if f.check == "event_triggers"]
    assert (finding.object, finding.severity) == ("note", "warning")
    assert servers.fetch(
        target, "SELECT count(*) FROM pg_namespace WHERE nspname = 'pgmigrate'"
    ) == [(0,)]


@pytest.fixture
def owner(pair: Pair) -> Iterator[tuple[str, str]]:
    """A target that belongs to a role without more rights, and its conninfo for it."""
    with prefixed(pair) as prefix:
        target = pair.target()
        name = f"{prefix}owner"
        servers.run_script(target, f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
        servers.run_script(target, f"GRANT CREATE ON DATABASE {pair.made[-1][1]} TO {name}")
        servers.run_script(target, f"GRANT CREATE ON SCHEMA public TO {name}")
        yield target, make_conninfo(target, user=name, password="secret")


@pytest.mark.case("L7")
def test_a_role_that_may_not_turn_them_off_gets_the_name(
    pair: Pair, owner: tuple[str, str]
) -> None:
    source, (target, conninfo) = pair.source(), owner
    servers.run_script(source, TABLE)
    migration = Migration(source=source, target=conninfo, roles="none")
    migration.run()
    servers.run_script(target, KINDS["every statement"])
    found = migration.preflight()
    assert [f.object for f in found.findings if f.check == "event_triggers"] == ["guard"]
    with pytest.raises(SchemaError) as caught:
        migration.cleanup()
    assert "ALTER EVENT TRIGGER guard DISABLE" in (caught.value.remedy or "")
    servers.run_script(target, "DROP EVENT TRIGGER guard")


LABELLED = """
CREATE TABLE t (id int PRIMARY KEY);
INSERT INTO pg_seclabel SELECT 't'::regclass, 'pg_class'::regclass, 0, 'selinux', 'l';
"""
# A sequence keeps what a transaction that is rolled back has done.
REFUSES_LABELS = """
CREATE SEQUENCE public.fired;
CREATE FUNCTION public.refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM nextval('public.fired'); RAISE 'no labels here' USING ERRCODE = '42704'; END $$;
CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('SECURITY LABEL')
    EXECUTE FUNCTION public.refuse();
"""


def test_a_provider_of_labels_is_asked_for_without_event_triggers(make_pair: MakePair) -> None:
    pair = make_pair(18, 16)
    source, target = pair.filled(LABELLED)
    servers.run_script(target, REFUSES_LABELS)
    migration = Migration(source=source, target=target, roles="none")
    label = "security label TABLE t in public"
    for enabled, severity, said in (
        ("", "warning", "has not loaded"),
        ("ALWAYS", "info", "could not be checked (event triggers fire"),
        ("REPLICA", "warning", "has not loaded"),
    ):
        servers.run_script(target, f"ALTER EVENT TRIGGER refuse ENABLE {enabled}")
        (found,) = [f for f in migration.preflight().findings if f.check == "label_provider"]
        assert (found.severity, found.object) == (severity, label), enabled
        assert "selinux" in found.message and said in found.message
        assert ("refuse" in found.message) == (enabled == "ALWAYS")
    assert servers.fetch(target, "SELECT is_called FROM public.fired") == [(False,)]
