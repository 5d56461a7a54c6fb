"""The runs of a reproduction: made by the ordinary machinery, read from the ordinary records."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sgbench.composition.plan import plan
from sgbench.errors import InputError
from sgbench.records.chance import even_guess
from sgbench.records.files import require_writable
from sgbench.records.method import method_id
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.reproduction.definition import FOLDER, Figure, Measure, Reproduction
from sgbench.reproduction.verdict import ConditionCell, Judged, judge


@dataclass(frozen=True)
class ReproductionFolders:
    """Says where runs and data are, and what of the user's own may be used."""

    root: Path | None = None  # of runs
    data_dir: Path | None = None
    config_dirs: tuple[Path, ...] = ()

    def words(self) -> list[str]:
        """Write the folders as overrides, quoted, since a path may hold what Hydra's grammar minds."""
        given = {"paths.runs_dir": self.root, "paths.data_dir": self.data_dir}
        return [f"{key}={_quoted(str(path))}" for key, path in given.items() if path is not None]


def _quoted(text: str) -> str:
    r"""Write a text so that Hydra reads it back.

    >>> print(_quoted("it's"))
    'it\'s'
    """
    return "'" + text.replace("'", r"\'") + "'"


@dataclass(frozen=True)
class ReproductionGrid:
    """Lists all runs of a reproduction: of each condition its cells, of each cell its seeds."""

    cells: Mapping[str, Sequence[Mapping[int, RunSpec]]]

    def specs(self) -> list[RunSpec]:
        """List each run of a reproduction once."""
        specs = [spec for cells in self.cells.values() for cell in cells for spec in cell.values()]
        return list({(method_id(spec.method), spec.seed): spec for spec in specs}.values())


@dataclass(frozen=True)
class ReproductionResult:
    """Holds what came of a reproduction."""

    reproduction: Reproduction
    judged: tuple[Judged, ...]
    seeds: int
    minutes: float | None  # of all runs, as recorded; None for a calculation
    methods: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # ids by condition
    commits: tuple[str, ...] = ()


def grid_of(reproduction: Reproduction, seeds: Sequence[int], place: ReproductionFolders) -> ReproductionGrid:
    """Compose every run of a reproduction.

    Raises:
        InputError: a condition is not usable.
    """
    by_condition = {}
    for name, words in reproduction.conditions.items():
        asked = [
            f"experiment={FOLDER}{reproduction.name}",
            "trainer.progress=false",
            *place.words(),
            *words,
            f"seed={','.join(map(str, seeds))}",
        ]
        specs = plan(asked, multirun=True, config_dirs=place.config_dirs).specs
        # The last word varies fastest, so the seeds of one cell are neighbours.
        starts = range(0, len(specs), len(seeds))
        by_condition[name] = [{spec.seed: spec for spec in specs[at : at + len(seeds)]} for at in starts]
    return ReproductionGrid(by_condition)


def carry_out(
    grid: ReproductionGrid, *, workers: int | None, headline: Callable[[RunRecord], str]
) -> list[str]:
    """Run what has no record yet, side by side where possible; return a line for each that failed to start.

    Raises:
        InputError: files of the data set are not there, or a run is not usable.
        StorageError: the runs folder cannot be written.
    """
    from sgbench.replicas.sweep import run_sweep
    from sgbench.training.build import build
    from sgbench.training.run_folder import finished_record

    specs = grid.specs()
    left = [place for place, spec in enumerate(specs) if finished_record(spec) is None]
    if left:
        data = build(specs[left[0]]).data
        missing = data.data_set.missing(data.data_dir)
        if missing is not None:
            raise InputError(missing)
        require_writable(Path(specs[0].paths.runs_dir))
    return run_sweep(specs, left, workers=workers, largest=None, headline=headline)


def from_records(
    reproduction: Reproduction, grid: ReproductionGrid, seeds: Sequence[int]
) -> ReproductionResult:
    """Judge the figures by the records that are there."""
    from sgbench.training.run_folder import stored_record

    records = {
        (method_id(spec.method), spec.seed): record
        for spec in grid.specs()
        if (record := stored_record(spec)) is not None
    }

    def cells(name: str, figure: Figure) -> list[ConditionCell]:
        condition_cells = []
        for cell in grid.cells[name]:
            own = {seed: records.get((method_id(spec.method), seed)) for seed, spec in cell.items()}
            values = {
                seed: None if record is None else measured(record, figure.measure)
                for seed, record in own.items()
            }
            ranks = [
                record.validation.accuracy or 0.0 for record in own.values() if record and record.validation
            ]
            condition_cells.append(ConditionCell(values, statistics.fmean(ranks) if ranks else 0.0))
        return condition_cells

    judged = [
        judge(figure, {name: cells(name, figure) for name in figure.of}) for figure in reproduction.figures
    ]
    return ReproductionResult(
        reproduction=reproduction,
        judged=tuple(judged),
        seeds=len(seeds),
        minutes=sum(record.timing.total_s for record in records.values()) / 60,
        methods={name: _ids(group) for name, group in grid.cells.items()},
        commits=tuple(
            sorted({record.provenance.commit[:12] for record in records.values() if record.provenance.commit})
        ),
    )


def _ids(cells: Iterable[Mapping[int, RunSpec]]) -> tuple[str, ...]:
    """List the ids of the methods in these cells, each once."""
    return tuple(dict.fromkeys(method_id(spec.method) for seeds in cells for spec in seeds.values()))


def measured(record: RunRecord, measure: Measure) -> float | None:
    """Return the measure of one run; one that turned to NaN counts as chance, other failures give None."""
    if record.status == "failed":
        of_method = record.failure is not None and record.failure.kind == "NonFiniteError"
        chance = even_guess(record.classes) if of_method else None
        if measure == "lowest_error" and chance is not None:
            return 1 - chance
        return None if measure == "last_loss" else chance
    if measure == "test_accuracy":
        return None if record.test is None else record.test.accuracy
    if not record.curve:
        return None
    if measure == "last_loss":
        return record.curve[-1].validation_loss
    if measure == "last_accuracy":
        return record.curve[-1].validation_accuracy
    accuracies = [
        epoch.validation_accuracy for epoch in record.curve if epoch.validation_accuracy is not None
    ]
    return 1 - max(accuracies) if accuracies else None


def calculated(reproduction: Reproduction, seeds: Sequence[int]) -> ReproductionResult:
    """Judge the figures of a reproduction that needs no runs."""
    from sgbench.reproduction.closed_loop import integrals

    settings = {key: value for key, value in (reproduction.calculation or {}).items() if key != "name"}
    try:
        by_seed = {seed: integrals(**settings, seed=seed) for seed in seeds}
    except (TypeError, ValueError) as error:
        raise InputError(f"reproduction '{reproduction.name}': calculation: {error}") from error
    judged = []
    for figure in reproduction.figures:
        cells = {
            name: [ConditionCell({seed: by_seed[seed].get(name) for seed in seeds}, 0.0)]
            for name in figure.of
        }
        judged.append(judge(figure, cells))
    return ReproductionResult(reproduction, tuple(judged), len(seeds), None)
