"""A real browser for pages: what they ask for, what they show, how they look."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

Mode = Literal["light", "dark"]


@dataclass
class Opened:
    """A page in the browser, and everything that it asked for or complained about.

    Attributes:
        page: the page.
        requests: the addresses that it asked for, its own among them.
        complaints: what stands in the browser's console, and errors of scripts.
    """

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def colour(self, selector: str, name: str = "color") -> tuple[int, ...]:
        """A computed colour: red, green, blue, and opacity where it is not whole."""
        found = self.page.eval_on_selector(
            selector, f"of => getComputedStyle(of).getPropertyValue('{name}')"
        )
        numbers = found[found.index("(") + 1 : -1].split(",")
        return tuple(round(float(number)) for number in numbers)

    def lightness(self, selector: str, name: str = "color") -> float:
        """How light a computed colour is, from 0 to 1."""
        return sum(self.colour(selector, name)[:3]) / (3 * 255)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser; the test is skipped where the machine has none."""
    path = next((found for name in _NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"no browser is installed: looked for {', '.join(_NAMES)}")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, path: Path, mode: Mode, width: int = 1000) -> Iterator[Opened]:
    """A page of a file, in a system that is light or dark."""
    page = browser.new_page(color_scheme=mode, viewport={"width": width, "height": 800})
    found = Opened(page)
    page.on("request", lambda request: found.requests.append(request.url))
    page.on("console", lambda message: found.complaints.append(message.text))
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.goto(path.as_uri())
    try:
        yield found
    finally:
        page.close()
