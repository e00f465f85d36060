"""`python tests/bench large-objects [COUNT]`: large objects with owner and comment.

Prints how long plan and run take, what the process holds in memory after each, and the most locks
that a session of the target had at once.
"""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import psycopg

from pgmigrate import Migration
from support import servers

_COUNT: Final = 100_000
_BLOCK: Final = 5_000
_ROLES: Final = ("bench_large_objects_owner", "bench_large_objects_reader")
_FILL: Final = """
DO $$ BEGIN FOR g IN {first}..{last} LOOP
    PERFORM lo_from_bytea(100000 + g, convert_to('content ' || g, 'UTF8'));
    EXECUTE format('ALTER LARGE OBJECT %s OWNER TO {owner}', 100000 + g);
    EXECUTE format('COMMENT ON LARGE OBJECT %s IS %L', 100000 + g, 'comment ' || g);
    EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO {reader}', 100000 + g);
END LOOP; END $$;
"""
_LOCKS: Final = (
    "SELECT coalesce(max(count), 0) FROM (SELECT count(*) FROM pg_locks"
    " WHERE NOT fastpath AND pid <> pg_backend_pid() GROUP BY pid) AS held"
)


def main(arguments: Sequence[str]) -> int:
    """Measures one run.

    Args:
        arguments: the count of objects, if given.
    """
    count = int(arguments[0]) if arguments else _COUNT
    source_server = servers.start(16)
    target_server = servers.start(18)
    try:
        source = servers.create_database(source_server, "large_objects")
        target = servers.create_database(target_server, "large_objects")
        _fill(source, count)
        migration = Migration(source=source, target=target)
        print(f"before: {_held()} MiB")
        began = time.monotonic()
        plan = migration.plan()
        print(f"plan: {time.monotonic() - began:.1f} s, {_held()} MiB")
        began = time.monotonic()
        with _watched(target) as most:
            report = migration.run(plan)
        print(f"run: {time.monotonic() - began:.1f} s, {_held()} MiB, {most[0]} locks at most")
        report.raise_for_failures()
        (moved,) = servers.fetch(target, "SELECT count(*) FROM pg_largeobject_metadata")[0]
        print(f"{moved} large objects are on the target")
        return int(moved != count)
    finally:
        source_server.stop()
        target_server.stop()


def _fill(conninfo: str, count: int) -> None:
    owner, reader = _ROLES
    servers.run_script(conninfo, f"CREATE ROLE {owner}; CREATE ROLE {reader};")
    for first in range(1, count + 1, _BLOCK):
        last = min(first + _BLOCK - 1, count)
        servers.run_script(
            conninfo, _FILL.format(first=first, last=last, owner=owner, reader=reader)
        )


def _held() -> int:
    """The most that this process has held in memory, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


@contextmanager
def _watched(target: str) -> Iterator[list[int]]:
    """The most locks that a session of the target had at once, when the block has ended."""
    most, has_ended = [0], threading.Event()

    def watch() -> None:
        with psycopg.connect(target, autocommit=True) as connection:
            while not has_ended.wait(0.05):
                most[0] = max(most[0], *(connection.execute(_LOCKS).fetchone() or (0,)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield most
    finally:
        has_ended.set()
        watcher.join()
