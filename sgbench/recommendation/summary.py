"""The results of a study: scores of each cell (surrogate, width, learning rate) by task and seed."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from sgbench.errors import InputError
from sgbench.records.base import Natural, Positive, Strict, Text
from sgbench.records.files import read_model

SUMMARY = "summary.json"  # name of the file next to the stored records of a study
Setting = bool | int | float | str | None
Finite = Annotated[float, Field(allow_inf_nan=False)]
CellKey = tuple[str, float, float]  # surrogate, width (0 without one) and learning-rate factor of a cell


class CellSummary(Strict):
    """Holds the results of one surrogate, width and learning rate on one task; each list has one entry a seed."""

    surrogate: Text
    width_fwhm: Finite | None  # in threshold units; None without a width
    lr_factor: Finite = 1.0  # learning rate by that of the task's reference
    seeds: tuple[Natural, ...] = Field(min_length=1)
    score: tuple[Finite, ...]  # test accuracy in points; of a task that is solved or not, 100 or 0
    validation: tuple[Finite, ...]  # validation accuracy in points
    log_spikes: tuple[Finite | None, ...]
    """Natural logarithm of spikes an inference; None without counts or spikes."""
    failed: tuple[bool, ...]

    @model_validator(mode="after")
    def _one_a_seed(self) -> CellSummary:
        lengths = {len(self.score), len(self.validation), len(self.log_spikes), len(self.failed)}
        if lengths != {len(self.seeds)}:
            raise ValueError("score, validation, log_spikes and failed have an entry for each seed")
        return self

    @property
    def key(self) -> CellKey:
        return self.surrogate, self.width_fwhm or 0.0, self.lr_factor


class Shape(Strict):
    """Holds the properties of a network that decide its kind."""

    layers: Positive  # hidden layers
    recurrent: bool
    steps: Positive
    start_spikes: tuple[Finite, ...] | None = None
    """Spikes a neuron sends during one inference before training, by hidden layer; None: not measured."""


class TaskSummary(Strict):
    """Describes one task of a study: its network, its base settings, and the results of its cells."""

    title: Text
    shape: Shape
    reference: dict[str, Setting]  # base settings of the runs of `cells`, by key
    cells: tuple[CellSummary, ...] = ()  # the map: each surrogate at each width and learning rate
    defaults: tuple[CellSummary, ...] = ()  # surrogates as their library ships them, on reporting seeds
    own_best: tuple[CellSummary, ...] = ()
    """Each shape at the width and learning rate that tuning seeds chose for it, on reporting seeds."""

    @cached_property
    def best(self) -> CellSummary:
        return max(self.cells, key=lambda cell: (np.mean(cell.validation), cell.key))


class LaterTask(Strict):
    """Holds the loss of the recommendation on a task that was run after the recommendation was written down."""

    title: Text
    shape: Shape
    regret: Finite  # points below the task's best cell, which validation chose; mean over seeds
    low: Finite | None = None  # end of its interval of 95 %; None where there are too few seeds
    high: Finite | None = None
    seeds: Natural


class StudySummary(Strict):
    """Summarises the study behind the recommendations."""

    study: Text
    study_sha256: Text
    shards: tuple[Text, ...]  # hashes of the stored records that it was made from
    tasks: dict[Text, TaskSummary]
    later: dict[Text, LaterTask] = Field(default_factory=dict)
    """Tasks that were run after the recommendation, on which it does not rest, by name."""


def shipped_path(in_wheel: str, in_checkout: str) -> Path:
    """Return the path of a study's results: `sgbench/study_results` in a wheel, `study` in a checkout."""
    package = Path(__file__).resolve().parents[1]
    path = package / "study_results" / in_wheel
    return path if path.exists() else package.parent / "study" / in_checkout


def shipped_summary() -> Path:
    """Return the path of the summary of the study of surrogates, inside the wheel or in the checkout."""
    return shipped_path("surrogates.json", f"surrogates/{SUMMARY}")


def read_summary(path: Path) -> StudySummary:
    if not path.is_file():
        raise InputError(f"{path}: no summary of a study; write one with python -m study report")
    return read_model(path, StudySummary)
