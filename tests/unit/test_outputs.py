"""Streams, loggers and files that cannot be written, by themselves."""

from __future__ import annotations

import io
import json
import logging
import os
import stat
import warnings
from pathlib import Path

import pytest

from pgmigrate import Migration
from pgmigrate._bridge.files import why_no_folder, why_unwritable, write_atomically
from pgmigrate._bridge.logs import LogFile, SteadyLogger
from pgmigrate.cli import main
from pgmigrate.cli.streams import SteadyStream
from support.scripted_core import SOURCE, TARGET, Core, report, task_result, verification

FULL = Path("/dev/full")
ENDPOINTS = ["--source", SOURCE, "--target", TARGET]


class Broken(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("action", ["always", "error"])
def test_a_broken_handler_is_one_warning(action: str, request: pytest.FixtureRequest) -> None:
    logger, seen = SteadyLogger(request.node.name), logging.StreamHandler(io.StringIO())
    for handler in (seen, Broken()):
        logger.logger.addHandler(handler)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter(action)  # type: ignore[arg-type]
        for number in range(3):
            logger.warning("record %d", number)
    assert seen.stream.getvalue() == "record 0\nrecord 1\nrecord 2\n"
    shown = [str(warning.message) for warning in caught]
    assert len(shown) == (1 if action == "always" else 0)
    assert all("No space left on device" in message for message in shown)


def test_a_broken_handler_of_the_caller_ends_no_run(core: Core) -> None:
    core.will(report(), [[{"event": "log", "level": "INFO", "message": "m"}]])
    logger, handler = logging.getLogger("pgmigrate"), Broken()
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            # Reported of a handler of an earlier test, perhaps.
            warnings.simplefilter("ignore")
            done = Migration(source=SOURCE, target=TARGET).run()
    finally:
        logger.removeHandler(handler)
    assert done.ok and core.jobs[0].stopped == 0


def test_a_record_names_the_place_that_logged_it(caplog: pytest.LogCaptureFixture) -> None:
    logger = SteadyLogger("pgmigrate.place")
    logger.warning("by its level's name")
    logger.log(logging.WARNING, "by a number")
    assert {record.pathname for record in caplog.records} == {__file__}


def test_a_log_goes_on_when_there_is_room_again(tmp_path: Path) -> None:
    path, shown = tmp_path / "log", list[str]()
    path.symlink_to(FULL)
    file = LogFile(path, shown.append)
    record = logging.makeLogRecord({"msg": "first"})
    file.emit(record)
    file.emit(record)
    assert shown == ["No space left on device"]
    assert file.stream is not None
    with (tmp_path / "room").open("w") as room:
        os.dup2(room.fileno(), file.stream.fileno())
    file.emit(logging.makeLogRecord({"msg": "later"}))
    file.close()
    assert (tmp_path / "room").read_text().endswith("first\nlater\n")


def test_a_stream_keeps_its_first_failure() -> None:
    with FULL.open("w") as full:
        stream = SteadyStream(full)
        print("lost", file=stream)
        stream.flush()
        stream.settle()
        assert stream.failure == "No space left on device"
        stream.settle()


def test_a_stream_of_another_encoding_shows_what_it_can() -> None:
    written = io.BytesIO()
    stream = SteadyStream(io.TextIOWrapper(written, encoding="latin-1"))
    print("✓ ✗ · æ \u0100 \udcff", file=stream)
    stream.flush()
    assert written.getvalue() == b"+ x \xb7 \xe6 \\u0100 \\udcff\n"


def test_what_cannot_be_written_is_found_without_a_trace(tmp_path: Path) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_text("kept")
    folder.mkdir()
    assert why_unwritable(file / "below") == "Not a directory"
    assert why_unwritable(folder) == "Is a directory"
    assert why_unwritable(tmp_path / "none" / "below") == "No such file or directory"
    assert why_no_folder(file / "below" / "deep") == "Not a directory"
    for path in (file, folder / "new", FULL):
        assert why_unwritable(path) is None
    for path in (folder, tmp_path / "none" / "deep"):
        assert why_no_folder(path) is None
    assert sorted(tmp_path.rglob("*")) == [file, folder]
    assert file.read_text() == "kept"


def test_a_device_is_written_into_and_a_link_followed(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        write_atomically(FULL, [b"text"])
    assert stat.S_ISCHR(FULL.stat().st_mode)
    file, link = tmp_path / "file", tmp_path / "link"
    link.symlink_to(file)
    write_atomically(link, [b"text"])
    assert link.is_symlink() and file.read_bytes() == b"text"


def latin(monkeypatch: pytest.MonkeyPatch, encoding: str) -> io.BytesIO:
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding=encoding))
    return written


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_loses_nothing(core: Core, monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    core.will(report(task_result(1, object='public."tæst ✓"')))
    written = latin(monkeypatch, encoding)
    assert main(["migrate", *ENDPOINTS, "--json"]) == 0
    [task] = json.loads(written.getvalue().decode(encoding))["tasks"]
    assert task["object"] == 'public."tæst ✓"'


def test_a_failure_keeps_its_exit_code(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    for equal, code in ((True, 6), (False, 4)):
        difference: dict[str, object] = {
            "kind": "row_count",
            "object": "public.t",
            "key": None,
            "columns": [],
        }
        found = [] if equal else [{**difference, "message": "1 row is missing"}]
        core.will(verification(equal=equal, differences=found))
        with FULL.open("w") as full:
            monkeypatch.setattr("sys.stdout", full)
            assert main(["verify", *ENDPOINTS]) == code


def test_safe_finds_an_unwritable_checklist_before_anything_else(
    core: Core, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").touch()
    assert main(["safe", *ENDPOINTS, "--checklist", "file/ticket.md"]) == 2
    shown = capsys.readouterr().err
    message = "error: --checklist file/ticket.md cannot be written: Not a directory"
    assert shown.startswith(f"{message}\nremedy: ")
    assert core.calls == []


@pytest.mark.parametrize("option", ["--plan", "--calibrate"])
def test_plan_finds_unwritable_files_before_anything_else(
    core: Core, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    Path("file").touch()
    assert main(["plan", *ENDPOINTS, option, "file/below"]) == 2
    message = f"error: {option} file/below cannot be written: Not a directory"
    assert message in capsys.readouterr().err
    assert core.calls == []
