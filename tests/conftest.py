"""Servers for all tests: each major is started once, when a test first asks for it."""

from __future__ import annotations

import itertools
import os
import re
import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pgmigrate.embedded import EmbeddedServer
from pgmigrate.embedded.installations import BIN_PATH_VARIABLE
from support import servers
from support.application import TABLES, Application
from support.cases import some_each_time
from support.config_keys import SCRIPT
from support.roles import prefixed
from support.shell import Shell

_numbers = itertools.count(1)

# Tests that run under nohup, or in the background of a script, inherit ignored signals;
# some tests are about what signals do.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass
class Servers:
    """The running servers by major version."""

    running: dict[int, EmbeddedServer] = field(default_factory=dict)

    def of(self, major: int) -> EmbeddedServer:
        if major not in self.running:
            settings = {"max_connections": 60, "max_prepared_transactions": 5}
            self.running[major] = servers.start(major, **settings)
        return self.running[major]


@dataclass(frozen=True)
class Pair:
    """A source and a target server, and new databases on them for one test."""

    source_server: EmbeddedServer
    target_server: EmbeddedServer
    name: str
    made: list[tuple[EmbeddedServer, str]] = field(default_factory=list)

    @property
    def majors(self) -> tuple[int, int]:
        """The versions of source and target."""
        return self.source_server.major or 0, self.target_server.major or 0

    def source(self, schema: str | None = None, suffix: str = "", **variables: str) -> str:
        """The conninfo of a new source database, filled by a script of support/schemas."""
        conninfo = self._create(self.source_server, f"{self.name}_source{suffix}")
        if schema is not None:
            script = (servers.SCHEMAS / f"{schema}.sql").read_bytes().decode()
            servers.run_script(conninfo, script, variables=variables)
        return conninfo

    def target(self, suffix: str = "") -> str:
        """The conninfo of a new, empty target database."""
        return self._create(self.target_server, f"{self.name}_target{suffix}")

    def filled(self, script: str) -> tuple[str, str]:
        """A new source, filled by a script, and a new, empty target."""
        source = self.source()
        servers.run_script(source, script)
        return source, self.target()

    def _create(self, server: EmbeddedServer, name: str) -> str:
        self.made.append((server, name))
        return servers.create_database(server, name)


@pytest.fixture(scope="session")
def all_servers() -> Iterator[Servers]:
    """Every server of the session; stopped at its end."""
    found = Servers()
    yield found
    for server in found.running.values():
        server.stop()


def prefer_programs_for(monkeypatch: pytest.MonkeyPatch, majors: Iterable[int]) -> None:
    """Puts the programs of 19 first where a server of 19 takes part: it refuses older ones."""
    folder = servers.newest_programs()
    if 19 in majors and folder is not None:
        monkeypatch.setenv(BIN_PATH_VARIABLE, str(folder))
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def make_pair(
    all_servers: Servers, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[int, int], Pair]]:
    """Gives a pair of servers by their majors; its databases go with the test."""
    made: list[Pair] = []
    roles: dict[EmbeddedServer, set[str]] = {}

    def make(source: int, target: int) -> Pair:
        prefer_programs_for(monkeypatch, (source, target))
        word = re.sub(r"[^a-z0-9_]", "_", request.node.name.lower())[:40]
        name = f"{word}_{next(_numbers)}"
        made.append(Pair(all_servers.of(source), all_servers.of(target), name))
        for server in (made[-1].source_server, made[-1].target_server):
            roles.setdefault(server, servers.roles(server))
        return made[-1]

    yield make
    for pair in made:
        for server, name in pair.made:
            servers.drop_database(server, name)
    for server, known in roles.items():
        servers.drop_roles(server, servers.roles(server) - known)


@pytest.fixture
def pair(make_pair: Callable[[int, int], Pair]) -> Pair:
    """A source of 16 and a target of 18, which every machine has from PyPI."""
    return make_pair(16, 18)


@pytest.fixture
def prefix(pair: Pair) -> Iterator[str]:
    """What the names of a test's roles begin with; all such roles are dropped on both servers."""
    with prefixed(pair) as name:
        yield name


@pytest.fixture
def databases(pair: Pair) -> tuple[str, str]:
    """A source with what tests of configurations migrate, and an empty target."""
    return pair.filled(SCRIPT)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """The command in a folder of its own."""
    return Shell(tmp_path)


@pytest.fixture
def written(pair: Pair) -> tuple[str, str]:
    """A source with the tables that the application writes to, and an empty target."""
    return pair.filled(TABLES)


@pytest.fixture
def application(written: tuple[str, str], tmp_path: Path) -> Iterator[Application]:
    """An application at work on the source; gone at the end of the test."""
    found = Application(tmp_path, written[0])
    found.do("start")
    yield found
    if found.process() is not None:
        found.do("stop")


def majors() -> dict[tuple[int, int], bool]:
    """The pairs of majors that migrations are tried between; 15 and 19 where they are installed.

    The value says whether every run of the tests has the pair: those of the marker `matrix` take
    long together and are run by `pytest -m matrix`.
    """
    pairs = dict.fromkeys([(16, 18), (15, 18), (18, 15), (18, 19), (19, 18)], True)
    pairs |= dict.fromkeys([(16, 19), (19, 19)], False)
    there = set(servers.available_majors()) | {16, 18}
    return {pair: each_time for pair, each_time in pairs.items() if set(pair) <= there}


PAIRS = some_each_time(majors(), *(pair for pair, each_time in majors().items() if each_time))


@pytest.fixture(params=PAIRS, ids=lambda pair: f"{pair[0]}to{pair[1]}")
def any_pair(request: pytest.FixtureRequest, make_pair: Callable[[int, int], Pair]) -> Pair:
    """A pair of every combination of majors that is tried."""
    source, target = request.param
    return make_pair(source, target)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Lets ``-k`` select tests by the numbers of their cases."""
    for marker in item.iter_markers("case"):
        item.extra_keyword_matches.update(marker.args)
