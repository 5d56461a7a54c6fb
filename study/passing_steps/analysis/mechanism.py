"""Where the surrogate gradient points before training: its cosine with finite differences, by passing steps.

python -m study.passing_steps.analysis.mechanism DATA measures it anew
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise, product
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import sgbench
from sgbench.diagnosis.agreement import DIRECTIONS
from sgbench.records.base import Amount, Number, Strict, Text
from sgbench.records.calibration import Reset
from sgbench.records.files import read_model, to_json, write_atomic
from sgbench.study_runner.cells import overrides_of
from sgbench.study_runner.definition import load_study
from study.passing_steps.analysis.cells import RESETS, cell
from study.passing_steps.analysis.evidence import SHAPES, WIDTHS
from study.reporting.pages.text import StudyPage, StudyPicture, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILE = "mechanism.json"
"""Beside the study's records."""
NAME, PICTURE = "mechanism.md", "mechanism.png"
TITLE = "Where the surrogate gradient points"
TASKS = ("store_recall", "evidence", "order", "flip_flop")
"""The first tasks with one recurrent layer and spikes as input."""
SEED = 100
BORDERS = (0.5, 2.0, 8.0, 22.0)
"""Of the ranges of passing steps."""
DIGITS = 4


class Direction(Strict):
    """Holds the gradient of one network's hidden layer before training, beside finite differences."""

    task: Text
    shape: Text
    width_fwhm: Amount
    reset: Reset
    passing_steps: Amount
    cosine: Number
    norm_ratio: Amount
    """Norm of the gradient by that of the finite differences."""


class DirectionsFile(Strict):
    """Holds what was measured of each task, shape, width and reset."""

    directions: tuple[Direction, ...]


def measure(more: Sequence[str]) -> Iterator[Direction]:
    """Measure every cell of the tasks with the weights of the first tuning seed, on one batch."""
    study = load_study("passing_steps").study
    for task, shape, width, reset in product(TASKS, SHAPES, WIDTHS, RESETS):
        words = (*study.tasks[task].words, *overrides_of(cell(shape, width, reset)), f"seed={SEED}", *more)
        diagnosis = sgbench.diagnose(*words, panels=["agreement", "activity"], batches=1)
        layer = diagnosis.layers[0]
        agreement = next(
            line
            for line in diagnosis.agreements or ()
            if (line.layer, line.reference) == (layer.name, "finite_difference")
        )
        numbers = (layer.passing_steps, agreement.cosine, agreement.norm_ratio)
        if all(number is not None for number in numbers):
            steps, cosine, ratio = (float(f"{number:.{DIGITS}g}") for number in numbers)
            yield Direction(
                task=task,
                shape=shape,
                width_fwhm=width,
                reset=reset,
                passing_steps=steps,
                cosine=cosine,
                norm_ratio=ratio,
            )


def by_steps(networks: Iterable[Direction]) -> list[list[Direction]]:
    """Group the networks by range of passing steps: below the first border, between two, above the last."""
    groups: list[list[Direction]] = [[] for _ in range(len(BORDERS) + 1)]
    for network in networks:
        groups[sum(network.passing_steps >= border for border in BORDERS)].append(network)
    return groups


def page(folder: Path) -> StudyPage | None:
    """Write the page, with a picture and a table by ranges of passing steps; None if nothing was measured."""
    if not (folder / FILE).is_file():
        return None
    networks = read_model(folder / FILE, DirectionsFile).directions
    tasks = load_study("passing_steps").study.tasks
    names = list(dict.fromkeys(network.task for network in networks))
    titles = "; ".join(tasks[task].title for task in names)
    by_reset: dict[Reset, list[list[Direction]]] = {
        reset: by_steps(network for network in networks if network.reset == reset) for reset in RESETS
    }
    between = (f"{low:g} to {high:g}" for low, high in pairwise(BORDERS))
    ranges = [f"below {BORDERS[0]:g}", *between, f"above {BORDERS[-1]:g}"]
    rows = []
    for index, name in enumerate(ranges):
        groups = [by_reset[reset][index] for reset in RESETS]
        rows.append([name, *(_median_text(group, field) for field in ("cosine", "norm_ratio") for group in groups)])
    picture = StudyPicture(
        PICTURE,
        "Cosine of the surrogate gradient with finite differences of the loss, against passing steps before "
        "training; a mark a network.",
        [(network.reset, network.passing_steps, network.cosine) for network in networks],
        lambda: figure(networks),
    )
    parts = (
        f"An estimate, before training and on one batch: {len(networks)} networks, two shapes, eight widths and both "
        f"resets on {len(names)} tasks ({titles}). Nothing of it was registered.",
        "The gradient of the hidden layer's parameters, inward and recurrent weights together, is compared with "
        f"finite differences of the loss along {DIRECTIONS} random directions, with steps of a twentieth of their "
        "norm. A cosine of 1 means that the slopes along these directions agree; the ratio is that of their norms, "
        "of the gradient by the finite differences. Where nothing agrees, cosines spread by about "
        f"{DIRECTIONS**-0.5:.1f} around 0. Each network is measured with one seed ({SEED}) and one batch.",
        picture.markdown,
        table(["passing steps", *(f"{what}, {reset}" for what in ("cosine", "norm ratio") for reset in RESETS)], rows),
        "Each entry is the median of the networks, with their number. It takes tasks, shapes and widths together, "
        "so that its networks are not independent of each other.",
        *_above(by_reset),
    )
    return StudyPage(NAME, TITLE, parts, (picture,))


def _above(by_reset: Mapping[Reset, Sequence[Sequence[Direction]]]) -> list[str]:
    """Write medians of the networks in the range of the most passing steps; empty if there is none."""
    sentences = []
    for reset, groups in by_reset.items():
        last = groups[-1]
        if last:
            sentences.append(
                f"with the reset {reset} it has a cosine of {median(network.cosine for network in last):.2f} and "
                f"{median(network.norm_ratio for network in last):.3g} times the norm "
                f"({len(last)} networks of {len({network.task for network in last})} tasks)"
            )
    return [f"Above {BORDERS[-1]:g} passing steps the gradient differs: {'; '.join(sentences)}."] if sentences else []


def _median_text(networks: Sequence[Direction], field: str) -> str:
    return f"{median(getattr(network, field) for network in networks):.2f} ({len(networks)})" if networks else "-"


def figure(found: Sequence[Direction]) -> Figure:
    """Draw the cosine with finite differences against passing steps, for both resets."""
    from matplotlib.figure import Figure

    from sgbench.plots.style import BLUE, GRID, INK, VERMILION

    drawn = Figure(figsize=(8.6, 4.2), layout="constrained")
    axes: Any = drawn.subplots()
    for reset, colour, marker in zip(RESETS, (VERMILION, BLUE), ("s", "o"), strict=True):
        mine = [one for one in found if one.reset == reset]
        axes.plot(
            [one.passing_steps for one in mine],
            [one.cosine for one in mine],
            linestyle="none",
            marker=marker,
            fillstyle="none",
            markersize=6,
            markeredgewidth=1.6,
            color=colour,
            label=f"reset {reset}",
        )
    axes.set_xscale("log")
    axes.set_xlabel("passing steps before training", fontsize=12, color=INK)
    axes.set_ylabel("cosine with finite differences", fontsize=12, color=INK)
    axes.grid(color=GRID, linewidth=0.8)
    axes.legend(frameon=False, fontsize=11.5)
    return drawn


def main() -> int:
    """Measure with files of data sets in the folder that is named, and write it beside the records."""
    root = Path(__file__).resolve().parents[3]
    found = tuple(measure([f"paths.data_dir={sys.argv[1]}"]))
    write_atomic(root / "study" / "passing_steps" / FILE, to_json(DirectionsFile(directions=found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
