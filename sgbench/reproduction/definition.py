"""The definition of a reproduction: published figures, how they are measured here, and when they agree."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError, model_validator

from sgbench.composition import catalogue
from sgbench.errors import InputError, suggest
from sgbench.records.base import Strict
from sgbench.records.files import first_problem

FOLDER = "reproduce/"  # of the group experiment
CALCULATIONS = ("closed_loop",)
Line = Annotated[str, StringConstraints(min_length=1, max_length=300)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=1200)]
Overrides = Annotated[tuple[Line, ...], Field(min_length=1)]
Seed = Annotated[int, Field(ge=0)]
HeldTo = Literal["published", "source", "ours"]
"""A number that somebody published, a bound that the source states in other words, or a bound of ours."""
Measure = Literal["test_accuracy", "last_accuracy", "last_loss", "lowest_error", "integral"]


class Figure(Strict):
    """Describes one published figure.

    It has either `published` with its `tolerance`, both in the unit of the measure, or a bound.
    """

    line: Line  # names the figure
    statistic: Literal["mean", "gap", "spread"] = "mean"  # of its conditions, see `judge`
    measure: Measure = "test_accuracy"
    of: Annotated[tuple[Line, ...], Field(min_length=1)]  # names of its conditions
    best_cells: int | None = Field(default=None, ge=1)  # of a grid, by validation; None averages all
    more_seeds: tuple[Seed, ...] = ()  # of this figure alone, after those of all figures
    published: float | None = None
    tolerance: float | None = Field(default=None, ge=0)
    at_least: float | None = None
    at_most: float | None = None
    evidence: Line
    held_to: HeldTo | None = None  # whose number it is; None: published, or a bound of ours
    revised: Literal["conditions", "bound"] | None = None  # what was changed or set once our values were known
    cause: Text | None = None  # why it does not agree, or what made it agree, shown by ablations

    @model_validator(mode="after")
    def _one_criterion(self) -> Figure:
        """Require one criterion, and a statistic that suits the number of conditions."""
        is_published = self.published is not None
        if is_published != (self.tolerance is not None):
            raise ValueError(f"'{self.line}': published and tolerance belong together")
        if [is_published, self.at_least is not None, self.at_most is not None].count(True) != 1:
            raise ValueError(f"'{self.line}': one of published, at_least and at_most is needed")
        if self.statistic == "mean" and len(self.of) > 1:
            raise ValueError(f"'{self.line}': a mean is of one condition; use gap or spread for several")
        if self.statistic != "mean" and len(self.of) == 1:
            raise ValueError(f"'{self.line}': a {self.statistic} needs two conditions or more")
        return self

    @property
    def whose(self) -> HeldTo:
        """Return whose number the figure is held to.

        >>> Figure(line="a", of=("b",), at_least=0.1, evidence="worse in the figure").whose
        'ours'
        """
        return self.held_to or ("ours" if self.published is None else "published")

    @property
    def bound(self) -> float:
        """Return the number that ours is compared with: the published one, or the end of what agrees."""
        return next(value for value in (self.published, self.at_least, self.at_most) if value is not None)

    @property
    def theirs(self) -> str:
        """Write the published figure or the bound as text.

        >>> Figure(line="a", of=("b",), published=0.859, tolerance=0.174, evidence="read").theirs
        '0.859 ± 0.174'
        """
        if self.published is not None:
            return f"{self.published:g} ± {self.tolerance:g}"
        return f"at least {self.at_least:g}" if self.at_least is not None else f"at most {self.at_most:g}"


class Ablation(Strict):
    """Describes one ablation: the overrides that change the conditions of figures."""

    line: Line  # names the ablation
    words: Overrides  # for each condition of the figures, which replace those of the same keys
    of: Annotated[tuple[Line, ...], Field(min_length=1)]  # lines of the figures
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] | None = None  # None: those of all figures
    asks: Text  # the question, and the outcome that would refute it
    found: Text | None = None  # the answer, written by hand
    # Whether it shows what the measurement would see; the bounds of its figures do not judge it.
    is_control: bool = False

    @model_validator(mode="after")
    def _each_once(self) -> Ablation:
        for key, values in (("seeds", self.seeds or ()), ("of", self.of)):
            if len(set(values)) != len(values):
                raise ValueError(f"ablation '{self.line}': {key}: one is there twice")
        return self

    def changed(self, condition: Iterable[str]) -> list[str]:
        """Return the overrides of a condition, with those of the ablation in place of those of the same keys.

        If the ablation chooses another entry of a group, the condition's settings of that group are dropped.

        >>> ablation = Ablation(line="faster", words=("optimizer.lr=0.1",), of=("error",), asks="too slow?")
        >>> ablation.changed(["rule=eprop", "optimizer.lr=0.003,0.01"])
        ['rule=eprop', 'optimizer.lr=0.1']
        """
        keys = {override.partition("=")[0] for override in self.words}
        unchanged = (
            override
            for override in condition
            if keys.isdisjoint((override.partition("=")[0], override.partition(".")[0]))
        )
        return [*unchanged, *self.words]


class Reproduction(Strict):
    """Describes one reproduction, as a file of conf/experiment/reproduce/ states it."""

    name: Line
    line: Line  # describes it
    sources: Annotated[tuple[Line, ...], Field(min_length=1)]
    differs: tuple[Line, ...] = ()  # what is not as published
    reduced: Line | None = None  # what was made smaller
    reason: Text | None = None  # why a figure does not agree, as far as known
    minutes: float | None = Field(default=None, gt=0)  # of all runs with all seeds on one processor
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)]  # of all figures
    # Overrides of each condition, beside experiment=reproduce/NAME; several values of a key make a grid.
    conditions: dict[Line, tuple[Line, ...]] = Field(default_factory=dict)
    figures: Annotated[tuple[Figure, ...], Field(min_length=1)]
    ablations: tuple[Ablation, ...] = ()
    calculation: dict[str, Any] | None = None  # its name and settings, in place of runs

    @model_validator(mode="after")
    def _conditions_known(self) -> Reproduction:
        """Require that figures name conditions and measures that this reproduction has, and seeds once."""
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds: one is there twice")
        for figure in self.figures:
            if figure.more_seeds and self.calculation is not None:
                raise ValueError(f"'{figure.line}': more_seeds: a calculation has the seeds of all")
            if len(set(self.seeds_of(figure))) != len(self.seeds_of(figure)):
                raise ValueError(f"'{figure.line}': more_seeds: one is there twice, or is one of seeds")
        if self.calculation is not None:
            if self.calculation.get("name") not in CALCULATIONS:
                raise ValueError(f"calculation.name: one of {', '.join(CALCULATIONS)} is needed")
            return self
        for figure in self.figures:
            if figure.measure == "integral":
                raise ValueError(f"'{figure.line}': integral is no measure of a run")
            unknown = next((name for name in figure.of if name not in self.conditions), None)
            if unknown is not None:
                raise ValueError(
                    f"'{figure.line}': condition '{unknown}' is not there; {suggest(unknown, self.conditions)}"
                )
        return self

    @model_validator(mode="after")
    def _figures_known(self) -> Reproduction:
        """Require that ablations name figures of this reproduction, and that each stated cause has one."""
        if self.ablations and self.calculation is not None:
            raise ValueError("ablations: a calculation has no runs in which something could be changed")
        lines = [figure.line for figure in self.figures]
        seen = set()
        for ablation in self.ablations:
            unknown = next((line for line in ablation.of if line not in lines), None)
            if unknown is not None:
                raise ValueError(
                    f"ablation '{ablation.line}': figure '{unknown}' is not there; {suggest(unknown, lines)}"
                )
            if ablation.line in seen:
                raise ValueError(f"ablation '{ablation.line}' is there twice")
            seen.add(ablation.line)
        for figure in self.figures:
            if figure.cause is not None and not any(figure.line in each.of for each in self.ablations):
                raise ValueError(f"'{figure.line}': a cause is shown by an ablation, and none is of this figure")
        return self

    def seeds_of(self, figure: Figure) -> tuple[int, ...]:
        return (*self.seeds, *figure.more_seeds)

    def condition_seeds(self, name: str) -> list[int]:
        """List the seeds of the condition `name`: those of all figures, then the further seeds of its own figures.

        >>> reproduction = read("temporal_xor")
        >>> figure = reproduction.figures[0].model_copy(update={"more_seeds": (7,)})
        >>> reproduction.model_copy(update={"figures": (figure,)}).condition_seeds("four neurons")
        [0, 1, 2, 3, 4, 7]
        """
        own = (seed for figure in self.figures if name in figure.of for seed in figure.more_seeds)
        return list(dict.fromkeys((*self.seeds, *own)))

    def ablated(self, ablation: Ablation, *, is_changed: bool = True) -> Reproduction:
        """Return the reproduction of an ablation: its figures and seeds, with changed conditions.

        >>> reproduction = read("temporal_xor")
        >>> figures = (reproduction.figures[0].line,)
        >>> ablation = Ablation(line="wider", words=("init.gain=3",), of=figures, asks="silent?")
        >>> reproduction.ablated(ablation).conditions["four neurons"][-1]
        'init.gain=3'
        """
        figures = tuple(
            figure.model_copy(update={"more_seeds": ()}) for figure in self.figures if figure.line in ablation.of
        )
        names_of = dict.fromkeys(name for figure in figures for name in figure.of)
        conditions = {
            name: tuple(ablation.changed(self.conditions[name])) if is_changed else self.conditions[name]
            for name in names_of
        }
        seeds = ablation.seeds or self.seeds
        return self.model_copy(update={"figures": figures, "conditions": conditions, "seeds": seeds, "ablations": ()})


def names(config_dirs: Iterable[Path] = ()) -> list[str]:
    return [name.removeprefix(FOLDER) for name in catalogue.paths("experiment", config_dirs) if name.startswith(FOLDER)]


def read(name: str, config_dirs: Iterable[Path] = ()) -> Reproduction:
    """Read the file of the reproduction `name`, of sgbench or of the user's folders `config_dirs`.

    >>> read("spytorch1").figures[0].published
    0.859
    """
    folders = list(config_dirs)
    known = names(folders)
    if name not in known:
        raise InputError(f"reproduction '{name}' does not exist; {suggest(name, known, 'sgbench reproduce --list')}")
    entry = catalogue.entry("experiment", FOLDER + name, folders)
    tree = entry.meta.get("reproduction")
    if not isinstance(tree, dict):
        raise InputError(f"{entry.path}: meta.reproduction, the published figures, is missing")
    tree = {"name": name, "line": entry.line, "calculation": entry.parameters.get("calculation"), **tree}
    try:
        return Reproduction.model_validate(tree)
    except ValidationError as error:
        raise InputError(f"{entry.path}: {first_problem(error)}") from error
