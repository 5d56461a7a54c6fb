"""What settings lose on the second study's tasks: estimates beside the verdicts, which rest on none of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean

from sgbench.records.calibration import Reset
from sgbench.study_runner.cells import Cell
from sgbench.study_runner.scores import StudyScores
from sgbench.study_runner.status import states_of
from study.passing_steps.analysis.cells import (
    CALIBRATED,
    CHOICE,
    CHOOSING,
    DETACHED,
    FIXED,
    LOOKS,
    PURPOSE,
    RESETS,
    SHAPE,
    WIDTH,
    TaskRuns,
    cell,
    grid,
    tasks_of,
)
from study.passing_steps.analysis.evidence import SHAPES, WIDTHS
from study.passing_steps.analysis.spending import DEFAULTS
from study.passing_steps.analysis.words import CALIBRATED_NAME, FIXED_NAME, RECOMMENDED_NAME, SettingLosses
from study.reporting.pages.text import table

LIBRARIES = "E"
"""Block of library defaults, and of what `sgbench recommend` said before the first run."""
GAIN, GAINS = "init.recurrent_gain", (0.1, 0.4)
PLAIN_NAME = "detached, atan at 0.2"
DETACHED_NAME = "detached, by passing steps"
RECOMMENDED = "optimizer.lr"
"""Key that only the cells of what was recommended set."""
Losses = Mapping[str, float]
CROSSED = f"seeds {CHOOSING[0]} to {CHOOSING[-1]}, each scored against the cell that the other four choose"
Seeds = Sequence[int]
LossOfTask = Callable[[TaskRuns, Seeds], float]
HEADER = ["setting", "mean loss (95 % over tasks)", "largest loss", "on"]


def named(seeds: Seeds) -> str:
    """Write a range of seeds in words.

    >>> named(range(205, 210))
    'seeds 205 to 209'
    """
    return f"seeds {seeds[0]} to {seeds[-1]}"


def loss_of(task: TaskRuns, one: Cell, seeds: Seeds) -> float:
    """Average the points that a cell loses to the better of both shapes' best cells."""
    best = task.best([task.reference(shape) for shape in SHAPES])
    return float(task.difference(best, one, seeds).mean())


def unsearched(scores: StudyScores) -> list[SettingLosses]:
    """List what is lost by settings that are taken without a search, the two of the rule first.

    Each is of the seeds of the last look that has all its runs. What was run on more seeds is told of the first
    look's too, beside the settings that have no others.
    """
    found: list[tuple[str, LossOfTask]] = [
        (FIXED_NAME, _lost(cell(*FIXED, "attached"))),
        (CALIBRATED_NAME, _both(CALIBRATED)),
        (DETACHED_NAME, _both(DETACHED)),
        *((name, lambda task, seeds, one=one: loss_of(task, one(task), seeds)) for name, one in _of_libraries(scores)),
        *((f"{name}, recurrent gain {gain:g}", _with_gain(one, gain)) for gain in GAINS for name, one in _scaled()),
    ]
    looks = [
        [SettingLosses(name, _everywhere(scores, one, seeds), named(seeds)) for name, one in found] for seeds in LOOKS
    ]
    return [one for look in reversed(looks[1:]) for one in look if one.losses] + looks[0]


def _both(block: str) -> LossOfTask:
    return lambda task, seeds: fmean(loss_of(task, task.calibrated(shape, block), seeds) for shape in SHAPES)


def _everywhere(scores: StudyScores, loss: LossOfTask, seeds: Seeds) -> Losses:
    """Compute a loss on every task; nothing where a run of one is missing."""
    try:
        return {scores.study.tasks[task.task].title: loss(task, seeds) for task in tasks_of(scores)}
    except LookupError:
        return {}


def _of_libraries(scores: StudyScores) -> Iterator[tuple[str, Callable[[TaskRuns], Cell]]]:
    """Yield name and cell of each library's default, then the cell that was recommended for the task."""
    if LIBRARIES not in scores.study.blocks:
        return
    grids = scores.study.blocks[LIBRARIES].grids
    for one in (one for cells in grids if cells.tasks is None for one in cells.cells):
        shape = str(one[SHAPE])
        yield DEFAULTS.get(shape, f"detached, {shape} at {one[WIDTH]}"), lambda _, one=one: one

    def recommended(task: TaskRuns) -> Cell:
        for cells in grids:
            if cells.tasks is not None and task.task in cells.tasks:
                return cells.cells[0]
        raise LookupError(f"{task.task}: nothing was recommended")

    yield RECOMMENDED_NAME, recommended


def _scaled() -> Iterator[tuple[str, Callable[[TaskRuns], list[Cell]]]]:
    """Yield the settings that are run with other recurrent gains."""
    yield CALIBRATED_NAME, lambda task: [task.calibrated(shape) for shape in SHAPES]
    for width in (0.2, 0.5):
        yield (
            f"attached, both shapes at {width:g}",
            lambda _, width=width: [cell(shape, width, "attached") for shape in SHAPES],
        )


def _with_gain(cells: Callable[[TaskRuns], list[Cell]], gain: float) -> LossOfTask:
    return lambda task, seeds: fmean(loss_of(task, {**one, GAIN: gain}, seeds) for one in cells(task))


def singles(scores: StudyScores) -> tuple[list[SettingLosses], str]:
    """List what every setting of the grid loses, the least first, and say on which seeds.

    Where the whole grid was run on the seeds that compare, these are taken. Else each seed of those that choose is
    scored by the choice of the others. Empty where runs are missing.
    """
    says = named(LOOKS[0])
    compared = [SettingLosses(name, _everywhere(scores, _lost(one), LOOKS[0]), says) for name, one in _grid()]
    if not all(setting.losses for setting in compared):
        crossed = {scores.study.tasks[task.task].title: crossed_losses(task) for task in tasks_of(scores)}
        if not all(crossed.values()):
            return [], ""
        compared = [
            SettingLosses(name, {title: by_name[name] for title, by_name in crossed.items()}, CROSSED)
            for name, _ in _grid()
        ]
        says = (
            f"{CROSSED}. The grid is not run on the seeds that compare, so that this stands in; it was not registered"
        )
    return sorted(compared, key=lambda setting: fmean(setting.losses.values())), says


def _lost(one: Cell) -> LossOfTask:
    return lambda task, seeds: loss_of(task, one, seeds)


def crossed_losses(task: TaskRuns) -> dict[str, float]:
    """Compute each setting's loss on the seeds that choose, each seed against the choice of the others."""
    runs = {name: task.scores.cell(task.task, PURPOSE, one, start="G") for name, one in _grid()}
    if any(seed not in found for found in runs.values() for seed in CHOOSING):
        return {}
    losses: dict[str, list[float]] = {name: [] for name in runs}
    for seed in CHOOSING:
        others = [other for other in CHOOSING if other != seed]
        best = max(runs, key=lambda name: round(fmean(runs[name][other].validation for other in others), 9))
        for name, found in runs.items():
            losses[name].append(runs[best][seed].accuracy - found[seed].accuracy)
    return {name: fmean(found) for name, found in losses.items()}


def _grid() -> Iterator[tuple[str, Cell]]:
    for reset in RESETS:
        for shape in SHAPES:
            for one, width in zip(grid(shape, (reset,)), WIDTHS, strict=True):
                yield setting_name(shape, width, reset), one


def setting_name(shape: str, width: float, reset: Reset) -> str:
    """Write a setting of the grid in words.

    >>> setting_name("atan", 0.2, "attached")
    'attached, atan at 0.2'
    """
    return f"{reset}, {shape} at {width:g}"


def left_out(found: Sequence[SettingLosses]) -> SettingLosses:
    """Choose without each task in turn the setting that loses least on the others, and collect its loss there."""
    losses = {}
    for title in found[0].losses:
        best = min(found, key=lambda one: fmean(loss for name, loss in one.losses.items() if name != title))
        losses[title] = best.losses[title]
    return SettingLosses("the best of them, chosen without the task", losses, found[0].seeds)


def tables(scores: StudyScores, taken: Sequence[SettingLosses]) -> list[str]:
    """Write what each way to choose a setting lost, and what every single setting lost."""
    found, says = singles(scores)
    parts = [
        "No verdict rests on these estimates. Lost are points of test accuracy to the best of 32 cells (two "
        "shapes, eight widths, two resets), which the seeds that choose have chosen by validation. Both shapes' "
        "numbers are held against the better shape's best cell, where the verdicts compare shape by shape. "
        "Only losses on the same seeds compare.",
        table(["seeds", *HEADER], [[one.seeds, *one.row] for one in taken]),
        *_not_run(taken),
        "### Every single setting",
    ]
    if not found:
        (state,) = states_of(scores, [CHOICE]) if CHOICE in scores.study.blocks else [None]
        count = "" if state is None else f": {state.stored:,} of {state.runs:,} runs of the grid are stored"
        return [*parts, f"Not known yet{count}."]
    return [*parts, f"On {says}.", table(HEADER, [one.row for one in (left_out(found), *found)])]


def _not_run(taken: Sequence[SettingLosses]) -> list[str]:
    count = sum(not one.losses for one in taken)
    return [f"Registered estimates that are not run: {count}."] if count else []


def losses_by_way(scores: StudyScores, taken: Sequence[SettingLosses]) -> dict[str, SettingLosses]:
    """Collect what the ways that `sgbench recommend` tells of lose, those that were run on all tasks.

    Of a way that several looks have, the last look's losses are taken. Ways of the same seeds stand together, and
    those of the most seeds in front.
    """
    plain = next((one for one in singles(scores)[0] if one.name == PLAIN_NAME), None)
    every = [*taken, *([] if plain is None else [plain])]
    found: dict[str, SettingLosses] = {}
    for one in every:
        if one.losses:
            found.setdefault(one.name, one)
    return found
