"""A hook of the training that does something more while a run is fitted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sgbench.training.epoch_loop import Training
from sgbench.training.single_run import SingleRun


def before_validation(extra: Callable[[Training], None]) -> Callable[..., None]:
    """A `Training.begin_scoring` that first calls `extra`, unless it is the selected weights that are scored."""
    begin = Training.begin_scoring

    def both(self: Training, part: Any, *, selected: bool) -> None:
        if not selected:
            extra(self)
        begin(self, part, selected=selected)

    return both


def stop_after(epochs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt training as Ctrl-C would, after the checkpoint of that many epochs."""
    epoch = SingleRun._epoch

    def train_and_stop(self: SingleRun) -> None:
        epoch(self)
        if len(self.training.curve) == epochs:
            raise KeyboardInterrupt

    monkeypatch.setattr(SingleRun, "_epoch", train_and_stop)
