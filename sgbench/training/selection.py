"""Selection of the best epoch: on the validation split, and what selection on the test split would have chosen."""

import math
from typing import Any, Literal

from torch import Tensor

from sgbench.networks.base import Network
from sgbench.records.content import EpochOnTest, Scores, SelectedOnTest

Monitor = Literal["validation_loss", "validation_accuracy"]


class BestEpoch:
    """Holds the weights of the best epoch, and decides whether to stop early.

    `monitor`: the validation score by which epochs are compared. `patience`: number of epochs without improvement after
    which training stops; None: never.
    """

    def __init__(self, monitor: Monitor, patience: int | None) -> None:
        self.monitor = monitor
        self.patience = patience
        self.epoch: int | None = None
        self.value = math.nan
        self.weights: dict[str, Tensor] = {}
        self.last_epoch = -1

    def update(self, epoch: int, scores: dict[str, float], network: Network) -> bool:
        value = scores[self.monitor]
        better = value > self.value if self.monitor == "validation_accuracy" else value < self.value
        self.last_epoch = epoch
        if self.epoch is None or better:
            self.epoch, self.value = epoch, value
            self.weights = {name: weight.detach().clone() for name, weight in network.state_dict().items()}
            return True
        return False

    def as_loss(self, scores: dict[str, float]) -> float:
        """Return the monitored score with a sign such that lower is better."""
        return -scores[self.monitor] if self.monitor == "validation_accuracy" else scores[self.monitor]

    @property
    def should_stop(self) -> bool:
        if self.patience is None or self.epoch is None:
            return False
        return self.last_epoch - self.epoch >= self.patience

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "value": self.value, "weights": self.weights, "last_epoch": self.last_epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch = state["epoch"]
        self.value = state["value"]
        self.weights = state["weights"]
        self.last_epoch = state["last_epoch"]


class Watched:
    """Holds the test scores of each epoch, which the run does not read before its record is made."""

    def __init__(self) -> None:
        self.scores: dict[int, EpochOnTest | None] = {}  # by epoch; None where there is no finite score

    def add(self, epoch: int, scores: Scores | None) -> None:
        """Record an epoch's scores on the test split; None if they are not finite."""
        self.scores[epoch] = None if scores is None else _epoch_on_test(epoch, scores)

    def selected(self, epoch: int | None, test: Scores, *, epochs: int) -> SelectedOnTest | None:
        """Return the best epochs on the test split, by loss and, for classes, by accuracy; the first of equal ones.

        The epoch that validation selected takes part with its final test scores, so the best is at least as good.

        `epoch`: the epoch that validation selected, or None. `test`: final test scores of that epoch's weights.
        `epochs`: number of epochs trained; None is returned unless every one of them was watched.

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
        lines = {**self.scores, epoch: _epoch_on_test(epoch, test)}
        finite = [line for epoch in range(epochs) if (line := lines[epoch]) is not None]
        return SelectedOnTest(
            by_loss=min(finite, key=lambda line: line.loss),
            by_accuracy=None if test.accuracy is None else max(finite, key=lambda line: line.accuracy or 0.0),
        )

    def state_dict(self) -> dict[int, dict[str, Any] | None]:
        return {epoch: None if line is None else line.model_dump() for epoch, line in self.scores.items()}

    def load_state_dict(self, state: dict[int, dict[str, Any] | None]) -> None:
        self.scores = {
            epoch: None if line is None else EpochOnTest.model_validate(line) for epoch, line in state.items()
        }


def _epoch_on_test(epoch: int, scores: Scores) -> EpochOnTest:
    return EpochOnTest(epoch=epoch, accuracy=scores.accuracy, loss=scores.loss)
