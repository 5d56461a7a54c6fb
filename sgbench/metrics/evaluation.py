"""All scores of one split, streamed over its batches."""

from __future__ import annotations

from torch import Tensor, nn

from sgbench.errors import SgbenchError
from sgbench.metrics.activity import Activity
from sgbench.networks.base import Network
from sgbench.records.content import Scores
from sgbench.signals.trajectory import UNLABELLED, Batch, Trajectory, labels_inside


class Evaluation(nn.Module):
    """Computes accuracy, loss and activity of a split; no accuracy where targets are no classes.

    Where each step has a class of its own, the accuracy is the share of labelled steps that are right.
    """

    def __init__(self, network: Network, *, dt_s: float) -> None:
        super().__init__()
        self.hits: int | None = 0
        self.labels: int | None = None  # labelled steps, where each step has a class of its own
        self.loss_sum = 0.0
        self.activity = nn.ModuleList(
            Activity(layer.name, layer.neurons, dt_s=dt_s)
            for layer in [*network.hidden_layers, network.readout]
            if layer.neuron.output == "binary"
        )
        self.samples = 0

    def update(self, batch: Batch, trajectory: Trajectory, logits: Tensor, loss: Tensor) -> None:
        """Add one batch to the sums of the split; `loss` is the batch's mean."""
        if batch.target.is_floating_point():
            self.hits = None
        elif batch.target.ndim == 1:
            self.hits = (self.hits or 0) + int((logits.argmax(1) == batch.target).sum())
        else:
            labels = labels_inside(batch.target, batch.lengths)
            self.hits = (self.hits or 0) + int((logits.argmax(2) == labels).sum())
            self.labels = (self.labels or 0) + int((labels != UNLABELLED).sum())
        self.loss_sum += loss.item() * len(batch.target)
        for metric, spikes in zip(self.activity, trajectory.spikes, strict=True):
            metric.update(spikes, batch.lengths)  # type: ignore[operator]
        self.samples += len(batch.target)

    def scores(self) -> Scores:
        """Compute the split's scores; a metric that cannot be computed is an error with its name, never 0."""
        try:
            if not self.samples:
                raise ValueError("no sample was seen")
            return Scores(
                samples=self.samples,
                accuracy=None if self.hits is None else self.hits / (self.labels or self.samples),
                labels=self.labels,
                loss=self.loss_sum / self.samples,
                activity=tuple(metric.scores() for metric in self.activity),  # type: ignore[operator]
            )
        except ValueError as error:
            raise SgbenchError(f"a metric could not be computed: {' '.join(str(error).split())}") from error
