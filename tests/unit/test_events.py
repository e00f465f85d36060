"""The types of events are those that the core's sources declare."""

from __future__ import annotations

import re
from pathlib import Path
from types import NoneType
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

import pytest

from pgmigrate import SafetyStep
from pgmigrate.events import ProcedureStepEvent
from support.event_types import mistakes, types

SOURCES: Final = Path(__file__).parents[2] / "src"
# No caller gets these: log records go to `logging`, and the lock is the procedure's own.
INNER: Final = {"log", "procedure_locked"}
SCALARS: Final = {
    **dict.fromkeys(("i64", "u64", "u32", "usize"), int),
    "f64": float,
    "String": str,
    "bool": bool,
}


def source(name: str) -> str:
    """A source of the core without its comments and attributes."""
    text = (SOURCES / name).read_text(encoding="utf-8")
    return re.sub(r"^\s*(//|#\[).*\n", "", text, flags=re.M)


def fields(body: str) -> dict[str, str]:
    return dict(re.findall(r"^\s+(?:pub )?(\w+): ([\w<>]+),$", body, re.M))


def struct(name: str) -> dict[str, str]:
    text = source("finding.rs") + source("event.rs")
    found = re.search(rf"^pub struct {name} {{\n(.*?)^}}", text, re.M | re.S)
    assert found is not None, name
    return fields(found[1])


def declared() -> dict[str, dict[str, str]]:
    """The events of the core: name -> field -> type."""
    found = re.search(r"^pub enum Event {\n(.*?)^}", source("event.rs"), re.M | re.S)
    assert found is not None
    events = {}
    variants = re.compile(r"^    (\w+)(?:\((\w+)\)| {\n(.*?)^    })?,$", re.M | re.S)
    for variant in variants.finditer(found[1]):
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", variant[1]).lower()
        events[name] = struct(variant[2]) if variant[2] else fields(variant[3] or "")
    return events


def is_same(hint: Any, rust: str) -> bool:
    inner = re.fullmatch(r"(?:Vec|Option)<(\w+)>", rust)
    if rust.startswith("Vec<") and inner:
        return get_origin(hint) is list and is_same(get_args(hint)[0], inner[1])
    if rust.startswith("Option<") and inner:
        held = [of for of in get_args(hint) if of is not NoneType]
        return NoneType in get_args(hint) and is_same(held[0], inner[1])
    if rust in SCALARS:
        # A closed set may be kept as a text.
        return hint is SCALARS[rust] or (rust == "String" and get_origin(hint) is Literal)
    if get_origin(hint) is Literal:
        return True
    hints, of = get_type_hints(hint), struct(rust)
    return hints.keys() == of.keys() and all(is_same(hints[key], of[key]) for key in of)


def test_every_event_of_the_core_has_a_type_and_no_other_has_one() -> None:
    assert types().keys() - {"procedure_step"} == declared().keys() - INNER


@pytest.mark.parametrize("name", sorted(declared().keys() - INNER))
def test_the_fields_of_an_event_are_those_of_the_core(name: str) -> None:
    hints = get_type_hints(types()[name])
    del hints["event"]
    of = declared()[name]
    assert hints.keys() == of.keys()
    assert [key for key, rust in of.items() if not is_same(hints[key], rust)] == []


def test_a_step_of_the_procedure_is_reported_with_all_that_it_is() -> None:
    hints = get_type_hints(ProcedureStepEvent)
    assert hints.keys() - {"event"} == get_type_hints(SafetyStep).keys() - {"_parts"}


def test_what_is_no_such_event_is_recognized() -> None:
    right = {"event": "hold_progress", "settled": 1, "running": 0, "failed": 0, "pending": 0}
    assert mistakes(right) == []
    for wrong in (
        {"event": "held"},
        {**right, "more": 1},
        {"event": "hold_progress", "settled": 1},
        {**right, "settled": "1"},
        {"event": "table_verified", "object": "t", "status": "same", "rows": 1},
        {"event": "time_left", "seconds": None, "share": 0.5, "phases": [{"phase": "data"}]},
    ):
        assert mistakes(wrong)
