"""`pgmigrate migrate --report FILE`: there is a page, and the right one, however a run ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pgmigrate.cli import main
from pgmigrate.errors import ConnectError, InterruptedRunError, PreflightError, from_native
from support.scripted_core import (
    SOURCE,
    TARGET,
    Core,
    report,
    task_result,
    verification,
)

MIGRATE = ["migrate", "--source", SOURCE, "--target", TARGET, "--report", "report.html"]
PAGE = Path("report.html")


def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_a_run_that_is_done_has_a_page(core: Core, capsys: pytest.CaptureFixture[str]) -> None:
    core.will(report(task_result(1)))
    assert main(MIGRATE) == 0
    assert "public.t1" in page() and "done" in page()
    assert "report written to report.html" in capsys.readouterr().out


def test_failed_tasks_are_on_the_page(core: Core) -> None:
    failed = task_result(2, status="failed", note="the disk is full")
    core.will(report(task_result(1), failed, status="failed"))
    assert main(MIGRATE) == 1
    assert "the disk is full" in page()


def test_so_is_a_verification_that_found_differences(core: Core) -> None:
    difference: dict[str, object] = {
        "kind": "row_count",
        "object": "public.t1",
        "key": None,
        "columns": [],
    }
    found = verification(equal=False, differences=[{**difference, "message": "1 row is missing"}])
    core.will(report(task_result(1), verification=found))
    assert main(MIGRATE) == 4
    assert "1 row is missing" in page()


@pytest.mark.parametrize(
    ("error", "code"), [(PreflightError("the table is there"), 3), (ConnectError("it is gone"), 10)]
)
def test_an_error_leaves_no_older_page(core: Core, error: Exception, code: int) -> None:
    PAGE.write_text("the page of last night")
    core.will(error)
    assert main(MIGRATE) == code
    assert str(error) in page() and "last night" not in page()


def test_an_interrupted_run_has_a_page(core: Core) -> None:
    core.will(
        report(task_result(7), status="interrupted", run_state="interrupted"), [KeyboardInterrupt()]
    )
    assert main(MIGRATE) == 130
    assert "public.t7" in page() and "interrupted" in page()


def test_so_has_one_that_was_interrupted_before_it_began(core: Core) -> None:
    core.will(InterruptedRunError("stopped"), [KeyboardInterrupt()])
    assert main(MIGRATE) == 130
    assert "interrupted" in page() and "--resume where" in page()


def test_a_page_that_cannot_be_written_is_reported_before_the_run(
    core: Core, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*MIGRATE[:-1], "no/such/folder/report.html"]
    assert main(arguments) == 2
    assert core.calls == [] and "No such file or directory" in capsys.readouterr().err


def test_a_page_that_cannot_be_written_afterwards_does_not_swallow_the_report(
    core: Core, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pgmigrate.cli.report_file.write_atomically", refuse)
    core.will(report(task_result(1)))
    assert main(MIGRATE) == 6
    reported = capsys.readouterr()
    assert "run 1 done" in reported.out and "No space left on device" in reported.err


def test_json_stays_json(core: Core, capsys: pytest.CaptureFixture[str]) -> None:
    core.will(report(task_result(1)))
    assert main([*MIGRATE, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "done"
    assert PAGE.exists()


def test_each_of_several_migrations_has_a_page(core: Core) -> None:
    entries = [{"name": name, "source": SOURCE, "target": TARGET} for name in ("users", "orders")]
    Path("config.json").write_text(json.dumps({"migrations": entries}), encoding="utf-8")
    core.will(report(task_result(1)))
    core.will(from_native({"kind": "connect", "message": "no route"}))
    main(["migrate", "--config", "config.json", "--report", "report.html"])
    assert "public.t1" in Path("report-users.html").read_text(encoding="utf-8")
    assert "no route" in Path("report-orders.html").read_text(encoding="utf-8")
