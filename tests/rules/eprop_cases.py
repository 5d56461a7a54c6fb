"""Networks, batches and gradients of e-prop and of back-propagation with recurrent spikes cut."""

import copy
from typing import ClassVar, Literal, NamedTuple

import pytest
import torch
from torch import Tensor

from fastspiking.choose import Engine
from fastspiking.signals.trajectory import Batch
from sgbench.inits.kaiming import Kaiming
from sgbench.losses.per_step import PerStep
from sgbench.networks.base import MakeNeuron, Provided
from sgbench.networks.mlp import Mlp
from sgbench.neurons.base import Neuron, Operations
from sgbench.neurons.leaky import Leaky
from sgbench.neurons.leaky_readout import LeakyReadout
from sgbench.neurons.synaptic import Synaptic
from sgbench.regularisers.none import NoPenalty
from sgbench.rules.base import LearningRule, Objective, Progress
from sgbench.rules.bptt import Bptt
from sgbench.rules.eprop import EProp
from sgbench.surrogates.fast_sigmoid import FastSigmoid

INPUTS, HIDDEN, CLASSES = 5, 6, 3
STEPS, LENGTHS = 12, (12, 7, 1, 10)
RECURRENCES = ("none", "one_to_one", "all_to_all")
OBJECTIVE = Objective(loss=PerStep(), regulariser=NoPenalty())


def surrogate() -> FastSigmoid:
    return FastSigmoid(slope=4.0, width_fwhm=None, normalisation="peak1", scale=1.0)


def neurons(kind: str, reset: str, reset_gradient: str) -> MakeNeuron:
    """How layers of this kind are made."""
    options = {"beta": 0.85, "threshold": 0.8, "reset": reset, "reset_gradient": reset_gradient}
    options |= {"learn_threshold": "none"}
    if kind == "leaky":
        return lambda features: Leaky(surrogate(), features, learn_beta="none", **options)
    options |= {"alpha": 0.6, "learn_alpha": "none", "learn_beta": "none"}
    return lambda features: Synaptic(surrogate(), features, **options)


class AdaptiveState(NamedTuple):
    """What an `Adaptive` layer carries from step to step."""

    a: Tensor  # adaptation
    u: Tensor  # membrane potential
    s: Tensor  # spikes
    w: Tensor  # subthreshold memory of the potential


class Adaptive(Neuron):
    """A neuron of a user's own: spikes raise its threshold, and a saturating memory of u acts back on u."""

    output: ClassVar[Literal["binary", "real"]] = "binary"

    def __init__(self) -> None:
        super().__init__()
        self.surrogate = surrogate()

    def initial_state(self, like: Tensor) -> AdaptiveState:
        return AdaptiveState(*(torch.zeros_like(like) for _ in range(4)))

    def step(self, current: Tensor, state: AdaptiveState) -> tuple[Tensor, AdaptiveState]:
        a = 0.9 * state.a + state.s
        w = 0.8 * state.w + 0.3 * torch.tanh(state.u)
        u = 0.85 * state.u * (1 - state.s) + torch.nn.functional.softplus(current) - 0.4 * w
        s = self.surrogate(u - 0.7 - 0.2 * a)
        return s, AdaptiveState(a, u, s, w)

    def centred(self, state: AdaptiveState) -> Tensor:
        return state.u - 0.7 - 0.2 * state.a

    @property
    def operations(self) -> Operations:
        return Operations(6, 6, 1, state_words=3)


def make_network(
    make_neuron: MakeNeuron,
    recurrence: str,
    *,
    recurrence_gradient: str = "cut",
    bias: bool = True,
    hidden: tuple[int, ...] = (HIDDEN,),
) -> Mlp:
    """Hidden layers and a leaky readout; equal weights for equal shapes."""
    network = Mlp(
        Provided(
            INPUTS,
            CLASSES,
            make_neuron,
            lambda features: LeakyReadout(features, beta=0.9, learn_beta="none"),
            Kaiming(gain=1.6, recurrent_gain=1.2),
            torch.Generator().manual_seed(1),
            Engine("reference"),
        ),
        hidden=hidden,
        recurrence=recurrence,
        recurrence_gradient=recurrence_gradient,
        bias=bias,
    )
    if bias:
        with torch.no_grad():
            for layer in network.layers:
                layer.bias.copy_(torch.linspace(-0.2, 0.3, len(layer.bias), dtype=torch.float64))
    return network


def make_batch() -> Batch:
    """Random spikes, also behind the ends of samples."""
    random = torch.Generator().manual_seed(3)
    x = (torch.rand(STEPS, len(LENGTHS), INPUTS, generator=random) < 0.4).double()
    target = torch.randint(CLASSES, (len(LENGTHS),), generator=random)
    return Batch(x, target, torch.tensor(LENGTHS), torch.arange(len(LENGTHS)))


def gradients(rule: LearningRule, network: Mlp) -> tuple[dict[str, Tensor], list[Progress]]:
    """Gradients after the last yield, added up over yields, and the yields; weights stay as they are."""
    network.zero_grad()
    progress = list(rule.gradients(network, make_batch(), OBJECTIVE))
    return {name: copy.copy(weight.grad) for name, weight in network.named_parameters()}, progress


def relative_error(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Largest over weights of the maximal error relative to the largest gradient of that weight."""
    assert found.keys() == expected.keys()
    return max(((found[name] - expected[name]).abs().max() / expected[name].abs().max()).item() for name in expected)


def spike_rate(network: Mlp) -> float:
    """Hidden spikes per neuron and step."""
    batch = make_batch()
    return network.unroll(batch.x, batch.lengths, keep=frozenset({"spikes"})).spikes[0].mean().item()


def assert_equals_cut_bptt(network: Mlp) -> None:
    """E-prop's gradient of every weight is autograd's in the same network with recurrent spikes cut."""
    assert 0.05 < spike_rate(network) < 0.8
    found, progress = gradients(EProp(update="per_sequence"), network)
    expected, reference = gradients(Bptt(window=None), network)
    assert relative_error(found, expected) < 1e-10
    assert len(progress) == 1
    assert progress[0].loss.item() == pytest.approx(reference[0].loss.item(), rel=1e-12)
