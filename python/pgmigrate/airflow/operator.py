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
from pgmigrate._values.wording import action, facing
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

# Errors that another try would raise again.
_FINAL = (ConfigError, PreflightError, DriftError, VerifyError, InternalError)


class StoppedError(AirflowException):
    """Airflow ended the task, which stopped cleanly: running tasks were rolled back."""


class PgMigrateOperator(BaseOperator):
    """The base of pgmigrate's operators; does nothing by itself.

    When Airflow ends the task (``SIGTERM``: a worker that shuts down, a task marked as failed or
    cleared, an ``execution_timeout``), running tasks of the plan are rolled back, finished ones
    stay, and the next try continues from there.

    Args:
        source_conn_id: the Airflow connection to read from; its fields and extras are the conninfo.
            Without one, ``config`` must have the source.
        target_conn_id: the Airflow connection to write to.
        config: what to move and how: the path of a config file, or a mapping of the same shape.
            Everything if None. Airflow shows it in its pages, so it must not contain passwords.
        jobs: how many tasks of the plan run at once; as the configuration says if None.
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
        """The migration that the arguments describe, with the current connections.

        Raises:
            ConfigError: something is wrong in the configuration or in a connection, or the
                configuration allows the ledger to be dropped.
        """
        migration = migration_of(self.config, self.source_conn_id, self.target_conn_id)
        if not migration.config["options"]["keep_ledger"]:
            raise ConfigError(
                "options.keep_ledger is false: without the ledger, a task that is tried again "
                "would move its rows again",
                name="ledger_required",
                remedy=f"set it to true, and drop the ledger in a last task: {action('cleanup')}",
            )
        return migration

    def _task_log(self, chosen: Sequence[Task] | None = None) -> TaskLog:
        """Creates the object that writes a run's events into the task's log.

        Args:
            chosen: the tasks that are run, if it is not the whole plan.
        """
        return TaskLog(self.log, self.log_every, chosen)

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Makes the work inside stoppable, and converts its errors to those of Airflow.

        Raises:
            AirflowFailException: another try would fail in the same way.
            AirflowException: another try may succeed.
        """
        self._is_under_way = True
        try:
            with facing("airflow"):
                yield
        except PgMigrateError as error:
            raise failure(error) from error
        finally:
            self._is_under_way = False

    def on_kill(self) -> None:
        """Stops the work in progress; called by Airflow in the task's process."""
        # Airflow continues the task after this call. Only an exception reaches the run, which waits
        # in this same thread, stops cleanly and then raises the exception again.
        if self._is_under_way and not self._is_stopping:
            self._is_stopping = True
            raise StoppedError("stopped by Airflow; the next try goes on from here")


def failure(error: PgMigrateError) -> AirflowException:
    """Airflow's exception for an error: it decides whether the task is tried again.

    Args:
        error: what happened.
    """
    is_final = isinstance(error, _FINAL) and not is_busy(error)
    return (AirflowFailException if is_final else AirflowException)(str(error))


def is_busy(error: PgMigrateError) -> bool:
    """Whether the error is only that another run is active, such as that of a try still ending.

    Args:
        error: what happened.
    """
    if not isinstance(error, PreflightError):
        return False
    blocking = {finding.check for finding in error.findings if finding.severity == "blocking"}
    return blocking == {"run_active"}
