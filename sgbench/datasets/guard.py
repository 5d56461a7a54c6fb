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


def forget(stage: str | None) -> None:
    """Do nothing on a touch of the test split, as nobody asked to be told."""


class GuardedSplits(Mapping[Split, Samples]):
    """Splits by name, of which `test` is handed out inside `open` alone.

    Args:
        splits: loaded and checked.
    """

    def __init__(self, splits: Mapping[Split, Samples]) -> None:
        self._splits = dict(splits)
        self._is_open = False
        self._stage: str | None = None
        self.told: Callable[[str | None], None] = forget  # each time before the test split is handed out

    def __getitem__(self, name: Split) -> Samples:
        """Return the samples of one split, and tell whoever listens when it is the test.

        Raises:
            InputError: the test split, before the last step.
        """
        if name == "test":
            if not self._is_open:
                raise InputError(CLOSED)
            self.told(self._stage)
        return self._splits[name]

    def __iter__(self) -> Iterator[Split]:
        return iter(self._splits)

    def __len__(self) -> int:
        return len(self._splits)

    @contextlib.contextmanager
    def open(self, stage: str | None = None) -> Iterator[None]:
        """Unlock the test split for the last step, or for a stage that looks without using what it sees.

        Args:
            stage: its name for those who are told, or None where they know how far the run is.
        """
        self._is_open, self._stage = True, stage
        try:
            yield
        finally:
            self._is_open, self._stage = False, None

    def anew(self) -> GuardedSplits:
        """Return the same samples under a lock of their own, for another run."""
        return GuardedSplits(self._splits)
