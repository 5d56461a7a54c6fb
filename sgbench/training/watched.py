"""Scores on the test split after every epoch, for a run that was asked to show what selecting on them flatters."""

from __future__ import annotations

from typing import Any

from sgbench.records.content import EpochOnTest, Scores, SelectedOnTest


class Watched:
    """Keeps the test scores of each epoch; nothing of the run reads them before its record is made."""

    def __init__(self) -> None:
        self.scores: dict[int, EpochOnTest | None] = {}  # by epoch; None where there is no finite score

    def add(self, epoch: int, scores: Scores | None) -> None:
        """Record an epoch's scores on the test split."""
        self.scores[epoch] = None if scores is None else _line(epoch, scores)

    def selected(self, epoch: int | None, test: Scores, *, epochs: int) -> SelectedOnTest | None:
        """Find the best of all epochs by loss and, where there are classes, by accuracy; the first of equal ones.

        The epoch that validation selected takes part with the score of the last step, so the best is at least that.

        Args:
            epoch: that validation selected.
            test: its honest scores.
            epochs: how many were trained; None is returned if not every one of them was watched.

        >>> seen = Watched()
        >>> for epoch, accuracy in enumerate((0.5, 0.75, 0.7)):
        ...     seen.add(epoch, Scores(samples=20, accuracy=accuracy, loss=1 + accuracy, activity=()))
        >>> honest = Scores(samples=20, accuracy=0.7, loss=1.7, activity=())
        >>> found = seen.selected(2, honest, epochs=3)
        >>> found.by_loss.epoch, found.by_accuracy.epoch, seen.selected(2, honest, epochs=4)
        (0, 1, None)
        """
        if epoch is None or self.scores.keys() != set(range(epochs)):
            return None
        lines = {**self.scores, epoch: _line(epoch, test)}
        finite = [line for epoch in range(epochs) if (line := lines[epoch]) is not None]
        return SelectedOnTest(
            by_loss=min(finite, key=lambda line: line.loss),
            by_accuracy=None if test.accuracy is None else max(finite, key=lambda line: line.accuracy or 0.0),
        )

    def state_dict(self) -> dict[int, dict[str, Any] | None]:
        """Return the scores so far, for a checkpoint."""
        return {epoch: None if line is None else line.model_dump() for epoch, line in self.scores.items()}

    def load_state_dict(self, state: dict[int, dict[str, Any] | None]) -> None:
        """Restore the scores so far from a checkpoint."""
        self.scores = {
            epoch: None if line is None else EpochOnTest.model_validate(line) for epoch, line in state.items()
        }


def _line(epoch: int, scores: Scores) -> EpochOnTest:
    return EpochOnTest(epoch=epoch, accuracy=scores.accuracy, loss=scores.loss)
