"""Shows the scores of surrogates in a user's own network as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sgbench.leaderboard.score import Measure
from sgbench.plots.style import Drawn
from sgbench.plots.sweep_numbers import TEST, SweepPicture, SweepRow, SweptAxis
from sgbench.statistics.intervals import Summary, summarise
from sgbench.statistics.rank_places import ABOUT_LETTERS, RankPlace
from sgbench.sweeps.outcome import Guessing, chance_warning
from sgbench.tables import number_text
from sgbench.tables.shown import ShownTable, data_frame
from sgbench.tables.table import Table, plain_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OUTSIDE = (
    "outside the catalogue: your own network and training, so no board ranks it; test accuracy in %, mean (95 % "
    f"interval over seeds); alike: {ABOUT_LETTERS} (paired tests, Holm)"
)


@dataclass(frozen=True)
class OwnRow:
    """Holds the scores of one surrogate in a user's network."""

    surrogate: str  # name of the surrogate
    test: dict[int, float]  # maps seeds to accuracies in 0..1; of a failed run, that of guessing
    validation: dict[int, float]  # maps seeds to accuracies of the selected epoch
    width_fwhm: float | None  # of the surrogate [threshold units]; None where it is not known
    best_epoch: dict[int, int]  # maps seeds of finished runs to the epoch that validation selected, from 1
    failures: dict[int, str]  # maps seeds of failed runs to the reason
    at_chance: tuple[int, ...]  # seeds of finished runs whose validation is no better than guessing
    rank: RankPlace | None  # interval of its rank; None with a single seed

    @property
    def failed(self) -> tuple[int, ...]:
        return tuple(self.failures)

    @property
    def score(self) -> Summary:
        return summarise(list(self.test.values()), scale="share")


class OwnTable(Drawn, ShownTable):
    """Shows a row for each surrogate, the best first, marked as outside the catalogue.

    `rows`: one for each surrogate, in any order; `notes`: lines on how the data were read and divided; `guess`:
    accuracy of guessing, from 0 to 1.
    """

    def __init__(self, rows: Sequence[OwnRow], notes: Sequence[str] = (), *, guess: float) -> None:
        self.measure = Measure("accuracy", guess)
        self.rows = tuple(sorted(rows, key=lambda row: -row.score.mean))
        self.notes = tuple(notes)

    def table(self) -> Table:
        title = self.measure.title
        rows = [["rank", "alike", "surrogate", "width", title, "epoch", "seeds", "failed", "at chance"]]
        for row in self.rows:
            rank, letters = ("-", "") if row.rank is None else (f"{row.rank.low} to {row.rank.high}", row.rank.groups)
            counts = [str(len(seeds)) for seeds in (row.test, row.failed, row.at_chance)]
            epochs = sorted(set(row.best_epoch.values()))
            epoch = "-" if not epochs else "-".join(map(str, dict.fromkeys((epochs[0], epochs[-1]))))
            width, score = number_text(row.width_fwhm), self.measure.summary(row.score)
            rows.append([rank, letters, row.surrogate, width, score, epoch, *counts])
        return plain_table("Surrogates in a network of one's own", rows, text_columns=3)

    def figure(self) -> Figure:
        from sgbench.plots.sweep import sweep_figure

        axis = SweptAxis("surrogate", "surrogate", tuple(row.surrogate for row in self.rows), ())
        seeds = max(len(row.test) for row in self.rows)
        rows = []
        for row in self.rows:
            accuracies = [(100 * score, seed in row.failed) for seed, score in row.test.items()]
            done, failed = (tuple(score for score, bad in accuracies if bad == wanted) for wanted in (False, True))
            mean, guess = self.measure.estimate(row.score), 100 * self.measure.guess
            rows.append(SweepRow({"surrogate": row.surrogate}, row.surrogate, mean, done, failed, False, guess))
        return sweep_figure(SweepPicture("Your own network", (axis,), None, None, tuple(rows), seeds, what=TEST))

    def to_pandas(self) -> Any:
        """Build a DataFrame with a row for each run; accuracies are in 0..1."""
        runs = [
            (
                row.surrogate,
                seed,
                row.validation[seed],
                test,
                seed in row.failed,
                seed in row.at_chance,
                row.width_fwhm,
                row.best_epoch.get(seed),
                row.failures.get(seed, ""),
            )
            for row in self.rows
            for seed, test in row.test.items()
        ]
        names = ("surrogate", "seed", "validation", "test", "failed", "at_chance")
        return data_frame((*names, "width_fwhm", "best_epoch", "failure"), runs)

    def table_notes(self) -> tuple[str, ...]:
        failed = [
            f"{row.surrogate} seed {seed} failed and counts as guessing: {why}"
            for row in self.rows
            for seed, why in row.failures.items()
        ]
        guessing = [
            Guessing(f"{row.surrogate} seed {seed}", "sgbench.diagnose_module")
            for row in self.rows
            for seed in row.at_chance
        ]
        finished = sum(len(row.test) - len(row.failed) for row in self.rows)
        warning = chance_warning(guessing, count=finished)
        return (*self.notes, *failed, *([] if warning is None else [warning]), OUTSIDE)
