"""The configs and commands of users of earlier tools run as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from conftest import Pair
from support import servers
from support.shell import Shell

# The shell tool's example, but for the two databases.
SHELL_CONFIG = Path(servers.__file__).with_name("shell_tool.yaml").read_text()

BOOKINGS = """
CREATE SCHEMA bookings;
SET search_path = bookings;
CREATE TABLE flights (
    flight_id serial PRIMARY KEY, flight_no char(6) NOT NULL, departure timestamptz NOT NULL,
    CONSTRAINT flights_no_key UNIQUE (flight_no, departure)
);
INSERT INTO flights (flight_no, departure)
SELECT 'PG' || lpad((i % 1000)::text, 4, '0'), timestamptz '2026-01-01Z' + i * interval '1 minute'
FROM generate_series(1, 210000) AS i;
CREATE INDEX flights_departure ON flights (departure);
CREATE TABLE ticket_flights (
    ticket_no char(13), flight_id int REFERENCES flights, amount numeric(10, 2),
    CONSTRAINT ticket_flights_amount CHECK (amount >= 0), PRIMARY KEY (ticket_no, flight_id)
);
INSERT INTO ticket_flights
SELECT lpad(i::text, 13, '0'), 601 - i, i FROM generate_series(1, 600) AS i;
CREATE TABLE seats (seat_no text);
CREATE TABLE public.unrelated (a int);
ANALYZE;
"""


def values(conninfo: str, query: str) -> list[Any]:
    with psycopg.connect(conninfo) as connection:
        return [row[0] for row in connection.execute(query).fetchall()]


def test_the_shell_tools_config_and_commands(pair: Pair, shell: Shell) -> None:
    source, target = pair.filled(BOOKINGS)
    config = shell.folder / "config.yaml"
    config.write_text(SHELL_CONFIG.format(source=source, target=target))

    planned = shell.run("plan", "--config", "./config.yaml")
    assert planned.code == 0, planned.text
    for absent in ("flights_pkey", "flights_no_key", "ticket_flights_flight_id_fkey"):
        assert absent in planned.stdout
    plan = (shell.folder / "plan.tsv").read_text()

    done = shell.run(
        "migrate", "--config", "./config.yaml", "--plan", "plan.tsv", "--state", "s.tsv"
    )
    assert done.code == 0, done.text
    assert (shell.folder / "plan.tsv").read_text() == plan
    state = [line.split("\t")[:2] for line in (shell.folder / "s.tsv").read_text().splitlines()]
    words = {task: word for task, word in state if task.startswith("t0")}
    assert set(words.values()) == {"DONE"}
    assert "INFO" in (shell.folder / "pgmigrate.log").read_text()

    names = [("bookings", "flights"), ("bookings", "ticket_flights")]
    assert servers.tables(target, ["pgmigrate"]) == names
    assert servers.rows(target, *names[0]) == servers.rows(source, *names[0])
    # limit 100, in the order of flight_id.
    assert values(target, "SELECT flight_id FROM bookings.ticket_flights ORDER BY 1") == list(
        range(1, 101)
    )
    kinds = "SELECT contype::text FROM pg_constraint WHERE connamespace = 'bookings'::regnamespace"
    assert set(values(target, kinds)) <= {"c", "n"}
    indexes = "SELECT indexname::text FROM pg_indexes WHERE schemaname = 'bookings'"
    assert values(target, indexes) == ["flights_departure"]
    assert (
        len(values(target, "SELECT DISTINCT tablename FROM pg_stats WHERE schemaname = 'bookings'"))
        == 2
    )
    log = (shell.folder / "pgmigrate.log").read_text()
    assert "chunk 3 of 3" in plan
    assert "ticket_flights_flight_id_fkey" in done.stdout
    assert "warning" not in done.stderr.lower()
    assert "done data bookings.flights" in log

    again = shell.run(
        "migrate", "-c", "config.yaml", "--plan", "plan.tsv", "--state", "s.tsv", "--resume",
        "--jobs", "2", "--verbose",
    )  # fmt: skip
    assert again.code == 0, again.text
    assert servers.rows(target, *names[0]) == servers.rows(source, *names[0])
    assert len(servers.rows(target, *names[1])) == 100


def test_the_list_of_migrations_runs_as_it_is(pair: Pair, shell: Shell) -> None:
    def entry(name: str, source: str, target: str) -> dict[str, Any]:
        def side(conninfo: str) -> dict[str, Any]:
            parts = conninfo_to_dict(conninfo)
            return {
                "host": parts["host"],
                "port": int(str(parts["port"])),
                "database": parts["dbname"],
                "username": parts["user"],
                "password": parts["password"],
            }

        return {"name": name, "source": side(source), "target": side(target)}

    script = (
        "CREATE TABLE users (id int PRIMARY KEY, name text); INSERT INTO users VALUES (1, 'a');"
        "CREATE TABLE sessions (id int PRIMARY KEY, u int); INSERT INTO sessions VALUES (1, 1);"
    )
    sources = [pair.source(suffix=f"_{number}") for number in range(2)]
    targets = [pair.target(suffix=f"_{number}") for number in range(2)]
    for source in sources:
        servers.run_script(source, script)
    entries = [
        entry("user-service", sources[0], targets[0]),
        entry("api-gateway-service", sources[1], targets[1]),
    ]
    entries[0]["source"]["database"] += "_gone"
    config = shell.folder / "config.json"
    config.write_text(json.dumps({"migrations": entries}))

    done = shell.run("migrate", "--config", "config.json")
    assert done.code == 10
    summary = done.stdout.splitlines()[-3:]
    assert summary[0] == "1 of 2 migrations done"
    assert [line.strip() for line in summary[1:]] == [
        "user-service: a database cannot be reached",
        "api-gateway-service: done",
    ]
    assert "_gone" in done.stderr
    assert servers.tables(targets[0]) == []
    servers.assert_equal(sources[1], targets[1])

    # Whole, and safe to run again: rows that are there are not inserted once more.
    entries[0]["source"]["database"] = conninfo_to_dict(sources[0])["dbname"]
    config.write_text(json.dumps({"migrations": entries}))
    servers.run_script(sources[1], "INSERT INTO users VALUES (2, 'b')")
    done = shell.run("migrate", "--config", "config.json")
    assert done.code == 0, done.text
    assert "2 of 2 migrations done" in done.stdout
    for source, target in zip(sources, targets, strict=True):
        servers.assert_equal(source, target)


def test_one_of_several_migrations_is_chosen_by_name(pair: Pair, shell: Shell) -> None:
    source = pair.source()
    targets = {name: pair.target(f"_{name}") for name in ("a", "b")}
    servers.run_script(source, "CREATE TABLE t (id int)")
    entries = [{"name": n, "source": source, "target": t} for n, t in targets.items()]
    (shell.folder / "config.json").write_text(json.dumps({"migrations": entries}))
    assert shell.run("migrate", "--config", "config.json", "--only", "b").code == 0
    assert [len(servers.tables(target, ["pgmigrate"])) for target in targets.values()] == [0, 1]
