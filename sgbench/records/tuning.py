"""The files of a search for settings: journals of proposed settings, and scores of runs that were stopped early."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from sgbench.errors import InputError
from sgbench.records.base import Fraction, MethodId, Natural, Number, Positive, Strict, whole
from sgbench.records.files import read_model
from sgbench.records.spec import ParameterPath, ProtocolName

PRUNED = "pruned.json"  # file in the folder of a run that was stopped early
JOURNALS = ".tuning"  # folder in the folder of a protocol's runs
JOURNAL_VERSION = 1
JournalVersion = Annotated[Literal[1], BeforeValidator(whole)]
Strategy = Literal["random", "sobol", "tpe"]


class Pruned(Strict):
    """Says where a run was stopped for its validation curve, and its best scores until then."""

    method_id: MethodId
    seed: Natural
    epochs: Positive  # trained
    validation_accuracy: Fraction | None  # None where there are no classes
    validation_loss: Number


class Asked(Strict):
    """Describes one setting that a search has asked for, before anything of it ran."""

    study: Natural
    number: Natural  # in its study
    method_id: MethodId
    setting: dict[ParameterPath, Number]


class Journal(Strict):
    """Lists all settings that a method's studies have asked for; their results stand in records alone."""

    schema_version: JournalVersion
    protocol: ProtocolName
    strategy: Strategy
    base_id: MethodId  # of the method in the middle of its space
    asked: Annotated[tuple[Asked, ...], Field(max_length=20_000)]

    @model_validator(mode="after")
    def _once(self) -> Journal:
        numbers = [(trial.study, trial.number) for trial in self.asked]
        if len(set(numbers)) < len(numbers):
            raise ValueError("asked: a setting stands twice at one place of a study")
        return self

    def of_study(self, study: int) -> list[Asked]:
        """Return the settings that one study has proposed, in order of their numbers."""
        return sorted((trial for trial in self.asked if trial.study == study), key=lambda trial: trial.number)


def read_journals(folder: Path) -> list[Journal]:
    """Read all journals in the folder of a protocol's runs, except damaged ones."""
    journals = []
    for path in sorted((folder / JOURNALS).glob("*.json")):
        journal = readable(path)
        if journal is not None:
            journals.append(journal)
    return journals


def readable(path: Path) -> Journal | None:
    """Read a journal; return None if it is missing or damaged, since a search can propose its settings anew."""
    try:
        return read_model(path, Journal)
    except InputError:
        return None
