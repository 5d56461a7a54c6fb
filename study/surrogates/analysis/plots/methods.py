"""Methods side by side, such as learning rules: a score on each task, and what a method takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Charts, Series, ends_of, value_text
from sgbench.plots.estimate import Estimate

PANEL = 3.2  # inches


@dataclass(frozen=True)
class MethodPanel:
    """Holds one number of each method, in the order of the methods; None where it is not known."""

    title: str  # of the panel
    unit: str  # below its axis
    values: tuple[Estimate | None, ...]  # with their intervals
    # accuracy, whose axis is one of errors; share, from 0 to 100; or cost, of which less is better
    kind: Literal["accuracy", "share", "cost"] = "accuracy"


def methods_charts(names: Sequence[str], panels: Sequence[MethodPanel], caption: str) -> Charts:
    """Build a panel a score or cost, methods as rows; a dashed line goes through the first one's number."""
    return Charts(caption, tuple(_chart(names, panel) for panel in panels))


def _chart(names: Sequence[str], panel: MethodPanel) -> Chart:
    points = tuple(
        ChartPoint(one.value, row, f"{name} {value_text(one.value, ends_of(one))}", x_ends=ends_of(one))
        for row, (name, one) in enumerate(zip(names, panel.values, strict=True))
        if one is not None
    )
    first = panel.values[0]
    is_cost = panel.kind == "cost"
    series = Series(panel.unit, points, tone="good" if is_cost else "bad", marker="s" if is_cost else "")
    most = 1.05 * max((end for point in points for end in (point.x, *(point.x_ends or ()))), default=1.0)
    limits = {"accuracy": None, "share": (-3.0, 103.0), "cost": (0.0, most)}
    across = ChartAxis(panel.unit, is_error=panel.kind == "accuracy", ends=limits[panel.kind])
    rows, lines = ChartAxis(names=tuple(names)), () if first is None else (first.value,)
    return Chart(panel.title, across, rows, (series,), x_lines=lines)
