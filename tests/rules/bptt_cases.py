"""Networks, batches and gradients of back-propagation through time, in float64."""

import copy

import torch
from torch import Tensor

from fastspiking.choose import Engine
from fastspiking.signals.trajectory import Batch
from sgbench.inits.kaiming import Kaiming
from sgbench.losses.per_step import PerStep
from sgbench.networks.base import Provided
from sgbench.networks.mlp import Mlp
from sgbench.neurons.leaky import Leaky
from sgbench.neurons.leaky_readout import LeakyReadout
from sgbench.neurons.synaptic import Synaptic
from sgbench.regularisers.activity_bounds import ActivityBounds
from sgbench.regularisers.none import NoPenalty
from sgbench.rules.base import Objective
from sgbench.rules.bptt import Bptt
from sgbench.surrogates.fast_sigmoid import FastSigmoid
from sgbench.surrogates.sigmoid import Sigmoid

INPUTS, HIDDEN, CLASSES = 6, 7, 3
STEPS, LENGTHS = 13, (13, 9, 1, 6)
ALPHA, BETA, KAPPA, THETA, SLOPE = 0.6, 0.85, 0.9, 0.8, 5.0
KINDS = ("leaky", "synaptic")
RECURRENCES = ("none", "one_to_one", "all_to_all")
PLAIN = Objective(loss=PerStep(), regulariser=NoPenalty())
BOUNDS = ActivityBounds(lower_strength=0.7, lower_spikes=2.0, upper_strength=0.4, upper_spikes=1.0)


class Smooth(Sigmoid):
    """The forward is the curve whose slope the backward uses, so the gradient is an ordinary one."""

    def fire(self, u: Tensor, noise: Tensor | None = None) -> Tensor:
        return self.primitive(u)


def make_network(
    kind: str,
    recurrence: str,
    *,
    reset: str = "subtract",
    reset_gradient: str = "detached",
    surrogate: FastSigmoid | Smooth | None = None,
    hidden: tuple[int, ...] = (HIDDEN,),
    recurrence_gradient: str = "full",
) -> Mlp:
    """A network with biases whose hidden layers fire neither never nor always."""
    surrogate = surrogate or FastSigmoid(slope=SLOPE, width_fwhm=None, normalisation="peak1", scale=1.0)
    options = {"beta": BETA, "threshold": THETA, "reset": reset, "reset_gradient": reset_gradient}
    options |= {"learn_threshold": "none"}

    def neuron(features: int) -> Leaky | Synaptic:
        if kind == "leaky":
            return Leaky(surrogate, features, learn_beta="none", **options)
        return Synaptic(surrogate, features, alpha=ALPHA, learn_alpha="none", learn_beta="none", **options)

    network = Mlp(
        Provided(
            INPUTS,
            CLASSES,
            neuron,
            lambda features: LeakyReadout(features, beta=KAPPA, learn_beta="none"),
            Kaiming(gain=1.6, recurrent_gain=0.8),
            torch.Generator().manual_seed(1),
            Engine("reference"),
        ),
        hidden=hidden,
        recurrence=recurrence,
        recurrence_gradient=recurrence_gradient,
        bias=True,
    )
    random = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for layer in network.layers:
            layer.bias.copy_(0.1 * torch.randn(layer.bias.shape, generator=random, dtype=torch.float64))
    return network


def make_batch(steps: int = STEPS, lengths: tuple[int, ...] = LENGTHS) -> Batch:
    """Random spikes and classes."""
    random = torch.Generator().manual_seed(3)
    x = (torch.rand(steps, len(lengths), INPUTS, generator=random) < 0.4).double()
    target = torch.randint(CLASSES, (len(lengths),), generator=random)
    return Batch(x, target, torch.tensor(lengths), torch.arange(len(lengths)))


def gradients(network: Mlp, batch: Batch, objective: Objective = PLAIN, *, window: int | None = None):
    """Gradient of each weight by name, and the loss; one yield a batch."""
    network.zero_grad()
    (progress,) = Bptt(window=window).gradients(network, batch, objective)
    named = {name.removeprefix("layers."): weight.grad for name, weight in network.named_parameters()}
    return copy.deepcopy(named), progress


def relative_error(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Largest over weights of the maximal error relative to the largest gradient of that weight."""
    assert found.keys() == expected.keys()
    return max(((found[name] - expected[name]).abs().max() / expected[name].abs().max()).item() for name in expected)


def literal_penalty(spikes: Tensor, batch: Batch, objective: Objective) -> Tensor | float:
    """The bounds of one layer, sample by sample."""
    if isinstance(objective.regulariser, NoPenalty):
        return 0.0
    counts = [spikes[:length, b].sum(0) for b, length in enumerate(batch.lengths)]
    lower = torch.stack([(2.0 - count).clamp(min=0) ** 2 for count in counts]).mean()
    upper = torch.stack([(count.mean() - 1.0).clamp(min=0) ** 2 for count in counts]).mean()
    return 0.7 * lower + 0.4 * upper
