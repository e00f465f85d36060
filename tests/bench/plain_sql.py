"""Runs statements on several connections at once: the lower bound, when it is measured.

A program: its first argument is a JSON file with a list of stages, its second one the file that
gets the seconds they took, without the start of Python. The queues of a stage run side by side,
each on connections of its own, and a stage starts when the one before it has ended.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg


@dataclass(frozen=True)
class Queue:
    """Statements for one server.

    Attributes:
        conninfo: the database.
        statements: what to run; each goes to whichever connection is free.
        connections: how many there are.
    """

    conninfo: str
    statements: list[str]
    connections: int


def run(stages: list[list[Queue]]) -> None:
    """Runs the stages.

    Raises:
        psycopg.Error: a statement failed.
    """
    opened: dict[tuple[str, int], psycopg.Connection[Any]] = {}
    for stage in stages:
        failures: list[BaseException] = []
        threads = []
        for queue in stage:
            waiting = deque(queue.statements)
            for number in range(min(queue.connections, len(waiting))):
                key = (queue.conninfo, number)
                if key not in opened:
                    opened[key] = _open(queue.conninfo)
                arguments = (opened[key], waiting, failures)
                threads.append(threading.Thread(target=_work, args=arguments))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
    for connection in opened.values():
        connection.close()


def _open(conninfo: str) -> psycopg.Connection[Any]:
    connection = psycopg.connect(conninfo, autocommit=True, prepare_threshold=None)
    # Two builds at once, each on one core, are faster than one after another on both.
    connection.execute("SET max_parallel_maintenance_workers = 0")
    return connection


def _work(
    connection: psycopg.Connection[Any], waiting: deque[str], failures: list[BaseException]
) -> None:
    try:
        while waiting and not failures:
            connection.execute(waiting.popleft())
    except IndexError:
        # Another thread took the last one.
        return
    except BaseException as error:
        failures.append(error)


if __name__ == "__main__":
    described = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    began = time.monotonic()
    run([[Queue(**queue) for queue in stage] for stage in described])
    Path(sys.argv[2]).write_text(str(time.monotonic() - began))
