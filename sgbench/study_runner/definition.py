"""The definition of a study: tasks, blocks of cells, and the seeds that tune, map and report."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError, model_validator

from sgbench.composition import catalogue
from sgbench.errors import InputError, suggest
from sgbench.records.base import Amount, Number, Strict, Text
from sgbench.records.files import first_problem

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=40)]
Key = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_@/]*(\.[a-zA-Z_]+)*$", max_length=80)]
MAX_NODES = 100_000  # most nodes of the YAML tree of a study's file
Word = bool | int | float | str | None  # A value of a Hydra override
Purpose = Literal["tuning", "map", "report", "second_look"]
"""Purpose of seeds; a second look has new seeds, for comparisons that the earlier ones left open."""


class Seeds(Strict):
    """Lists seeds that follow each other, e.g. 100, 101 and 102."""

    first: int = Field(ge=0, le=2**31)
    count: int = Field(ge=1, le=1000)

    @property
    def values(self) -> tuple[int, ...]:
        """List the seeds in order.

        >>> Seeds(first=100, count=3).values
        (100, 101, 102)
        """
        return tuple(range(self.first, self.first + self.count))


class SettingRange(Strict):
    """Defines from what one value of a random setting is drawn: a range of numbers, or one of several values."""

    low: Number | None = None
    high: Number | None = None
    scale: Literal["linear", "log"] = "log"
    values: tuple[Word, ...] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> SettingRange:
        """Require either an ordered range or a list of values."""
        is_range = self.low is not None and self.high is not None
        if is_range == (self.values is not None):
            raise ValueError("either low and high, or values, are needed")
        low, high = self.low, self.high
        if low is not None and high is not None and (not low < high or (self.scale == "log" and low <= 0)):
            raise ValueError("low below high is needed, and low above 0 on a log scale")
        return self


class RandomSettings(Strict):
    """Defines settings that are drawn at random with a fixed seed, so that everybody draws the same."""

    count: int = Field(ge=1, le=1000)
    seed: int = Field(ge=0, le=2**31)
    ranges: dict[Key, SettingRange] = Field(min_length=1)  # ranges for every task of the block, by key
    by_task: dict[Name, dict[Key, SettingRange]] = Field(default_factory=dict)
    """Further ranges of some tasks, by task and key; they replace ranges of the same key."""


class CellGrid(Strict):
    """Lists cells of a block: starting points, combined with every value and every factor."""

    cells: tuple[dict[Key, Word], ...] = ()  # starting points, one by one
    best_of: Name | None = None
    """Starting points are the cells that an earlier block has settled on, task by task."""
    where: dict[Key, tuple[Word, ...]] = Field(default_factory=dict)
    """By key, the values that a starting point must have one of; others are left out."""
    expected_starts: int = Field(default=1, ge=1, le=1000)
    """How many cells of `best_of` there will be, for the plan of costs."""
    values: dict[Key, tuple[Word, ...]] = Field(default_factory=dict)
    """By key, the values that are combined with all others."""
    factors: dict[Key, tuple[float, ...]] = Field(default_factory=dict)
    """By key, factors on the number that the starting point or the task's reference setting has for it."""
    tasks: tuple[Name, ...] | None = None  # the tasks that have these cells; all of the block by default
    ranges: dict[Name, dict[Key, SettingRange]] = Field(default_factory=dict)
    """By task, ranges that the block's random settings have for these cells besides, or in place of others.

    What is drawn for a key is the same in all cells that have the same range for it."""
    seeds: Seeds | None = None  # seeds in place of the block's

    @model_validator(mode="after")
    def _some_cells(self) -> CellGrid:
        if not (self.cells or self.best_of or self.values or self.factors):
            raise ValueError("cells, best_of, values or factors are needed")
        if self.cells and self.best_of:
            raise ValueError("either cells or best_of is needed")
        return self


class Settle(Strict):
    """Defines how a block chooses the best cell of each task on validation, which later blocks start from."""

    over: tuple[Key, ...] = ()
    """Scores are averaged over the values of these keys and over seeds; a best cell has no value for them."""
    by: tuple[Key, ...] = ()
    """Each combination of the values of these keys has a best cell of its own; without keys a task has one."""


class StudyTask(Strict):
    """Describes one task of a study: its experiment, its outcome, and the time of a run."""

    title: Text
    words: tuple[Text, ...] = Field(min_length=1)
    reference: dict[Key, Word] = Field(default_factory=dict)
    """Base settings, by key, where no earlier block has chosen others; factors act on them."""
    outcome: Literal["accuracy", "solved"]
    solved_from: float | None = Field(default=None, gt=0, le=1)
    """Test accuracy from which a run counts as solved."""
    margin: float | None = Field(default=None, gt=0)
    """Points of accuracy, or share of solved runs, within which two methods count as equal; None: 2 and 0.2."""
    run_s: Amount  # CPU seconds of one run on one core, measured in pilots
    scale: Literal["small", "full"] = "small"
    """Whether the study runs the task ("small"), or only its extension to tasks of standard size ("full")."""
    like: Name | None = None
    """The task of this study, or of the study that it extends, whose cells and ranges this task has."""

    @model_validator(mode="after")
    def _threshold(self) -> StudyTask:
        if (self.outcome == "solved") != (self.solved_from is not None):
            raise ValueError("solved_from is needed where the outcome is solved, and there alone")
        return self


class StudyBlock(Strict):
    """Holds a part of a study that is run, stored and reported as a whole."""

    about: Text
    tasks: tuple[Name, ...] = Field(min_length=1)
    purpose: Purpose
    seeds: Seeds
    settings: RandomSettings | None = None
    grids: tuple[CellGrid, ...] = Field(min_length=1)
    reference: Name | None = None  # the earlier block whose best cell every run of a task starts from
    settles: Settle | None = None
    run_s_factor: float = Field(default=1.0, gt=0, le=1000)  # time of a run, relative to `run_s` of its task
    withdrawn: Text | None = None
    """Why nothing is concluded from the block and none of its missing runs is made; its records stay."""

    @property
    def needs(self) -> tuple[str, ...]:
        wanted = [self.reference, *(grid.best_of for grid in self.grids)]
        return tuple(dict.fromkeys(name for name in wanted if name is not None))


class Study(Strict):
    """Defines a study: its tasks, its seeds and its blocks in the order in which they run."""

    about: Text
    registration: Text  # document with the hypotheses and their tests
    extends: Name | None = None
    """The study whose blocks these are, on other tasks; they do not decide its hypotheses."""
    seeds: dict[Purpose, Seeds]
    tasks: dict[Name, StudyTask]
    blocks: dict[Name, StudyBlock]

    @model_validator(mode="after")
    def _consistent(self) -> Study:
        """Require that blocks name tasks, seeds and earlier blocks of the study; a seed serves one purpose."""
        for first, second in itertools.combinations(self.seeds, 2):
            if set(self.seeds[first].values) & set(self.seeds[second].values):
                raise ValueError(f"seeds: {first} and {second} share seeds; a seed serves one purpose")
        earlier: list[str] = []  # names of the blocks before
        for name, block in self.blocks.items():
            for task in block.tasks:
                if task not in self.tasks:
                    raise ValueError(f"blocks.{name}.tasks: {task} is none of the study's tasks")
            _require_valid_ranges(name, block)
            stated = [block.seeds, *(grid.seeds for grid in block.grids if grid.seeds is not None)]
            used = {seed for seeds in stated for seed in seeds.values}
            outside = used - set(self.seeds[block.purpose].values)
            if outside:
                raise ValueError(f"blocks.{name}.seeds: {min(outside)} is no {block.purpose} seed of the study")
            for needed in block.needs:
                if needed not in earlier or self.blocks[needed].settles is None:
                    raise ValueError(f"blocks.{name}: {needed} is no earlier block that settles something")
            earlier.append(name)
        return self


def _require_valid_ranges(name: str, block: StudyBlock) -> None:
    """Refuse ranges without settings, of tasks that are not the grid's, or of a key that is stated too."""
    for grid in block.grids:
        if grid.ranges and block.settings is None:
            raise ValueError(f"blocks.{name}.grids: ranges need the block's settings, of which they draw more")
        outside = set(grid.ranges) - set(grid.tasks or block.tasks)
        if outside:
            raise ValueError(f"blocks.{name}.grids: ranges of {min(outside)}, which is none of the grid's tasks")
        stated = {*grid.values, *(key for cell in grid.cells for key in cell)}
        twice = stated & {key for ranges in grid.ranges.values() for key in ranges}
        if twice:
            raise ValueError(f"blocks.{name}.grids: {min(twice)} is drawn and stated")


class Loaded(Strict):
    """Holds a study with the name, path and hash of the file that it was read from."""

    name: Name
    path: Path
    sha256: str
    study: Study


def load_study(name: str, config_dirs: Iterable[Path] = ()) -> Loaded:
    """Read and check `study/NAME.yaml` of sgbench's configuration or of the user's folders `config_dirs`."""
    entry = catalogue.entry("study", name, config_dirs)
    return Loaded(
        name=name,
        path=entry.path,
        sha256=hashlib.sha256(entry.path.read_bytes()).hexdigest(),
        study=parse_study(entry.parameters, str(entry.path)),
    )


def parse_study(tree: dict[str, Any], where: str) -> Study:
    """Validate a study's YAML; InputError names the place."""
    try:
        return Study.model_validate(_tuples(tree, iter(range(MAX_NODES))))
    except (InputError, RecursionError) as error:
        too_deep = "is nested too deeply; write no aliases into a study"
        raise InputError(f"{where}: {too_deep if isinstance(error, RecursionError) else error}") from error
    except ValidationError as error:
        raise InputError(f"{where}: {first_problem(error)}") from error


def block_number(study: Study, name: str) -> int:
    return [*study.blocks].index(name) + 1


def pick_blocks(study: Study, names: Iterable[str]) -> list[str]:
    """Return the named blocks in the study's order, all without a name; a block's number is as good as its name."""
    numbered = {str(block_number(study, name)): name for name in study.blocks}
    wanted = [numbered.get(name, name) if name not in study.blocks else name for name in names]
    for name in wanted:
        if name not in study.blocks:
            raise InputError(f"--block {name}: the study has none of this name; {suggest(name, study.blocks)}")
    return [name for name in study.blocks if not wanted or name in wanted]


def _tuples(tree: Any, allowed_nodes: Iterator[int]) -> Any:
    """Convert lists to tuples, which frozen models need."""
    if next(allowed_nodes, None) is None:
        raise InputError(f"has more than {MAX_NODES:,} values; write no aliases (&, *) into a study")
    if isinstance(tree, dict):
        return {key: _tuples(value, allowed_nodes) for key, value in tree.items()}
    return tuple(_tuples(value, allowed_nodes) for value in tree) if isinstance(tree, list) else tree
