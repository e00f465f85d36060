"""Pictures of real runs: when each task began and who did it, and the pages in a real browser."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser

from conftest import Pair
from pgmigrate import Migration, Plan, Report, TaskResult
from pgmigrate.cli import main
from support import servers
from support.browser import Mode, chromium, opened

# One worker has them all: they share what takes long to start.
pytestmark = pytest.mark.xdist_group("pictures")

SCRIPT = """
CREATE SCHEMA s;
CREATE TABLE s.big (id int PRIMARY KEY, v text);
INSERT INTO s.big SELECT i, repeat('v', 100) FROM generate_series(1, 20000) i;
CREATE INDEX big_v ON s.big (v);
CREATE TABLE s."odd <b>name</b> & ☃" (id serial PRIMARY KEY, big int REFERENCES s.big);
INSERT INTO s."odd <b>name</b> & ☃" (big) SELECT i FROM generate_series(1, 10) i;
CREATE TABLE s.orphan (id int PRIMARY KEY, big int CONSTRAINT orphan_big REFERENCES s.big);
INSERT INTO s.orphan SELECT i, i FROM generate_series(1, 10) i;
ANALYZE;
"""
TABLES = {
    "mode": "all",
    "include": [{"schema": "s", "name": "big", "chunk_column": "id", "chunk_size": 4000}],
}


@pytest.fixture
def databases(pair: Pair) -> tuple[str, str]:
    source = pair.source()
    servers.run_script(source, SCRIPT)
    return source, pair.target()


def _migration(databases: tuple[str, str], **changes: Any) -> Migration:
    given: dict[str, Any] = {"roles": "none", "tables": TABLES, "jobs": 3, **changes}
    return Migration(source=databases[0], target=databases[1], **given)


def _break(source: str) -> None:
    with psycopg.connect(source, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE s.orphan SET big = -1 WHERE id = 1")


def _ids(plan: Plan, phase: str, table: str | None = None) -> list[str]:
    return [t.id for t in plan if t.phase == phase and (table is None or t.object == table)]


def _begun(task: TaskResult) -> float:
    assert task.begun is not None
    return task.begun


# When tasks began, and who did them.


def test_every_task_has_a_worker_and_a_time_in_the_run(databases: tuple[str, str]) -> None:
    report = _migration(databases).run()
    assert report.ok
    assert {task.worker for task in report.tasks} <= {0, 1, 2}
    assert all(0 <= _begun(task) <= report.seconds for task in report.tasks)
    by_id = {task.id: task for task in report.tasks}
    with psycopg.connect(databases[1]) as connection:
        asked = "SELECT extract(epoch FROM t.started - r.started)::float8, t.task, t.worker FROM"
        tables = "pgmigrate.migration_task t JOIN pgmigrate.migration_run r USING (run)"
        for begun, task, worker in connection.execute(f"{asked} {tables}"):
            assert (begun, worker) == (by_id[task].begun, by_id[task].worker)


def test_no_worker_does_two_things_at_once(databases: tuple[str, str]) -> None:
    """Small tasks are done many in a transaction, and share its time one behind the other."""
    tables = (f"CREATE TABLE s.t{at} (id int PRIMARY KEY);" for at in range(60))
    servers.run_script(databases[0], "\n".join(tables))
    report = _migration(databases).run()
    shares = Counter(task.seconds for task in report.tasks)
    assert max(shares.values()) >= 10, "that they share one is part of the bargain"
    of_worker: defaultdict[int | None, list[TaskResult]] = defaultdict(list)
    for task in report.tasks:
        of_worker[task.worker].append(task)
    assert len(of_worker) > 1
    for tasks in of_worker.values():
        tasks.sort(key=_begun)
        for task, after in itertools.pairwise(tasks):
            # The ledger's clock counts microseconds.
            assert _begun(task) + task.seconds <= _begun(after) + 0.000_005


def test_the_order_of_times_is_the_order_of_needs(databases: tuple[str, str]) -> None:
    chosen = _migration(databases)
    plan = chosen.plan()
    found = {task.id: task for task in chosen.run(plan).tasks}
    for task in plan:
        for needed in task.requires:
            end = _begun(found[needed]) + found[needed].seconds
            assert end <= _begun(found[task.id]) + 0.000_1, (needed, task.id)


def test_a_resumed_run_goes_on_on_the_same_time(databases: tuple[str, str]) -> None:
    chosen = _migration(databases)
    plan = chosen.plan()
    _break(databases[0])
    first = chosen.run(plan)
    assert [task.object for task in first.failed] == ["s.orphan orphan_big"]
    last = max(_begun(task) + task.seconds for task in first.tasks)
    with psycopg.connect(databases[1], autocommit=True) as connection:
        connection.execute("UPDATE s.orphan SET big = 1 WHERE id = 1")
    second = chosen.run(plan, resume=True, verify=False)
    assert second.ok
    times = {task.id: task.begun for task in first.tasks}
    again = [task for task in second.tasks if task.begun != times[task.id]]
    assert [task.object for task in again] == ["s.orphan orphan_big"]
    assert _begun(again[0]) > last and again[0].worker in (0, 1, 2)


def test_a_task_that_was_never_started_says_so(databases: tuple[str, str]) -> None:
    with psycopg.connect(databases[1], autocommit=True) as connection:
        connection.execute("CREATE SCHEMA s")
        connection.execute("CREATE TABLE s.big (id int PRIMARY KEY, v int)")
    report = _migration(databases).run()
    blocked = [task for task in report.tasks if task.status == "blocked"]
    assert blocked and {(task.begun, task.worker, task.seconds) for task in blocked} == {
        (None, None, 0.0)
    }
    failed = [task for task in report.tasks if task.status == "failed"]
    assert all(task.begun is not None and task.worker is not None for task in failed)


PART = """
import json, sys
from pgmigrate import Migration, Plan
options, path, ids = json.loads(sys.argv[1])
assert Migration(**options).run_tasks(Plan.load(path), ids).ok
"""


def test_workers_of_other_processes_have_other_numbers(
    databases: tuple[str, str], tmp_path: Path
) -> None:
    chosen = _migration(databases)
    plan = chosen.plan()
    plan.save(tmp_path / "plan.tsv")
    assert chosen.run_tasks(plan, _ids(plan, "pre-data")).ok
    chunks = _ids(plan, "data", "s.big")
    options = {
        "source": databases[0],
        "target": databases[1],
        "roles": "none",
        "tables": TABLES,
        "jobs": 3,
    }
    for part in (chunks[:2], chunks[2:]):
        asked = json.dumps([options, str(tmp_path / "plan.tsv"), part])
        subprocess.run([sys.executable, "-c", PART, asked], check=True, timeout=120)
    left = [task.id for task in plan if task.phase == "data" and task.id not in chunks]
    report = chosen.run_tasks(plan, [*chunks, *left])
    workers = {task.id: task.worker for task in report.tasks}
    one = {workers[task] for task in chunks[:2]}
    other = {workers[task] for task in chunks[2:]}
    assert not one & other, "processes that may be at work at the same time"
    whole = chosen.run(plan, resume=True)
    assert {w for t, w in ((t.id, t.worker) for t in whole.tasks) if t in workers} >= one | other
    finished = {task.worker for task in whole.tasks if task.phase == "index"}
    assert finished <= {0, 1, 2}, "a whole run is alone, and counts from the beginning"


OLDER = """
ALTER TABLE pgmigrate.migration_task DROP COLUMN worker;
ALTER TABLE pgmigrate.migration_run DROP COLUMN workers;
"""


def test_a_ledger_of_an_older_version_is_read_and_gone_on_with(databases: tuple[str, str]) -> None:
    chosen = _migration(databases)
    plan = chosen.plan()
    half = _ids(plan, "data", "s.big")[:2]
    assert chosen.run_tasks(plan, [*_ids(plan, "pre-data"), *half]).ok
    servers.run_script(databases[1], OLDER)
    assert chosen.status().state == "interrupted"
    report = chosen.run(plan, resume=True)
    assert report.ok
    by_id = {task.id: task for task in report.tasks}
    assert {by_id[task].worker for task in half} == {None}, "it was not recorded"
    assert all(task.worker is not None for task in report.tasks if task.phase == "index")
    servers.assert_equal(*databases)


# Pages in a browser.


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def page_of_a_failed_run(
    databases: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A page of the command line: something failed, and so did the verification."""
    monkeypatch.chdir(tmp_path)
    _break(databases[0])
    config = {"source": databases[0], "target": databases[1], "roles": "none", "tables": TABLES}
    Path("config.json").write_text(json.dumps(config), encoding="utf-8")
    assert main(["migrate", "--config", "config.json", "--report", "report.html"]) == 1
    return tmp_path / "report.html"


BACKGROUNDS: dict[Mode, tuple[int, int, int]] = {"light": (255, 255, 255), "dark": (22, 26, 32)}


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_page_of_a_run(browser: Browser, page_of_a_failed_run: Path, mode: Mode) -> None:
    path = page_of_a_failed_run
    with opened(browser, path, mode) as found:
        page = found.page
        assert found.requests == [path.as_uri()] and found.complaints == []
        assert page.locator("text=1 task failed or blocked").is_visible()
        assert page.locator("td:has-text('orphan_big')").first.is_visible()
        phases = page.locator("section:has(h3:text-is('Phases')) tbody tr")
        assert phases.count() >= 5 and phases.last.inner_text().startswith("total")
        titles = page.locator("figcaption b").all_inner_texts()
        assert titles == ["What each worker did", "Throughput over time", "Slowest tasks"]
        for at in range(3):
            box = page.locator("figure svg").nth(at).bounding_box()
            assert box is not None and box["width"] > 800 and box["height"] > 80
        bars = page.locator("figure svg").first.locator("path[role='graphics-symbol']")
        assert bars.count() >= 10
        assert found.colour("body", "background-color") == BACKGROUNDS[mode]
        ink, axis = found.lightness(".pgm td"), found.lightness("svg text", "fill")
        assert (ink < 0.3 and axis < 0.5) if mode == "light" else (ink > 0.7 and axis > 0.6)
        page.screenshot(path=path.with_name(f"report-{mode}.png"), full_page=True)


def test_odd_names_are_text_in_the_browser(
    browser: Browser, databases: tuple[str, str], tmp_path: Path
) -> None:
    report = _migration(databases).run(verify=True)
    assert report.ok
    path = tmp_path / "report.html"
    report.save(path)
    with opened(browser, path, "light") as found:
        assert found.complaints == []
        assert "equal" in found.page.locator("section:has(h3:text-is('Verification'))").inner_text()
        assert found.page.locator("td b:text-is('name'), svg b").count() == 0
        assert "odd <b>name</b> & ☃" in found.page.content().replace("&lt;", "<").replace(
            "&gt;", ">"
        ).replace("&amp;", "&")


def test_a_page_can_be_printed(browser: Browser, page_of_a_failed_run: Path) -> None:
    with opened(browser, page_of_a_failed_run, "dark") as found:
        found.page.emulate_media(media="print")
        assert found.colour("body", "background-color") == BACKGROUNDS["light"]
        assert found.lightness(".pgm td") < 0.3, "paper is white"
        assert found.page.pdf()[:4] == b"%PDF"


@pytest.mark.parametrize("width", [380, 1400])
def test_a_page_fits_its_window(browser: Browser, page_of_a_failed_run: Path, width: int) -> None:
    with opened(browser, page_of_a_failed_run, "light", width) as found:
        assert found.page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_run_without_the_extra_has_a_page_of_tables(
    browser: Browser, databases: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fresh environment has no altair: a child process that cannot find it stands for that."""
    script = (
        "import sys, json; sys.modules['altair'] = None; sys.modules['vl_convert'] = None\n"
        "import importlib.util as u; real = u.find_spec\n"
        "u.find_spec = lambda n, *a: None if n in ('altair', 'vl_convert') else real(n, *a)\n"
        "from pgmigrate import Migration\n"
        "options, path = json.loads(sys.argv[1])\n"
        "Migration(**options).run().save(path)\n"
    )
    path = tmp_path / "report.html"
    options = {"source": databases[0], "target": databases[1], "roles": "none"}
    asked = json.dumps([options, str(path)])
    subprocess.run([sys.executable, "-c", script, asked], check=True, timeout=120)
    with opened(browser, path, "dark") as found:
        assert found.page.locator("text=pip install 'pgmigrate[plots]'").is_visible()
        assert found.page.locator("svg").count() == 0
        slowest = found.page.locator("section:has(h3:text-is('Slowest tasks')) tbody tr")
        assert slowest.count() >= 5


# Where notebooks are shown: what shows that it is dark, and what the system would say.
HOSTS: list[tuple[str, str, Mode]] = [
    ("<body data-jp-theme-light='true'>", "light", "dark"),
    ("<body data-jp-theme-light='false'>", "dark", "light"),
    ("<body class='vscode-light'>", "light", "dark"),
    ("<body class='vscode-dark'>", "dark", "light"),
    ("<html theme='dark'><body>", "dark", "light"),
    ("<html theme='light'><body>", "light", "dark"),
    ("<body>", "dark", "dark"),
    ("<body>", "light", "light"),
]


@pytest.mark.parametrize(("host", "wanted", "system"), HOSTS)
def test_the_host_of_a_notebook_decides_what_is_dark(
    browser: Browser, tmp_path: Path, host: str, wanted: str, system: Mode
) -> None:
    report = Report.from_mapping(_small_report())
    path = tmp_path / "cell.html"
    shown = f"<!DOCTYPE html><meta charset='utf-8'>{host}{report._repr_html_()}"
    path.write_text(shown, encoding="utf-8")
    with opened(browser, path, system) as found:
        is_dark = found.lightness(".pgm td") > 0.5
        assert is_dark == (wanted == "dark")
        assert (found.lightness("svg text", "fill") > 0.5) == is_dark


def _small_report() -> dict[str, Any]:
    from support.scripted_core import report, task_result

    return report(*(task_result(at, begun=at / 2, worker=at % 2) for at in range(6)))
