"""Makes the charts of a protocol's page: scores of all seeds, costs, and sensitivity to settings."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from registry.site.method_tables import mean
from registry.site.sources import Sources, method_path
from sgbench.leaderboard.families import Tuned, families, tuned
from sgbench.leaderboard.pages.picture import tuning_curves
from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.leaderboard.store.method_provenance import log_of
from sgbench.plots.board_charts import MAX_ROWS, ScoredRow, score_charts, tuning_charts
from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Charts, Estimate, Series, value_text
from sgbench.plots.energy_front import MOST_PANELS, FrontMethod, FrontPanel, front_charts
from sgbench.plots.layout import Drawing, laid_out
from sgbench.records.spec import Method
from sgbench.records.submission import TuningTrial

MOST_IN_FRONT = 24
LEAST_SPREAD = 1.05  # of the dearest to the cheapest: less says nothing, since prices are less exact
MIN_SETTINGS, MOST_SETTINGS = 2, 200  # of a tuning curve, whose computing time grows with their square


def protocol_charts(board: Board, sources: Sources) -> list[Drawing]:
    """Draw scores and tuning of a board; empty for a board without rows."""
    if not board.rows:
        return []
    charts = [_scores(board), *_tuning(board, sources)]
    return [drawing for drawing in map(laid_out, charts) if drawing is not None]


def _scores(board: Board) -> Charts:
    rows = [_scored(row, board) for row in (*board.rows[:MAX_ROWS], *board.baselines)]
    cut = f" The first {MAX_ROWS} of {len(board.rows)} are drawn." if len(board.rows) > MAX_ROWS else ""
    caption = f"Means with 95 % intervals, and every seed.{cut}"
    guess = board.measure.guess * (1 if board.measure.is_loss else 100)
    return score_charts(rows, is_loss=board.measure.is_loss, guess=guess, caption=caption)


def _scored(row: MethodRow, board: Board) -> ScoredRow:
    """Convert a row to what a chart of scores shows of it: accuracies in percent, or losses."""
    unit = 1.0 if board.measure.is_loss else 100.0
    return ScoredRow(
        row.label,
        method_path(board.protocol.name, row.method_id),
        board.measure.estimate(row.score),
        tuple(unit * score for seed, score in row.scores.items() if seed not in row.failed_seeds),
        tuple(unit * score for seed, score in row.scores.items() if seed in row.failed_seeds),
    )


def cost_charts(board: Board) -> Drawing | None:
    """Draw the scores of a board's first 24 rows over spikes and over energies; None if no cost is known of all."""
    rows = board.rows[:MOST_IN_FRONT]
    unit = 1 if board.measure.is_loss else 100
    panels = list(_panels(board, rows))[:MOST_PANELS]
    if len(rows) < MIN_SETTINGS or not panels:
        return None
    methods = [
        FrontMethod(
            row.label,
            tuple(unit * score for score in row.scores.values()),
            method_path(board.protocol.name, row.method_id),
        )
        for row in rows
    ]
    cut = f" The first {MOST_IN_FRONT} of {len(board.rows)} are drawn." if len(board.rows) > len(rows) else ""
    caption = f"Score against cost; whiskers are the ends of prices and the least and best seed.{cut}"
    return laid_out(front_charts(methods, panels, is_loss=board.measure.is_loss, caption=caption))


def _panels(board: Board, rows: Sequence[MethodRow]) -> Iterator[FrontPanel]:
    """Yield a panel for spikes and for each target whose cost is known of all rows and differs by 5 % between them."""
    spikes = [row.costs.spikes.value for row in rows]
    known = [Estimate(value, value, value) for value in spikes if value is not None]
    if len(known) == len(rows) and len(set(known)) > 1:
        yield FrontPanel("spikes", tuple(known), None, axis="spikes an inference")
    for target in board.targets:
        energies = [row.costs.energies[target.name].dynamic_nj for row in rows]
        priced = [
            Estimate(interval.value, interval.low, interval.high) for interval in energies if interval is not None
        ]
        values = [energy.value for energy in priced]
        if values and len(priced) == len(rows) and max(values) > LEAST_SPREAD * min(values):
            yield FrontPanel(target.name + (" (a part)" if target.missing else ""), tuple(priced), None)


def _tuning(board: Board, sources: Sources) -> Iterator[Charts]:
    """Yield the chart of surrogates' scores over settings that were run, for surrogates with 2 to 200 settings."""
    by_surrogate = families(sources.ranked[board.protocol.name], ("surrogate",))
    summaries: list[Tuned] = [
        tuned(name, family, board.measure)
        for name, family in by_surrogate.items()
        if MIN_SETTINGS <= len(family) <= MOST_SETTINGS
    ]
    if not summaries:
        return
    summaries.sort(key=lambda family: (-board.measure.better(family.best_test), family.name))
    curves = tuning_curves(summaries, board.measure)
    caption = "What is to be expected of the best of so many settings, chosen on validation."
    yield tuning_charts(curves, axis=f"expected {board.measure.title}", caption=caption)


Points = list[tuple[float, float]]
MOST_TICKS = 6  # tried values that each have a number at the axis


def method_maps(row: MethodRow, board: Board, sources: Sources) -> list[Drawing]:
    """Draw one method's validation score over each number that was tried for it; none without a tuning log."""
    return _charts({row.label: _tried(row, board, sources)}, board, "of its tuning")


def board_maps(board: Board, sources: Sources) -> list[Drawing]:
    rows = (*board.rows, *board.claimed)
    return _charts({row.label: _tried(row, board, sources) for row in rows}, board, "of every method with a log")


def _charts(tried: Mapping[str, Mapping[str, Points]], board: Board, runs: str) -> list[Drawing]:
    """Draw the validation score over each number that was tried, with a line for each method.

    `tried`: maps labels of methods to the points (value, score) of each number. `runs`: whose runs, for the caption.
    """
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
