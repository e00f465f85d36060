"""Cases of one kind: some in every run of the tests, the others by `pytest -m matrix`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def some_each_time(cases: Iterable[Any], *each_time: Any) -> list[Any]:
    """The cases as parameters, with the marker `matrix` on all but `each_time`."""
    found = list(cases)
    assert set(each_time) <= set(found), "a case that there is not"
    return [
        case if case in each_time else pytest.param(case, marks=pytest.mark.matrix)
        for case in found
    ]
