"""How the procedure's commands are watched: real processes, and all that can go wrong with them."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import pytest

from pgmigrate._procedure import command, output
from pgmigrate._procedure.command import Command, CommandEnvironment, CommandResult
from pgmigrate._procedure.output import Output
from pgmigrate._procedure.runner import Execute, Script, ScriptRunner
from pgmigrate.errors import InterruptedRunError
from support.processes import is_there

Log = Callable[[str], object]


def environment_of(
    folder: Path, log: Log = str, hide: Callable[[str], str] = str
) -> CommandEnvironment:
    return CommandEnvironment(folder, {}, hide, log)


def shell(text: str, timeout: float = 30, expect: str = "") -> Command:
    return Command((text,), timeout, is_for_shell=True, expect=expect)


def script(command: Command, came: list[CommandResult], *, is_shielded: bool = False) -> Script:
    came.append((yield Execute(command, is_shielded)))


def executed(
    command: Command, environment: CommandEnvironment, *, is_shielded: bool = False
) -> CommandResult:
    came: list[CommandResult] = []
    ScriptRunner({}, environment, str).run(script(command, came, is_shielded=is_shielded))
    return came[0]


def waits_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def signalled(after: Path, number: int = signal.SIGINT) -> Iterator[None]:
    """This process gets a signal once there is such a file."""

    def kill() -> None:
        waits_for(after.exists)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        thread.join()


# A process and its child, which print and do not end when they are asked to.
STUBBORN = (
    "trap '' TERM; (trap '' TERM; exec sh -c"
    " 'echo $$ > made; mv made child; while :; do echo c; sleep 1; done')"
    " & while [ ! -s child ]; do sleep 0.01; done"
    "; echo $$ > new; mv new parent; while :; do echo p; echo q >&2; sleep 0.05; done"
)
OBEDIENT = "echo $$ > new; mv new parent; while :; do echo p; sleep 0.05; done"


def assert_gone(folder: Path) -> None:
    assert not is_there(folder / "parent") and not is_there(folder / "child")


@pytest.fixture(autouse=True)
def _nothing_is_left_open(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # In containers no process waits for orphans, so that a group stays for all of that time.
    monkeypatch.setattr(command, "_SECONDS_TO_DIE", 0.3)
    own = Path("/proc/self/fd")
    before = len(list(own.iterdir())) if own.exists() else 0
    yield
    assert not own.exists() or len(list(own.iterdir())) <= before


# What commands do to their output.


def test_a_command_may_reopen_its_outputs(tmp_path: Path) -> None:
    lines: list[str] = []
    text = "echo a$i; echo b$i > /dev/stderr; echo c$i > /dev/stdout; sleep 0.1"
    text = f"for i in 1 2 3; do {text}; done; echo d; exit 7"
    ended = executed(shell(text), environment_of(tmp_path, lines.append))
    assert (ended.code, ended.printed, ended.complained) == (7, 7, 3)
    assert sorted(lines) == ["a1", "a2", "a3", "b1", "b2", "b3", "c1", "c2", "c3", "d"]


def test_a_command_may_close_its_outputs(tmp_path: Path) -> None:
    lines: list[str] = []
    text = "echo here; exec >&- 2>&-; sleep 0.3; exit 3"
    assert executed(shell(text), environment_of(tmp_path, lines.append)).code == 3
    assert lines == ["here"]


@pytest.mark.parametrize("line_breaks", [False, True])
def test_output_of_any_length_costs_little_memory(tmp_path: Path, line_breaks: bool) -> None:
    shown = [0, 0]

    def log(line: str) -> None:
        shown[0] += 1
        shown[1] = max(shown[1], len(line))

    what = "tr '\\0' x" if not line_breaks else "tr '\\0' x | fold -w 4000"
    tracemalloc.start()
    try:
        ended = executed(
            shell(f"head -c 60000000 /dev/zero | {what}"), environment_of(tmp_path, log)
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert ended.code == 0 and ended.printed == shown[0] == (15000 if line_breaks else 1)
    assert shown[1] < 2100 and peak < 20_000_000


def test_no_part_of_a_secret_is_left_where_a_line_is_cut(tmp_path: Path) -> None:
    lines: list[str] = []
    # So long that its hidden form is short, and of a length that fits no block.
    secret = "<" + "s" * 99_991 + ">"
    (tmp_path / "secret").write_text(secret)
    text = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13; do cat secret; done"
    environment = environment_of(tmp_path, lines.append, lambda text: text.replace(secret, "***"))
    executed(shell(text), environment)
    assert len(lines) == 1 and "s" not in lines[0].partition(" ... ")[0]


def test_a_flood_of_lines_does_not_hold_a_time_limit_up(tmp_path: Path) -> None:
    lines: list[str] = []

    def log(line: str) -> None:
        lines.append(line)
        time.sleep(0.0001)

    began = time.monotonic()
    ended = executed(shell("exec yes", timeout=0.5), environment_of(tmp_path, log))
    assert ended.is_late and time.monotonic() - began < 8
    assert set(lines[:-1]) == {"y"} and len(lines) > 1000
    left = int(lines[-1].split()[0].strip("(").replace(",", "")) if lines[-1] != "y" else 0
    assert len(lines) - bool(left) + left == ended.printed


def test_the_end_is_not_waited_for_where_a_child_prints_on(tmp_path: Path) -> None:
    lines: list[str] = []
    began = time.monotonic()
    text = "(while :; do echo on; done) & echo $! > parent; echo done"
    assert executed(shell(text), environment_of(tmp_path, lines.append)).code == 0
    os.kill(int((tmp_path / "parent").read_text()), signal.SIGKILL)
    assert time.monotonic() - began < 10 and "done" in lines


# What lives on.

# More than a pipe holds, long after the command's end.
DAEMON = "(sleep 0.5; head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2; touch alive) & "


def test_an_application_goes_on_printing_after_its_start(tmp_path: Path) -> None:
    lines: list[str] = []
    text = "(exec sleep 600) & echo $! > daemon; echo started"
    ended = executed(shell(DAEMON + text), environment_of(tmp_path, lines.append))
    assert ended.code == 0 and lines[0] == "started"
    # Said once, for what it prints from now on is not to be found.
    assert lines[1:] == ["(processes that it has started go on: what they print is not kept)"]
    waits_for((tmp_path / "alive").exists)
    daemon = int((tmp_path / "daemon").read_text())
    for number in (1, 2) if sys.platform == "linux" else ():
        assert "deleted" not in str(Path(f"/proc/{daemon}/fd/{number}").readlink())
    os.kill(daemon, signal.SIGKILL)


def test_a_command_outlives_a_procedure_that_is_killed(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path\n"
        "from pgmigrate._procedure.command import Command, Process, CommandEnvironment\n"
        "import time\n"
        f"environment = CommandEnvironment(Path({str(tmp_path)!r}), {{}}, str, str)\n"
        f"process = Process(Command(({f'touch begun; {DAEMON} wait'!r},), 60, True), environment)\n"
        "while not process.poll(): time.sleep(0.01)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        waits_for((tmp_path / "begun").exists)
        process.kill()
    waits_for((tmp_path / "alive").exists)


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
def test_nothing_of_its_own_is_left_after_a_command(tmp_path: Path) -> None:
    def own() -> list[str]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if f"PATH={tmp_path}" in (process / "environ").read_text(errors="replace"):
                    found.append((process / "cmdline").read_text())
        return found

    (tmp_path / "bin").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
        executed(shell("sleep 0.2; echo on"), environment_of(tmp_path))
        executed(shell("sleep 600", timeout=0.2), environment_of(tmp_path))
    waits_for(lambda: not own())


# What fails.

Fault = Literal["EINVAL", "closed file", "closed pipe", "full disk", "all descriptors", "log"]


@contextmanager
def faulty(fault: Fault, patch: pytest.MonkeyPatch) -> Iterator[Log]:
    """Something keeps the output from being read or logged."""

    def fail(*_: object) -> Any:
        if fault == "closed file":
            raise ValueError("I/O operation on closed file")
        raise OSError(number, os.strerror(number))

    number = errno.ENOSPC if fault == "full disk" else errno.EINVAL
    if fault in ("EINVAL", "closed file"):
        patch.setattr(output._Stream, "read", fail)
    begin = Output.begin

    def close_under_it(output: Output) -> None:
        begin(output)
        chosen = output._open if fault == "all descriptors" else {output._out.reader}
        for one in chosen:
            os.close(one)

    if fault in ("closed pipe", "all descriptors"):
        patch.setattr(Output, "begin", close_under_it)
    yield fail if fault in ("full disk", "log") else str


FAULTS = ["EINVAL", "closed file", "closed pipe", "full disk", "all descriptors"]


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_fails_the_time_limit_holds(
    tmp_path: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_SECONDS_TO_END", 0.3)
    with faulty(fault, monkeypatch) as log:
        began = time.monotonic()
        ended = executed(shell(STUBBORN, timeout=0.5), environment_of(tmp_path, log))
    assert ended.is_late and not ended.is_as_expected and time.monotonic() - began < 10
    assert bool(ended.unread) == (fault != "full disk")
    assert ended.is_logged == (fault != "full disk")
    assert_gone(tmp_path)


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_fails_a_command_does_its_work(
    tmp_path: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2; touch alive"
    with faulty(fault, monkeypatch) as log:
        ended = executed(shell(text), environment_of(tmp_path, log))
        unknown = executed(shell(":", expect="no_output"), environment_of(tmp_path, log))
    assert ended.is_as_expected and (tmp_path / "alive").exists()
    # Whether it printed nothing is not known.
    assert unknown.is_as_expected == (fault == "full disk")
    assert ("could not be read" in unknown.text()) == (fault != "full disk")


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_fails_an_interruption_ends_the_command(
    tmp_path: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted = pytest.raises(KeyboardInterrupt)
    with faulty(fault, monkeypatch) as log, signalled(tmp_path / "parent"), interrupted:
        executed(shell(OBEDIENT), environment_of(tmp_path, log))
    assert_gone(tmp_path)


@pytest.mark.parametrize("is_shielded", [False, True])
@pytest.mark.parametrize("is_awaited", [False, True])
def test_an_error_of_our_own_is_not_tried_for_ever(
    tmp_path: Path, is_shielded: bool, is_awaited: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fail(*_: object, **__: object) -> bool:
        calls.append(1)
        raise LookupError("not this one")

    monkeypatch.setattr(Output, "read", fail)
    began = time.monotonic()
    environment = environment_of(tmp_path)
    with pytest.raises(LookupError, match="not this one"):
        if is_awaited:
            work = script(shell(STUBBORN, 0), [], is_shielded=is_shielded)
            asyncio.run(ScriptRunner({}, environment, str).run_async(work))
        else:
            executed(shell(STUBBORN, 0), environment, is_shielded=is_shielded)
    assert len(calls) <= 3 and time.monotonic() - began < 5
    assert_gone(tmp_path)


def test_what_may_not_be_ended_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(command, "_SECONDS_TO_END", 0.2)
    kill = os.killpg
    monkeypatch.setattr(os, "killpg", refuse)
    ended = executed(shell("exec sleep 600", timeout=0.2), environment_of(tmp_path))
    assert ended.survivor is not None and not ended.is_as_expected
    assert ended.text() == (
        f"did not end within 0.2 s, and could not be ended: process {ended.survivor} still runs"
    )
    kill(ended.survivor, signal.SIGKILL)
    os.waitpid(ended.survivor, 0)


# Interruptions.


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_shielded_command_is_ended_by_the_second_interruption(
    tmp_path: Path, number: int
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(number, interrupt)
    try:
        text = f"trap 'touch asked' TERM; {OBEDIENT.replace('echo p', '! test -e asked || exit 9')}"
        with signalled(tmp_path / "parent", number), signalled(tmp_path / "first", number):
            threading.Timer(0.5, (tmp_path / "first").touch).start()
            with pytest.raises(KeyboardInterrupt):
                executed(shell(text), environment_of(tmp_path), is_shielded=True)
    finally:
        signal.signal(number, before)
    assert (tmp_path / "asked").exists()
    assert_gone(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("is_shielded", [False, True])
def test_an_interruption_while_a_command_is_started_loses_no_process(
    tmp_path: Path, number: int, is_shielded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Output.begin

    def begin_interrupted(output: Output) -> None:
        waits_for((tmp_path / "parent").exists)
        os.kill(os.getpid(), number)
        if is_shielded:
            (tmp_path / "end").touch()
        begin(output)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Output, "begin", begin_interrupted)
    before = signal.signal(number, interrupt)
    try:
        text = f"{OBEDIENT.replace('while :', 'while [ ! -e end ]')}; touch ended"
        with pytest.raises(KeyboardInterrupt):
            executed(shell(text), environment_of(tmp_path), is_shielded=is_shielded)
        assert signal.getsignal(number) is interrupt
    finally:
        signal.signal(number, before)
    # What is shielded is waited for.
    assert (tmp_path / "ended").exists() == is_shielded
    assert_gone(tmp_path)


@pytest.mark.parametrize("how", ["cancelled", "thrown away"])
async def test_an_awaited_command_is_ended(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_SECONDS_TO_END", 0.3)
    work = ScriptRunner({}, environment_of(tmp_path), str).run_async(script(shell(STUBBORN), []))
    if how == "cancelled":
        task = asyncio.ensure_future(work)
        while not (tmp_path / "parent").exists():
            await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        work.send(None)
        waits_for((tmp_path / "parent").exists)
        # So that what follows in the script meets no command at work.
        with pytest.raises(InterruptedRunError, match="abandoned"):
            work.close()
    assert_gone(tmp_path)


def test_an_interruption_while_another_is_dealt_with_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ScriptRunner, "_interrupt", interrupted)
    with signalled(tmp_path / "parent"), pytest.raises(KeyboardInterrupt):
        executed(shell(STUBBORN), environment_of(tmp_path))
    assert_gone(tmp_path)


def test_what_reading_needs_is_looked_for_before_anything_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = environment_of(tmp_path)
    command = Command((sys.executable, "-c", "pass"), 5)
    assert environment.problem(command) is None
    monkeypatch.setattr(output, "_search_path", lambda: str(tmp_path))
    assert environment.problem(command) == "there is no program cat"
    monkeypatch.setattr(output, "SHELL", "/no/such/sh")
    assert environment.problem(command) == "there is no program /no/such/sh"
