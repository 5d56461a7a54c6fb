"""The record of one run: the only source of truth; loggers receive copies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import ValidationInfo, model_validator

from sgbench.records.consistency import contradictions
from sgbench.records.content import RecordContent
from sgbench.records.method import method_id
from sgbench.records.spec import Method


@dataclass
class _Known:
    id: str
    finding: tuple[str, ...] | None = None


class KnownMethods:
    """The methods of many records, each hashed, checked and kept once; a validation context of `RunRecord`.

    Two methods are the same here only if their stored text is: 1, 1.0 and true are three different values.
    """

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._last: tuple[Method, _Known] | None = None

    def id_of(self, method: Method) -> str:
        """See `method_id`."""
        return self._entry(method).id

    def once(self, method: Method, find: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
        """What `find` says of the method; called for the first of all that are the same."""
        entry = self._entry(method)
        if entry.finding is None:
            entry.finding = find()
        return entry.finding

    def _entry(self, method: Method) -> _Known:
        if self._last is None or self._last[0] is not method:
            text = method.model_dump_json()
            if text not in self._known:
                self._known[text] = _Known(method_id(method))
            self._last = (method, self._known[text])
        return self._last[1]


class RunRecord(RecordContent):
    """Everything that is known of one run of one method with one seed."""

    @model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> RunRecord:
        named = info.context.id_of if isinstance(info.context, KnownMethods) else method_id
        if self.method_id != named(self.method):
            raise ValueError(f"method_id {self.method_id} is not the id of the method it names")
        if self.protocol != self.method.protocol.name:
            raise ValueError(f"protocol {self.protocol} is not the one of the method")
        problem = next(contradictions(self), None)
        if problem is not None:
            raise ValueError(problem)
        return self
