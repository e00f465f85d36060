"""Keywords that a `TypedDict` lists once for several functions, at run time.

Type checkers know such keywords by themselves; a running program needs this module for them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

CallT = TypeVar("CallT", bound=Callable[..., object])


class _NotGiven:
    """The default in a signature for a keyword whose default the function or the core decides."""

    def __repr__(self) -> str:
        return "..."


_NOT_GIVEN = _NotGiven()


def spelled_out(keywords: type[Any]) -> Callable[[CallT], CallT]:
    """Makes the signature of a function list each keyword that its ``**`` parameter takes.

    ``help()`` and the completion of notebooks read the signature, and do not expand a `TypedDict`.

    Args:
        keywords: the `TypedDict` of that parameter.
    """

    def decorated(call: CallT) -> CallT:
        signature = inspect.signature(call)
        named = [
            parameter
            for parameter in signature.parameters.values()
            if parameter.kind is not parameter.VAR_KEYWORD
        ]
        more = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=_NOT_GIVEN, annotation=annotation
            )
            for name, annotation in keywords.__annotations__.items()
        ]
        written = signature.replace(parameters=[*named, *more])
        call.__signature__ = written  # type: ignore[attr-defined]
        # `Unpack[...]` is for type checkers: Python 3.10 cannot evaluate it.
        for parameter in signature.parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:
                call.__annotations__.pop(parameter.name, None)
        return call

    return decorated


def check_known(call: str, keywords: type[Any], given: Mapping[str, object]) -> None:
    """Refuses a keyword that the `TypedDict` does not list, with the error that Python raises.

    Args:
        call: the name of the function.
        keywords: the `TypedDict`.
        given: the keywords that the function received.

    Raises:
        TypeError: there is such a keyword.
    """
    for name in given:
        if name not in keywords.__annotations__:
            raise TypeError(f"{call}() got an unexpected keyword argument {name!r}")
