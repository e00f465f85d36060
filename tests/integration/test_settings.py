"""Settings of the sessions that read the source, seen by what runs in them."""

from __future__ import annotations

from conftest import Pair
from pgmigrate import Migration
from support import servers


def test_readers_scan_a_table_from_its_first_page(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    # A condition runs in the session that reads, and here it only holds under the setting.
    servers.run_script(
        source,
        "CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 30);"
        "CREATE TABLE u (id int); INSERT INTO u VALUES (1)",
    )
    rule = {"chunk_column": "id", "chunk_size": 10}
    off = "current_setting('synchronize_seqscans') = 'off'"
    on = "current_setting('synchronize_seqscans') = 'on'"
    include = [{"name": "t", "where": off, **rule}, {"name": "u", "where": on}]
    tables = {"mode": "include", "include": include}
    report = Migration(source=source, target=target, roles="none", tables=tables).run()
    report.raise_for_failures()
    assert len([task for task in report.tasks if task.kind == "data"]) > 2
    assert len(servers.rows(target, "public", "t")) == 30
    assert servers.rows(target, "public", "u") == []
