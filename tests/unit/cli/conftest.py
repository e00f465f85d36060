"""A scripted core that reads plans, and a config with two migrations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pgmigrate import _native
from support.scripted_core import SOURCE, TARGET, Core, some_plan


@pytest.fixture
def core(core: Core, monkeypatch: pytest.MonkeyPatch) -> Core:
    monkeypatch.setattr(_native, "parse_plan", lambda text: {**some_plan().to_dict(), "text": text})
    return core


@pytest.fixture
def several(core: Core) -> str:
    endpoints = {"source": SOURCE, "target": TARGET}
    entries = [{"name": "users", **endpoints}, {"name": "gateway", **endpoints}]
    Path("config.json").write_text(json.dumps({"migrations": entries}), encoding="utf-8")
    return "config.json"
