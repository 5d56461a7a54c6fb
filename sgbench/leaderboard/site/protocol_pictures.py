"""The pictures of a protocol's page: scores with their seeds, what they cost, and how they answer to settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sgbench.leaderboard.families import Tuned, families, tuned
from sgbench.leaderboard.pages.family_pictures import tuning_curves
from sgbench.leaderboard.pages.picture import picture_of
from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.leaderboard.site.files import Picture, SiteFile
from sgbench.leaderboard.site.pictures import drawn, on_page
from sgbench.leaderboard.site.sources import Sources, method_path
from sgbench.plots.board import MAX_ROWS, board_figure, board_size
from sgbench.plots.energy_front import MOST_PANELS, FrontMethod, FrontPanel, front_charts
from sgbench.plots.estimate import Estimate
from sgbench.plots.layout import Drawing, laid_out
from sgbench.plots.methods import TUNING_SIZE, tuning_figure
from sgbench.plots.rank_groups import Ranked, rank_figure, rank_size

MOST_IN_FRONT = 24
MIN_SETTINGS, MOST_SETTINGS = 2, 200  # of a curve, whose time grows with their square
Drawn = tuple[Picture, SiteFile]


def protocol_pictures(board: Board, sources: Sources, values: str) -> Iterator[Drawn]:
    """Yield the pictures of a protocol's page with their files."""
    if not board.rows:
        return
    yield _scores(board, values)
    yield from _ranks(board)
    yield from _tuning(board, sources)


def _scores(board: Board, values: str) -> Drawn:
    shown = picture_of(board)
    path = f"protocols/{board.protocol.name}.scores.svg"
    cut = f" The first {MAX_ROWS} of {len(board.rows)} are drawn." if len(board.rows) > MAX_ROWS else ""
    caption = f"Every seed, means with 95 % intervals, spikes and energies.{cut}"
    alt = f"Scores, spikes and energies of the methods of {board.protocol.name}; the table has the numbers."
    size = on_page(board_size(shown))
    return Picture(path, alt, caption, size), drawn(path, values, lambda: board_figure(shown))


def _ranks(board: Board) -> Iterator[Drawn]:
    """Draw the ranks that methods may have, and which are not told apart."""
    placed = [
        Ranked(row.label, row.place.low, row.place.high, row.place.groups)
        for row in board.rows
        if row.place is not None
    ]
    if len(placed) < MIN_SETTINGS:
        return
    path = f"protocols/{board.protocol.name}.ranks.svg"
    caption = (
        "Left: the places that each method may have, from paired tests with Holm's correction. Right: a bar joins "
        "methods that are not told apart."
    )
    alt = (
        f"Intervals of ranks on {board.protocol.name}, and groups of methods that are alike; as in the table."
    )
    size = on_page(rank_size(placed))
    yield Picture(path, alt, caption, size), drawn(path, placed, lambda: rank_figure(placed, of=len(placed)))


def cost_charts(board: Board) -> Drawing | None:
    """Draw scores against spikes, and against each energy of which the methods have a total.

    Args:
        board: with its rows, of which the first 24 are drawn.
    """
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
    spikes = [row.costs.spikes.value for row in rows]
    known = [Estimate(value, value, value) for value in spikes if value is not None]
    if len(known) == len(rows) and len(set(known)) > 1:
        yield FrontPanel("spikes", tuple(known), None, axis="spikes an inference")
    for target in board.targets:
        energies = [row.costs.energies[target.name].dynamic_nj for row in rows]
        priced = [
            Estimate(interval.value, interval.low, interval.high)
            for interval in energies
            if interval is not None
        ]
        if len(priced) == len(rows) and len(set(priced)) > 1:
            yield FrontPanel(target.name + (" (a part)" if target.missing else ""), tuple(priced), None)


def _tuning(board: Board, sources: Sources) -> Iterator[Drawn]:
    """Draw how surrogates respond to the settings that were run; nothing where there are too many."""
    measured = families(sources.ranked[board.protocol.name], ("surrogate",))
    families_tuned: list[Tuned] = [
        tuned(name, family, board.measure)
        for name, family in measured.items()
        if MIN_SETTINGS <= len(family) <= MOST_SETTINGS
    ]
    if not families_tuned:
        return
    families_tuned.sort(key=lambda family: (-board.measure.better(family.best_test), family.name))
    curves = tuning_curves(families_tuned, board.measure)
    path = f"protocols/{board.protocol.name}.tuning.svg"
    caption = "What is to be expected of the best of so many settings, chosen on validation."
    alt = f"Expected test score against settings tried on {board.protocol.name}."
    what = "test loss" if board.measure.is_loss else "test accuracy, %"
    file = drawn(path, curves, lambda: tuning_figure(curves, what=what))
    yield Picture(path, alt, caption, on_page(TUNING_SIZE)), file
