"""The keywords that `Migration.run`, its awaited twin, `run_all` and their kin have in common."""

import os
from typing import TypedDict

from pgmigrate._migration.held_snapshot import Snapshot
from pgmigrate._results.rates import Rates


class SafeRunOptions(TypedDict, total=False):
    """Keywords of every call that does a migration.

    Attributes:
        resume: go on with the run that the target's ledger holds. Where it holds none, because none
            was begun, this one begins: so a call that is repeated until it succeeds ends, whenever
            it was killed. A state file that has work done which no ledger has is refused.
        jobs: how many tasks run at once.
        state: a file that mirrors the ledger, for people to read.
        dry_run: plan and check, but touch nothing.
    """

    resume: bool
    jobs: int | None
    state: str | os.PathLike[str] | None
    dry_run: bool


class RunOptions(SafeRunOptions, total=False):
    """Keywords of `Migration.run`, of its awaited twin and of `run_all`.

    Attributes:
        backup: back up the target first; as the configuration says when None.
        verify: compare source and target afterwards; as the configuration says when None.
        consistent: False allows rows of several states of the source in one table, unless it is
            cut by pages; as the configuration says when None.
        rates: how fast the servers are, for the time left; without them it is known only of what
            the run has measured.
    """

    backup: bool | None
    verify: bool | None
    consistent: bool | None
    rates: Rates | None


class TaskOptions(TypedDict, total=False):
    """Keywords of `Migration.run_tasks` and of its awaited twin.

    Attributes:
        snapshot: ``held`` reads the source in the snapshot that `Migration.hold_snapshot` has
            announced, so that the rows of all parts are of one moment. ``own``, the default, reads
            it as it is now: the parts fit together only if nothing writes to the source until all
            are done.
        wait: seconds to wait for a held snapshot to be announced; 300 when None.
        jobs: how many tasks run at once in this process.
        consistent: as in `RunOptions`.
    """

    snapshot: Snapshot
    wait: float | None
    jobs: int | None
    consistent: bool | None
