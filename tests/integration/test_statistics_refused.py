"""L6: what cannot be analyzed is a warning, whatever the cause."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import Pair
from pgmigrate import Migration
from support import servers

FAR = "CREATE FOREIGN DATA WRAPPER far; CREATE SERVER far FOREIGN DATA WRAPPER far;"
PARTITIONED = f"""{FAR}
CREATE TABLE t (id int, v text) PARTITION BY RANGE (id);
CREATE TABLE near PARTITION OF t FOR VALUES FROM (0) TO (2000);
CREATE FOREIGN TABLE away PARTITION OF t FOR VALUES FROM (2000) TO (3000) SERVER far;
INSERT INTO near SELECT i, 'v' FROM generate_series(1, 1000) i;
"""
INHERITED = f"""{FAR}
CREATE TABLE t (id int, v text); CREATE TABLE near () INHERITS (t);
CREATE FOREIGN TABLE away () INHERITS (t) SERVER far;
INSERT INTO near SELECT i, 'v' FROM generate_series(1, 1000) i; INSERT INTO t VALUES (0, 'v');
"""
RAISED = """
CREATE FUNCTION refuse(int) RETURNS int LANGUAGE plpgsql IMMUTABLE
    AS 'BEGIN RAISE EXCEPTION ''no'' USING ERRCODE = ''{}''; END';
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t SELECT i, 'v' FROM generate_series(1, 1000) i;
CREATE STATISTICS s ON (refuse(id)), v FROM t;
"""
KINDS = {
    "a foreign partition": (PARTITIONED, True),
    "a foreign child": (INHERITED, True),
    "08001": (RAISED.format("08001"), False),
    "P0001": (RAISED.format("P0001"), False),
}


@pytest.mark.case("L6")
@pytest.mark.parametrize("kind", KINDS)
def test_what_analyze_meets_is_a_warning(pair: Pair, kind: str) -> None:
    script, has_local = KINDS[kind]
    source, target = pair.filled(script)
    events: list[Any] = []
    report = Migration(source=source, target=target, roles="none").run(on_event=events.append)
    assert report.status == "done", report
    (task,) = [
        task for task in report.tasks if task.kind == "analyze" and task.object.endswith(".t")
    ]
    assert task.status == "skipped" and "could not be analyzed" in (task.note or "")
    (finding,) = [f for f in report.findings if f.check == "not_analyzed"]
    assert finding.severity == "warning" and finding.object == "public.t"
    assert "ANALYZE" in finding.remedy
    assert not [event for event in events if event["event"] == "task_retried"]
    if has_local:
        analyzed = "SELECT reltuples::int FROM pg_class WHERE relname = 'near'"
        assert servers.fetch(target, analyzed) == [(1000,)]
    counts = "SELECT count(*) FROM ONLY {}".format("near" if has_local else "t")
    assert servers.fetch(target, counts) == [(1000,)]
