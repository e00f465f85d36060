"""Drawings of plans and runs by altair (extra ``pgmigrate[plots]``), from computed data.

Each is made without its title, which a page writes as text; `titled` adds it for a caller that
uses the chart alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pgmigrate._display.charts.sizes import TableSize, table_sizes
from pgmigrate._display.charts.timeline import Course
from pgmigrate._display.charts.treemap import Tile, tiles
from pgmigrate._display.markup import printable
from pgmigrate._display.style import LIGHT, SHADES, shade
from pgmigrate._values.humanize import brief_count, count, duration, plural, size, titled

try:
    import altair as alt
except ImportError as _error:
    raise ImportError(
        "charts need altair: pip install 'pgmigrate[plots]'", name="altair"
    ) from _error

if TYPE_CHECKING:
    from pgmigrate._results.estimate import Estimate
    from pgmigrate._results.plan import Plan
    from pgmigrate._results.report import TaskResult

_WIDTH: Final = 900
_TREEMAP_HEIGHT: Final = 270
_TILES_AT_MOST: Final = 60
_STEPS: Final = 120
_BARS_AT_MOST: Final = 2500
_SLOWEST: Final = 12
# Width of a label's letter in pixels; a little more than the average, so that labels fit.
_LETTER: Final = 8.0
_CROSS: Final = "M-1,-1L1,1M1,-1L-1,1"
_SIZES: Final = (("GB", 1024**3), ("MB", 1024**2), ("kB", 1024), ("B", 1))

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Picture:
    """A chart with the words that belong to it.

    Attributes:
        title: what it shows.
        caption: how to read it.
        chart: the drawing, without a title.
    """

    title: str
    caption: str
    chart: alt.LayerChart

    def specification(self) -> dict[str, Any]:
        """The drawing as a Vega-Lite specification, for any page."""
        chart: dict[str, Any] = self.chart.to_dict()
        chart["config"]["background"] = "transparent"
        return chart

    def titled(self) -> alt.LayerChart:
        """The chart with its title and caption in it."""
        title = alt.Title(self.title, subtitle=self.caption, anchor="start", offset=12)
        titled: alt.LayerChart = self.chart.properties(title=title)
        return titled


def _source(rows: Rows) -> alt.InlineData:
    """Rows for a chart; characters that SVG cannot hold are replaced in names."""
    shown = [
        {key: printable(of) if isinstance(of, str) else of for key, of in row.items()}
        for row in rows
    ]
    return alt.InlineData(values=shown)


def chart_of(picture: Picture | None, reason: str) -> alt.LayerChart:
    """The chart of a picture for a caller that uses it alone.

    Raises:
        ValueError: there is nothing to draw; the message is the given reason.
    """
    if picture is None:
        raise ValueError(f"there is nothing to draw: {reason}")
    return picture.titled()


def treemap(plan: Plan) -> Picture | None:
    """The plan's tables by their bytes; None if it moves none."""
    sizes = [of for of in table_sizes(plan) if of.bytes > 0]
    if not sizes:
        return None
    schemas = Counter(of.schema for of in sizes)
    hues = {schema: f"tile{at}" for at, (schema, _) in enumerate(schemas.most_common(5), 1)}
    whole = sum(of.bytes for of in sizes)
    shown = _largest(sizes)
    boxes = tiles([of.bytes for of in shown], _WIDTH, _TREEMAP_HEIGHT)
    data: Rows = []
    for of, box in zip(shown, boxes, strict=True):
        name, amount = _label(of, whole, box)
        data.append(
            {
                "left": box.left + 1,
                "right": max(box.left + box.width - 1, box.left + 1),
                "top": box.top + 1,
                "bottom": max(box.top + box.height - 1, box.top + 1),
                "hue": LIGHT[hues.get(of.schema, "tile0")],
                "name": name,
                "amount": amount,
                "tip": f"{of.table}: {size(of.bytes)}, about {count(of.rows)} rows, "
                f"{of.bytes / whole:.1%}",
            }
        )
    more = f"; one colour a schema: {_hue_words(hues)}" if len(schemas) > 1 else ""
    caption = f"Area: bytes by the source's statistics, {size(whole)} in all{more}."
    return Picture("Tables by size", caption, _tile_chart(data))


def _hue_words(hues: Mapping[str, str]) -> str:
    return ", ".join(hues) + ("" if len(hues) < 5 else ", all others grey")


def _largest(sizes: Sequence[TableSize]) -> list[TableSize]:
    """The largest tables, and all others as one entry without a schema."""
    left = sizes[_TILES_AT_MOST:]
    if not left:
        return list(sizes)
    rest = TableSize(plural(len(left), "smaller table"), "")
    rest.rows, rest.bytes = sum(of.rows for of in left), sum(of.bytes for of in left)
    # Sorted again, because all others together may be larger than a table that is shown by itself.
    return sorted([*sizes[:_TILES_AT_MOST], rest], key=lambda of: -of.bytes)


def _label(of: TableSize, whole: int, box: Tile) -> tuple[str, str]:
    """The parts of a table's name and size that fit into its tile."""
    letters = int((box.width - 14) / _LETTER)
    if letters < 3 or box.height < 20:
        return "", ""
    # If only one name fits, the table's own name says more than its schema's.
    name = of.table
    if len(name) > letters and of.schema:
        name = name.removeprefix(f"{of.schema}.")
    amount = f"{size(of.bytes)}, {of.bytes / whole:.0%}"
    return _cut(name, letters), amount if len(amount) <= letters and box.height >= 38 else ""


def _tile_chart(data: Rows) -> alt.LayerChart:
    flat = alt.Scale(nice=False, zero=True, domain=[0, _WIDTH])
    down = alt.Scale(nice=False, domain=[_TREEMAP_HEIGHT, 0])
    left = alt.X("left:Q", scale=flat, axis=None)
    top = alt.Y("top:Q", scale=down, axis=None)
    base = alt.Chart(_source(data))
    boxes = base.mark_rect(cornerRadius=2).encode(
        left,
        top,
        alt.X2("right:Q"),
        alt.Y2("bottom:Q"),
        color=alt.Color("hue:N", scale=None),
        tooltip="tip:N",
        description="tip:N",
    )
    text: dict[str, Any] = {"align": "left", "baseline": "top", "dx": 6, "color": LIGHT["tiletext"]}
    # A mark with an empty text still takes room next to the tiles.
    named = base.transform_filter("datum.name != ''").mark_text(
        dy=5, fontSize=12, fontWeight=600, **text
    )
    reported = base.transform_filter("datum.amount != ''").mark_text(dy=21, fontSize=11, **text)
    names = named.encode(left, top, text="name:N")
    amounts = reported.encode(left, top, text="amount:N")
    return _finished(_layered(boxes, names, amounts), _TREEMAP_HEIGHT)


def timeline(tasks: Sequence[TaskResult]) -> Picture | None:
    """What each worker did; None if no task was started."""
    course = Course.of(tasks)
    if not course.spans or course.seconds <= 0:
        return None
    data: Rows = [
        {
            "row": span.row,
            "begin": span.begin,
            "end": max(span.end, span.begin + course.seconds / (2 * _WIDTH)),
            "middle": (span.begin + span.end) / 2,
            "phases": "failed" if span.status == "failed" else SHADES[shade(span.phase)],
            "status": span.status,
            "tip": f"{span.label}: {_status(span.status)}{duration(span.length)}"
            f" from {duration(span.begin)} on",
        }
        for span in course.shortened(2 * course.seconds / _WIDTH, _BARS_AT_MOST)
    ]
    step = max(7, min(24, 520 // course.rows))
    x = alt.X("begin:Q", title=_time_title(course), scale=_time(course), axis=_time_axis(course))
    y = alt.Y(
        "row:O",
        title=None,
        axis=_worker_axis(course) if step >= 12 else None,
        scale=alt.Scale(paddingInner=0.18, paddingOuter=0.1),
    )
    base = alt.Chart(_source(data))
    bars = base.mark_bar(height=alt.RelativeBandSize(1.0)).encode(
        x,
        y,
        x2="end:Q",
        color=_phase_colour(data),
        opacity=alt.condition(alt.datum.status == "stopped", alt.value(0.45), alt.value(1.0)),
        tooltip="tip:N",
        description="tip:N",
    )
    crosses = base.transform_filter(alt.datum.status == "failed").mark_point(
        shape=_CROSS, size=step * 3, strokeWidth=2.5, stroke=LIGHT["ink"], opacity=1
    )
    layers = [bars, crosses.encode(x=alt.X("middle:Q"), y=y), *_pauses(course)]
    return Picture(
        "What each worker did",
        _timeline_caption(course),
        _finished(_layered(*layers), alt.Step(step)),
    )


def _worker_axis(course: Course) -> alt.Axis:
    word = "worker" if course.rows == course.workers else "row"
    return alt.Axis(
        grid=False, ticks=False, domain=False, labelPadding=8, labelExpr=f"'{word} ' + datum.value"
    )


def _timeline_caption(course: Course) -> str:
    marks = ["One bar a task, short neighbours of one phase together."]
    found = {span.status for span in course.spans}
    if "failed" in found:
        marks.append("✕: failed.")
    if "stopped" in found:
        marks.append("Pale: stopped before its end.")
    if course.pauses:
        marks.append(f"Dashed lines: {plural(len(course.pauses), 'pause')} left out.")
    if course.rows < course.workers:
        marks.append(f"{count(course.workers)} workers share {count(course.rows)} rows.")
    return " ".join(marks)


def _status(status: str) -> str:
    return "" if status == "done" else f"{status}, "


def throughput(tasks: Sequence[TaskResult]) -> Picture | None:
    """Bytes per second over time; None if no rows were copied."""
    course = Course.of(tasks)
    steps = course.rate(_STEPS)
    if not steps:
        return None
    peak = max(rate for _, _, rate in steps)
    unit, divisor = next(((unit, by) for unit, by in _SIZES if peak >= by), _SIZES[-1])
    data: Rows = [
        {
            "begin": begin,
            "end": end,
            "rate": rate / divisor,
            "tip": f"from {begin:.1f} s to {end:.1f} s: {size(rate)}/s",
        }
        for begin, end, rate in steps
    ]
    x = alt.X("begin:Q", title=_time_title(course), scale=_time(course), axis=_time_axis(course))
    y = alt.Y("rate:Q", title=f"{unit}/s", axis=_rate_axis())
    base = alt.Chart(_source(data))
    # A step chart has a point at the beginning of each step only: without a last point at its end,
    # the last step would not be drawn.
    closed: Rows = [*data, {**data[-1], "begin": data[-1]["end"]}]
    area = alt.Chart(_source(closed)).mark_area(
        interpolate="step-after",
        color=LIGHT["data"],
        opacity=0.85,
    )
    hover = base.mark_rect(opacity=0, color=LIGHT["data"]).encode(
        x, x2="end:Q", y=alt.value(0), y2=alt.value(150), tooltip="tip:N", description="tip:N"
    )
    total = sum(span.bytes for span in course.spans if span.phase == "data")
    caption = (
        f"{size(total)} of rows, at most {size(peak)}/s. Each task's bytes are spread evenly over "
        "the time that it took."
    )
    chart = _layered(area.encode(x, y), hover, *_pauses(course))
    return Picture("Throughput over time", caption, _finished(chart, 150))


def slowest(tasks: Sequence[TaskResult]) -> Picture | None:
    """The tasks that took longest; None if none took any time."""
    found = sorted(_timed(tasks), key=lambda entry: (-entry[0], entry[1]))[:_SLOWEST]
    if not found:
        return None
    data: Rows = [
        {
            "place": place,
            "name": _cut(name, 42),
            "seconds": seconds,
            "reported": f"{_status(status)}{_exact(seconds)}",
            "phases": SHADES[shade(phase)],
            "tip": f"{name}: {duration(seconds)}{about}",
        }
        for place, (seconds, name, phase, status, about) in enumerate(found)
    ]
    # Fonts differ in width: the room for labels is computed for a wide font.
    extent = min(330, int(max(len(row["name"]) for row in data) * 6.9))
    y = alt.Y(
        "name:N",
        title=None,
        sort=alt.EncodingSortField("place", op="min"),
        axis=alt.Axis(ticks=False, domain=False, labelLimit=330, labelPadding=8, minExtent=extent),
        scale=alt.Scale(paddingInner=0.28, paddingOuter=0.1),
    )
    x = alt.X("seconds:Q", title="seconds", axis=_rate_axis(), scale=alt.Scale(zero=True))
    base = alt.Chart(_source(data))
    bars = base.mark_bar().encode(
        x, y, color=_phase_colour(data), tooltip="tip:N", description="tip:N"
    )
    reported = base.mark_text(align="left", dx=5, fontSize=11, color=LIGHT["muted"]).encode(
        x, y, text="reported:N"
    )
    caption = "The time of one task, in whatever phase; several run at once."
    return Picture("Slowest tasks", caption, _finished(_layered(bars, reported), alt.Step(21)))


def _exact(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 9.95 else duration(seconds)


def _timed(tasks: Sequence[TaskResult]) -> Iterable[tuple[float, str, str, str, str]]:
    for task in tasks:
        if task.seconds > 0 and task.status in ("done", "kept", "failed"):
            about = f", {brief_count(task.rows)} rows, {size(task.bytes)}" if task.bytes else ""
            status = "done" if task.status == "kept" else task.status
            yield (
                task.seconds,
                f"{titled(task.kind, task.object)} ({task.id})",
                task.phase,
                status,
                about,
            )


def by_jobs(estimate: Estimate) -> Picture | None:
    """The time of a run by number of jobs; None if there is nothing to do."""
    if not estimate.seconds:
        return None
    data: Rows = [
        {
            "jobs": str(one.jobs),
            "place": one.jobs,
            "seconds": one.seconds,
            "low": one.low,
            "high": one.high,
            "reported": f"{duration(one.seconds)} ({duration(one.low)} to {duration(one.high)})",
            "phases": "chosen" if one.jobs == estimate.jobs else "others",
            "tip": f"{plural(one.jobs, 'job')}: about {duration(one.seconds)}, "
            f"{duration(one.low)} to {duration(one.high)}",
        }
        for one in sorted(estimate.by_jobs, key=lambda one: one.jobs)
    ]
    y = alt.Y(
        "jobs:N",
        title="jobs",
        sort=alt.EncodingSortField("place", op="min"),
        axis=alt.Axis(ticks=False, domain=False, titleAngle=0, titleY=-10, titleX=0),
        scale=alt.Scale(paddingInner=0.4, paddingOuter=0.1),
    )
    base = alt.Chart(_source(data))
    colour = alt.Color(
        "phases:N",
        legend=None,
        scale=alt.Scale(domain=["chosen", "others"], range=[LIGHT["data"], LIGHT["schema"]]),
    )
    x = alt.X("seconds:Q", title="seconds", axis=_rate_axis(), scale=alt.Scale(zero=True))
    bars = base.mark_bar().encode(x, y, color=colour, tooltip="tip:N", description="tip:N")
    spread = base.mark_rule(strokeWidth=2, color=LIGHT["ink"]).encode(
        alt.X("low:Q", title="seconds"), y, x2="high:Q"
    )
    reported = base.mark_text(align="left", dx=6, fontSize=11, color=LIGHT["muted"]).encode(
        alt.X("high:Q"), y, text="reported:N"
    )
    caption = "Bar: the estimate. Line: from what it takes if all goes well to if all goes badly."
    chart = _layered(bars, spread, reported)
    return Picture("How long with how many jobs", caption, _finished(chart, alt.Step(26)))


def _cut(text: str, letters: int) -> str:
    """A text shortened in its middle if it is too long: names often differ only at their ends."""
    if len(text) <= letters:
        return text
    end = letters // 2
    return f"{text[: letters - end - 1]}…{text[-end:]}"


def _time(course: Course) -> alt.Scale:
    return alt.Scale(domain=[0, course.seconds], nice=False)


def _time_title(course: Course) -> str:
    left_out = ", pauses left out" if course.pauses else ""
    return f"{_time_unit(course)[0]} since the run began{left_out}"


def _time_unit(course: Course) -> tuple[str, int]:
    if course.seconds >= 4 * 3600:
        return "hours", 3600
    return ("minutes", 60) if course.seconds >= 300 else ("seconds", 1)


def _time_axis(course: Course) -> alt.Axis:
    by = _time_unit(course)[1]
    steps = [1, 2, 5, 10, 15, 20, 30, 60, 120, 240]
    shown = course.seconds / by
    if by == 1 and shown <= 10:
        return alt.Axis(tickCount=10, ticks=False, domain=False, labelFlush=False)
    wide = next((step for step in steps if shown / step <= 12), steps[-1])
    values = [at * wide * by for at in range(int(shown / wide) + 1)]
    label = f"format(datum.value / {by}, ',')"
    return alt.Axis(values=values, labelExpr=label, ticks=False, domain=False, labelFlush=False)


def _rate_axis() -> alt.Axis:
    return alt.Axis(tickCount=5, ticks=False, domain=False)


def _phase_colour(data: Sequence[Mapping[str, Any]]) -> alt.Color:
    found = {row["phases"] for row in data}
    known = {**SHADES, "bad": "failed"}
    shown = {words: LIGHT[name] for name, words in known.items() if words in found}
    scale = alt.Scale(domain=list(shown), range=list(shown.values()))
    legend = alt.Legend(
        title=None, orient="top", direction="horizontal", offset=6, columnPadding=16
    )
    return alt.Color("phases:N", scale=scale, legend=legend)


def _pauses(course: Course) -> list[alt.Chart]:
    """A dashed line at each pause, with its length."""
    if not course.pauses:
        return []
    data: Rows = [
        {"at": pause.at, "reported": f"{duration(pause.seconds)} later"} for pause in course.pauses
    ]
    base = alt.Chart(_source(data))
    x = alt.X("at:Q")
    line = base.mark_rule(strokeDash=[4, 3], strokeWidth=1.5, color=LIGHT["ink"]).encode(x)
    text = base.mark_text(align="left", baseline="bottom", dx=4, dy=-2, color=LIGHT["muted"])
    return [line, text.encode(x, y=alt.value(0), text="reported:N")]


def _layered(*layers: alt.Chart) -> alt.LayerChart:
    return alt.LayerChart(layer=list(layers))


def _finished(chart: alt.LayerChart, height: int | alt.Step) -> alt.LayerChart:
    """The chart in its size and colours."""
    axis: dict[str, Any] = {
        "labelColor": LIGHT["muted"],
        "titleColor": LIGHT["muted"],
        "gridColor": LIGHT["line"],
        "titleFontWeight": "normal",
        "labelFontSize": 11,
        "titleFontSize": 11,
    }
    config = alt.Config(
        font="sans-serif",
        background=LIGHT["paper"],
        padding=0,
        # All pictures have the same width, whatever legends and axes stand next to their plots.
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        axis=alt.AxisConfig(**axis),
        legend=alt.LegendConfig(symbolType="square", labelColor=LIGHT["ink"], labelFontSize=11),
        title=alt.TitleConfig(
            color=LIGHT["ink"], subtitleColor=LIGHT["muted"], fontSize=14, subtitleFontSize=12
        ),
        view=alt.ViewConfig(stroke=None),
    )
    finished: alt.LayerChart = chart.properties(width=_WIDTH, height=height, config=config)
    return finished
