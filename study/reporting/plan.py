"""Power analysis of an open claim: runs that would decide it, their cost and power, by a bootstrap of seeds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sgbench.study_runner.cells import Cell
from sgbench.study_runner.definition import Seeds, Study
from sgbench.study_runner.scores import Score, StudyScores
from sgbench.study_runner.status import HOUR_S

TRIES = 60
"""Of a plan's chance, which is known to some 6 points then."""
MIN_SEEDS = 3
"""From which on the stored seeds of a task are drawn again."""
Decided = Callable[[StudyScores], bool]
"""Whether scores decide a claim."""


@dataclass(frozen=True)
class PlanLine:
    """Describes one way to decide an open claim."""

    claim: str  # its name
    what: str  # the runs, in words
    runs: int  # that are not stored
    hours: float  # of one core, by the seconds that the study's file states
    # That the claim is decided then, if further seeds are like those stored; None: not known.
    chance: float | None
    note: str = ""  # what the chance rests on, or why there is none

    @property
    def cells(self) -> list[str]:
        chance = "-" if self.chance is None else f"{100 * self.chance:.0f} %"
        return [self.claim, f"{self.runs:,}", f"{self.hours:.1f}", chance, self.what, self.note]


HEADER = ["claim", "runs", "core-h", "chance", "what", "note"]


@dataclass
class AskedCell:
    """Notes the seeds of a cell that a decision asks for, and lends it a stored run where one is missing."""

    task: str
    cell: Cell
    start: str | None
    stored: Mapping[int, Score]
    seeds: set[int] = field(default_factory=set)

    def __contains__(self, seed: object) -> bool:
        if isinstance(seed, int):
            self.seeds.add(seed)
        return bool(self.stored)

    def __getitem__(self, seed: int) -> Score:
        self.seeds.add(seed)
        return self.stored.get(seed) or replace(next(iter(self.stored.values())), seed=seed)

    @property
    def missing(self) -> list[int]:
        return sorted(seed for seed in self.seeds if seed not in self.stored)


class WatchedScores(StudyScores):
    """Records the cells and seeds that a decision reads.

    `scores`: that are looked at. `purpose`: of the seeds; cells of others are not noted.
    """

    def __init__(self, scores: StudyScores, study: Study, purpose: str) -> None:
        super().__init__(study, scores.settled, scores.runs)
        self.scores = scores
        self.purpose = purpose
        self.asked: dict[tuple[str, str | None, str], AskedCell] = {}

    def cell(self, task: str, purpose: str, cell: Cell, *, start: str | None = None) -> Any:
        """Return the runs of a cell by seed, and note it; the index is that of the scores."""
        stored = self.scores.cell(task, purpose, cell, start=start)
        if purpose != self.purpose:
            return stored
        place = (task, start, repr(sorted(cell.items())))
        return self.asked.setdefault(place, AskedCell(task, dict(cell), start, stored))


class DrawnScores(StudyScores):
    """Gives each cell that was asked for its stored runs, and drawn ones for seeds that are missing.

    `watched`: the scores that noted what a decision asked for. `drawn`: maps each task, and each seed that is missing,
    to the stored seed whose run stands for it.
    """

    def __init__(self, watched: WatchedScores, drawn: Mapping[str, Mapping[int, int]]) -> None:
        super().__init__(watched.study, watched.settled, watched.runs)
        self.watched = watched
        self.rows: dict[tuple[str, str | None, str], dict[int, Score]] = {}  # runs by seed, of each cell
        for key, cell in watched.asked.items():
            copies = {seed: replace(cell.stored[drawn[cell.task][seed]], seed=seed) for seed in cell.missing}
            self.rows[key] = {**cell.stored, **copies}

    def cell(self, task: str, purpose: str, cell: Cell, *, start: str | None = None) -> Any:
        """Return the drawn runs of a cell, or those of the study where none were drawn."""
        runs = self.rows.get((task, start, repr(sorted(cell.items()))))
        if purpose != self.watched.purpose or runs is None:
            return self.watched.cell(task, purpose, cell, start=start)
        return runs


def planned(
    scores: StudyScores,
    claim: str,
    decided: Decided,
    *,
    purpose: str,
    seeds: Sequence[int],
    blocks: Sequence[str] = (),
    random: np.random.Generator,
    tries: int = TRIES,
) -> PlanLine:
    """Plan more seeds of the cells that a claim reads.

    What a further seed brings is drawn from those that are stored, the same one for all cells of a task, so that
    pairs stay pairs.

    `scores`: of the study. `claim`: its name. `decided`: whether scores decide it. `purpose`: of the seeds. `seeds`:
    all that there would be. `blocks`: whose seeds become these, where a decision reads them from the study's file.
    `random`: draws seeds. `tries`: how often.
    """
    study = _with_seeds(scores.study, purpose, seeds, blocks)
    watched = WatchedScores(scores, study, purpose)
    decided(watched)
    cells = list(watched.asked.values())
    tasks = list(dict.fromkeys(cell.task for cell in cells if cell.missing))
    runs = sum(len(cell.missing) for cell in cells)
    hours = sum(len(cell.missing) * scores.study.tasks[cell.task].run_s for cell in cells) / HOUR_S
    new = sorted({seed for cell in cells for seed in cell.missing})
    which = f"{purpose} seeds {new[0]} to {new[-1]} of {', '.join(tasks)}" if new else "nothing is missing"
    line = PlanLine(claim, which, runs, hours, None)
    sources = {
        task: sorted(set.intersection(*(set(cell.stored) for cell in cells if cell.task == task))) for task in tasks
    }
    few = [task for task, stored in sources.items() if len(stored) < MIN_SEEDS]
    if few or not new:
        note = f"fewer than {MIN_SEEDS} seeds of {', '.join(few)} are stored" if few else ""
        return replace(line, note=note)
    hits = 0
    for _ in range(tries):
        drawn = {
            task: {seed: stored[int(random.random() * len(stored))] for seed in new} for task, stored in sources.items()
        }
        hits += decided(DrawnScores(watched, drawn))
    least = min(map(len, sources.values()))
    return replace(line, chance=hits / tries, note=f"by drawing {least} stored seeds again")


def _with_seeds(study: Study, purpose: str, seeds: Sequence[int], blocks: Sequence[str]) -> Study:
    """Return the study as if these blocks had more seeds."""
    many = Seeds(first=seeds[0], count=len(seeds))
    changed = {name: study.blocks[name].model_copy(update={"seeds": many}) for name in blocks}
    kinds = {**study.seeds, purpose: many}
    return study.model_copy(update={"seeds": kinds, "blocks": {**study.blocks, **changed}})
