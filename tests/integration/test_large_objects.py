"""Many large objects: bounded locks on the target, and every owner, right and comment."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest

from conftest import Pair
from pgmigrate import Migration
from pgmigrate.embedded import EmbeddedServer
from support import servers
from support.roles import prefixed

OBJECTS = 2500
FILL = """
DO $$ BEGIN FOR g IN 1..{count} LOOP
    PERFORM lo_from_bytea(100000 + g, convert_to('content ' || g, 'UTF8'));
    EXECUTE format('ALTER LARGE OBJECT %s OWNER TO {owner}', 100000 + g);
    EXECUTE format('COMMENT ON LARGE OBJECT %s IS %L', 100000 + g, 'comment ' || g);
    EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO {reader}', 100000 + g);
    IF g % 500 = 0 THEN COMMIT; END IF;
END LOOP; END $$;
"""
# Advisory locks and those of the watching session are not about objects.
LOCKS = (
    "SELECT coalesce(max(count), 0) FROM (SELECT count(DISTINCT (classid, objid)) FROM pg_locks"
    " WHERE locktype = 'object' AND pid <> pg_backend_pid() GROUP BY pid) AS held"
)


@pytest.fixture(scope="module")
def small() -> Iterator[EmbeddedServer]:
    """A target with as small a lock table as a server takes."""
    server = servers.start(18, max_connections=20, max_locks_per_transaction=10)
    yield server
    server.stop()


def test_thousands_of_large_objects_need_few_locks_at_once(
    pair: Pair, small: EmbeddedServer
) -> None:
    with prefixed(pair) as prefix:
        owner, reader = f"{prefix}owner", f"{prefix}reader"
        source, target = pair.source(), servers.create_database(small, "many_large_objects")
        fill = FILL.format(count=OBJECTS, owner=owner, reader=reader)
        servers.run_script(source, f"CREATE ROLE {owner}; CREATE ROLE {reader};{fill}")
        most, has_ended = [0], threading.Event()

        def watch() -> None:
            with psycopg.connect(target, autocommit=True) as connection:
                while not has_ended.wait(0.005):
                    most[0] = max(most[0], *(connection.execute(LOCKS).fetchone() or (0,)))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            report = Migration(source=source, target=target).run(jobs=4)
        finally:
            has_ended.set()
            watcher.join()
        report.raise_for_failures()
        assert not [finding for finding in report.findings if finding.check == "refused"]
        assert servers.large_objects(target) == servers.large_objects(source)
        assert 50 < most[0] < 300, "of what a transaction holds"
