"""The implementation of `Display` that `pgmigrate` installs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pgmigrate._display.html.page import report_page
from pgmigrate._display.html.views import html_of
from pgmigrate._results.shown import Chart

if TYPE_CHECKING:
    import altair


class ResultDisplay:
    """Shows results as HTML and with altair."""

    def html(self, result: Any) -> str:
        """A result as a notebook shows it, with its own style sheet."""
        return html_of(result)

    def page(self, report: Any) -> str:
        """The page of a report."""
        return report_page(report)

    def chart(self, chart: Chart, result: Any) -> altair.LayerChart:
        """A chart of a result."""
        # The base package has no altair.
        from pgmigrate._display.charts import charts

        match chart:
            case "treemap":
                return charts.chart_of(charts.treemap(result), "the plan moves no rows")
            case "timeline":
                return charts.chart_of(charts.timeline(result.tasks), "no task was started")
            case "throughput":
                return charts.chart_of(charts.throughput(result.tasks), "no rows were copied")
            case "slowest":
                return charts.chart_of(charts.slowest(result.tasks), "no task was started")
            case "by_jobs":
                return charts.chart_of(charts.by_jobs(result), "there is nothing to do")
