"""Does the start tell how a run ends: gradients and potentials before training against the map's accuracy."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from sgbench.study_runner.cells import Cell
from sgbench.tables import NONE, number_text
from study.reporting.pages.text import StudyPage, StudyPicture, details, few, interval, table
from study.reporting.run_table import RunTable, run_table
from study.surrogates.analysis.comparisons import MAP
from study.surrogates.analysis.evidence import SurrogateEvidence
from study.surrogates.analysis.initial import InitialCell
from study.surrogates.analysis.pages.claim_rules import missing
from study.surrogates.analysis.plots.start import StartPanel, StartPoint, start_figure
from study.surrogates.analysis.statistics.rank_correlation import (
    RankCorrelation,
    error_between_groups,
    rank_correlation,
)

NAME = "diagnosis.md"
TITLE = "Does the start tell how a run ends?"
STRONG = 0.5
"""A correlation whose interval lies beyond this one tells much before training."""
COMMAND = "python -m study measure surrogates --gradients"


@dataclass(frozen=True)
class _Known:
    """Holds the cells of one task that are measured and run, in one order."""

    cells: tuple[InitialCell, ...]
    runs: RunTable


def page(evidence: SurrogateEvidence) -> StudyPage:
    if evidence.initial is None:
        return StudyPage(NAME, TITLE, (f"Not known yet: nothing is measured; `{COMMAND}` does it.",))
    known = {task: one for task in evidence.initial.tasks if (one := _known(evidence, task)) is not None}
    lacking = [task for task in evidence.initial.tasks if task not in known]
    parts = [f"Tasks of which not all cells are stored: {', '.join(lacking)}."] if lacking else []
    if not known:
        return StudyPage(NAME, TITLE, (*parts, f"Not known yet: {missing(evidence, MAP).number}."))
    gradients = {task: _correlation(one, first_gradient) for task, one in known.items()}
    windows = {task: _correlation(one, lambda cell: min(cell.in_window)) for task, one in known.items()}
    errors = {task: _errors(one) for task, one in known.items()}
    picture = _picture(evidence, known, gradients)
    parts += [
        _headline(errors),
        picture.markdown,
        "F8. A mark is a shape at one width; the darker, the more compact. Across: norm of the gradient of the "
        "first hidden layer's weights, on one batch at the weights that training begins with (seed "
        f"{evidence.initial.seed}). Up: mean test accuracy of the regime map; the dashed line is guessing. Marks "
        "in a grey strip have no gradient at all (0) or none that is finite (∞).",
        "Potentials within half the width of the threshold were counted too. Their share depends on the width and "
        "not on the shape, so that all shapes lie on each other, and it is not drawn.",
        "## Telling the accuracy of a shape that was never trained",
        _error_table(evidence, errors),
        "## How strongly they go together",
        _message(gradients, windows),
        _correlations(evidence, gradients, windows),
        "Spearman's rank correlation over the shapes and widths of a task, a correlation a training seed; "
        "intervals of 95 % over seeds. They say what another seed would change, not other shapes. A correlation is "
        "no cause, and where accuracy rises and falls again with the gradient, it is small.",
        details("Every layer of every cell", _table(known)),
    ]
    return StudyPage(NAME, TITLE, tuple(parts), (picture,))


def first_gradient(cell: InitialCell) -> float | None:
    """Return the gradient's norm in the first hidden layer, which is the farthest from the loss."""
    return cell.gradients[0]


def _known(evidence: SurrogateEvidence, task: str) -> _Known | None:
    """Join what was measured of a task with its runs; None where runs are missing."""
    if evidence.initial is None or task not in evidence.loaded.study.tasks:
        return None
    measured = evidence.initial.tasks[task]
    cells: list[Cell] = [{"surrogate": one.surrogate, "width_fwhm": one.width_fwhm} for one in measured]
    seeds = evidence.loaded.study.blocks[MAP].seeds.values
    runs = run_table(evidence.scores, task, "map", cells, seeds, start=MAP)
    return _Known(measured, runs) if runs.complete else None


def _correlation(known: _Known, of: Callable[[InitialCell], float | None]) -> RankCorrelation | None:
    """Compute the correlation of a number before training with accuracy; None where it does not vary."""
    starts = [math.inf if (value := of(cell)) is None else value for cell in known.cells]
    if len(set(starts)) == 1 or any(len(set(column)) == 1 for column in known.runs.accuracy.T):
        return None
    return rank_correlation(starts, known.runs.accuracy)


def _errors(known: _Known) -> tuple[float, float]:
    """Predict the accuracy of each shape from the others, by its gradients and by its widths; errors in points."""
    means = known.runs.accuracy.mean(axis=1)
    shapes = [cell.surrogate for cell in known.cells]
    norms = [first_gradient(cell) for cell in known.cells]
    finite = [math.log(norm) for norm in norms if norm]
    ends = (min(finite) - 1, max(finite) + 1)  # for none, and for one that is not finite
    starts = [ends[1] if norm is None else math.log(norm) if norm else ends[0] for norm in norms]
    widths = [math.log(cell.width_fwhm) for cell in known.cells]
    return error_between_groups(starts, means, shapes), error_between_groups(widths, means, shapes)


def _headline(errors: dict[str, tuple[float, float]]) -> str:
    by_gradient, by_width = zip(*errors.values(), strict=True)
    better = sum(one < other for one, other in errors.values())
    lead = (
        "Where a run ends goes with the gradient of its first layer before training more than with its width, "
        "with exceptions. "
        if 2 * better > len(errors)
        else ""
    )
    return (
        f"{lead}From the runs of the other shapes, the accuracy of one that was never trained is predicted with a "
        f"mean error of {min(by_gradient):.1f} to {max(by_gradient):.1f} points by its gradient, and of "
        f"{min(by_width):.1f} to {max(by_width):.1f} by its width, from task to task; the gradient is better on "
        f"{few(better, len(errors))} tasks."
    )


def _error_table(evidence: SurrogateEvidence, errors: dict[str, tuple[float, float]]) -> str:
    rows = [[f"{task}: {evidence.title(task)}", *(f"{error:.1f}" for error in pair)] for task, pair in errors.items()]
    return (
        "How far off one is with a shape that was never trained, from the other shapes' accuracies: mean absolute "
        "error, interpolated over the gradient before training, or over the width. It was not registered, and was "
        "chosen after the picture had been looked at.\n\n"
        + table(["task", "from its gradient, points", "from its width, points"], rows)
    )


def _picture(
    evidence: SurrogateEvidence, known: dict[str, _Known], correlations: dict[str, RankCorrelation | None]
) -> StudyPicture:
    panels = []
    for task, one in known.items():
        found = correlations[task]
        means = one.runs.accuracy.mean(axis=1).tolist()
        points = tuple(
            StartPoint(cell.surrogate, first_gradient(cell), mean) for cell, mean in zip(one.cells, means, strict=True)
        )
        note = "does not vary" if found is None else f"rank correlation {found.mean:+.2f}"
        panels.append(StartPanel(evidence.title(task), note, one.runs.runs[0][0].guess, points))
    label = "gradient of the first hidden layer before training (norm, scale: log)"
    return StudyPicture(
        "diagnosis_gradient.png",
        f"Test accuracy against the {label.replace(' (norm, scale: log)', ' (norm)')}, a panel a task.",
        (label, panels),
        lambda: start_figure(panels, label=label),
    )


def _message(gradients: dict[str, RankCorrelation | None], windows: dict[str, RankCorrelation | None]) -> str:
    strong = [task for task, one in gradients.items() if one is not None and (one.low or 0) > STRONG]
    against = [task for task, one in gradients.items() if one is not None and (one.high or 0) < -STRONG]
    others = [task for task in gradients if task not in (*strong, *against)]
    said = [
        f"A larger gradient in the first layer goes with higher accuracy (rank correlation above {STRONG:g}) on "
        f"{', '.join(strong) or 'no task'}",
        f"with lower accuracy on {', '.join(against) or 'none'}",
    ]
    if others:
        said.append(f"neither is shown on {', '.join(others)}")
    wide = [task for task, one in windows.items() if one is not None and (one.low or 0) > STRONG]
    narrow = [task for task, one in windows.items() if one is not None and (one.high or 0) < -STRONG]
    return (
        f"{'; '.join(said)}. More potentials in the window go with higher accuracy on "
        f"{', '.join(wide) or 'no task'} and with lower accuracy on {', '.join(narrow) or 'none'}."
    )


def _correlations(
    evidence: SurrogateEvidence,
    gradients: dict[str, RankCorrelation | None],
    windows: dict[str, RankCorrelation | None],
) -> str:
    rows = [
        [f"{task}: {evidence.title(task)}", _said(gradients[task]), _said(windows[task]), _seeds(gradients[task])]
        for task in gradients
    ]
    return table(["task", "accuracy with gradient", "accuracy with share in the window", "seeds"], rows)


def _said(one: RankCorrelation | None) -> str:
    return NONE if one is None else interval(one.mean, one.low, one.high, 2)


def _seeds(one: RankCorrelation | None) -> int | None:
    return None if one is None else one.seeds


def _table(known: dict[str, _Known]) -> str:
    rows = []
    for task, one in known.items():
        for cell, scores in zip(one.cells, np.asarray(one.runs.accuracy), strict=True):
            gradients = ", ".join("not finite" if norm is None else number_text(norm) for norm in cell.gradients)
            shares = ", ".join(f"{100 * share:.1f}" for share in cell.in_window)
            mean = f"{fmean(scores.tolist()):.1f}"
            rows.append([task, cell.surrogate, number_text(cell.width_fwhm), gradients, shares, mean])
    header = ["task", "shape", "width", "gradient by layer", "in the window by layer, %", "accuracy, %"]
    return table(header, rows)
