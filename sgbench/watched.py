"""Scores on the test split after every epoch, for a run that was asked to show what selecting on them flatters."""

from __future__ import annotations

from typing import Any

from sgbench.records.record import BestOnTest, Scores


class Watched:
    """The test scores of each epoch; nothing of the run reads them before its record is made."""

    def __init__(self) -> None:
        self.scores: dict[int, BestOnTest | None] = {}  # by epoch; None where there is no finite score

    def add(self, epoch: int, scores: Scores | None) -> None:
        """Take note of an epoch."""
        self.scores[epoch] = None if scores is None else _line(epoch, scores)

    def selected(self, epoch: int | None, test: Scores, *, epochs: int) -> BestOnTest | None:
        """The best of all epochs, by accuracy or where there is none by loss; of equal ones the first.

        The epoch that validation selected takes part with the score of the last step, so the best is at least that.

        Args:
            epoch: that validation selected.
            test: its honest scores.
            epochs: how many were trained; None is returned if not every one of them was watched.

        >>> seen = Watched()
        >>> for epoch, accuracy in enumerate((0.5, 0.75, 0.7)):
        ...     seen.add(epoch, Scores(samples=20, accuracy=accuracy, loss=1.0, activity=()))
        >>> honest = Scores(samples=20, accuracy=0.7, loss=1.0, activity=())
        >>> seen.selected(2, honest, epochs=3), seen.selected(2, honest, epochs=4)
        (BestOnTest(epoch=1, accuracy=0.75, loss=1.0), None)
        """
        if epoch is None or self.scores.keys() != set(range(epochs)):
            return None
        lines = {**self.scores, epoch: _line(epoch, test)}
        return min(
            (lines[each] for each in range(epochs) if lines[each] is not None),
            key=lambda line: line.loss if line.accuracy is None else -line.accuracy,
        )

    def state_dict(self) -> dict[int, dict[str, Any] | None]:
        """What a checkpoint needs."""
        return {epoch: None if line is None else line.model_dump() for epoch, line in self.scores.items()}

    def load_state_dict(self, state: dict[int, dict[str, Any] | None]) -> None:
        """Go on from a checkpoint."""
        self.scores = {
            epoch: None if line is None else BestOnTest.model_validate(line) for epoch, line in state.items()
        }


def _line(epoch: int, scores: Scores) -> BestOnTest:
    return BestOnTest(epoch=epoch, accuracy=scores.accuracy, loss=scores.loss)
