"""A control in which hidden weights, or all weights, keep their initial values."""

from collections.abc import Iterator
from typing import ClassVar

import torch

from fastspiking.signals.trajectory import Batch, Trajectory
from sgbench.errors import require_choice
from sgbench.networks.base import Network
from sgbench.rules.base import Claim, LearningRule, Objective, Progress
from sgbench.rules.demand import Demand, Sizes
from sgbench.rules.eligibility import add_gradient

LEARN = ("none", "readout")


class Frozen(LearningRule):
    r"""Learns nothing at all, or the readout alone on random hidden layers.

    .. math:: \frac{dL}{d\theta} := 0 \text{ of what is frozen}, \qquad
        \frac{dL}{d\theta_\mathrm{readout}} \text{ exact, by back-propagation through time}

    for the loss L and parameters theta. Frozen parameters have no gradient, so neither the optimiser nor weight
    decay changes them.

    Args:
        learn: "none", or "readout" (its weights, and learnt parameters of its units).

    Raises:
        InputError: another value of `learn`.

    Source: random hidden layers as a baseline, Huang, Zhu & Siew 2006, Neurocomputing 70 (extreme learning
    machines); frozen lower weights in Kriener, Goeltz & Petrovici 2022, NICE, arXiv:2102.08211.
    """

    exact_reference: ClassVar[Claim] = Claim("bptt", ("rule.learn=readout",), weights="readout")
    must_differ_from: ClassVar[Claim] = Claim("bptt", ("rule.learn=readout",), weights="hidden")

    def __init__(self, *, learn: str) -> None:
        self.learn = require_choice("rule.learn", learn, LEARN)

    def demand(self, network: Network, sizes: Sizes) -> Demand:
        """Count the states and products of the readout if it learns, else nothing."""
        learns = self.learn == "readout"
        readout = sizes.readout
        return Demand(
            numbers=learns * sizes.steps * readout.neurons * readout.states,
            weight_products=learns * readout.synapses,
            error_products=0,
            needs=(),
        )

    def gradients(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        """Back-propagate to the readout alone, or to nothing, and yield once."""
        learnt = [] if self.learn == "none" else list(network.readout.parameters())
        with torch.set_grad_enabled(bool(learnt)):
            trajectory: Trajectory = network.unroll(batch.x, batch.lengths, keep=objective.keep)
            loss = objective.whole(trajectory, batch.target)
        if loss.requires_grad:
            slopes = torch.autograd.grad(loss, learnt, allow_unused=True)
            for parameter, slope in zip(learnt, slopes, strict=True):
                if slope is not None:
                    add_gradient(parameter, slope)
        yield Progress(loss.detach(), trajectory)
