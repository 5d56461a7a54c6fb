"""The figures that were measured, kept as values beside the page that is written from them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from sgbench.records.base import Strict
from sgbench.records.files import read_model, write_atomic
from sgbench.reproduction.definition import Figure, Line, Reproduction, read
from sgbench.reproduction.runs import AblationResult, ReproductionResult
from sgbench.reproduction.stored import DIGITS
from sgbench.reproduction.verdict import ROUNDING, Judged, Verdict

FIGURES = "figures.json"
UNMEASURED: Verdict = "not measured"
Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{6,40}$")]


class MeasuredFigure(Strict):
    """Holds one figure as it was measured."""

    line: Line  # names the figure
    published: Line  # what it was held to, as text
    # mean over seeds; 1e-12 stands for all that is smaller, which is rounding; None: not measured
    ours: float | None = None
    deviation: float | None = None  # standard deviation over seeds; None with fewer than two
    seeds: Annotated[int, Field(ge=0)]  # count
    verdict: Verdict  # whether ours lies within what was published
    note: Line | None = None  # why it was not measured

    def judged(self, figure: Figure) -> Judged:
        """Return the result on a figure; not measured if it is held to another number by now."""
        if self.published != figure.theirs:
            return Judged(figure, None, None, 0, UNMEASURED, "held to another number when it was measured")
        return Judged(figure, self.ours, self.deviation, self.seeds, self.verdict, self.note)


class MeasuredAblation(Strict):
    """Holds the figures of an ablation, of the same seeds without and with its change."""

    line: Line
    before: tuple[MeasuredFigure, ...]
    after: tuple[MeasuredFigure, ...]


class MeasuredReproduction(Strict):
    """Holds the figures of a reproduction, ids of methods by condition, and the commits that made the runs."""

    figures: tuple[MeasuredFigure, ...]
    methods: dict[Line, tuple[Line, ...]] = Field(default_factory=dict)
    commits: tuple[Commit, ...] = ()
    ablations: tuple[MeasuredAblation, ...] = ()


class MeasuredReproductions(Strict):
    """Holds the figures of all reproductions by name, as `sgbench reproduce --update` writes them beside the page."""

    schema_version: Literal[1] = 1
    reproductions: dict[Line, MeasuredReproduction] = Field(default_factory=dict)


def figures_beside(page: Path) -> Path:
    """Return the file of figures that a page is written from, in the folder that is named as the page."""
    return page.with_suffix("") / FIGURES


def read_figures(path: Path) -> dict[str, MeasuredReproduction]:
    return read_model(path, MeasuredReproductions).reproductions if path.is_file() else {}


def update_figures(
    path: Path, results: Sequence[ReproductionResult], config_dirs: Iterable[Path] = ()
) -> list[ReproductionResult]:
    """Put results into the file of figures, and return those of every reproduction in it, by name.

    What was not measured here stays as it was, if its figure and its methods are the same.
    """
    stored, folders = read_figures(path), list(config_dirs)
    new = {result.reproduction.name: _with_earlier(result, stored.get(result.reproduction.name)) for result in results}
    stored |= {name: _measured(result) for name, result in new.items()}
    stored = dict(sorted(stored.items()))
    text = MeasuredReproductions(reproductions=stored).model_dump_json(indent=1, exclude_none=True)
    write_atomic(path, f"{text}\n".encode())
    return [new.get(name) or result_of(read(name, folders), measured) for name, measured in stored.items()]


def read_results(path: Path, config_dirs: Iterable[Path] = ()) -> list[ReproductionResult]:
    """Read the results of every reproduction in a file of figures; none without the file."""
    folders = list(config_dirs)
    return [result_of(read(name, folders), measured) for name, measured in read_figures(path).items()]


def result_of(reproduction: Reproduction, measured: MeasuredReproduction) -> ReproductionResult:
    """Join the figures of a reproduction, as its file states them today, with their stored values."""
    judged = _judged(reproduction.figures, measured.figures)
    by_line = {ablation.line: ablation for ablation in measured.ablations}
    ablations = []
    for ablation in reproduction.ablations:
        if ablation.line in by_line:
            changed, stored = reproduction.ablated(ablation), by_line[ablation.line]
            before, after = (
                ReproductionResult(changed, _judged(changed.figures, values), 0, None)
                for values in (stored.before, stored.after)
            )
            ablations.append(AblationResult(ablation, before, after))
    return ReproductionResult(
        reproduction,
        judged,
        max(figure.seeds for figure in judged),
        reproduction.minutes,
        {name: measured.methods[name] for name in reproduction.conditions if name in measured.methods},
        measured.commits,
        tuple(ablations),
    )


def _with_earlier(result: ReproductionResult, before: MeasuredReproduction | None) -> ReproductionResult:
    """Return a result with earlier values of unchanged figures that were not measured here."""
    if before is None:
        return result
    earlier = {(old.line, old.published): old for old in before.figures}
    judged = list(result.judged)
    for index, new in enumerate(judged):
        old = earlier.get((new.figure.line, new.figure.theirs))
        has_same_methods = all(before.methods.get(name) == result.methods.get(name) for name in new.figure.of)
        if old is not None and has_same_methods and new.verdict == UNMEASURED:
            judged[index] = old.judged(new.figure)
    if judged == list(result.judged):
        return result
    commits = tuple(sorted({*before.commits, *result.commits}))
    return replace(result, judged=tuple(judged), commits=commits)


def _judged(figures: Sequence[Figure], measured: Iterable[MeasuredFigure]) -> tuple[Judged, ...]:
    """Judge stored measurements by today's figures; one that was added since is unmeasured."""
    by_line = {stored.line: stored for stored in measured}
    return tuple(
        by_line[figure.line].judged(figure)
        if figure.line in by_line
        else Judged(figure, None, None, 0, UNMEASURED, "added since")
        for figure in figures
    )


def _measured(result: ReproductionResult) -> MeasuredReproduction:
    """Reduce a result to what is stored beside the page."""
    return MeasuredReproduction(
        figures=tuple(map(_figure, result.judged)),
        methods=dict(result.methods),
        commits=result.commits,
        ablations=tuple(
            MeasuredAblation(
                line=ablation.line, before=tuple(map(_figure, base.judged)), after=tuple(map(_figure, changed.judged))
            )
            for ablation, base, changed in result.ablations
        ),
    )


def _figure(judged: Judged) -> MeasuredFigure:
    """Round a figure's measurement to what is the same on all processors."""
    ours, deviation = judged.ours, judged.deviation
    if ours is not None and 0 < abs(ours) < ROUNDING:  # differs between processors
        ours, deviation = ROUNDING, None
    return MeasuredFigure(
        line=judged.figure.line,
        published=judged.figure.theirs,
        ours=_rounded(ours),
        deviation=_rounded(deviation),
        seeds=judged.seeds,
        verdict=judged.verdict,
        note=judged.note,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")
