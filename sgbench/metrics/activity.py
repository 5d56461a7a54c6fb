"""Firing rates and silent or saturated neurons, streamed over a split."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sgbench.records.content import LayerActivity
from sgbench.signals.trajectory import all_valid, valid_steps

SATURATED_RATE = 0.9


class Activity(nn.Module):
    """Collects spike statistics of one layer; nothing depends on batches or padding.

    >>> activity = Activity("hidden0", 2, dt_s=0.001)
    >>> activity.update(torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]]]), torch.tensor([2]))
    >>> activity.scores().rate_per_step, activity.scores().dead_fraction, activity.scores().saturated_fraction
    (0.5, 0.5, 0.5)
    """

    spikes: Tensor
    steps: Tensor

    def __init__(self, layer: str, neurons: int, *, dt_s: float) -> None:
        super().__init__()
        self.layer = layer
        self.dt_s = dt_s
        self.register_buffer("spikes", torch.zeros(neurons, dtype=torch.float64), persistent=False)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64), persistent=False)

    def update(self, spikes: Tensor, lengths: Tensor) -> None:
        """Count spikes [T, B, N] of samples of the given lengths [B]; one of any sign or size counts once."""
        sent = spikes != 0
        if not all_valid(lengths, spikes.shape[0]):
            sent &= valid_steps(lengths, spikes.shape[0])[..., None]
        self.spikes += sent.sum((0, 1)).double()
        self.steps += lengths.sum()

    def compute(self) -> Tensor:
        """Return the mean number of spikes in a step, of each neuron [N]."""
        return self.spikes / self.steps.clamp(min=1)

    def scores(self) -> LayerActivity:
        """Compute the layer's firing rates and its shares of silent and saturated neurons."""
        rates = self.compute()
        mean = rates.mean().item()
        return LayerActivity(
            name=self.layer,
            rate_per_step=mean,
            rate_hz=mean / self.dt_s,
            dead_fraction=(rates == 0).double().mean().item(),
            saturated_fraction=(rates > SATURATED_RATE).double().mean().item(),
        )
