"""What the records say of the reset beside the registered claims: found after the runs, so hypotheses."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import fmean

import numpy as np

from sgbench.records.calibration import Reset
from sgbench.records.record import RunRecord
from sgbench.statistics.pairs import Floats
from sgbench.study_runner.scores import StudyScores, selection
from sgbench.study_runner.store import StoreEntry
from study.passing_steps.analysis.cells import CHOOSING, LOOKS, RESET, RESETS, SHAPE, WIDTH, tasks_of
from study.passing_steps.analysis.evidence import SHAPES, WIDTHS, RunsOfCells, points_of_run
from study.reporting.results import StudyFigure
from study.reporting.verdicts import limits

SIDE = 0.025
"""One-sided level of both limits of an interval of 95 %."""
CHOICE, RATES = "C", "L"
FAR, EARLY, KEPT = 0.8, 0.2, 4
"""Share of the way to the best cell; share of the epochs after which cells are ranked; cells that are kept then."""
NARROW = 1.0
LONG = "T8"
VARIED = (SHAPE, RESET, "optimizer.lr")
PAIRS = (
    (("atan", 0.2), ("triangle", 1.0)),
    (("atan", 0.2), ("atan", 1.0)),
    (("atan", 0.2), ("triangle", 0.5)),
    (("atan", 0.2), ("atan", 0.5)),
)
"""Two tries with the reset attached, by shape and width."""
Place = tuple[str, float, Reset]
PLACES: tuple[Place, ...] = tuple(product(SHAPES, WIDTHS, RESETS))


@dataclass(frozen=True)
class GridRuns:
    """Holds the runs of one task's grid on the seeds that choose."""

    validation: Floats  # points by cell and seed [cells, seeds]
    test: Floats  # likewise
    early: Floats  # best validation points within the first fifth of the epochs [cells, seeds]
    reached: Floats  # share of the epochs after which a run is most of the way to the task's best cell [cells, seeds]
    failed: Floats  # whether a run failed [cells, seeds]

    def __getitem__(self, place: Place) -> Floats:
        return self.test[PLACES.index(place)]

    def best(self, seeds: Sequence[int]) -> int:
        return int(np.argmax(self.validation[:, list(seeds)].mean(axis=1).round(9)))


def grid_runs(entries: Iterable[StoreEntry]) -> dict[str, GridRuns]:
    """Collect by task the grid of shapes, widths and resets, of the tasks on which it is complete."""
    records: dict[str, dict[tuple[Place, int], RunRecord]] = {}
    for entry in entries:
        if entry.block == CHOICE:
            reset: Reset = "attached" if entry.cell[RESET] == "attached" else "detached"
            place = (str(entry.cell[SHAPE]), float(str(entry.cell[WIDTH])), reset)
            records.setdefault(entry.task, {})[place, entry.record.seed] = entry.record
    whole_grid = set(product(PLACES, CHOOSING))
    return {task: _grid(of_task) for task, of_task in records.items() if of_task.keys() >= whole_grid}


def _grid(records: Mapping[tuple[Place, int], RunRecord]) -> GridRuns:
    """Arrange one task's runs by cell and seed, and measure how soon each is near the best cell."""

    def collect(number: Callable[[RunRecord], float]) -> Floats:
        return np.array([[number(records[place, seed]) for seed in CHOOSING] for place in PLACES])

    validation = collect(lambda record: points_of_run(record).validation)
    guess = points_of_run(records[PLACES[0], CHOOSING[0]]).guess
    goal = guess + FAR * (validation.mean(axis=1).max() - guess)
    return GridRuns(
        validation,
        collect(lambda record: points_of_run(record).test),
        collect(lambda record: max([guess, *_curve(record)[: max(1, round(EARLY * record.method.protocol.epochs))]])),
        collect(lambda record: _reached(record, goal)),
        collect(lambda record: float(record.status == "failed")),
    )


def _curve(record: RunRecord) -> list[float]:
    """List the validation points of each epoch; those of a failed run end early."""
    return [
        100 * epoch.validation_accuracy
        for epoch in record.curve or ()
        if epoch.validation_accuracy is not None and math.isfinite(epoch.validation_accuracy)
    ]


def _reached(record: RunRecord, goal: float) -> float:
    """Return the share of the epochs after which validation is at a goal; 1 if it never is."""
    first = next((epoch for epoch, points in enumerate(_curve(record), 1) if points >= goal), None)
    return 1.0 if first is None else first / record.method.protocol.epochs


def over_tasks(numbers: Sequence[float], digits: int = 1) -> StudyFigure:
    """Average numbers of tasks, with the interval of 95 % of a t-distribution."""
    low, high = limits(numbers, SIDE)
    mean, low, high = (round(value, digits) + 0.0 for value in (fmean(numbers), low, high))
    return StudyFigure(mean=mean, low=low, high=high, digits=digits)


def count(number: float, digits: int = 0) -> StudyFigure:
    return StudyFigure(mean=round(number, digits) + 0.0, digits=digits)


def best_against_best(scores: StudyScores) -> dict[str, StudyFigure]:
    """Compare the resets, each at its own best width by other seeds: points gained, and the ratio of errors."""
    gains, ratios = [], []
    for task in tasks_of(scores):
        attached, detached = (
            float(np.mean([task.accuracy(task.best_of(shape, reset), LOOKS[0]) for shape in SHAPES]))
            for reset in ("attached", "detached")
        )
        gains.append(attached - detached)
        ratios.append(math.log((100 - attached) / (100 - detached)))
    ratio = over_tasks(ratios, 9)
    ends = {name: round(math.exp(getattr(ratio, name) or 0.0), 2) for name in ("mean", "low", "high")}
    return {"attached_at_best": over_tasks(gains), "error_ratio_at_best": StudyFigure(**ends, digits=2)}


def own_rate(entries: Iterable[StoreEntry], scores: StudyScores) -> dict[str, StudyFigure]:
    """Compare the resets at a width of 0.2, each shape and reset with its own learning rate of three."""
    # By task, shape and reset: validation, which chooses, and test accuracy at each learning rate.
    rates: dict[tuple[str, str, str], list[tuple[tuple[float, float], float]]] = {}
    test = {(run.task, run.seed, *(str(run.cell[key]) for key in VARIED)): run.accuracy for run in scores.block(RATES)}
    for entry in entries:
        if entry.block == RATES:
            cell = tuple(str(entry.cell[key]) for key in VARIED)
            accuracy = test[(entry.task, entry.record.seed, *cell)]
            rates.setdefault((entry.task, cell[0], cell[1]), []).append((selection(entry.record), accuracy))
    tasks = list(dict.fromkeys(task for task, _, _ in rates))
    best = {key: max(tried)[1] for key, tried in rates.items()}
    gains = [fmean(best[task, shape, "attached"] - best[task, shape, "detached"] for shape in SHAPES) for task in tasks]
    return {
        "attached_own_rate": over_tasks(gains),
        "tasks_gained_own_rate": count(sum(gain > 0 for gain in gains)),
        "tasks_own_rate": count(len(gains)),
    }


def spread(grids: Mapping[str, GridRuns]) -> dict[str, StudyFigure]:
    """Count failures by reset and width, and average how soon cells learn and how much their seeds differ."""
    figures: dict[str, StudyFigure] = {}
    for reset in RESETS:
        widths = {index: width for index, (_, width, cell_reset) in enumerate(PLACES) if cell_reset == reset}
        narrow = [index for index, width in widths.items() if width <= NARROW]
        wide = [index for index, width in widths.items() if width > NARROW]
        for name, cells in (("narrow", narrow), ("wide", wide)):
            failed = np.concatenate([grid.failed[cells].ravel() for grid in grids.values()])
            figures[f"failed_{reset}_{name}"] = count(float(failed.sum()))
            figures[f"runs_{reset}_{name}"] = count(failed.size)
        soon = np.mean([grid.reached.mean(axis=1) for grid in grids.values()], axis=0)
        figures[f"soonest_{reset}"] = count(min(float(soon[index]) for index in (*narrow, *wide)), 2)
        for shape in SHAPES:
            deviations = [float(grid[shape, 0.5, reset].std(ddof=1)) for grid in grids.values()]
            figures[f"deviation_{reset}_{shape}"] = count(fmean(deviations), 1)
    return figures


def variance_shares(grid: GridRuns) -> dict[str, float]:
    """Split the variance of cell means into shares of shape, width, reset and their pairs, in per cent (ANOVA)."""
    means = grid.test.mean(axis=1).reshape(len(SHAPES), len(WIDTHS), len(RESETS))
    mean, names = means.mean(), ("shape", "width", "reset")
    total = ((means - mean) ** 2).sum()

    def effect(*axes: int) -> Floats:
        others = tuple(axis for axis in range(3) if axis not in axes)
        return means.mean(axis=others, keepdims=True) - mean

    effects = {name: effect(axis) for axis, name in enumerate(names)}
    for a, b in ((0, 1), (0, 2), (1, 2)):
        effects[f"{names[a]} x {names[b]}"] = effect(a, b) - effect(a) - effect(b)
    squares = {name: float((np.broadcast_to(values, means.shape) ** 2).sum()) for name, values in effects.items()}
    return {name: 100 * square / total for name, square in squares.items()}


def tries_lose(grids: Mapping[str, GridRuns], places: Sequence[Place]) -> list[float]:
    """Compute by task what is lost if one seed's validation picks among places and the others score the pick.

    Each seed picks in turn. The loss is to the cell that the seeds other than the scored one choose.
    """
    seeds = range(len(CHOOSING))
    cells = [PLACES.index(place) for place in places]
    losses = []
    for grid in grids.values():
        best = {seed: grid.best([other for other in seeds if other != seed]) for seed in seeds}
        picked = {seed: max(cells, key=lambda cell: grid.validation[cell, seed]) for seed in seeds}
        losses.append(
            fmean(
                float(grid.test[best[scored], scored] - grid.test[picked[seed], scored])
                for seed in seeds
                for scored in seeds
                if scored != seed
            )
        )
    return losses


def pair_name(pair: Sequence[tuple[str, float]]) -> str:
    """Name two tries for a figure, e.g. "atan_02_triangle_1": a name in braces has no point."""
    return "_".join(f"{shape}_{width:g}".replace(".", "") for shape, width in pair)


def short_runs(grids: Mapping[str, GridRuns]) -> dict[str, StudyFigure]:
    """Compare the order of cells in one seed's first epochs with that of final means, and keep the best four."""
    from scipy.stats import rankdata

    agree, lost = [], []
    for grid in grids.values():
        final = grid.test.mean(axis=1)
        for early in grid.early.T:
            agree.append(float(np.corrcoef(rankdata(early), rankdata(final))[0, 1]))
            lost.append(float(final.max() - final[np.argsort(-early, kind="stable")[:KEPT]].max()))
    return {"short_rank_correlation": count(fmean(agree), 2), "short_lost": count(fmean(lost), 1)}


def long_sequences(runs: RunsOfCells) -> dict[str, StudyFigure]:
    """Summarise the runs over 1,300 steps with the reset attached and nothing cut: one seed a cell."""
    points = [
        run.test
        for (reset, task, _, width), found in runs.items()
        if (reset, task) == ("attached", LONG) and width <= NARROW
        for run in found.values()
    ]
    if not points:
        return {}
    return {"long_least": count(min(points), 1), "long_most": count(max(points), 1), "long_runs": count(len(points))}


def figures(
    scores: StudyScores, entries: Sequence[StoreEntry], grids: Mapping[str, GridRuns], runs: RunsOfCells
) -> dict[str, StudyFigure]:
    """Compute all figures of the page by name; pairs of tries and shares of variance with their ends over tasks."""
    pairs = {}
    for pair in PAIRS:
        losses = tries_lose(grids, [(shape, width, "attached") for shape, width in pair])
        name = pair_name(pair)
        pairs |= {f"tries_{name}": over_tasks(losses), f"tries_{name}_worst": count(max(losses), 1)}
    shares = [variance_shares(grid) for grid in grids.values()]
    split = {}
    for name in shares[0]:
        of_tasks = [by_name[name] for by_name in shares]
        stem = f"share_{name.replace(' ', '')}"
        split |= {f"{stem}_least": count(min(of_tasks)), f"{stem}_most": count(max(of_tasks))}
    return {
        **best_against_best(scores),
        **own_rate(entries, scores),
        **spread(grids),
        **pairs,
        **split,
        **short_runs(grids),
        **long_sequences(runs),
    }
