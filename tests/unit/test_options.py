"""The types of options are what the core takes: its keys, its choices and no other values.

The core is asked with values made from the types, which are written from its table of keys: where
table and parser differ, one of them is wrong.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

import pytest

from pgmigrate import (
    Configuration,
    Connection,
    Migration,
    Options,
    RunOptions,
    _native,
    run_all,
)
from pgmigrate._migration.run_options import TaskOptions
from pgmigrate._values import options
from pgmigrate.errors import ConfigError

SOURCES: Final = Path(__file__).parents[2] / "src"
# A word of no closed set; it is a text, a name, a condition and a command as well.
WORD: Final = "word"
# Values of texts and numbers that have a grammar or bounds of their own.
SAMPLES: Final[dict[str, tuple[Any, ...]]] = {
    "source": ("host=a dbname=a",),
    "target": ("host=b dbname=b",),
    "maintenance_work_mem": (1 << 20, "64MB", "auto"),
    "split_larger_than": (1 << 30, "1GB", "auto"),
}
# Without these, an element of a list has no meaning at all.
NEEDED: Final = {"tables": {"name": "t"}, "procedure": {"run": "true"}}
# Values of keywords that have a set of words.
WORDS: Final = {
    "channel_binding": "prefer",
    "client_encoding": "UTF8",
    "gssencmode": "disable",
    "hostaddr": "127.0.0.1",
    "load_balance_hosts": "disable",
    "options": "-c geqo=off",
    "ssl_max_protocol_version": "TLSv1.3",
    "ssl_min_protocol_version": "TLSv1.2",
    "sslcertmode": "allow",
    "sslmode": "require",
    "sslnegotiation": "postgres",
    "target_session_attrs": "any",
}


def places(kind: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Each key with its path and its type, a list's elements by the number 0."""
    for key, hint in get_type_hints(kind).items():
        yield (*path, key), hint
        for of in alternatives(hint):
            if is_typeddict(of) and of is not Connection:
                yield from places(of, (*path, key))
            elif get_origin(of) is Sequence_:
                for element in alternatives(get_args(of)[0]):
                    if is_typeddict(element):
                        yield from places(element, (*path, key, 0))


Sequence_: Final = get_origin(Sequence[str])
Mapping_: Final = get_origin(Mapping[str, str])


def alternatives(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def right(key: Any, hint: Any) -> Iterator[Any]:
    """Values of a type."""
    if key in SAMPLES:
        yield from SAMPLES[key]
        return
    for of in alternatives(hint):
        if get_origin(of) is Literal:
            yield from get_args(of)
        elif of is bool:
            yield from (True, False)
        elif of is int:
            yield 7
        elif of is str:
            yield WORD


def wrong(hint: Any) -> Iterator[Any]:
    """Values that are not of a type, of each kind that it has not."""
    kinds = alternatives(hint)
    origins = {get_origin(of) or of for of in kinds}
    if not {str, os.PathLike} & origins:
        yield "no such word"
    if int not in origins:
        yield 7.5
    if bool not in origins:
        yield True
    if not {Sequence_} & origins:
        yield []
    if not ({Mapping_} & origins or any(map(is_typeddict, kinds))):
        yield {"no_such": 1}


def problems(path: tuple[Any, ...], value: Any) -> list[str]:
    """What the core says of a value, at its place or below it."""
    place = "".join(f"[{part}]" if part == 0 else f".{part}" for part in path).removeprefix(".")
    needed = NEEDED.get(path[0], {}) if len(path) > 2 and path[1] != "default" else {}
    written: Any = {**needed, path[-1]: value}
    for part in reversed(path[:-1]):
        written = [written] if part == 0 else {part: written}
    base = {"source": "host=a dbname=a", "target": "host=b dbname=b"}
    try:
        _native.config({**base, **written})
    except ConfigError as error:
        return [problem for problem in error.problems if problem.startswith(place)]
    return []


KEYS: Final = dict(places(Configuration))


def name(path: Any) -> str:
    return ".".join(map(str, path)) if isinstance(path, tuple) else ""


@pytest.mark.parametrize("path", KEYS, ids=name)
def test_the_core_takes_every_value_of_a_type(path: tuple[Any, ...]) -> None:
    for value in right(path[-1], KEYS[path]):
        # What a key needs besides, and which names there are, is another question.
        refused = [
            one for one in problems(path, value) if "expected" in one or "unknown key" in one
        ]
        assert refused == [], value


@pytest.mark.parametrize("path", KEYS, ids=name)
def test_the_core_takes_no_value_of_another_type(path: tuple[Any, ...]) -> None:
    taken = [value for value in wrong(KEYS[path]) if not problems(path, value)]
    assert taken == []


@pytest.mark.parametrize("keyword", sorted(get_type_hints(Connection).keys() - {"conninfo"}))
def test_the_core_knows_every_keyword_of_a_connection(keyword: str, tmp_path: Path) -> None:
    service = tmp_path / "service.conf"
    service.write_text("[1]\nhost=h\n", encoding="utf-8")
    value = str(service) if keyword == "servicefile" else WORDS.get(keyword, "1")
    others = {"service": {"servicefile": str(service)}, "sslcert": {"sslkey": "key"}}
    side = {keyword: value, **others.get(keyword, {})}
    assert not problems(("source",), side)
    assert _native.places({"source": side, "target": side})["source"] is not None


def test_the_core_has_no_other_key() -> None:
    kinds = [kind for kind in vars(options).values() if is_typeddict(kind)]
    known = {key for kind in kinds for key in kind.__annotations__}
    last = {key["key"].rpartition(".")[2] for key in _native.config_keys()}
    assert last - known == {"<option>", "<keyword>", "migrations"}


@pytest.mark.parametrize(
    ("call", "keywords"),
    [
        (Migration, Options),
        (Migration.run, RunOptions),
        (Migration.run_async, RunOptions),
        (run_all, RunOptions),
    ],
)
def test_a_signature_shows_every_keyword(call: Any, keywords: Any) -> None:
    shown = inspect.signature(call).parameters
    assert get_type_hints(keywords).keys() <= shown.keys()
    # Tools that evaluate annotations can evaluate these.
    assert get_type_hints(call)
    assert not [one for one in shown.values() if one.kind is one.VAR_KEYWORD]


def test_an_unknown_keyword_of_a_run_is_refused_as_python_does() -> None:
    migration = Migration(source="host=a dbname=a", target="host=b dbname=b")
    misspelt: Any = {"resum": True}
    plan: Any = None
    calls: list[tuple[Callable[..., Any], str]] = [
        (migration.run, "run"),
        (migration.run_safely, "run_safely"),
        (lambda **keys: migration.run_tasks(plan, ["a"], **keys), "run_tasks"),
        (lambda **keys: run_all([migration], **keys), "run_all"),
    ]
    for call, words in calls:
        with pytest.raises(TypeError, match=rf"^{words}\(\) got an unexpected keyword .*'resum'"):
            call(**misspelt)


def test_the_keywords_of_runs_are_the_settings_of_the_core() -> None:
    source = (SOURCES / "engine" / "run" / "settings.rs").read_text(encoding="utf-8")
    body = source.split("pub struct Settings {")[1].split("\n}\n")[0]
    fields = set(re.findall(r"^    pub (\w+): ", body, re.M))
    # Given by arguments of their own.
    arguments = {"plan_file", "on_drift", "tasks"}
    keywords = {**get_type_hints(RunOptions), **get_type_hints(TaskOptions)}
    assert set(keywords) | arguments == fields
