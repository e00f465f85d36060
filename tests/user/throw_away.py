"""Throw-away servers, the demonstration on them, and the program from Python."""

from __future__ import annotations

from pathlib import Path

from pgmigrate.cli import main as program
from pgmigrate.demo import run_demo
from pgmigrate.demo_database import SCRIPT, fill
from pgmigrate.embedded import EmbeddedServer, EmbeddedServerError, find_installations, find_tool


def main() -> None:
    """Starts servers, uses them in every way, and ends them."""
    newest, binaries = list(find_installations().items())[-1]
    server = EmbeddedServer(newest, options={"fsync": True}, bin_dir=binaries)
    try:
        used(server)
    except EmbeddedServerError as error:
        print(f"no server: {error}")
    assert run_demo(scale=0.001, jobs=1)
    assert program(["example-config"]) == 0


def used(server: EmbeddedServer) -> None:
    server.start()
    try:
        print(of_server(server), find_tool("psql"), SCRIPT.stat().st_size)
        fill(server.conninfo, scale=0.001)
        server.restart()
        server.kill()
    finally:
        server.stop()


def of_server(server: EmbeddedServer) -> tuple[list[str], list[Path | None], int]:
    standby: EmbeddedServer | None = server.standby_of
    words = [server.encoding, server.locale, *server.initdb_args, *server.options]
    databases = [server.conninfo, server.conninfo_for("postgres", user="someone")]
    places = [server.data_dir, server.log_path, server.socket_dir, server.bin_dir]
    number = (server.major or 0) + server.port + server.pid
    return [*words, *databases, "primary" if standby is None else "standby"], places, number
