"""Databases that several files of tests begin with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Pair, Servers
from pgmigrate.embedded import EmbeddedServer
from support import parts, servers
from support.parts import Parts
from support.shell import Shell


@pytest.fixture(scope="module")
def quiet_server() -> Iterator[EmbeddedServer]:
    """A source whose transactions are the test's own: autovacuum writes, too."""
    server = servers.start(16, autovacuum="off")
    yield server
    server.stop()


@pytest.fixture
def quiet(
    quiet_server: EmbeddedServer, all_servers: Servers, request: pytest.FixtureRequest
) -> Iterator[Pair]:
    """A quiet source and a target of 18."""
    name = re.sub(r"\W", "_", request.node.name.lower())[:45]
    pair = Pair(quiet_server, all_servers.of(18), name)
    yield pair
    for server, database in pair.made:
        servers.drop_database(server, database)


@pytest.fixture
def one_row(pair: Pair) -> tuple[str, str]:
    """A source with a table of one row, and an empty target."""
    return pair.filled("CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1)")


@pytest.fixture
def bank(pair: Pair, tmp_path: Path) -> Parts:
    """A bank whose tables are made on the target."""
    source = pair.source()
    servers.run_script(source, parts.SCRIPT)
    bank = Parts(tmp_path, source, pair.target())
    bank.prepare()
    return bank


@pytest.fixture
def both(pair: Pair, shell: Shell, request: pytest.FixtureRequest) -> tuple[str, str]:
    """A source with the module's SCRIPT and an empty target, named by `config.json`."""
    source, target = pair.filled(request.module.SCRIPT)
    shell.write_config(source, target)
    return source, target
