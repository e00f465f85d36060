"""The provider in a real Airflow, a DAG at a time; `test_airflow_scheduler` has the rest."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from conftest import Pair
from pgmigrate import Migration, __version__, demo_database
from pgmigrate.airflow import example_dags
from support import servers
from support.airflow_site import AirflowSite, DagRun, DagTest, connection

# One worker has them all: they share what takes long to start.
pytestmark = pytest.mark.xdist_group("airflow")

EXAMPLES = Path(example_dags.__file__).parent


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> AirflowSite:
    return AirflowSite(tmp_path_factory.mktemp("airflow")).prepare()


@pytest.fixture
def site(prepared: AirflowSite) -> AirflowSite:
    """An Airflow whose DAGs are the examples, without any connection."""
    return AirflowSite(prepared.home, {"AIRFLOW__CORE__DAGS_FOLDER": str(EXAMPLES)})


@pytest.fixture
def demo(pair: Pair, site: AirflowSite) -> tuple[str, str]:
    """The demo database and a target, both known to Airflow."""
    source, target = pair.source(), pair.target()
    demo_database.fill(source, 0.05)
    site.settings["AIRFLOW_CONN_PGMIGRATE_SOURCE"] = connection(source, connect_timeout=10)
    site.settings["AIRFLOW_CONN_PGMIGRATE_TARGET"] = connection(target, sslmode="disable")
    return source, target


def test_airflow_lists_the_provider(site: AirflowSite) -> None:
    done = site.run("providers", "list", "--output", "json")
    found = {row["package_name"]: row["version"] for row in json.loads(done.stdout)}
    assert found["pgmigrate"] == __version__
    done = site.run("providers", "get", "pgmigrate", "--output", "json", "--full")
    described = json.loads(done.stdout)
    assert "pgmigrate.airflow.parts" in str(described) and "schema" not in done.stderr


def test_the_example_of_one_task_moves_the_demo_database(
    site: AirflowSite, demo: tuple[str, str]
) -> None:
    run = site.test_dag(EXAMPLES / "pgmigrate_whole.py", "pgmigrate_whole")
    assert run.state == "success", run.log
    servers.assert_equal(*demo)
    moved = run.xcom["migrate.return_value"]
    assert moved["run"] == 1 and moved["consistent"] and moved["rows"] > 50_000
    assert run.xcom["verify.return_value"]["rows"] > 50_000
    assert set(run.xcom) == {f"{task}.return_value" for task in ("preflight", "migrate", "verify")}
    assert "verification: equal" in run.log
    assert_without_passwords(run.log + str(run.xcom), *demo)


def test_the_example_of_a_fan_out_moves_a_quiet_database_part_by_part(
    site: AirflowSite, demo: tuple[str, str]
) -> None:
    run = site.test_dag(EXAMPLES / "pgmigrate_fan_out.py", "pgmigrate_fan_out", snapshot="own")
    assert run.state == "success", run.log
    servers.assert_equal(*demo)
    assert run.xcom["plan.return_value"] == ["1/4", "2/4", "3/4", "4/4"]
    parts = [run.xcom[f"copy[{at}].return_value"] for at in range(4)]
    assert min(part["tasks"] for part in parts) > 0 and {part["run"] for part in parts} == {1}
    assert sum(part["rows"] for part in parts) > 50_000
    assert len(json.dumps(run.xcom)) < 32 * 1024
    assert run.tasks["release"] == "success" and not run.xcom["release.return_value"]["released"]
    assert "no session may write to the source until all rows are copied" in run.log
    assert_without_passwords(run.log + str(run.xcom), *demo)


def assert_without_passwords(text: str, *conninfos: str) -> None:
    for conninfo in conninfos:
        assert str(conninfo_to_dict(conninfo)["password"]) not in text


ODD_PASSWORD = "it's ${HOME} \"\\ quoted"
CONNECTIONS = """
import json, logging, sys
logging.basicConfig(stream=sys.stdout)
from pgmigrate import PgMigrateError
from pgmigrate.airflow.connection import conninfo_of
from pgmigrate.airflow.configuration import migration_of

def reported(work):
    try:
        return work()
    except PgMigrateError as error:
        return f"{type(error).__name__}: {error}"

ids = json.loads(sys.argv[1])
print(json.dumps({
    "conninfo": {id_: reported(lambda: conninfo_of(id_)) for id_ in ids},
    "status": {id_: reported(lambda: migration_of(None, id_, id_).status().state) for id_ in ids},
}))
"""


def test_a_connection_counts_with_all_its_extras(pair: Pair, prepared: AirflowSite) -> None:
    target = pair.target()
    role = f"odd_{pair.name}"
    with psycopg.connect(target) as admin:
        words = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
        admin.execute(words.format(sql.Identifier(role), sql.Literal(ODD_PASSWORD)))
    base = json.loads(connection(target, user=role, database=conninfo_to_dict(target)["dbname"]))
    base |= {"password": ODD_PASSWORD, "schema": "nowhere", "login": "unknown"}

    def varied(**extras: object) -> str:
        return json.dumps({**base, "extra": {**base["extra"], **extras}})

    given = {
        "fields_and_extras": varied(
            connect_timeout=7, keepalives=True, options="-c work_mem=5MB", sslmode="prefer"
        ),
        "for_the_hook": varied(cursor="dictcursor", sqlalchemy_scheme="postgresql+psycopg"),
        "tls_only": varied(sslmode="require"),
        "unknown": varied(colour="blue"),
        "nested": varied(options={"work_mem": "5MB"}),
        "by_token": varied(iam=True),
        "other_type": json.dumps({**base, "conn_type": "mysql"}),
        "broken": json.dumps({**base, "extra": '{"sslpassword": "hidden'}),
    }
    variables = {f"AIRFLOW_CONN_{name.upper()}": value for name, value in given.items()}
    try:
        found = prepared.python(CONNECTIONS, json.dumps(list(given)), **variables)
    finally:
        with psycopg.connect(target) as admin:
            admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
    where = conninfo_to_dict(target)
    expected = {
        **{key: str(where[key]) for key in ("host", "port", "dbname")},
        "user": role,
        "password": ODD_PASSWORD.replace("${", "$${"),
    }
    assert found["conninfo"]["for_the_hook"] == expected
    assert found["conninfo"]["fields_and_extras"] == {
        **expected,
        "connect_timeout": "7",
        "keepalives": "1",
        "options": "-c work_mem=5MB",
        "sslmode": "prefer",
    }
    status = found["status"]
    assert status["fields_and_extras"] == status["for_the_hook"] == "none", "it can log in"
    assert status["tls_only"].startswith("ConnectError: ") and "TLS" in status["tls_only"]
    assert status["unknown"].startswith("ConfigError: ") and "colour" in status["unknown"]
    for name, word in (
        ("nested", "options"),
        ("by_token", "iam"),
        ("other_type", "mysql"),
        ("broken", "JSON"),
    ):
        assert status[name].startswith("ConfigError: ") and word in status[name], status[name]
    assert "hidden" not in str(found)


TWICE = """
import os
import psycopg
from airflow.sdk import DAG, task
from pgmigrate.airflow import (
    PgMigrateHoldSnapshot, PgMigratePlan, PgMigratePostData, PgMigrateTasks, PgMigrateVerify
)

with DAG("twice", schedule=None, params={"snapshot": "own"}, default_args={
    "source_conn_id": "pgmigrate_source", "target_conn_id": "pgmigrate_target",
}):
    plan = PgMigratePlan(task_id="plan", parts=2, snapshot="{{ params.snapshot }}")
    hold = PgMigrateHoldSnapshot(task_id="hold", plan=plan.reference)
    prepare = PgMigrateTasks(task_id="prepare", plan=plan.reference, phases=["roles", "pre-data"])
    copy = PgMigrateTasks.partial(task_id="copy", plan=plan.reference).expand(part=plan.output)
    finish = PgMigratePostData(task_id="finish", plan=plan.reference)
    hold >> prepare >> copy >> finish >> PgMigrateVerify(task_id="verify", plan=plan.reference)
"""
TWO_TABLES = """
CREATE TABLE keyed (id int PRIMARY KEY, name text);
CREATE TABLE keyless (name text);
INSERT INTO keyed SELECT n, n::text FROM generate_series(1, 1000) AS n;
INSERT INTO keyless SELECT n::text FROM generate_series(1, 1000) AS n;
ANALYZE;
"""


def rows_of(conninfo: str, table: str) -> int:
    with psycopg.connect(conninfo) as connected:
        found = connected.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table)))
        return int((found.fetchone() or (0,))[0])


def warnings_of(run: DagRun, word: str) -> list[str]:
    """The warnings in the log of a DAG run that have a word in them."""
    return [line for line in run.log.splitlines() if "warning" in line and word in line]


@pytest.fixture
def two_tables(pair: Pair, prepared: AirflowSite) -> tuple[str, str, AirflowSite]:
    """Tables with and without a key, a target, and an Airflow that knows both."""
    source, target = pair.filled(TWO_TABLES)
    databases = {"SOURCE": connection(source), "TARGET": connection(target)}
    known = {f"AIRFLOW_CONN_PGMIGRATE_{side}": value for side, value in databases.items()}
    return source, target, AirflowSite(prepared.home, known)


def test_parts_that_an_earlier_dag_run_has_done_succeed_and_name_what_they_do_not_move(
    two_tables: tuple[str, str, AirflowSite],
) -> None:
    source, target, site = two_tables
    file = site.dags / "twice.py"
    file.write_text(TWICE)
    grown = "INSERT INTO keyless SELECT 'new' FROM generate_series(1, 9000); ANALYZE"
    own, held = {"snapshot": "own"}, {"snapshot": "held"}
    steps = DagTest(own), DagTest(held), DagTest(own, source, grown)
    first, second, third = site.test_dag_runs(file, "twice", *steps)
    assert first.state == "success", first.log
    assert "already done by" not in first.log and not warnings_of(first, "not moved")
    assert first.xcom["finish.return_value"]["already_done_by"] is None

    assert second.state == "success", second.log
    parts = ("hold", "prepare", "copy[0]", "copy[1]", "finish")
    assert {second.xcom[f"{part}.return_value"]["already_done_by"] for part in parts} == {1}
    assert "already done by run 1, before the plan of this DAG run was made" in second.log
    moved = warnings_of(second, "no rows were moved by this task")
    assert ["public.keyless" in line for line in moved].count(True) == 1
    assert ["public.keyed" in line for line in moved].count(True) == 1
    assert all("run 1 had copied" in line and "pgmigrate cleanup" in line for line in moved)
    assert "verification: equal" in second.log

    assert third.state == "failed", third.log
    failed = {name for name, state in third.tasks.items() if state == "failed"}
    assert failed == {"verify"}, "what is not moved is a difference"
    assert {third.xcom[f"{part}.return_value"]["run"] for part in parts[1:]} == {2}
    skipped = warnings_of(third, "not moved, rows of public.keyless: ")
    assert len(skipped) == 1 and "set on_existing to truncate" in skipped[0], third.log
    assert warnings_of(third, "kept, not made: ")
    assert rows_of(target, "keyless") == 1000


RELEASED = """
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG, task
from pgmigrate.airflow import PgMigrateReleaseSnapshot

with DAG("released", schedule=None, default_args={
    "source_conn_id": "pgmigrate_source", "target_conn_id": "pgmigrate_target",
}):
    @task
    def copy():
        raise AirflowFailException("this part will never be done")

    copy() >> PgMigrateReleaseSnapshot(task_id="release").as_teardown()
"""


def test_a_teardown_releases_the_snapshot_when_a_part_has_failed_for_good(
    two_tables: tuple[str, str, AirflowSite],
) -> None:
    source, target, site = two_tables
    file = site.dags / "released.py"
    file.write_text(RELEASED)
    migration = Migration(source=source, target=target, roles="none")
    with migration.hold_snapshot(migration.plan(), idle_timeout=0) as held:
        first, second = site.test_dag_runs(file, "released", DagTest(), DagTest())
        assert held.wait().status == "released"
    states = {"copy": "failed", "release": "success"}
    for run in (first, second):
        assert (run.state, run.tasks) == ("failed", states), run.log
    assert first.xcom["release.return_value"] == {"released": True}
    holders = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pgmigrate hold%%'"
    assert servers.fetch(source, holders + " AND datname = current_database()") == [(0,)]


WHOLE_TWICE = """
from airflow.sdk import DAG
from pgmigrate.airflow import PgMigrate, PgMigratePlan

with DAG("whole_twice", schedule=None, default_args={
    "source_conn_id": "pgmigrate_source", "target_conn_id": "pgmigrate_target",
}):
    plan = PgMigratePlan(task_id="plan")
    migrate = PgMigrate(task_id="migrate", plan=plan.reference)
    migrate >> PgMigrate(task_id="again", plan=plan.reference)
"""


def test_a_whole_migration_that_is_done_succeeds_and_a_new_one_names_what_it_leaves(
    two_tables: tuple[str, str, AirflowSite],
) -> None:
    source, target, site = two_tables
    file = site.dags / "whole_twice.py"
    file.write_text(WHOLE_TWICE)
    grown = "INSERT INTO keyless VALUES ('new'); INSERT INTO keyed VALUES (0, 'new')"
    runs = site.test_dag_runs(file, "whole_twice", DagTest(), DagTest({}, source, grown))
    for number, run in enumerate(runs, 1):
        assert run.state == "success", run.log
        results = [run.xcom[f"{task}.return_value"] for task in ("migrate", "again")]
        assert {(result["run"], result["status"]) for result in results} == {(number, "done")}
        assert [result["already_done_by"] for result in results] == [None, number]
    first, second = runs
    assert len(warnings_of(first, "run 1 had copied public.keyed, public.keyless; ")) == 1
    assert warnings_of(second, "run 2 had copied public.keyed; ")
    assert warnings_of(second, "public.keyless: an earlier run copied its rows"), second.log
    assert (rows_of(target, "keyed"), rows_of(target, "keyless")) == (1001, 1000)


OTHER_RUN = """
import json
from airflow.exceptions import AirflowFailException
from pgmigrate.airflow import PgMigrate
from pgmigrate.airflow.planning import make

def reported(work):
    try:
        return ["returned", str(work())]
    except AirflowFailException as error:
        return ["for good", str(error)]
    except BaseException as error:
        return [type(error).__name__, str(error)]

def task(table, deferrable):
    config = {"tables": [table], "roles": "none"}
    connections = {"source_conn_id": "pgmigrate_source", "target_conn_id": "pgmigrate_target"}
    name = f"t{deferrable}{table[-3:]}"
    return PgMigrate(task_id=name, config=config, deferrable=deferrable, **connections)

mine = task("app.two", True)
reference, _ = make(mine._migration(), None)
numbers = dict.fromkeys(("tasks", "rows", "bytes", "seconds"), 1)
event = {"state": "done", "run": 1, "consistent": True, "failed": [], **numbers}
print(json.dumps({
    "deferrable": reported(lambda: task("app.two", True).execute({})),
    "plain": reported(lambda: task("app.two", False).execute({})),
    "own": reported(lambda: task("app.one", True).execute({})),
    "taken_up": reported(lambda: mine._take_up({}, {**event, "plan": "other"}, reference, False)),
    "done_run": reference["done_run"],
    "summary": mine._take_up({}, {**event, "plan": reference["fingerprint"]}, reference, False),
}))
"""


def test_another_plan_s_run_is_not_taken_for_the_task_s_own(
    pair: Pair, prepared: AirflowSite
) -> None:
    source, target = pair.filled(
        "CREATE SCHEMA app; CREATE TABLE app.one (id int PRIMARY KEY); "
        "CREATE TABLE app.two (id int PRIMARY KEY)",
    )
    assert Migration(source=source, target=target, tables=["app.one"], roles="none").run().ok
    databases = {"SOURCE": connection(source), "TARGET": connection(target)}
    variables = {f"AIRFLOW_CONN_PGMIGRATE_{side}": value for side, value in databases.items()}
    with psycopg.connect(target, autocommit=True) as other:
        # What a run that is alive looks like from outside: its line, and its session's lock.
        other.execute("UPDATE pgmigrate.migration_run SET state = 'running'")
        other.execute("SELECT pg_advisory_lock(x'70676d69'::int, 1)")
        found = prepared.python(OTHER_RUN, **variables)
    for way in ("deferrable", "plain"):
        kind, message = found[way]
        assert kind == "AirflowException" and "another run is active" in message, found[way]
    assert found["own"][0] == "TaskDeferred", found["own"]
    assert found["taken_up"][0] == "AirflowException" and "another plan's" in found["taken_up"][1]
    assert found["done_run"] == 1
    assert found["summary"]["consistent"] is True


NO_LEDGER = """
import json
from airflow.exceptions import AirflowFailException
from pgmigrate.airflow import PgMigrate, PgMigratePlan

def reported(made, **more):
    connections = {"source_conn_id": "pgmigrate_source", "target_conn_id": "pgmigrate_target"}
    config = {"options": {"keep_ledger": False}}
    try:
        name = f"t{len(more)}{made.__name__}"
        made(task_id=name, config=config, **connections, **more).execute({})
    except AirflowFailException as error:
        return str(error)

ways = [(PgMigrate, True), (PgMigrate, False)]
found = [reported(made, deferrable=deferrable) for made, deferrable in ways]
print(json.dumps([*found, reported(PgMigratePlan)]))
"""


def test_a_ledger_that_would_not_stay_is_refused_before_anything_is_touched(
    prepared: AirflowSite,
) -> None:
    nowhere = connection("host=127.0.0.1 port=1 user=unknown dbname=nothing")
    variables = {f"AIRFLOW_CONN_PGMIGRATE_{side}": nowhere for side in ("SOURCE", "TARGET")}
    for message in prepared.python(NO_LEDGER, **variables):
        assert "options.keep_ledger" in message and "pgmigrate cleanup" in message, message


FAILURES = """
import json
from pgmigrate import Finding, errors
from pgmigrate.airflow.operator import failure

def preflight(*checks):
    found = [Finding("other", "warning", "", "", "")]
    found += [Finding(check, "blocking", "", "", "") for check in checks]
    return errors.PreflightError("found", findings=found)

given = {name: getattr(errors, name)("what") for name in errors.__all__ if name != "PreflightError"}
given |= {"busy": preflight("run_active"), "both": preflight("run_active", "rights")}
print(json.dumps({name: type(failure(error)).__name__ for name, error in given.items()}))
"""


def test_what_another_try_would_meet_again_is_not_tried_again(prepared: AirflowSite) -> None:
    found = prepared.python(FAILURES)
    final = {name for name, kind in found.items() if kind == "AirflowFailException"}
    assert final == {"ConfigError", "DriftError", "VerifyError", "InternalError", "both"}
    assert {kind for name, kind in found.items() if name not in final} == {"AirflowException"}


UNWATCHABLE = """
import json, os
from pgmigrate import ConfigError, Migration
from pgmigrate.airflow import PgMigrate

def refused(target="new", **options):
    task = PgMigrate(task_id="move", target_conn_id=target, deferrable=True)
    try:
        task._refuse_unwatchable(Migration(source="host=a", target="host=b", **options))
    except ConfigError as error:
        return str(error)

found = [refused(), refused(target=None), refused(keep_ledger=False)]
os.environ["AIRFLOW_IS_K8S_EXECUTOR_POD"] = "True"
print(json.dumps([*found, refused()]))
"""


def test_a_task_does_not_defer_where_its_run_would_end_with_it_or_go_unwatched(
    prepared: AirflowSite,
) -> None:
    fine, without_target, without_ledger, in_a_pod = prepared.python(UNWATCHABLE)
    assert fine is None
    assert "target_conn_id" in without_target and "keep_ledger" in without_ledger
    assert "KubernetesExecutor" in in_a_pod and "deferrable=False" in in_a_pod


WITHOUT = """
import json, sys
import pgmigrate
loaded = [name for name in sys.modules if name.split(".")[0] == "airflow"]
sys.modules["airflow"] = None
from pgmigrate.airflow.provider import get_provider_info
try:
    from pgmigrate.airflow import PgMigrate
except ImportError as error:
    print(json.dumps([loaded, str(error), get_provider_info()["name"]]))
"""


def test_without_airflow_the_missing_extra_is_named(prepared: AirflowSite) -> None:
    loaded, error, name = prepared.python(WITHOUT)
    assert loaded == [] and name == "pgmigrate"
    assert "pip install 'pgmigrate[airflow]'" in error
