"""The scores of one split (accuracy, loss, firing rates), accumulated over its batches."""

import torch
from torch import Tensor, nn

from fastspiking.signals.trajectory import UNLABELLED, Batch, Trajectory, all_valid, labels_inside, valid_steps
from sgbench.errors import SgbenchError
from sgbench.networks.base import Network
from sgbench.records.content import SATURATED_RATE, LayerActivity, Scores


def spikes_and_steps(spikes: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Count the spikes of each neuron [N] of a batch [T, B, N] in its valid steps [B], and these steps."""
    sent = spikes != 0
    if not all_valid(lengths, spikes.shape[0]):
        sent &= valid_steps(lengths, spikes.shape[0])[..., None]
    return sent.sum((0, 1)), lengths.sum()


class Activity(nn.Module):
    """Collects the firing rates of one layer over batches; steps after a sample's end do not count.

    `layer`: its name; `neurons`: their number N; `dt_s`: duration of a step [s].

    >>> activity = Activity("hidden0", 2, dt_s=0.001)
    >>> activity.update(torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]]]), torch.tensor([2]))
    >>> activity.scores().rate_per_step, activity.scores().dead_fraction, activity.scores().saturated_fraction
    (0.5, 0.5, 0.5)
    """

    spikes: Tensor  # number of spikes of each neuron so far [N]
    steps: Tensor  # number of valid steps of all samples so far

    def __init__(self, layer: str, neurons: int, *, dt_s: float) -> None:
        super().__init__()
        self.layer, self.dt_s = layer, dt_s
        self.register_buffer("spikes", torch.zeros(neurons, dtype=torch.float64), persistent=False)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64), persistent=False)

    def update(self, spikes: Tensor, lengths: Tensor) -> None:
        """Count the spikes of a batch [T, B, N] with so many valid steps [B]; any non-zero entry is one spike."""
        sent, steps = spikes_and_steps(spikes, lengths)
        self.spikes += sent.double()
        self.steps += steps

    def scores(self) -> LayerActivity:
        rates = self.spikes / self.steps.clamp(min=1)  # mean number of spikes per step of each neuron [N]
        mean = rates.mean().item()
        return LayerActivity(
            name=self.layer,
            rate_per_step=mean,
            rate_hz=mean / self.dt_s,
            dead_fraction=(rates == 0).double().mean().item(),
            saturated_fraction=(rates > SATURATED_RATE).double().mean().item(),
        )


class Evaluation(nn.Module):
    """Collects accuracy, loss and firing rates of a network over the batches of a split.

    The accuracy is the fraction of samples, or of labelled steps if each step has a class, that are classified right.
    It is None if targets are traces or spikes. `network`: names its spiking layers, whose rates are measured; `dt_s`:
    duration of a step [s].
    """

    def __init__(self, network: Network, *, dt_s: float) -> None:
        super().__init__()
        self.hits: int | None = 0  # right classifications; None if targets are no classes
        self.labels: int | None = None  # number of labelled steps; None unless each step has a class
        self.loss_sum = 0.0
        self.activity = nn.ModuleList(
            Activity(layer.name, layer.neurons, dt_s=dt_s)
            for layer in [*network.hidden_layers, network.readout]
            if layer.neuron.output == "binary"
        )
        self.samples = 0

    def update(self, batch: Batch, trajectory: Trajectory, logits: Tensor, loss: Tensor) -> None:
        """Add one batch.

        `trajectory`: what the network did on the batch, with its spikes kept. `logits`: class scores of each sample
        [B, C] or of each step [B, T, C]; outputs if targets are no classes. `loss`: mean loss of the batch, a scalar.
        """
        if batch.target.is_floating_point():
            self.hits = None
        elif batch.target.ndim == 1:
            self.hits = (self.hits or 0) + int((logits.argmax(1) == batch.target).sum())
        else:
            labels = labels_inside(batch.target, batch.lengths)
            self.hits = (self.hits or 0) + int((logits.argmax(2) == labels).sum())
            self.labels = (self.labels or 0) + int((labels != UNLABELLED).sum())
        self.loss_sum += loss.item() * len(batch.target)
        for activity, spikes in zip(self.activity, trajectory.spikes, strict=True):
            activity.update(spikes, batch.lengths)  # type: ignore[operator]
        self.samples += len(batch.target)

    def scores(self) -> Scores:
        """Compute the scores of all batches so far."""
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
