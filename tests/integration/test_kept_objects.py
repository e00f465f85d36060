"""What a role that is no owner may not do with what the target has already: all is named before."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from conftest import Pair
from pgmigrate import Migration, Options, PreflightError
from pgmigrate.embedded import find_installations
from support import servers
from support.foreseen import assert_foreseen, foreseen
from support.older_targets import UNSUBSCRIBE
from support.roles import limited, prefixed

# Every kind of object that a target may have under the name of the source's.
KINDS = """
CREATE SCHEMA own;
CREATE TYPE own.pair AS (a int, b int); CREATE TYPE own.color AS ENUM ('red');
CREATE FUNCTION own.to_pair(i int) RETURNS own.pair LANGUAGE sql
    AS 'SELECT ROW($1, $1)::own.pair';
CREATE CAST (int AS own.pair) WITH FUNCTION own.to_pair(int);
CREATE FUNCTION own.to_int(point) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE CAST (point AS int) WITH FUNCTION own.to_int(point);
CREATE TRANSFORM FOR int LANGUAGE SQL
    (FROM SQL WITH FUNCTION prsd_lextype(internal), TO SQL WITH FUNCTION int4recv(internal));
CREATE FUNCTION own.less(int, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 < $2';
CREATE OPERATOR own.<# (LEFTARG = int, RIGHTARG = int, FUNCTION = own.less);
CREATE OPERATOR FAMILY own.by_key USING btree; CREATE OPERATOR FAMILY own.by_hash USING hash;
CREATE OPERATOR CLASS own.keys FOR TYPE int USING hash FAMILY own.by_hash
    AS OPERATOR 1 =, FUNCTION 1 hashint4(int);
CREATE TEXT SEARCH TEMPLATE own.template (LEXIZE = dsimple_lexize);
CREATE TEXT SEARCH PARSER own.parser (START = prsd_start, GETTOKEN = prsd_nexttoken,
    END = prsd_end, LEXTYPES = prsd_lextype);
CREATE TEXT SEARCH DICTIONARY own.dictionary (TEMPLATE = simple);
CREATE TEXT SEARCH CONFIGURATION own.tc (COPY = simple);
CREATE COLLATION own.co FROM "C";
CREATE CONVERSION own.conv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE FOREIGN DATA WRAPPER plain; CREATE SERVER of_plain FOREIGN DATA WRAPPER plain;
CREATE PROCEDURAL LANGUAGE speech HANDLER plpgsql_call_handler;
CREATE ACCESS METHOD heaplike TYPE TABLE HANDLER heap_tableam_handler;
CREATE FUNCTION own.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN PERFORM 1; END';
CREATE EVENT TRIGGER ddl ON ddl_command_end WHEN TAG IN ('CREATE TABLE AS')
    EXECUTE FUNCTION own.on_ddl();
CREATE TABLE own.t (i int PRIMARY KEY);
CREATE PUBLICATION pb FOR TABLE own.t; CREATE PUBLICATION of_schema FOR TABLES IN SCHEMA own;
CREATE AGGREGATE own.total(int) (SFUNC = int4pl, STYPE = int);
CREATE PROCEDURE own.proc(a int) LANGUAGE sql AS 'SELECT 1';
CREATE VIEW own.v AS SELECT 1 AS a; CREATE FOREIGN TABLE own.ft (i int) SERVER of_plain;
CREATE SEQUENCE own.sq;
CREATE SUBSCRIPTION {p}sub CONNECTION 'host=nowhere dbname=x password=secret'
    PUBLICATION a WITH (connect = false);
"""
COMMENTED = [
    "CAST (int AS own.pair)", "CAST (point AS int)", "TRANSFORM FOR int LANGUAGE sql",
    "OPERATOR own.<# (int, int)", "OPERATOR FAMILY own.by_key USING btree",
    "OPERATOR CLASS own.keys USING hash", "TEXT SEARCH TEMPLATE own.template",
    "TEXT SEARCH PARSER own.parser", "TEXT SEARCH DICTIONARY own.dictionary",
    "TEXT SEARCH CONFIGURATION own.tc", "COLLATION own.co", "CONVERSION own.conv",
    "FOREIGN DATA WRAPPER plain", "SERVER of_plain", "LANGUAGE speech", "ACCESS METHOD heaplike",
    "EVENT TRIGGER ddl", "PUBLICATION pb", "SCHEMA own", "FUNCTION own.to_pair(int)",
    "AGGREGATE own.total(int)", "PROCEDURE own.proc(int)", "VIEW own.v", "FOREIGN TABLE own.ft",
    "SEQUENCE own.sq", "TYPE own.color", "TYPE own.pair", "COLUMN own.pair.a",
]  # fmt: skip
SUBSCRIPTION = "COMMENT ON SUBSCRIPTION {p}sub IS 'c';"
RIGHTS = "GRANT ALL ON SCHEMA own TO PUBLIC; GRANT ALL ON own.t, own.sq TO PUBLIC;"


def _comments(text: str) -> str:
    return "".join(f"COMMENT ON {one} IS '{text}';" for one in COMMENTED)


@pytest.mark.parametrize("has_comments", [False, True])
def test_what_is_kept_is_not_refused_and_its_comments_are_named(
    make_pair: Callable[[int, int], Pair], has_comments: bool
) -> None:
    pair = make_pair(18, 18)
    source, target = pair.source(), pair.target()
    with prefixed(pair) as prefix:
        servers.run_script(source, (KINDS + _comments("c") + SUBSCRIPTION).format(p=prefix))
        servers.run_script(target, (KINDS + RIGHTS).format(p=prefix))
        servers.run_script(target, _comments("another") if has_comments else "")
        me = limited(pair, f"{prefix}me_", "CREATEDB CREATEROLE")
        try:
            found, report = assert_foreseen(source, me, publications=True, subscriptions=True)
        finally:
            servers.run_script(source, UNSUBSCRIBE)
            servers.run_script(target, UNSUBSCRIBE)
    # The comment of the subscription only superusers see: it is tried, and fails.
    of_subscription = f"comment SUBSCRIPTION {prefix}sub"
    failed = {task.object for task in report.tasks if task.status in {"failed", "blocked"}}
    assert len(found["comment_refused"]) == (1 if has_comments else 1 + len(COMMENTED))
    assert of_subscription in found["comment_refused"]
    assert len(failed - {"owners, privileges and settings"}) == len(found["comment_refused"])
    assert set(found) <= {"comment_refused", "event_triggers"}
    # A subscription is kept as anything else is, and its definition is not said to be another one.
    kept = {f"{task.kind} {task.object}": task.note for task in report.tasks}
    assert "only superusers can read its definition" in kept[f"subscription {prefix}sub"]
    reported = [
        (one.object, one.severity) for one in report.findings if one.check == "not_compared"
    ]
    assert reported == [(f"{prefix}sub", "warning")]


# What is in no schema, or in one that every database has.
ALONE = [
    "CREATE CAST (bytea AS tsvector) WITHOUT FUNCTION",
    "CREATE TRANSFORM FOR int LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal))",
    "CREATE ACCESS METHOD heaplike TYPE TABLE HANDLER heap_tableam_handler",
    "CREATE FOREIGN DATA WRAPPER plain",
    "CREATE LANGUAGE speech HANDLER plpgsql_call_handler",
    "CREATE PUBLICATION pb",
    "CREATE OPERATOR public.<# (LEFTARG = int, RIGHTARG = int, FUNCTION = int4lt)",
    "CREATE OPERATOR FAMILY public.f USING btree",
    'CREATE COLLATION public.co FROM "C"',
    "CREATE TEXT SEARCH CONFIGURATION public.tc (COPY = simple)",
    "CREATE SUBSCRIPTION {p}only CONNECTION 'host=nowhere dbname=x password=secret'"
    " PUBLICATION a WITH (connect = false)",
]
IS_EMPTY = Path(__file__).parents[2] / "src" / "sql" / "is_empty.sql"


def test_a_target_with_nothing_but_one_such_object_keeps_it(
    make_pair: Callable[[int, int], Pair],
) -> None:
    pair = make_pair(18, 18)
    source, target = pair.source(), pair.target()
    sql = IS_EMPTY.read_text().replace("$1", "'pgmigrate'").encode()
    with prefixed(pair) as prefix:
        only = ALONE[-1].format(p=prefix)
        with psycopg.connect(target) as connection:
            for one in ALONE:
                connection.execute(one.format(p=prefix).encode())
                assert connection.execute(sql).fetchone() == (False,), one
                connection.rollback()
            assert connection.execute(sql).fetchone() == (True,)
        servers.run_script(source, only)
        servers.run_script(target, only)
        try:
            options: Options = {"subscriptions": True, "verify": False}
            report = Migration(source=source, target=target, options=options).run(jobs=1)
        finally:
            servers.run_script(source, UNSUBSCRIBE)
            servers.run_script(target, UNSUBSCRIBE)
    assert report.ok
    assert {t.kind: t.status for t in report.tasks}["subscription"] == "kept"


UNREADABLE = """
CREATE TABLE t (i int); GRANT ALL ON t TO PUBLIC;
CREATE TABLE others (i int); CREATE SEQUENCE others_sequence;
CREATE TABLE written (i int); GRANT UPDATE ON written TO PUBLIC;
CREATE SCHEMA closed; CREATE TABLE closed.t (i int); GRANT ALL ON closed.t TO PUBLIC;
CREATE TABLE hidden (i int); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
GRANT SELECT ON hidden TO PUBLIC; SELECT lo_create(7);
"""
TABLES = {"public.others", "closed.t"}
ALL = {*TABLES, "public.others_sequence", "public.written", "public.hidden", "large object 7"}


@pytest.mark.parametrize(
    ("options", "unread"),
    [({}, TABLES), ({"backup": True}, ALL), ({"data_only": True, "backup": True}, ALL)],
    ids=["compared", "backed up", "of rows"],
)
def test_what_pg_dump_may_not_read_of_the_target_is_named(
    pair: Pair, prefix: str, tmp_path: Path, options: Options, unread: set[str]
) -> None:
    source, target = pair.filled("CREATE TABLE t (i int); INSERT INTO t VALUES (1)")
    servers.run_script(target, UNREADABLE)
    me = limited(pair, prefix, "CREATEROLE")
    migration = Migration(source=source, target=me, backup_dir=str(tmp_path), options=options)
    findings = [one for one in migration.preflight().findings if one.check == "target_dump"]
    assert {name for one in findings for name in one.objects} == unread
    assert {one.severity for one in findings} == {"blocking"}
    with pytest.raises(PreflightError):
        migration.run()
    # The oracle: each of them alone ends pg_dump.
    program = str(find_installations()[18] / "pg_dump")
    dump = [program, "-Fc", "-f", str(tmp_path / "x"), "-d", me]
    for name in unread:
        only = ["-t", name] if "large" not in name else ["-b", "-t", "t"]
        if not options:
            only.append("--schema-only")
        assert subprocess.run([*dump, *only], capture_output=True).returncode != 0, name
    servers.run_script(
        target,
        f"GRANT pg_read_all_data TO {prefix}limited; GRANT SELECT ON LARGE OBJECT 7 TO PUBLIC;"
        "ALTER TABLE hidden DISABLE ROW LEVEL SECURITY",
    )
    assert migration.run(verify=False).ok


SEQUENCES = """
CREATE SCHEMA own; GRANT USAGE ON SCHEMA own TO PUBLIC; CREATE SCHEMA closed;
CREATE TABLE own.t (i serial PRIMARY KEY); CREATE SEQUENCE own.behind; CREATE SEQUENCE own.ahead;
CREATE SEQUENCE own.hidden; CREATE SEQUENCE own.given; CREATE SEQUENCE closed.inside;
CREATE SEQUENCE own.down INCREMENT -1;
GRANT INSERT, SELECT ON own.t TO PUBLIC;
"""
VALUES = """
INSERT INTO own.t DEFAULT VALUES; SELECT setval('own.behind', 7), setval('own.ahead', 7),
    setval('own.hidden', 7), setval('own.given', 7), setval('closed.inside', 7);
SELECT setval('own.down', -7);
"""
THERE = """
SELECT setval('own.ahead', 9), setval('own.hidden', 9), setval('own.down', -9);
GRANT SELECT ON own.t_i_seq, own.behind, own.ahead, own.down TO PUBLIC;
GRANT SELECT, UPDATE ON own.given, closed.inside TO PUBLIC;
"""
REFUSED = {"own.t_i_seq", "own.behind", "own.hidden", "closed.inside"}


@pytest.mark.parametrize("data_only", [False, True])
def test_sequences_that_the_role_may_not_set_are_named(
    pair: Pair, prefix: str, data_only: bool
) -> None:
    source, target = pair.filled(SEQUENCES + VALUES)
    servers.run_script(target, SEQUENCES + THERE)
    me = limited(pair, prefix, "CREATEROLE")
    wanted = {f"sequence value {name}" for name in REFUSED}
    if data_only:
        migration = Migration(source=source, target=me, options={"data_only": True})
        findings = [one for one in migration.preflight().findings if one.check == "target_right"]
        assert {name for one in findings for name in one.objects} == wanted
        assert {one.severity for one in findings} == {"blocking"}
        with pytest.raises(PreflightError):
            migration.run()
        remedies = [one.remedy for one in findings]
        servers.run_script(target, "".join(f"{remedy};" for remedy in remedies))
        assert migration.run().ok
    else:
        # Whatever else the role may not do with tables of others is not this test's subject.
        found = foreseen(source, me, {"verify": False})
        report = Migration(source=source, target=me, options={"verify": False}).run()
        failed = {
            f"{task.kind} {task.object}"
            for task in report.tasks
            if task.kind == "sequence value" and task.status != "done" and task.status != "kept"
        }
        assert failed == found["target_right"] == wanted
    value = "SELECT last_value FROM own.ahead UNION ALL SELECT last_value FROM own.given"
    assert servers.fetch(target, value) == [(9,), (7,)]


PROVIDER = """
#include "postgres.h"
#include "commands/seclabel.h"
#include "fmgr.h"
PG_MODULE_MAGIC;
void _PG_init(void);
static void take(const ObjectAddress *object, const char *label) {}
void _PG_init(void) { register_label_provider("dummy", take); }
"""
LABELLED = """
CREATE SCHEMA own; CREATE TABLE own.t (i int); CREATE VIEW own.v AS SELECT 1 AS a;
CREATE FUNCTION own.f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE DOMAIN own.d AS int; CREATE TYPE own."Color" AS ENUM ('red'); CREATE SEQUENCE own.sq;
"""
LABELS = """
SECURITY LABEL FOR dummy ON SCHEMA own IS 'l'; SECURITY LABEL FOR dummy ON TABLE own.t IS 'l';
SECURITY LABEL FOR dummy ON COLUMN own.v.a IS 'l';
SECURITY LABEL FOR dummy ON FUNCTION own.f(int) IS 'l';
SECURITY LABEL FOR dummy ON DOMAIN own.d IS 'l'; SECURITY LABEL FOR dummy ON SEQUENCE own.sq IS 'l';
SECURITY LABEL FOR dummy ON TYPE own."Color" IS 'l';
"""
NEW = """
CREATE FUNCTION own.mine() RETURNS int LANGUAGE sql AS 'SELECT 1';
SECURITY LABEL FOR dummy ON FUNCTION own.mine() IS 'l';
"""


@pytest.fixture
def provider(all_servers: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A module that provides security labels, of which no build of PostgreSQL has one."""
    del all_servers
    compiler = shutil.which("cc")
    config = find_installations()[18] / "pg_config"
    headers = Path(
        subprocess.run(
            [config, "--includedir-server"], capture_output=True, text=True, check=True
        ).stdout.strip()
    )
    if compiler is None or not (headers / "commands" / "seclabel.h").is_file():
        pytest.skip("a module for the server takes a C compiler and the server's headers")
    folder = tmp_path_factory.mktemp("provider")
    # The account of the server reads it.
    for each in (folder, *folder.parents):
        if each == Path(tempfile.gettempdir()):
            break
        each.chmod(0o755)
    (folder / "dummy.c").write_text(PROVIDER)
    made = folder / "dummy.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", f"-I{headers}", "-o", made, folder / "dummy.c"], check=True
    )
    made.chmod(0o755)
    return made


@pytest.mark.parametrize("are_there", [False, True])
def test_labels_of_objects_of_others_are_named(
    make_pair: Callable[[int, int], Pair], provider: Path, are_there: bool
) -> None:
    pair = make_pair(18, 18)
    source, target = pair.source(), pair.target()
    load = f"LOAD '{provider}';"
    with prefixed(pair) as prefix:
        servers.run_script(source, load + LABELLED + LABELS + NEW)
        servers.run_script(target, load + LABELLED + (LABELS if are_there else ""))
        servers.run_script(
            target,
            "SELECT format('ALTER DATABASE %I SET session_preload_libraries = %L',"
            f" current_database(), '{provider}') \\gexec\n"
            "GRANT ALL ON SCHEMA own TO PUBLIC; GRANT ALL ON own.t, own.sq TO PUBLIC;",
        )
        found, report = assert_foreseen(source, limited(pair, prefix, "CREATEROLE"))
    labels = {task.object: task.status for task in report.tasks if task.kind == "security label"}
    assert len(labels) == 8
    assert labels.pop("FUNCTION mine() in own") == "done"
    assert set(labels.values()) == {"kept" if are_there else "failed"}
    assert len(found.get("label_refused", ())) == (0 if are_there else 7)
