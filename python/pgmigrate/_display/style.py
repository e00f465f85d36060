"""Colours and the style sheet, light and dark.

A drawing is made in the light colours; on a page each of them is replaced by its CSS variable, so
that one drawing serves both modes. The hues are those of Okabe and Ito (Color Universal Design,
2008), which colour-blind people can distinguish, darkened or lightened to a contrast of at least
3:1 to the page (WCAG 2.2, 1.4.11), text to 4.5:1. No information is shown by colour alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Final

# Name -> colour in light mode, colour in dark mode.
_COLOURS: Final[Mapping[str, tuple[str, str]]] = {
    "ink": ("#1b2330", "#e6e9ee"),
    "muted": ("#5a6473", "#a5afbd"),
    "line": ("#dfe3e8", "#3a414c"),
    "wash": ("#f4f6f8", "#232932"),
    "paper": ("#ffffff", "#161a20"),
    "schema": ("#838d9a", "#97a1ae"),
    "data": ("#0068a8", "#4fa8e5"),
    "index": ("#bd6f00", "#f0ab3c"),
    "analyze": ("#3c95cc", "#a3d6f7"),
    "constraint": ("#008a62", "#35c495"),
    "later": ("#a8588f", "#dd96c6"),
    "good": ("#00724f", "#45cf9f"),
    "warn": ("#975700", "#f5b654"),
    "bad": ("#b8260b", "#ff8a6b"),
    "tile1": ("#0069a9", "#1f6fae"),
    "tile2": ("#00755c", "#0f7a63"),
    "tile3": ("#985a02", "#9a5f14"),
    "tile4": ("#7b4c95", "#80539a"),
    "tile5": ("#a43a5f", "#a84468"),
    "tile0": ("#5b6674", "#596473"),
    "tiletext": ("#fefefe", "#fdfdfd"),
}

LIGHT: Final[Mapping[str, str]] = {name: light for name, (light, _) in _COLOURS.items()}
"""The colours that drawings are made in."""

# Which colour the tasks of a phase have.
_SHADE_OF_PHASE: Final[Mapping[str, str]] = {
    "roles": "schema",
    "pre-data": "schema",
    "data": "data",
    "index": "index",
    "analyze": "analyze",
    "constraint": "constraint",
}

SHADES: Final[Mapping[str, str]] = {
    "schema": "roles, pre-data",
    "data": "data",
    "index": "index",
    "analyze": "analyze",
    "constraint": "constraint",
    "later": "later phases",
}
"""Colour -> the phases that have it, as the legend names them."""

# Selectors for a surrounding page that is dark or light and does not follow the system:
# JupyterLab and Notebook, VS Code, Google Colab, and pages made by Sphinx or marimo.
_DARK_HOSTS: Final = (
    'body[data-jp-theme-light="false"]',
    "body.vscode-dark",
    "body.vscode-high-contrast:not(.vscode-high-contrast-light)",
    "html[theme=dark]",
    "html[data-theme=dark]",
    "body.dark",
)
_LIGHT_HOSTS: Final = (
    'body[data-jp-theme-light="true"]',
    "body.vscode-light",
    "body.vscode-high-contrast-light",
    "html[theme=light]",
    "html[data-theme=light]",
    "body.light",
)


def shade(phase: str) -> str:
    """The name of a phase's colour."""
    return _SHADE_OF_PHASE.get(phase, "later")


def variable(name: str) -> str:
    """The CSS variable of a colour."""
    return f"var(--pgm-{name})"


def style_sheet() -> str:
    """The rules for everything inside an element of class ``pgm``, on any page."""
    light, dark = _variables(0), _variables(1)
    rules = resources.files(__package__).joinpath("pictures.css").read_text(encoding="utf-8")
    return "\n".join(
        [
            f".pgm {{ {light} }}",
            f"@media (prefers-color-scheme: dark) {{ .pgm {{ {dark} }} }}",
            f"{_below(_LIGHT_HOSTS)} {{ {light} }}",
            f"{_below(_DARK_HOSTS)} {{ {dark} }}",
            # Paper is white even if the screen is dark.
            f"@media print {{ .pgm.pgm {{ {light} }} }}",
            rules,
        ]
    )


def _variables(mode: int) -> str:
    colours = (f"--pgm-{name}: {both[mode]};" for name, both in _COLOURS.items())
    return " ".join(["color-scheme: dark;" if mode else "color-scheme: light;", *colours])


def _below(hosts: tuple[str, ...]) -> str:
    return ", ".join(f"{host} .pgm" for host in hosts)
