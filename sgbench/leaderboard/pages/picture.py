"""Collects the numbers that the picture of a board shows, and draws it."""

import importlib

from sgbench.energy.interval import BoundedValue
from sgbench.leaderboard.pages.columns import rank_text
from sgbench.leaderboard.pages.picture_digest import KEYWORD, digest, with_pixel_digest
from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.plots import style
from sgbench.plots.board import MAX_ROWS, BoardPicture, BoardRow, EnergyColumn, board_figure
from sgbench.plots.estimate import Estimate

MAX_GROUPS = 4  # letters beside a rank
LEAST_LOSS = 1e-12
USUAL_SAMPLES = 1000  # of a test set whose size no record states


def load() -> None:
    """Import the drawing library, so that a later picture starts at once."""
    for name in ("figure", "layout_engine", "style", "ticker", "backends.backend_agg"):
        importlib.import_module(f"matplotlib.{name}")


def png(picture: BoardPicture, *, table_csv: str) -> bytes:
    return with_pixel_digest(style.encode(lambda: board_figure(picture), ".png", texts={KEYWORD: digest(table_csv)}))


def picture_of(board: Board) -> BoardPicture:
    """Collect the numbers that the picture of a board shows: accuracies in %, or losses."""
    unit = 1.0 if board.measure.is_loss else 100.0
    # The smallest error that differs from none: half of one wrong answer.
    least = LEAST_LOSS if board.measure.is_loss else 50.0 / max(board.test_samples, default=USUAL_SAMPLES)
    return BoardPicture(
        title=board.protocol.name,
        rows=tuple(_row(row, board, unit) for row in board.rows[:MAX_ROWS]),
        methods=len(board.rows),
        targets=tuple(EnergyColumn(target.name, bool(target.missing)) for target in board.targets),
        baselines=tuple((row.surrogate, unit * row.score.mean) for row in board.baselines),
        is_loss=board.measure.is_loss,
        least_error=least,
        guess=unit * board.measure.guess,
    )


def _row(row: MethodRow, board: Board, unit: float) -> BoardRow:
    """Collect the numbers of one row; scores are multiplied by `unit`."""
    energies = (row.costs.energies[target.name].dynamic_nj for target in board.targets)
    return BoardRow(
        name=row.surrogate,
        choices=", ".join(row.varying.values()),
        rank=_rank(row),
        mean=board.measure.estimate(row.score),
        seeds=tuple(unit * score for seed, score in row.scores.items() if seed not in row.failed_seeds),
        failed=tuple(unit * score for seed, score in row.scores.items() if seed in row.failed_seeds),
        spikes=row.costs.spikes.value,
        energies=tuple(None if energy is None else _energy(energy) for energy in energies),
    )


def _rank(row: MethodRow) -> str:
    groups = "" if row.rank is None else row.rank.groups[:MAX_GROUPS]
    return f"{rank_text(row).replace(' to ', '-')} {groups}".strip()


def _energy(interval: BoundedValue) -> Estimate:
    return Estimate(interval.value, interval.low, interval.high)
