"""The exceptions: their hierarchy, their words, and their way across processes."""

from __future__ import annotations

import copy
import pickle

import pytest

from pgmigrate import Difference, Finding, errors

FINDING = Finding(
    check="target_version", severity="blocking", object="", message="too old", remedy="upgrade"
)
WHERE = {
    "name": "rows_not_stored",
    "phase": "data",
    "task": "d12",
    "object": "public.t",
    "side": "target",
    "sqlstate": "23505",
    "remedy": "remove the duplicate",
}
BY_KIND = {
    "config": errors.ConfigError,
    "connect": errors.ConnectError,
    "preflight": errors.PreflightError,
    "schema": errors.SchemaError,
    "copy": errors.CopyError,
    "state": errors.StateError,
    "drift": errors.DriftError,
    "verify": errors.VerifyError,
    "backup": errors.BackupError,
    "interrupted": errors.InterruptedRunError,
    "internal": errors.InternalError,
}


@pytest.mark.parametrize("kind", BY_KIND)
def test_each_kind_of_the_core_becomes_its_class(kind: str) -> None:
    error = errors.from_native(
        {"kind": kind, "message": "no", **WHERE, "problems": ["a: b"], "findings": []}
    )
    assert type(error) is BY_KIND[kind]
    assert isinstance(error, errors.PgMigrateError)
    assert error.kind == kind
    assert {name: getattr(error, name) for name in WHERE} == WHERE


def test_every_class_has_a_kind() -> None:
    # The core runs no commands.
    classes = {getattr(errors, name) for name in errors.__all__} - {
        errors.PgMigrateError,
        errors.CommandError,
    }
    assert classes == set(BY_KIND.values()) and errors.CommandError.kind not in BY_KIND


def test_errors_are_also_what_python_calls_them() -> None:
    assert issubclass(errors.ConfigError, ValueError)
    assert issubclass(errors.ConnectError, ConnectionError)
    assert issubclass(errors.DriftError, errors.StateError)


def test_the_text_ends_in_the_remedy() -> None:
    assert str(errors.CopyError("copying failed", remedy="resume")) == "copying failed; resume"
    assert str(errors.ConnectError("no answer")) == "no answer"


def test_an_error_without_a_name_of_its_own_has_that_of_its_class() -> None:
    assert (errors.StateError("no").name, errors.DriftError("no").name) == ("state", "drift")
    assert repr(errors.StateError("no", name="run_active")) == "StateError('no', name='run_active')"


@pytest.mark.parametrize(
    "error",
    [
        errors.PgMigrateError("plain"),
        errors.CopyError("copying failed", **WHERE),
        errors.ConnectError("no answer", side="source", remedy="start it"),
        errors.ConfigError("two mistakes", problems=["a: b", "c: d"]),
        errors.PreflightError("no", findings=[FINDING]),
        errors.VerifyError(
            "no", differences=[Difference("sequence", "public.t", "(1)", ("a",), "differs")]
        ),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_survives_pickle_and_copy(error: errors.PgMigrateError) -> None:
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert again.args == error.args
        assert vars(again) == vars(error)


def test_an_error_with_a_note_survives_pickle() -> None:
    error = errors.CopyError("copying failed")
    error.__dict__["__notes__"] = ["on worker 3"]
    assert pickle.loads(pickle.dumps(error)).message == "copying failed"


def test_lists_of_the_core_arrive_typed() -> None:
    wrong = errors.from_native(
        {"kind": "config", "message": "no", "problems": ["a: b"], "findings": []}
    )
    assert isinstance(wrong, errors.ConfigError)
    assert wrong.problems == ("a: b",)
    blocked = errors.from_native(
        {"kind": "preflight", "message": "no", "problems": [], "findings": [FINDING.to_dict()]}
    )
    assert isinstance(blocked, errors.PreflightError)
    assert blocked.findings == (FINDING,)


def test_the_mapping_of_an_error_is_plain() -> None:
    plain = errors.PreflightError("no", findings=[FINDING], side="target").to_dict()
    assert plain["kind"] == "preflight"
    assert plain["side"] == "target"
    assert plain["findings"] == [FINDING.to_dict()]
