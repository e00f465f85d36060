"""Settings of the sessions on both servers: seen by what runs in them, or reported in the log."""

from __future__ import annotations

import re
from typing import Any

import pytest

from conftest import Pair
from pgmigrate import Migration, Tables
from support import servers


def test_readers_scan_a_table_from_its_first_page(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    # A condition runs in the session that reads, and here it only holds under the setting.
    servers.run_script(
        source,
        "CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 30);"
        "CREATE TABLE u (id int); INSERT INTO u VALUES (1)",
    )
    off = "current_setting('synchronize_seqscans') = 'off'"
    on = "current_setting('synchronize_seqscans') = 'on'"
    tables: Tables = {
        "mode": "include",
        "include": [
            {"name": "t", "where": off, "chunk_column": "id", "chunk_size": 10},
            {"name": "u", "where": on},
        ],
    }
    report = Migration(source=source, target=target, roles="none", tables=tables).run()
    report.raise_for_failures()
    assert len([task for task in report.tasks if task.kind == "data"]) > 2
    assert len(servers.rows(target, "public", "t")) == 30
    assert servers.rows(target, "public", "u") == []


def test_the_log_says_what_indexes_and_foreign_keys_are_given(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    source, target = pair.filled(
        "CREATE TABLE parent (id int PRIMARY KEY, v text);"
        "CREATE TABLE child (id int, parent int CONSTRAINT child_parent REFERENCES parent);"
        "INSERT INTO parent SELECT i, repeat('v', 1000) FROM generate_series(1, 1000) AS i;"
        "INSERT INTO child SELECT i, i FROM generate_series(1, 1000) AS i",
    )
    keys: dict[str, Any] = {"maintenance_work_mem": "24MB", "parallel_maintenance_workers": 1}
    migration = Migration(source=source, target=target, roles="none", **keys)
    plan = migration.plan()
    caplog.set_level("DEBUG")
    migration.run(plan, jobs=1).raise_for_failures()
    reported = r"task (\S+) \(\S+( child_parent)?\): maintenance_work_mem 24576 kB, .*_workers 1$"
    found = {match[1] for text in caplog.messages if (match := re.search(reported, text))}
    kinds = {task.id: task.kind for task in plan}
    assert sorted(kinds[task] for task in found) == ["fk validation", "index"]
