"""The result of a verification as HTML."""

from __future__ import annotations

from collections.abc import Sequence

from pgmigrate._display.html.lists import SHORT, left_out
from pgmigrate._display.markup import (
    Cell,
    Html,
    Number,
    element,
    heading,
    joined,
    mark,
    note,
    section,
    table,
)
from pgmigrate._results.verification import SETTING_LEFT_OUT, Remark, TableResult, VerifyResult
from pgmigrate._values.finding import Difference
from pgmigrate._values.humanize import count, duration, plural


def verdict(result: VerifyResult | None) -> str:
    if result is None:
        return mark("none", "not asked for")
    if result.verdict == "different":
        return mark("different", "not equal")
    if result.verdict == "not_compared":
        return mark("unchecked", "not all compared")
    return mark(result.verdict, result.headline())


def verify_view(result: VerifyResult) -> Html:
    """The result of a verification; differences come first."""
    rows = sum(of.target_rows or 0 for of in result.tables)
    lead = f"{plural(len(result.tables), 'table')}, {plural(rows, 'row')} on the target"
    return joined(
        [
            heading("Verification", verdict(result), lead),
            *_larger(result.larger_tables, SHORT),
            *_differences(result, SHORT, with_keys=True),
            *_remarks(result, SHORT),
            section("Tables", *_tables(result.tables, SHORT)),
        ]
    )


def proof(result: VerifyResult, limit: int, *, with_keys: bool) -> Html:
    rows = sum(of.target_rows or 0 for of in result.tables)
    lead = f"{plural(len(result.tables), 'table')} and {plural(rows, 'row')} were compared."
    if result.verdict == "equal":
        text = element("p", joined([verdict(result), f": {lead}"]))
        return section("Verification", text, *_remarks(result, limit))
    return section(
        "Verification",
        element("p", joined([verdict(result), f": {lead}"])),
        *_larger(result.larger_tables, limit),
        *_differences(result, limit, with_keys=with_keys),
        *_remarks(result, limit),
    )


def _differences(result: VerifyResult, limit: int, *, with_keys: bool) -> list[Html]:
    found = list(result.differences)
    if not with_keys:
        # Without keys, rows of one table that differ in the same way are one line.
        found = list({_without_key(item): item for item in found}.values())
    rows: list[list[Cell]] = [
        [
            mark("different", item.kind.replace("_", " ")),
            item.object,
            item.message,
            item.key or "" if with_keys else "",
            ", ".join(item.columns),
        ]
        for item in found[:limit]
    ]
    head = ["", "object", "difference", "key", "columns"]
    missed: list[list[Cell]] = [
        [mark("unchecked"), item.object, item.reason] for item in result.unchecked[:limit]
    ]
    where = "Their keys are in report.verification.differences." if not with_keys else ""
    return [
        section(
            f"{plural(len(result.differences), 'difference')}",
            table(head, rows, is_words=True),
            note(" ".join(filter(None, [left_out(found, limit, "difference"), where]))),
            of="pgm-alarm",
        )
        if found
        else Html(),
        section(
            "Could not be compared",
            table(["", "object", "reason"], missed, is_words=True),
            note(left_out(result.unchecked, limit, "object")),
        ),
    ]


def _larger(tables: Sequence[TableResult], limit: int) -> list[Html]:
    rows: list[list[Cell]] = [
        [mark("contains_source", "more rows"), of.object, Number(count(of.more_rows))]
        for of in tables[:limit]
    ]
    if not rows:
        return []
    shown = table(["", "table", "more rows than on the source"], rows)
    return [section("More rows on the target", shown, note(left_out(tables, limit, "table")))]


def _remarks(result: VerifyResult, limit: int) -> list[Html]:
    """What does not affect the verdict, and what was compared."""
    views = result.changed_views
    settings = [item for item in result.not_moved if item.kind == SETTING_LEFT_OUT]
    lacking = [item for item in result.not_moved if item.kind != SETTING_LEFT_OUT]
    changed: list[list[Cell]] = [
        [
            view.object,
            Number(count(view.source_rows or 0)),
            Number(count(view.target_rows or 0)),
            view.note,
        ]
        for view in views[:limit]
    ]
    compared: list[list[Cell]] = [
        [item.kind, Number(count(item.objects))] for item in result.compared
    ]
    return [
        _named("Not moved", lacking, limit, of="pgm-alarm"),
        _named("Settings that every run leaves out", settings, limit),
        section(
            "Materialized views with other rows than on the source",
            table(["view", "rows on the source", "on the target", ""], changed, is_words=True),
            note(left_out(views, limit, "view")),
        )
        if changed
        else Html(),
        _named("Differs by the servers' versions only", result.by_version, limit),
        _named("Only on the target", result.only_on_target, limit),
        section("Compared", table(["kind", "objects"], compared)) if compared else Html(),
    ]


def _named(title: str, remarks: Sequence[Remark], limit: int, of: str = "") -> Html:
    rows: list[list[Cell]] = [[item.kind, item.object, item.message] for item in remarks[:limit]]
    if not rows:
        return Html()
    shown = table(["kind", "object", ""], rows, is_words=True)
    return section(title, shown, note(left_out(remarks, limit, "object")), of=of)


def _without_key(item: Difference) -> tuple[str, str, str]:
    return item.kind, item.object, item.message


def _tables(tables: Sequence[TableResult], limit: int) -> list[Html]:
    """Tables; first those that are not equal, then the largest ones."""
    found = sorted(tables, key=lambda of: (of.status == "equal", -(of.target_rows or 0)))
    rows: list[list[Cell]] = [
        [
            mark(of.status),
            of.object,
            *(
                Number("" if number is None else count(number))
                for number in (of.source_rows, of.target_rows)
            ),
            Number(duration(of.seconds)),
            of.note,
        ]
        for of in found[:limit]
    ]
    head = ["", "table", "rows on the source", "on the target", "took", ""]
    return [table(head, rows), note(left_out(found, limit, "table"))]
