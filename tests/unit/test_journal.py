"""What the journal in the ledger and its file come to, and what a procedure goes on with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pgmigrate._journal.journal import (
    Journal,
    StepTimes,
    begun,
    file_of,
    read_file,
    reconciled,
    write_file,
)
from pgmigrate.errors import StateError

FILE = Path("state.tsv.procedure.json")
FIRST = Journal("a", "db", version=3, began="2026-01-01T00:00:00.000+00:00", stopped="then")
CHANGED = replace(FIRST, version=7, target_state="changed", backup="/b.dump")


def test_a_journal_survives_its_file(tmp_path: Path) -> None:
    steps = {"stop": StepTimes("done", "then", "later"), "backup": StepTimes("running", "later")}
    journal = replace(CHANGED, steps=steps, counters={"tables": []}, application="stopped")
    path = file_of(str(tmp_path / "state.tsv"))
    assert path is not None and read_file(path) is None
    write_file(path, journal)
    assert read_file(path) == journal
    assert path.stat().st_mode & 0o077 == 0
    path.write_text("{}")
    with pytest.raises(StateError, match="holds no journal"):
        read_file(path)


def test_the_later_of_ledger_and_file_holds() -> None:
    assert reconciled(None, None, FILE) is None
    assert reconciled(FIRST, None, FILE) == FIRST
    assert reconciled(CHANGED, replace(CHANGED, version=6), FILE) == CHANGED
    ahead = replace(CHANGED, version=9, outcome="kept")
    assert reconciled(CHANGED, ahead, FILE) == ahead


def test_a_ledger_behind_its_file_shows_a_restore() -> None:
    found = reconciled(FIRST, CHANGED, FILE)
    assert found == replace(CHANGED, target_state="restored", outcome="restored")


def test_a_changed_target_without_a_record_is_left_to_a_person() -> None:
    later = replace(FIRST, procedure="b", began="2025-01-01T00:00:00.000+00:00")
    for ledger in (None, later):
        with pytest.raises(StateError, match=r"no record of it") as raised:
            reconciled(ledger, CHANGED, FILE)
        assert "restore /b.dump with Migration.restore()" in str(raised.value)


def test_a_closed_file_means_nothing_to_another_ledger() -> None:
    closed = replace(CHANGED, target_state="restored", outcome="restored", application="started")
    assert reconciled(None, closed, FILE) is None
    newer = replace(FIRST, procedure="b", began="2027-01-01T00:00:00.000+00:00")
    assert reconciled(newer, CHANGED, FILE) == newer


@pytest.mark.parametrize("outcome", [None, "kept", "not_restored"])
def test_a_changed_target_keeps_its_first_backup(outcome: str | None) -> None:
    earlier = replace(CHANGED, outcome=outcome)  # type: ignore[arg-type]
    assert earlier.is_open
    found = begun("db", earlier)
    assert (found.procedure, found.target_state, found.backup) == ("a", "changed", "/b.dump")
    assert found.outcome is None and found.stopped == "then"


def test_a_target_as_before_gets_a_new_backup_and_knows_of_the_application() -> None:
    earlier = replace(CHANGED, target_state="restored", outcome="restored", application="stopped")
    assert earlier.is_open
    found = begun("db", earlier)
    assert (found.target_state, found.backup, found.counters) == ("untouched", None, None)
    assert (found.application, found.stopped) == ("stopped", "then")


def test_what_is_at_its_end_is_not_gone_on_with() -> None:
    earlier = replace(CHANGED, target_state="migrated", outcome="migrated", application="started")
    assert not earlier.is_open
    found = begun("db", earlier)
    assert found.procedure != "a" and found.stopped is None
    left = replace(earlier, target_state="restored", outcome="restored", application="left")
    assert not left.is_open and begun("db", left).stopped == "then"
