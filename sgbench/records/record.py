"""The record of one run, from which everything else (tables, figures, loggers) is derived."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import ValidationInfo, model_validator

from sgbench.errors import SgbenchError
from sgbench.records.consistency import contradictions
from sgbench.records.content import RecordContent, Scores
from sgbench.records.counts import OpCounts
from sgbench.records.method import method_id
from sgbench.records.spec import Method
from sgbench.tables.shown import ShownTable
from sgbench.tables.table import Table, plain_table


@dataclass
class _Known:
    """Holds a method's id and, once computed, the result of `KnownMethods.once`."""

    id: str
    finding: tuple[str, ...] | None = None


class KnownMethods:
    """Keeps the id and check results of each method, when many records are validated (with it as `context`).

    Methods are equal if their JSON is equal, so 1, 1.0 and true are three different values.
    """

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}  # by the method's JSON
        self._last: tuple[Method, _Known] | None = None  # of the last call, for speed

    def id_of(self, method: Method) -> str:
        return self._entry(method).id

    def once(self, method: Method, find: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
        """Return the result of `find`, called once for all equal methods; `find` must be the same each time."""
        entry = self._entry(method)
        if entry.finding is None:
            entry.finding = find()
        return entry.finding

    def _entry(self, method: Method) -> _Known:
        """Return the cached values of a method, made on the first call with an equal one."""
        if self._last is None or self._last[0] is not method:
            text = method.model_dump_json()
            if text not in self._known:
                self._known[text] = _Known(method_id(method))
            self._last = (method, self._known[text])
        return self._last[1]


class Scored(NamedTuple):
    """Holds the results that every finished and tested run has."""

    validation: Scores
    test: Scores
    counts: OpCounts
    parameters: int
    best_epoch: int


class RunRecord(ShownTable, RecordContent):
    """Holds everything that is known of one run of one method with one seed."""

    @property
    def scored(self) -> Scored:
        if self.status == "finished" and self.test is None:
            raise SgbenchError(
                f"run {self.method_id}: settings are chosen with seed {self.seed}, so it has no test scores"
            )
        if (
            self.validation is None
            or self.test is None
            or self.counts is None
            or self.parameters is None
            or self.best_epoch is None
        ):
            why = "" if self.failure is None else f" with {self.failure.kind}: {self.failure.message}"
            raise SgbenchError(f"run {self.method_id} of seed {self.seed} failed{why}; it has no scores")
        return Scored(self.validation, self.test, self.counts, self.parameters, self.best_epoch)

    def table(self) -> Table:
        splits = [(name, scores) for name in ("validation", "test") if (scores := getattr(self, name)) is not None]
        facts = {
            "protocol": self.protocol,
            "method": f"{self.method.label} {self.method_id}",
            "seed": str(self.seed),
            "status": self.status if self.failure is None else f"failed: {self.failure.message}",
            "epochs": f"{len(self.curve)}, of which {self.best_epoch} is selected",
            **{name: _scores_text(scores) for name, scores in splits},
            "training": f"{self.timing.fit_s:.3g} s",
        }
        return plain_table("run", [("run", ""), *facts.items()], text_columns=2)

    @model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> RunRecord:
        id_of = info.context.id_of if isinstance(info.context, KnownMethods) else method_id
        if self.method_id != id_of(self.method):
            raise ValueError(f"method_id {self.method_id} is not the id of the method it names")
        if self.protocol != self.method.protocol.name:
            raise ValueError(f"protocol {self.protocol} is not the one of the method")
        problem = next(contradictions(self), None)
        if problem is not None:
            raise ValueError(problem)
        return self


def _scores_text(scores: Scores) -> str:
    accuracy = "" if scores.accuracy is None else f"{scores.accuracy:.2%}, "
    rates = "".join(f"; {layer.name} {layer.rate_hz:.3g} Hz" for layer in scores.activity)
    return f"{accuracy}loss {scores.loss:.4g}{rates}"
