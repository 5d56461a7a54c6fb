"""Makes the charts of a protocol's page: scores of all seeds, costs, and sensitivity to settings."""

from collections.abc import Iterator, Sequence

from registry.site.sources import Sources, method_path
from sgbench.leaderboard.families import Tuned, families, tuned
from sgbench.leaderboard.pages.picture import tuning_curves
from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.plots.board_charts import MAX_ROWS, ScoredRow, score_charts, tuning_charts
from sgbench.plots.chart import Charts, Estimate
from sgbench.plots.energy_front import MOST_PANELS, FrontMethod, FrontPanel, front_charts
from sgbench.plots.layout import Drawing, laid_out

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
