"""Makes charts of validation scores over the slopes, learning rates and other numbers tried in tuning logs."""

import math
from collections.abc import Iterable, Mapping

from registry.site.method_tables import mean
from registry.site.sources import Sources
from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.leaderboard.store.method_provenance import log_of
from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Charts, Series, value_text
from sgbench.plots.layout import Drawing, laid_out
from sgbench.records.spec import Method
from sgbench.records.submission import TuningTrial

Points = list[tuple[float, float]]
MOST_TICKS = 6  # tried values that each have a number at the axis


def method_maps(row: MethodRow, board: Board, sources: Sources) -> list[Drawing]:
    """Draw one method's validation score over each number that was tried for it; none without a tuning log."""
    return _charts({row.label: _tried(row, board, sources)}, board, "of its tuning")


def board_maps(board: Board, sources: Sources) -> list[Drawing]:
    rows = (*board.rows, *board.claimed)
    return _charts({row.label: _tried(row, board, sources) for row in rows}, board, "of every method with a log")


def _charts(tried: Mapping[str, Mapping[str, Points]], board: Board, runs: str) -> list[Drawing]:
    names = list(dict.fromkeys(name for numbers in tried.values() for name in numbers))
    score = "validation loss" if board.measure.is_loss else "validation accuracy, %"
    drawings = []
    for name in names:
        lines = {label: numbers[name] for label, numbers in tried.items() if name in numbers}
        positive = all(value > 0 for points in lines.values() for value, _ in points)
        caption = f"{name.partition('.')[2]} against {score}, means over seeds {runs}."
        series = tuple(_line(label, name, points) for label, points in lines.items())
        values = sorted({value for points in lines.values() for value, _ in points})
        across = ChartAxis(name, is_log=positive, ticks=tuple(values) if len(values) <= MOST_TICKS else ())
        chart = Chart(caption, across, ChartAxis(score), series)
        drawings.append(laid_out(Charts(caption, (chart,))))
    return [drawing for drawing in drawings if drawing is not None]


def _line(label: str, name: str, points: Points) -> Series:
    marked = (ChartPoint(x, y, f"{name}={x:g}, {value_text(y)}") for x, y in points)
    return Series(label, tuple(marked), is_line=True)


def _tried(row: MethodRow, board: Board, sources: Sources) -> dict[str, Points]:
    """Map each number with several tried values to these and their mean scores, all others as submitted."""
    submission = None if row.listing is None else row.listing.provenance.submission
    log = None if submission is None else log_of(submission, sources.root / board.protocol.name)
    if log is None:
        return {}
    names = dict.fromkeys(name for trial in log.trials for name in trial.settings if len(trial.settings) == 1)
    method = sources.by_id[row.method_id].method
    points_by_name = {name: _points(name, log.trials, method, is_loss=board.measure.is_loss) for name in names}
    return {name: points for name, points in points_by_name.items() if len(points) > 1}


def _points(name: str, trials: Iterable[TuningTrial], method: Method, *, is_loss: bool) -> Points:
    """List values of `name` that were tried alone, or were the method's own, with mean scores, in ascending order."""
    own = _own(name, method)
    scores: dict[float, list[float]] = {}
    for trial in trials:
        if trial.settings and [*trial.settings] != [name]:
            continue
        value = _number(trial.settings[name]) if trial.settings else own
        score = trial.validation_loss if is_loss else trial.validation_accuracy
        if value is not None and score is not None:
            scores.setdefault(value, []).append(score if is_loss else 100 * score)
    return [(value, mean_score) for value in sorted(scores) if (mean_score := mean(scores[value])) is not None]


def _own(name: str, method: Method) -> float | None:
    group, _, key = name.partition(".")
    value = method.parameters.get(group, {}).get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _number(text: str | None) -> float | None:
    """Read a setting as a finite number; None for other text.

    >>> _number("0.5"), _number("subtract"), _number("-inf"), _number(None)
    (0.5, None, None, None)
    """
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
