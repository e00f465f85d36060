"""Whether a value is of a type that is made of `TypedDict`, `Literal`, lists and scalars."""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from pgmigrate.events import Event


def types() -> dict[str, Any]:
    """The name of each event -> its type."""
    found = {}
    for kind in get_args(Event):
        (name,) = get_args(get_type_hints(kind)["event"])
        found[name] = kind
    return found


def mistakes(event: Any) -> list[str]:
    """In what an event is not as its type says."""
    kind = types().get(event["event"])
    return [f"{event['event']}: no such event"] if kind is None else list(_wrong(event, kind, ""))


def _wrong(value: Any, hint: Any, place: str) -> Iterator[str]:
    origin = get_origin(hint)
    if is_typeddict(hint):
        hints = get_type_hints(hint)
        if not isinstance(value, dict) or value.keys() != hints.keys():
            yield f"{place}: {value} has not the keys {', '.join(hints)}"
            return
        for key, of in hints.items():
            yield from _wrong(value[key], of, f"{place}.{key}")
    elif origin is Literal:
        if value not in get_args(hint):
            yield f"{place}: {value!r} is none of {get_args(hint)}"
    elif origin is list:
        if not isinstance(value, list):
            yield f"{place}: {value!r} is no list"
            return
        for item in value:
            yield from _wrong(item, get_args(hint)[0], f"{place}[]")
    elif origin in (Union, UnionType):
        if all(any(_wrong(value, of, place)) for of in get_args(hint)):
            yield f"{place}: {value!r} is no {hint}"
    elif type(value) is not hint:
        yield f"{place}: {value!r} is no {hint.__name__}"
