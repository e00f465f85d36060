"""The notebooks of the repository run from top to bottom, and look right in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest
from playwright.sync_api import Browser

from support.browser import Mode, chromium, opened

# They have no type hints.
_read: Any = nbformat.read
_validate: Any = nbformat.validate
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
NAMES = [path.name for path in sorted(NOTEBOOKS.glob("*.ipynb"))]


def executed(name: str) -> list[Any]:
    """The cells of a notebook, after a kernel of its own has run them all from top to bottom."""
    notebook = _read(NOTEBOOKS / name, as_version=4)
    client = nbclient.NotebookClient(notebook, timeout=240, kernel_name="python3")
    client.execute()
    cells: list[Any] = notebook.cells
    for output in (output for cell in cells for output in cell.get("outputs", [])):
        assert output.output_type != "error"
        # A cell is shown and stored; the text next to its HTML is for readers without HTML.
        assert len(str(output.get("data", {}).get("text/plain", ""))) < 4000
    return cells


def shown(cells: list[Any], code: str) -> str:
    """The HTML below the cell whose last line is that code."""
    for cell in cells:
        if cell.cell_type == "code" and cell.source.splitlines()[-1] == code:
            found = [output.data for output in cell.outputs if "data" in output]
            return str(found[-1]["text/html"])
    raise AssertionError(f"no cell ends in {code}")


def printed(cells: list[Any]) -> str:
    """All that the cells printed."""
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return "".join(output.text for output in outputs if output.output_type == "stream")


def test_there_are_three_notebooks() -> None:
    assert [name.partition("_")[0] for name in NAMES] == ["1", "2", "3"]


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_kept_without_outputs(name: str) -> None:
    notebook = _read(NOTEBOOKS / name, as_version=4)
    _validate(notebook)
    for cell in notebook.cells:
        assert cell.metadata == {}
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert set(notebook.metadata.language_info) == {"name"}, "nothing of the machine it was made on"


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_reads_as_a_tutorial(name: str) -> None:
    cells = _read(NOTEBOOKS / name, as_version=4).cells
    assert cells[0].cell_type == "markdown" and cells[0].source.startswith("# ")
    assert "pip install 'pgmigrate[" in cells[0].source
    words = [cell for cell in cells if cell.cell_type == "markdown"]
    assert len(words) * 2 >= len(cells) - 1, "what happens is said before it does"
    for cell in cells:
        lines = cell.source.splitlines()
        assert len(lines) <= 18 and all(len(line) <= 140 for line in lines)


def test_the_first_looks_at_a_plan(tmp_path: Path) -> None:
    cells = executed(NAMES[0])
    plan = shown(cells, "plan")
    assert "bookings.tickets" in plan and "<svg" in plan and "Largest tables" in plan
    assert "a run may start" in shown(cells, "migration.preflight()")
    assert "FROM STDIN" in printed(cells)
    with chromium() as browser:
        _look_at_a_plan(browser, plan, tmp_path / "plan-light.html", "light")
        _look_at_a_plan(browser, plan, tmp_path / "plan-dark.html", "dark")


def _look_at_a_plan(browser: Browser, plan: str, path: Path, mode: Mode) -> None:
    """In a page as JupyterLab's, which knows better than the system whether it is dark."""
    is_light = str(mode == "light").lower()
    paper = "#ffffff" if mode == "light" else "#111111"
    path.write_text(
        f"<!DOCTYPE html><meta charset='utf-8'><body data-jp-theme-light='{is_light}' "
        f"style='background: {paper}'><div class='jp-RenderedHTMLCommon'>{plan}</div>",
        encoding="utf-8",
    )
    with opened(browser, path, "dark" if mode == "light" else "light") as found:
        assert found.requests == [path.as_uri()] and found.complaints == []
        page = found.page
        assert page.locator("section:has(h3:text-is('Largest tables')) tbody tr").count() == 15
        tiles = page.locator("svg path[aria-label^='bookings.']")
        assert tiles.count() >= 15
        box = tiles.first.bounding_box()
        assert box is not None and box["width"] > 50 and box["height"] > 50
        assert "bookings.bookings" in page.locator("svg text").all_text_contents()
        assert (found.lightness(".pgm td") > 0.5) == (mode == "dark")
        page.screenshot(path=path.with_suffix(".png"), full_page=True)


def test_the_second_breaks_a_run_resumes_it_and_proves_it() -> None:
    cells = executed(NAMES[1])
    assert "the run has stopped" in printed(cells)
    assert "interrupted" in shown(cells, "migration.status()")
    progress = shown(cells, "report = migration.run(plan, resume=True, on_event=notebook())")
    assert "</b>done</span>" in progress and "done before" in progress
    report = shown(cells, "report")
    assert report.count("<svg") == 3 and "</b>done</span>" in report
    assert "</b>equal</span>" in shown(cells, "result")
    damaged = shown(cells, "migration.verify(plan)")
    assert "not equal" in damaged and "bookings.seats" in damaged


def test_the_third_estimates_and_then_knows() -> None:
    cells = executed(NAMES[2])
    words = printed(cells)
    assert "uncalibrated estimate" in words and "MB/s" in words and "ask for" in words
    estimate = shown(cells, "estimate")
    assert "How long with how many jobs" in estimate and "<svg" in estimate
