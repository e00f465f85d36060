"""The README against the code: its table of keys is the configuration's own."""

from __future__ import annotations

from pathlib import Path

from pgmigrate import _native

README = Path(__file__).parents[2] / "README.md"


def _rows() -> list[str]:
    """The table's rows as the configuration has them."""
    rows = []
    for key in _native.config_keys():
        default = f"`{key['default']}`" if key["default"] else ""
        rows.append(f"| `{key['key']}` | {key['type']} | {default} | {key['meaning']} |")
    return rows


def test_the_table_of_keys_is_the_model() -> None:
    text = README.read_text()
    table = text.partition("| key | type | default | meaning |\n|---|---|---|---|\n")[2]
    found = table.partition("\n\n")[0].splitlines()
    assert found == _rows()
