"""How a plan is passed from one task to the others: in XCom, or by a path that all can read.

A plan holds no password, and the text of some hundred tasks is compressed to a few kilobytes, so a
small plan is passed in XCom itself and needs no storage. A larger one needs a path: a folder that
all workers mount, or object storage such as ``s3://conn_id@bucket/plan.tsv`` through Airflow's
`ObjectStoragePath`.
"""

from __future__ import annotations

import base64
import zlib
from pathlib import Path
from typing import Any, Final, TypeAlias

from pgmigrate import Plan
from pgmigrate.errors import ConfigError, DriftError

PlanReference: TypeAlias = dict[str, Any]
"""A reference to a plan: ``fingerprint``, ``tasks``, ``rows``, ``bytes``, ``snapshot`` (``held`` or
``own``), ``done_run`` (the run that the target's ledger had when the plan was made, if it was done
or followed another plan: runs of this plan have higher numbers) and either ``packed`` or
``path``."""

# A size that Airflow's database can store without problems; the scheduler and the UI read XComs
# whole.
PACKED_AT_MOST: Final = 256 * 1024


def refer(plan: Plan, *, path: str | None, snapshot: str, done_run: int | None) -> PlanReference:
    """The reference of a plan, which is written to ``path`` if there is one.

    Args:
        plan: the plan.
        path: a path or URL that all workers can read; if None, the reference has the plan itself.
        snapshot: whose snapshot mapped tasks read: ``held`` or ``own``.
        done_run: the last run in the target's ledger, if it is done or follows another plan.

    Raises:
        ConfigError: the plan is too large to be passed without a path.
        OSError: the path cannot be written.
    """
    sums = plan._sums()
    reference: PlanReference = {
        "fingerprint": plan.header["fingerprint"],
        "tasks": len(plan),
        "rows": sum(rows for _, _, rows, _ in sums),
        "bytes": sum(size for phase, _, _, size in sums if phase == "data"),
        "snapshot": snapshot,
        "done_run": done_run,
    }
    if path is not None:
        _write(path, plan)
        return {**reference, "path": path}
    packed = base64.b64encode(zlib.compress(plan.text.encode(), 9)).decode()
    if len(packed) > PACKED_AT_MOST:
        raise ConfigError(
            f"a plan of {len(plan):,} tasks is too large for XCom",
            name="plan_too_large",
            remedy="give plan_path: a file or an object-storage URL that all workers can read",
        )
    return {**reference, "packed": packed}


def checked(given: object) -> PlanReference:
    """Checks a reference that was passed through Airflow.

    Args:
        given: the value that a task received as its plan.

    Raises:
        ConfigError: it is something else.
    """
    if isinstance(given, dict) and "fingerprint" in given:
        return given
    raise ConfigError(
        "plan: not a reference to a plan",
        name="plan_reference_invalid",
        remedy="give the reference of a PgMigratePlan task",
    )


def plan_of(reference: PlanReference) -> Plan:
    """The plan of a reference.

    Args:
        reference: as `refer` made it.

    Raises:
        DriftError: its path now has another plan.
        StateError: its path has something that is not a plan.
    """
    if "packed" in reference:
        return Plan.parse(zlib.decompress(base64.b64decode(reference["packed"])).decode())
    plan = _read(reference["path"])
    if plan.header["fingerprint"] != reference["fingerprint"]:
        raise DriftError(
            f"{reference['path']} holds another plan than the one that this DAG run made",
            name="plan_of_other_dag_run",
            remedy="give each DAG run a plan_path of its own, such as plan-{{ run_id }}.tsv",
        )
    return plan


def part_ids(plan: Plan, part: str) -> list[str]:
    """The ids of the tasks of a part.

    Args:
        plan: the plan.
        part: such as ``3/8``, the third of eight groups.

    Raises:
        ConfigError: the plan has no such part.
    """
    number, _, count = part.partition("/")
    if number.isdecimal() and count.isdecimal() and int(count) > 0:
        groups = plan.groups(int(count))
        if 1 <= int(number) <= len(groups) == int(count):
            return groups[int(number) - 1]
    raise ConfigError(
        f"part: this plan has no part {part}",
        name="part_unknown",
        remedy="write 3/8 for the third of 8",
    )


def _write(path: str, plan: Plan) -> None:
    if "://" not in path:
        plan.save(Path(path))
        return
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    ObjectStoragePath(path).write_bytes(plan.text.encode())


def _read(path: str) -> Plan:
    if "://" not in path:
        return Plan.load(path)
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    return Plan.parse(ObjectStoragePath(path).read_bytes().decode())
