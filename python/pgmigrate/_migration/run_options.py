"""The keywords that `Migration.run`, its awaitable form, `run_all` and similar calls share."""

import os
from typing import TypedDict

from pgmigrate._migration.held_snapshot import Snapshot
from pgmigrate._results.rates import Rates


class SafeRunOptions(TypedDict, total=False):
    """Keywords of every call that does a migration.

    Attributes:
        resume: continue the run that the target's ledger holds. If it holds none, because none was
            begun, a new run begins: a call can be repeated until it succeeds, even if it was killed
            before its run began. A state file that lists finished work is refused if no ledger has
            that work.
        jobs: how many tasks run at once.
        state: a file that mirrors the ledger, for people to read.
        dry_run: plan and check, but touch nothing.
    """

    resume: bool
    jobs: int | None
    state: str | os.PathLike[str] | None
    dry_run: bool


class RunOptions(SafeRunOptions, total=False):
    """Keywords of `Migration.run`, of its awaitable form and of `run_all`.

    Attributes:
        backup: back up the target first; as the configuration says if None.
        verify: compare source and target afterwards; as the configuration says if None.
        consistent: False allows rows of several snapshots in one table, unless it is
            cut by pages; as the configuration says if None.
        rates: how fast the servers are, for the time left; without them it is computed only from
            what the run has measured.
    """

    backup: bool | None
    verify: bool | None
    consistent: bool | None
    rates: Rates | None


class TaskOptions(TypedDict, total=False):
    """Keywords of `Migration.run_tasks` and of its awaitable form.

    Attributes:
        snapshot: ``held`` reads the source in the snapshot that `Migration.hold_snapshot` has
            registered, so that the rows of all parts are of one moment. ``own``, the default, reads
            it as it is now: the rows of all parts are consistent only if nothing writes to the
            source until all are done.
        wait: seconds to wait until a held snapshot is registered; 300 if None.
        jobs: how many tasks run at once in this process.
        consistent: as in `RunOptions`.
    """

    snapshot: Snapshot
    wait: float | None
    jobs: int | None
    consistent: bool | None
