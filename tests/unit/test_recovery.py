"""What becomes of target and application after a failure: every row of its table."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import get_args

import pytest

from pgmigrate._journal import recovery
from pgmigrate._journal.recovery import (
    ApplicationAction,
    ApplicationState,
    Decision,
    LockState,
    OnFailure,
    OthersState,
    RestoreState,
    Situation,
    TargetState,
    decide,
)

BOOLEANS = (False, True)


def table() -> list[list[str]]:
    """The rows of the table in the module's header, cell by cell."""
    lines = (recovery.__doc__ or "").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    return cells[2:]


def situations() -> Iterator[Situation]:
    """Every situation that there can be."""
    for values in itertools.product(
        get_args(LockState),
        get_args(TargetState),
        BOOLEANS,
        get_args(OnFailure),
        BOOLEANS,
        get_args(OthersState),
        get_args(RestoreState),
        get_args(ApplicationState),
        BOOLEANS,
        BOOLEANS,
    ):
        yield Situation(*values)


def fits(row: list[str], now: Situation) -> bool:
    yes = {True: "yes", False: "no"}
    facts = (
        now.lock,
        now.target,
        yes[now.has_acted],
        now.on_failure,
        yes[now.has_backup],
        now.others,
        now.restore,
    )
    return all(
        not cell or fact in cell.split(", ") for cell, fact in zip(row[:7], facts, strict=True)
    )


def expected(row: list[str], now: Situation) -> Decision:
    target, application = row[7:]
    again: ApplicationAction = "start_again" if now.application == "stopped" else "nothing"
    actions: dict[str, ApplicationAction] = {
        "nothing": "nothing",
        "start": "nothing" if now.is_start_tried or now.application == "started" else "start",
        "start_again": again,
        "if_allowed": again if now.starts_on_failed_restore else "nothing",
    }
    return Decision(target, actions[application])  # type: ignore[arg-type]


@pytest.mark.parametrize("at", range(11))
def test_every_row_of_the_table_is_what_is_decided(at: int) -> None:
    rows = table()
    assert len(rows) == 11
    met = 0
    for now in situations():
        first = next(number for number, row in enumerate(rows) if fits(row, now))
        if first == at:
            assert decide(now) == expected(rows[at], now), now
            met += 1
    assert met, "no situation is left for this row"


def test_a_restore_is_never_decided_without_a_look_at_other_writers() -> None:
    for now in situations():
        if decide(now).target == "restore":
            assert (now.others, now.lock, now.has_backup) == ("none", "held", True)


def test_nothing_is_undone_on_a_target_that_another_procedure_has() -> None:
    taken = [now for now in situations() if now.lock == "taken"]
    assert taken and {decide(now) for now in taken} == {Decision("nothing", "nothing")}
