"""Leaky and synaptic neurons in float64, input for them, and runs with all their gradients.

Legend: T steps, B batch, N neurons; I current, i synaptic current, u membrane potential, s spikes, theta threshold;
psi(u - theta) surrogate slope, here 1 / (1 + (pi x)^2). The loss is a random linear functional of all spikes and
potentials, so that every path of the gradient counts.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from fastspiking.choose import Engine
from fastspiking.layer import LayerRun
from sgbench.networks.base import DenseLayer
from sgbench.neurons.base import Neuron
from sgbench.neurons.leaky import Leaky
from sgbench.neurons.leaky_readout import LeakyReadout
from sgbench.neurons.quantity import Decay, Number, Threshold
from sgbench.neurons.synaptic import Synaptic
from sgbench.surrogates.atan import Atan

STEPS, BATCH, SIZE = 200, 3, 5
ALPHA, BETA, THETA = 0.7, 0.85, 0.8
KINDS = ("leaky", "synaptic")
RTOL = 1e-10
CONNECTIONS = [
    ("none", "full"),
    ("one_to_one", "full"),
    ("one_to_one", "cut"),
    ("all_to_all", "full"),
    ("all_to_all", "cut"),
]
OPTIMISERS = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=1e6),
    "momentum": lambda parameters: torch.optim.SGD(parameters, lr=10.0, momentum=0.99),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=1.0),
    "rmsprop": lambda parameters: torch.optim.RMSprop(parameters, lr=1.0),
}


def surrogate() -> Atan:
    return Atan(alpha=2.0, width_fwhm=None, normalisation="peak1", scale=1.0)


def make_neuron(kind: str, **changes: object) -> Neuron:
    """A neuron with this file's constants in float64."""
    if kind == "leaky_readout":
        return LeakyReadout(SIZE, **{"beta": BETA, "learn_beta": "none", **changes})
    options = {"beta": BETA, "threshold": THETA, "reset": "subtract", "reset_gradient": "detached"}
    options |= {"learn_beta": "none", "learn_threshold": "none"}
    if kind == "leaky":
        return Leaky(surrogate(), SIZE, **{**options, **changes})
    options |= {"alpha": ALPHA, "learn_alpha": "none"}
    return Synaptic(surrogate(), SIZE, **{**options, **changes})


class Drive(NamedTuple):
    """Input and the loss's coefficients [T, B, N], recurrent weights [N, N]."""

    current: Tensor
    on_spikes: Tensor
    on_potential: Tensor
    matrix: Tensor

    def loss(self, spikes: Tensor, potential: Tensor) -> Tensor:
        return (self.on_spikes * spikes + self.on_potential * potential).sum()


def drive(steps: int = STEPS, mean: float = 0.25) -> Drive:
    """Random currents under which neurons fire now and then, sometimes twice in a row."""
    random = torch.Generator().manual_seed(11)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    shape = (steps, BATCH, SIZE)
    return Drive(0.5 * draw(*shape) + mean, draw(*shape), draw(*shape), 0.3 * draw(SIZE, SIZE) - 0.1)


class Driven(DenseLayer):
    """A layer that gets its current as it is; its recurrence is that of every layer."""

    def synapses(self) -> None:
        return None

    def current(self, x: Tensor) -> Tensor:
        return x


def unroll(neuron: Neuron, current: Tensor) -> LayerRun:
    """A layer of these neurons on a given current, from rest."""
    return Engine("reference").unroll([Driven("hidden0", 1, current.shape[-1], neuron)], current)[0]


class Result(NamedTuple):
    """Spikes and u - theta [T, B, N] and gradients by name."""

    spikes: Tensor
    potential: Tensor
    gradients: dict[str, Tensor]


def run_ours(neuron: Neuron, given: Drive, *, recurrence: str = "none", recurrence_gradient: str = "full") -> Result:
    """Our layer through the reference engine, gradients by autograd.

    Those of decays and thresholds come by the chain rule from their logits and logarithms.
    """
    layer = Driven("hidden0", 1, SIZE, neuron, recurrence=recurrence, recurrence_gradient=recurrence_gradient)
    if layer.recurrent is not None:
        layer.recurrent.data = given.matrix if recurrence == "all_to_all" else given.matrix[0]
    current = given.current.clone().requires_grad_()
    (run,) = Engine("reference").unroll([layer], current, keep_u=True)
    given.loss(run.output, run.u).backward()
    gradients = {"current": current.grad}
    if layer.recurrent is not None:
        gradients["recurrent"] = layer.recurrent.grad
    for name, number in neuron.named_children():
        if not list(number.parameters()):
            continue
        value = number().detach()
        if isinstance(number, Decay):
            gradients[name] = number.logit.grad / (value * (1 - value))  # d beta / d logit
        elif isinstance(number, Threshold):
            gradients[name] = number.logarithm.grad / value  # d theta / d logarithm
        elif isinstance(number, Number):
            gradients[name] = number.value.grad
    return Result(run.output.detach(), run.u.detach(), gradients)


def assert_equal_runs(ours: Result, expected: Result, *, rtol: float = RTOL) -> None:
    """Spikes equal; potentials and gradients within `rtol` of their largest value."""
    assert 0.02 < ours.spikes.mean() < 0.7, "the drive must make neurons fire, and not always"
    assert torch.equal(ours.spikes, expected.spikes)
    pairs = {"potential": (ours.potential, expected.potential)}
    assert ours.gradients.keys() == expected.gradients.keys()
    pairs |= {name: (ours.gradients[name], expected.gradients[name]) for name in ours.gradients}
    for name, (found, wanted) in pairs.items():
        assert found.shape == wanted.shape, name
        largest = wanted.abs().max().item()
        assert 0 < largest < math.inf, name
        torch.testing.assert_close(
            found, wanted, rtol=rtol, atol=rtol * largest, msg=lambda text, name=name: f"{name}: {text}"
        )


def ours_with(kind: str, given: Drive, **changes: object) -> Result:
    connection = {key: changes.pop(key) for key in ("recurrence", "recurrence_gradient") if key in changes}
    return run_ours(make_neuron(kind, **changes), given, **connection)
