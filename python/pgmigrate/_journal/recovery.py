"""What is done with target and application after a failure, an interruption or a kill.

Only `decide` decides, from the journal and from what was checked; it does nothing itself. It is
called again after each of its answers ``check`` and ``restore``. The first row that matches is
used; an empty cell matches everything.

| lock | target | acted | on failure | backup | others | restore | -> target | -> application |
|---|---|---|---|---|---|---|---|---|
| taken | | | | | | | nothing | nothing |
| | migrated | | | | | | nothing | start |
| | untouched, restored | | | | | | nothing | start_again |
| lost | changed | | | | | | by_hand | if_allowed |
| held | changed | no | | | | | by_hand | nothing |
| held | changed | yes | keep | | | | keep | start_again |
| held | changed | yes | restore | no | | | by_hand | if_allowed |
| held | changed | yes | restore | yes | | failed | by_hand | if_allowed |
| held | changed | yes | restore | yes | unchecked | not_tried | check | nothing |
| held | changed | yes | restore | yes | wrote, unknown | not_tried | by_hand | if_allowed |
| held | changed | yes | restore | yes | none | not_tried | restore | nothing |

A restore checks again whether others wrote, with all tables locked; if they did, it changes
nothing and counts as failed.

``start`` runs the commands of ``start`` unless they were tried already or the application is
started; ``start_again`` runs those of ``start_on_failure`` if the procedure has stopped the
application; ``if_allowed`` is ``start_again`` if ``start_on_failed_restore`` is true, else nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

LockState: TypeAlias = Literal["held", "lost", "taken"]
"""The procedure's lock: held; lost with the target; taken by another procedure."""
TargetState: TypeAlias = Literal["untouched", "changed", "migrated", "restored"]
ApplicationState: TypeAlias = Literal["untouched", "stopped", "started", "left"]
"""The application: not stopped by pgmigrate; stopped; started again; left stopped as configured."""
OnFailure: TypeAlias = Literal["restore", "keep"]
OthersState: TypeAlias = Literal["unchecked", "none", "wrote", "unknown"]
RestoreState: TypeAlias = Literal["not_tried", "failed"]
TargetAction: TypeAlias = Literal["nothing", "check", "restore", "keep", "by_hand"]
ApplicationAction: TypeAlias = Literal["nothing", "start", "start_again"]


@dataclass(frozen=True)
class Situation:
    """What is known when a procedure cannot go on.

    Attributes:
        lock: whether the procedure still has its lock.
        target: the state that the procedure has put the target into.
        has_acted: whether this call has passed its checklist.
        on_failure: the setting of the configuration.
        has_backup: whether the journal has the first backup.
        others: whether others wrote to the target since that backup.
        restore: whether restoring it failed.
        application: the state that the procedure has put the application into.
        is_start_tried: whether the commands of ``start`` were already run.
        starts_on_failed_restore: ``procedure.start_on_failed_restore``.
    """

    lock: LockState
    target: TargetState
    has_acted: bool
    on_failure: OnFailure
    has_backup: bool
    others: OthersState
    restore: RestoreState
    application: ApplicationState
    is_start_tried: bool
    starts_on_failed_restore: bool


@dataclass(frozen=True)
class Decision:
    """What is to be done next.

    Attributes:
        target: ``check`` whether others wrote; ``restore`` the first backup; ``keep`` the target
            for a resumed run; ``by_hand`` leaves it to a person; or ``nothing``.
        application: ``start`` it, ``start_again``, or ``nothing``.
    """

    target: TargetAction
    application: ApplicationAction


def decide(now: Situation) -> Decision:
    """Decides what is done with target and application, by the table of this module.

    Args:
        now: what is known.
    """
    again: ApplicationAction = "start_again" if now.application == "stopped" else "nothing"
    if_allowed: ApplicationAction = again if now.starts_on_failed_restore else "nothing"
    if now.lock == "taken":
        return Decision("nothing", "nothing")
    if now.target == "migrated":
        is_due = now.application != "started" and not now.is_start_tried
        return Decision("nothing", "start" if is_due else "nothing")
    if now.target != "changed":
        return Decision("nothing", again)
    if now.lock == "lost":
        return Decision("by_hand", if_allowed)
    if not now.has_acted:
        return Decision("by_hand", "nothing")
    if now.on_failure == "keep":
        return Decision("keep", again)
    if not now.has_backup or now.restore == "failed" or now.others in ("wrote", "unknown"):
        return Decision("by_hand", if_allowed)
    return Decision("check" if now.others == "unchecked" else "restore", "nothing")
