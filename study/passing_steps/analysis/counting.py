"""Which tasks count, by the registered rule on tuning seeds.

python -m study.passing_steps.analysis.counting
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from sgbench.study_runner.scores import selection
from sgbench.study_runner.store import Store, StoreEntry

BLOCK = "Q"
WANTED = 10
PERCENT = 100
ABOVE_CHANCE, BETWEEN_WIDTHS = 20, 10
"""Points of validation accuracy, each of which is enough when it is reached."""
Place = tuple[str, str, float]
"""Reset, shape and width."""


@dataclass(frozen=True)
class TaskCount:
    """Holds what the rule looks at of one task, in exact points."""

    task: str  # its name
    best: Fraction  # the best cell's accuracy
    chance: Fraction  # one over the number of classes
    spreads: Mapping[str, Fraction]  # by reset, the best width's mean over shapes minus the worst's

    @property
    def counts(self) -> bool:
        """Return whether the best cell is far enough from chance, and widths from each other at a reset."""
        return self.best - self.chance >= ABOVE_CHANCE and max(self.spreads.values()) >= BETWEEN_WIDTHS

    @property
    def line(self) -> str:
        spreads = ", ".join(f"{reset} {float(spread):.1f}" for reset, spread in self.spreads.items())
        says = "counts" if self.counts else "does not count"
        return f"{self.task}: best {float(self.best):.1f}, chance {float(self.chance):.1f}; {spreads}: {says}"


def counted(task: str, classes: int, accuracies: Mapping[Place, Fraction]) -> TaskCount:
    """Compute what the rule looks at from the points of each cell."""
    means: dict[str, dict[float, list[Fraction]]] = {}
    for (reset, _, width), accuracy in accuracies.items():
        means.setdefault(reset, {}).setdefault(width, []).append(accuracy)
    by_width = {
        reset: [sum(found, Fraction(0)) / len(found) for found in widths.values()] for reset, widths in means.items()
    }
    spreads = {reset: max(found) - min(found) for reset, found in sorted(by_width.items())}
    return TaskCount(task, max(accuracies.values()), Fraction(PERCENT, classes), spreads)


def read_counts(entries: Iterable[StoreEntry]) -> list[TaskCount]:
    """Count from stored runs, task by task; a failed run counts as chance."""
    found: dict[str, dict[Place, Fraction]] = {}
    classes: dict[str, int] = {}
    for entry in entries:
        record, cell = entry.record, entry.cell
        number = classes[entry.task] = int(record.classes or 1)
        points = Fraction(PERCENT, number)
        if record.status != "failed" and record.validation is not None:
            samples = record.validation.samples
            points = Fraction(PERCENT * round(selection(record)[0] * samples), samples)
        place = (str(cell["neuron.reset_gradient"]), str(cell["surrogate"]), float(str(cell["width_fwhm"])))
        found.setdefault(entry.task, {})[place] = points
    return [counted(task, classes[task], cells) for task, cells in found.items()]


def chosen(counts: Sequence[TaskCount], order: Sequence[str]) -> list[str]:
    """Take the first ten tasks that count, in the given order."""
    by_task = {count.task: count for count in counts}
    return [task for task in order if task in by_task and by_task[task].counts][:WANTED]


def lines(folder: Path, order: Sequence[str]) -> Iterator[str]:
    counts = read_counts(Store(folder, "passing_steps").entries([BLOCK]))
    yield from (count.line for task in order for count in counts if count.task == task)
    yield f"taken: {', '.join(chosen(counts, order))}"


def main() -> int:
    """Print the study's runs and what they count, task by task."""
    from sgbench.study_runner.definition import load_study

    order = list(load_study("passing_steps").study.tasks)
    folder = Path(__file__).resolve().parents[1]
    sys.stdout.write("".join(f"{line}\n" for line in lines(folder, order)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
