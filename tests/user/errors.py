"""What a program catches, and what it can read from it."""

from __future__ import annotations

import json
from collections.abc import Callable

from pgmigrate import (
    BackupError,
    ConfigError,
    ConnectError,
    CopyError,
    DriftError,
    InternalError,
    InterruptedRunError,
    PgMigrateError,
    PreflightError,
    SchemaError,
    StateError,
    VerifyError,
)
from user.values import of_difference, of_finding


def reported(work: Callable[[], object]) -> str:
    """What became of some work, in a line."""
    try:
        work()
    except ConfigError as error:
        return f"{error}: {', '.join(of_config(error))}"
    except PreflightError as error:
        return f"{error}: {of_preflight(error)} findings"
    except VerifyError as error:
        return f"{error}: {of_verify(error)} differences"
    except DriftError as error:
        return f"make a new plan: {', '.join(of_drift(error))}"
    except InterruptedRunError as error:
        return f"go on later: {error}"
    except (ConnectError, StateError, BackupError) as error:
        return f"nothing was done: {error}"
    except (CopyError, SchemaError) as error:
        return f"a task failed: {of_any(error)}"
    except InternalError as error:
        return f"please report: {error}"
    return "done"


def of_any(error: PgMigrateError) -> str:
    where: tuple[str | None, ...] = (error.phase, error.task, error.object, error.side)
    why: tuple[str | None, ...] = (error.sqlstate, error.remedy)
    named = ", ".join(word for word in (*where, *why) if word is not None)
    return f"{error.kind}, {error.name}: {error.message} ({named}) {json.dumps(error.to_dict())}"


def of_drift(error: DriftError) -> tuple[str, ...]:
    return error.problems


def of_config(error: ConfigError) -> tuple[str, ...]:
    return error.problems


def of_preflight(error: PreflightError) -> int:
    return len([of_finding(finding) for finding in error.findings])


def of_verify(error: VerifyError) -> int:
    return len([of_difference(difference) for difference in error.differences])
