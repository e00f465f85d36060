"""Results as HTML: escaped, bounded in size, the gravest first, and whole without any extra.

How it looks in a browser is tested with real ones in tests/integration/test_pictures.py.
"""

from __future__ import annotations

import re
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pgmigrate import Plan, PreflightError, PreflightResult, Report, Status, VerifyResult
from pgmigrate._display.charts import svg
from pgmigrate._display.charts.svg import DrawingError
from pgmigrate._display.html import figures
from pgmigrate._display.html.page import error_page
from pgmigrate._display.markup import Number, escaped, table
from pgmigrate._display.style import LIGHT, style_sheet
from pgmigrate._values.finding import Finding
from pgmigrate.errors import ConnectError
from support.scripted_core import report, some_plan, table_result, task_result, verification
from unit.test_frames import some_plan_estimate, some_verification

# Every sign that could leave the place where it stands.
EVIL = 'public."<script>alert(1)</script>&\'\x01\u202e\u00e9"'


class Page(HTMLParser):
    """A parsed page: elements must nest; texts by the element that holds them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == [], "elements that are not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.texts)


def failed_report(**changes: Any) -> Report:
    note = "null value in column; fill it in"
    tasks = [
        task_result(1, begun=0.5, seconds=2.0),
        task_result(2, status="failed", object=EVIL, note=note, sqlstate="23502", worker=1),
        task_result(3, status="blocked", begun=None, worker=None, seconds=0.0, note="needs d2"),
    ]
    phase = {"phase": "data", "tasks": 3, "done": 1, "kept": 0, "failed": 1}
    phase |= {"blocked": 1, "rows": 10, "bytes": 1000}
    return Report.from_mapping(
        report(*tasks, status="failed", phases=[{**phase, "seconds": 2.5}], **changes)
    )


def finding(severity: str, message: str) -> dict[str, Any]:
    return {
        "check": "c",
        "severity": severity,
        "object": EVIL,
        "message": message,
        "remedy": "drop it",
        "objects": [],
    }


def preflight(*findings: dict[str, Any]) -> PreflightResult:
    checks = [
        {"check": "target_empty", "about": "the target is empty", "state": "ok"},
        {"check": "disk", "about": "there is room on the target", "state": "not_made"},
    ]
    return PreflightResult.from_mapping({"findings": list(findings), "checks": checks})


def status(**changes: Any) -> Status:
    counts = {"done": 1, "kept": 0, "running": 1, "failed": 1, "blocked": 0, "pending": 1}
    mapping = {
        "run": 3,
        "plan": "f00d",
        "consistent": None,
        "state": "running",
        "active": True,
        "tasks": counts,
        "rows_done": 250,
        "rows_total": 1000,
        "bytes_done": 1,
        "bytes_total": 0,
        "seconds": 61.0,
        "seconds_left": 183.0,
        "running": [task_result(1, status="running", object=EVIL)],
        "failed": [task_result(2, status="failed", note="it broke; mend it")],
        "procedure": None,
        "findings": [],
    }
    return Status.from_mapping({**mapping, **changes})


def every_result() -> list[Any]:
    return [
        some_plan(),
        failed_report(),
        preflight(finding("blocking", "b"), finding("info", "i")),
        some_verification(),
        some_plan_estimate(),
        status(),
    ]


@pytest.mark.parametrize("result", every_result(), ids=lambda result: type(result).__name__)
def test_every_result_is_whole_html(result: Any) -> None:
    page = Page(result._repr_html_())
    tags = {tag for tag, _ in page.seen}
    assert "table" in tags and "script" not in tags
    assert page.seen[0] == ("div", {"class": "pgm"})


@pytest.mark.parametrize("result", every_result(), ids=lambda result: type(result).__name__)
def test_nothing_on_a_page_points_elsewhere(result: Any) -> None:
    text = result._repr_html_()
    for _, attributes in Page(text).seen:
        assert not {"src", "href", "xlink:href", "srcset", "data"} & attributes.keys()
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/)", text)


def test_names_of_a_database_are_only_text() -> None:
    for result in (failed_report(), preflight(finding("warning", EVIL)), status()):
        page = Page(result._repr_html_())
        assert "<script>alert(1)</script>&'" in page.text
        assert not any(tag == "script" for tag, _ in page.seen)
    assert escaped("a\x00b\x01\x7f\n\ud800\uffff") == "a\u2400b\u2401\u2421\n\ufffd\ufffd"


def test_a_report_begins_with_what_failed() -> None:
    text = Page(failed_report()._repr_html_()).text
    failed, phases = text.index("2 tasks failed or blocked"), text.index("Phases")
    assert failed < phases
    assert text.index("null value in column") < text.index("needs d2"), "the cause, then the rest"
    assert "(23502)" in text and "fill it in" in text


def test_differences_come_first_and_have_keys_in_a_notebook_only(tmp_path: Path) -> None:
    found = some_verification()
    text = Page(found._repr_html_()).text
    assert text.index("2 differences") < text.index("Tables") and "id=1" in text
    proved = failed_report(verification=found.to_dict())
    assert "id=1" in proved._repr_html_()
    proved.save(tmp_path / "report.html")
    saved = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "id=1" not in saved and "2 differences" in saved and "public.t" in saved


def test_findings_are_sorted_by_their_weight() -> None:
    found = [finding("info", "third"), finding("blocking", "first"), finding("warning", "second")]
    text = Page(preflight(*found)._repr_html_()).text
    assert text.index("first") < text.index("second") < text.index("third")
    assert "1 blocking" in text and "drop it" in text
    clean = Page(preflight()._repr_html_()).text
    assert "nothing found" in clean and "the target is empty" in clean and "not made" in clean


def test_a_status_shows_how_far_it_is() -> None:
    page = Page(status()._repr_html_())
    assert "250" in page.texts and "1,000" in page.texts and "3 min 03 s" in page.texts
    assert {"style": "width:25.0%"} in [attributes for _, attributes in page.seen]
    assert "mend it" in page.text
    assert "no run" in Page(status(run=None, state="none")._repr_html_()).text


def test_a_plan_says_what_the_target_will_not_have() -> None:
    text = Page(some_plan()._repr_html_()).text
    assert "public.t1" in text and "2.0 kB" in text and "1,500" in text
    assert "public.i" in text and "invalid on the source" in text


def many_tasks(count: int) -> Plan:
    mapping = some_plan().to_dict()
    task = mapping["tasks"][1]
    tables = count // 4
    tasks = [
        {**task, "id": f"d{at}", "object": f"s{at % 9}.table_{at % tables}", "schema": f"s{at % 9}"}
        for at in range(count)
    ]
    absent = [{"kind": "INDEX", "object": f"i{at}", "reason": "r"} for at in range(count)]
    return Plan.from_mapping({**mapping, "tasks": tasks, "absent": absent})


def test_a_plan_of_many_tasks_makes_a_small_cell() -> None:
    plan = many_tasks(100_000)
    before = time.process_time()
    text = plan._repr_html_()
    assert len(text) < 150_000
    assert "tables more" in text and "99,985 objects more" in text
    assert time.process_time() - before < 60


def test_a_report_of_many_tasks_makes_a_small_page(tmp_path: Path) -> None:
    tasks = [
        task_result(at, begun=at / 100, seconds=0.5 + at % 7 / 10, worker=at % 40)
        for at in range(20_000)
    ]
    many = Report.from_mapping(report(*tasks))
    assert len(many._repr_html_()) < 2_000_000
    assert len(repr(many)) < 2_000 and "tasks=<20,000 of TaskResult>" in repr(many)


def test_the_tables_are_there_without_the_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(figures, "can_draw", lambda: False)
    for module in ("plan_view", "run_view", "estimate_view"):
        monkeypatch.setattr(
            f"pgmigrate._display.html.{module}.can_draw", lambda: False, raising=False
        )
    for result in (some_plan(), failed_report(), some_plan_estimate()):
        text = result._repr_html_()
        assert "<svg" not in text and "pip install &#x27;pgmigrate[plots]&#x27;" in text
    failed_report().save(tmp_path / "report.html")
    saved = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Slowest tasks" in saved and "null value in column" in saved


def test_a_drawing_that_fails_leaves_the_tables(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(charts: list[Any]) -> list[DrawingError]:
        return [DrawingError("no <drawing> today") for _ in charts]

    monkeypatch.setattr(svg, "draw", refuse)
    text = failed_report()._repr_html_()
    assert "null value in column" in text and "no &lt;drawing&gt; today" in text
    assert "no <drawing> today" in caplog.text


def test_what_ends_the_drawing_process_ends_nothing_else() -> None:
    chart = failed_report().timeline().to_dict()
    # The library aborts its process on control characters in a text.
    deadly = {**chart, "title": "a\x01b"}
    good, bad, last = svg.draw([chart, deadly, chart])
    assert isinstance(good, str) and isinstance(last, str) and "<svg" in last
    assert isinstance(bad, DrawingError)
    (wrong,) = svg.draw([{"mark": "no such mark"}])
    assert isinstance(wrong, DrawingError)


def test_pictures_take_the_colours_of_the_page() -> None:
    text = failed_report()._repr_html_()
    drawing = text[text.index("<svg") : text.rindex("</svg>")]
    assert 'fill="var(--pgm-data)"' in drawing and 'fill="var(--pgm-bad)"' in drawing
    colours = set(re.findall(r'(?:fill|stroke)="(#[0-9a-fA-F]+|white|black)"', drawing))
    assert not colours, "a colour of one mode only"
    assert "<title>" in drawing, "what a mark is about, for who points at it"
    names = set(re.findall(r"var\(--pgm-([a-z0-9]+)\)", text))
    assert names <= set(LIGHT)


def test_the_style_sheet_knows_its_hosts() -> None:
    sheet = style_sheet()
    assert "prefers-color-scheme: dark" in sheet and "@media print" in sheet
    for host in ("data-jp-theme-light", "vscode-dark", "html[theme=dark]"):
        assert host in sheet
    # Nothing but what is in our own element is touched.
    rules = re.sub(r"@media[^{]*\{", "", sheet)
    for selector in re.findall(r"([^{}]+)\{[^{}]*\}", rules):
        assert all(".pgm" in part for part in selector.split(",")), selector


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2.2 between two colours."""

    def luminance(colour: str) -> float:
        channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_colours_stand_out_from_the_page(mode: int) -> None:
    from pgmigrate._display.style import _COLOURS

    colours = {name: both[mode] for name, both in _COLOURS.items()}
    papers = [colours["paper"], "#ffffff" if mode == 0 else "#111111"]
    for paper in papers:
        for name in ("ink", "muted", "good", "warn", "bad"):
            assert contrast(colours[name], paper) >= 4.5, (name, paper)
        for name in ("schema", "data", "index", "analyze", "constraint", "later"):
            assert contrast(colours[name], paper) >= 3.0, (name, paper)
    for name in (f"tile{at}" for at in range(6)):
        assert contrast(colours["tiletext"], colours[name]) >= 4.5, name


def test_a_page_shows_what_ended_a_run() -> None:
    blocking = Finding.from_mapping(finding("blocking", "the table is there"))
    stopped = Page(error_page(PreflightError("preflight: it is there", findings=(blocking,))))
    assert "this run touched nothing on the target" in stopped.text and "drop it" in stopped.text
    lost = Page(error_page(ConnectError("the target went <away>", remedy="start it")))
    assert "ended early" in lost.text and "the target went <away>" in lost.text
    assert "start it" in lost.text


def test_a_saved_page_is_whole_and_fetches_nothing(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("an older page")
    failed_report().save(path)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    page = Page(text.removeprefix("<!DOCTYPE html>\n"))
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in page.seen}
    assert "default-src 'none'" in text
    assert list(tmp_path.iterdir()) == [path]


def test_a_chart_says_why_there_is_none() -> None:
    empty = Report.from_mapping(report())
    for method in ("timeline", "throughput", "slowest"):
        with pytest.raises(ValueError, match="nothing to draw"):
            getattr(empty, method)()


def test_charts_are_altair_charts_with_their_titles() -> None:
    charts = {
        "Tables by size": some_plan().chart(),
        "What each worker did": failed_report().timeline(),
        "Throughput over time": failed_report().throughput(),
        "Slowest tasks": failed_report().slowest(),
        "How long with how many jobs": some_plan_estimate().chart(),
    }
    for title, chart in charts.items():
        made = chart.to_dict()
        assert made["title"]["text"] == title and made["title"]["subtitle"]
    assert "altair" in sys.modules


def test_verified_and_equal_is_said_in_words() -> None:
    equal = verification(tables=[table_result("equal")])
    text = Page(VerifyResult.from_mapping(equal)._repr_html_()).text
    assert "equal" in text and "different" not in text


def test_more_rows_on_the_target_are_a_verdict_of_their_own() -> None:
    more = table_result("contains_source", target_rows=7, more_rows=2, held_rows=True)
    found = verification(verdict="contains_source", equal=False, tables=[more])
    page = Page(VerifyResult.from_mapping(found)._repr_html_())
    assert "the target contains the source and 2 more rows" in page.text
    assert "More rows on the target" in page.text and "different" not in page.text


def test_a_column_that_says_nothing_is_left_out() -> None:
    shown = Page(table(["a", "b", "c"], [["1", "", Number("")], ["2", "x", Number("")]]))
    assert shown.texts == ["a", "b", "1", "2", "x"]
    assert table(["a"], []) == ""


def test_a_resumed_run_says_what_its_time_is_about() -> None:
    tasks = [task_result(1, begun=1.0), task_result(2, begun=30_000.0)]
    text = Page(Report.from_mapping(report(*tasks))._repr_html_()).text
    assert "last session took" in text and "Dashed lines: 1 pause left out" in text
