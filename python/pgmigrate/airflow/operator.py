"""What all operators share: their connections, their log, how they fail and how they stop."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    BaseOperator,
)

from pgmigrate import Migration, Task
from pgmigrate.airflow.configuration import Config, migration_of
from pgmigrate.airflow.task_log import TaskLog
from pgmigrate.errors import (
    ConfigError,
    DriftError,
    InternalError,
    PgMigrateError,
    PreflightError,
    VerifyError,
)

# What another try would meet again.
_FINAL = (ConfigError, PreflightError, DriftError, VerifyError, InternalError)


class StoppedError(AirflowException):
    """Airflow ended the task, which stopped in order: what ran was rolled back."""


class PgMigrateOperator(BaseOperator):
    """The base of pgmigrate's operators; does nothing by itself.

    When Airflow ends the task (``SIGTERM``: a worker that shuts down, a task marked as failed or
    cleared, an ``execution_timeout``), the tasks of the plan that run are rolled back, the rest
    stays, and the next try goes on from there.

    Args:
        source_conn_id: the Airflow connection to read from; its fields and extras are the conninfo.
            Without one, ``config`` has to say it.
        target_conn_id: the Airflow connection to write to.
        config: what to move and how: the path of a config file, or a mapping of the same shape.
            Everything when None. Airflow shows it in its pages, so passwords belong elsewhere.
        jobs: how many tasks of the plan run at once; as the configuration says when None.
        log_every: seconds between two lines of progress in the task's log.
        kwargs: arguments of every Airflow operator.
    """

    template_fields: Sequence[str] = ("source_conn_id", "target_conn_id", "config")
    ui_color = "#dbe9f6"

    _is_under_way = False
    _is_stopping = False

    def __init__(
        self,
        *,
        source_conn_id: str | None = None,
        target_conn_id: str | None = None,
        config: Config = None,
        jobs: int | None = None,
        log_every: float = 30.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source_conn_id = source_conn_id
        self.target_conn_id = target_conn_id
        self.config = os.fspath(config) if isinstance(config, os.PathLike) else config
        self.jobs = jobs
        self.log_every = log_every

    def _migration(self) -> Migration:
        """The migration that the arguments describe, by the connections as they are now.

        Raises:
            ConfigError: something is wrong in the configuration or in a connection, or it lets the
                ledger be dropped.
        """
        migration = migration_of(self.config, self.source_conn_id, self.target_conn_id)
        if not migration.config["options"]["keep_ledger"]:
            raise ConfigError(
                "options.keep_ledger: false would take away what tells a task that is tried again, "
                "or waits, that its rows are moved: it would move them once more",
                remedy="leave it true, and drop the ledger by `pgmigrate cleanup` in a last task",
            )
        return migration

    def _task_log(self, chosen: Sequence[Task] | None = None) -> TaskLog:
        """What shows a run's events in the task's log.

        Args:
            chosen: the tasks that are run, where it is not the whole plan.
        """
        return TaskLog(self.log, self.log_every, chosen)

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Lets the work inside be stopped, and its errors be such as Airflow understands.

        Raises:
            AirflowFailException: another try would fail in the same way.
            AirflowException: another try may succeed.
        """
        self._is_under_way = True
        try:
            yield
        except PgMigrateError as error:
            raise failure(error) from error
        finally:
            self._is_under_way = False

    def on_kill(self) -> None:
        """Stops what is under way; called by Airflow in the task's process."""
        # Airflow goes on with the task after this. Only an exception reaches the run, which waits
        # in this same thread and stops in order before it passes the exception on.
        if self._is_under_way and not self._is_stopping:
            self._is_stopping = True
            raise StoppedError("stopped by Airflow; the next try goes on from here")


def failure(error: PgMigrateError) -> AirflowException:
    """The exception of Airflow's for an error: it decides whether the task is tried again.

    Args:
        error: what happened.
    """
    is_final = isinstance(error, _FINAL) and not is_busy(error)
    return (AirflowFailException if is_final else AirflowException)(str(error))


def is_busy(error: PgMigrateError) -> bool:
    """Whether the only hindrance is another run, perhaps that of a try which is still dying.

    Args:
        error: what happened.
    """
    if not isinstance(error, PreflightError):
        return False
    blocking = {finding.check for finding in error.findings if finding.severity == "blocking"}
    return blocking == {"already_running"}
