"""What several tests of the Python face start from."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgmigrate import _native
from support.scripted_core import Core


@pytest.fixture
def core(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Core:
    """A core that answers as a test says, in a folder of the test's own."""
    core = Core()
    monkeypatch.setattr(_native, "start", core.start)
    monkeypatch.chdir(tmp_path)
    return core
