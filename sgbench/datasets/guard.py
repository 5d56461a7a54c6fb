"""The test split under lock until the last step of a run, and every time that it is touched."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

from sgbench.datasets.base import Samples, Split
from sgbench.errors import InputError

CLOSED = (
    "the test split is closed until the last step of a run: validation selects, and the test is taken once; "
    "use data.evaluation('validation')"
)


def forget() -> None:
    """Nobody wants to know."""


class GuardedSplits(Mapping[Split, Samples]):
    """Splits by name, of which `test` is handed out inside `open` alone.

    Args:
        splits: loaded and checked.
    """

    def __init__(self, splits: Mapping[Split, Samples]) -> None:
        self._splits = dict(splits)
        self._is_open = False
        self.told: Callable[[], None] = forget  # called each time before the test split is handed out

    def __getitem__(self, name: Split) -> Samples:
        """One split.

        Raises:
            InputError: the test split, before the last step.
        """
        if name == "test":
            if not self._is_open:
                raise InputError(CLOSED)
            self.told()
        return self._splits[name]

    def __iter__(self) -> Iterator[Split]:
        return iter(self._splits)

    def __len__(self) -> int:
        return len(self._splits)

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """The last step."""
        self._is_open = True
        try:
            yield
        finally:
            self._is_open = False

    def anew(self) -> GuardedSplits:
        """The same samples under a lock of their own, for another run."""
        return GuardedSplits(self._splits)
