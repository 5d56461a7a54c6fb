"""Neurons of several steps, gates or compartments by name, and runs of them through an engine or step by step.

Legend: T steps, B batch, N neurons; I current, u membrane potential, s spikes, theta threshold.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fastspiking.choose import Engine
from sgbench.networks.base import DenseLayer
from sgbench.neurons.base import Neuron
from sgbench.neurons.dh_lif import DhLif
from sgbench.neurons.gru import Sgru
from sgbench.neurons.leaky import Leaky
from sgbench.neurons.lstm import Slstm
from sgbench.neurons.parallel_leaky import ParallelLeaky
from sgbench.neurons.psn import MaskedPsn, Psn, SlidingPsn
from sgbench.neurons.psu import Psu
from sgbench.neurons.tc_lif import TcLif
from sgbench.surrogates.atan import Atan

STEPS, BATCH, SIZE = 24, 3, 5
RTOL = 1e-12


def surrogate() -> Atan:
    return Atan(alpha=2.0, width_fwhm=None, normalisation="peak1", scale=1.0)


def draw(*shape: int, seed: int = 3, mean: float = 0.0, spread: float = 1.0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return spread * torch.randn(shape, generator=random, dtype=torch.float64) + mean


class Given(DenseLayer):
    """A layer that gets its current as it is; weights among its neurons are drawn."""

    def __init__(self, neuron: Neuron, size: int = SIZE, recurrence: str = "none") -> None:
        super().__init__("hidden0", 1, size, neuron, recurrence=recurrence)
        if self.recurrent is not None:
            self.recurrent.data.copy_(draw(*self.recurrent.shape, seed=9, spread=0.5))

    def synapses(self) -> None:
        return None

    def current(self, x: Tensor) -> Tensor:
        return x


class Run:
    """Spikes, u - theta and gradients of a random linear functional of both."""

    def __init__(self, spikes: Tensor, x: Tensor, leaves: dict[str, Tensor]) -> None:
        self.spikes, self.x = spikes.detach(), x.detach()
        loss = (draw(*spikes.shape, seed=7) * spikes + draw(*x.shape, seed=8) * x).sum()
        found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        self.gradients = dict(zip(leaves, found, strict=True))


def ours(neuron: Neuron, current: Tensor, *, recurrence: str = "none", engine: str = "reference") -> Run:
    """Through an engine, from rest."""
    layer = Given(neuron.double(), current.shape[-1] // neuron.currents, recurrence)
    leaf = current.clone().requires_grad_()
    (run,) = Engine(engine).unroll([layer], leaf, keep_u=True)
    leaves = {"current": leaf, **dict(neuron.named_parameters())}
    if layer.recurrent is not None:
        leaves["recurrent"] = layer.recurrent
    return Run(run.output, run.u, leaves)


def literal(step: Callable[..., tuple], current: Tensor, state: tuple, leaves: dict[str, Tensor]) -> Run:
    """A step (I, *state) -> (s, u - theta, *state), called once per step under autograd."""
    leaf = current.clone().requires_grad_()
    spikes, x = [], []
    for now in leaf:
        s, u, *state = step(now, *state)
        spikes.append(s)
        x.append(u)
    return Run(torch.stack(spikes), torch.stack(x), {"current": leaf, **leaves})


def assert_same(found: Run, expected: Run, names: tuple[str, ...] = ("current",), *, rtol: float = RTOL) -> None:
    """Spikes equal; potentials and the named gradients within `rtol` of their largest value."""
    assert 0.02 < found.spikes.mean() < 0.95, "the drive must make neurons fire, and not always"
    assert torch.equal(found.spikes, expected.spikes)
    pairs = {"x": (found.x, expected.x)}
    pairs |= {name: (found.gradients[name], expected.gradients[name]) for name in names}
    for name, (one, other) in pairs.items():
        largest = other.abs().max().item()
        assert largest > 0, name
        torch.testing.assert_close(one, other, rtol=rtol, atol=rtol * largest, msg=lambda text, n=name: f"{n}: {text}")


def psn(**changes: object) -> Psn:
    options = {"steps": STEPS, "threshold": 1.0, "beta": 0.8, "start": "leaky"}
    return Psn(surrogate(), torch.Generator().manual_seed(1), **{**options, **changes})


def masked(**changes: object) -> MaskedPsn:
    options = {"steps": STEPS, "order": 4, "mask": [1.0, 1.0], "threshold": 1.0, "beta": 0.8, "start": "leaky"}
    return MaskedPsn(surrogate(), torch.Generator().manual_seed(1), **{**options, **changes})


def sliding(**changes: object) -> SlidingPsn:
    options = {"order": 4, "threshold": 1.0, "beta": 0.8, "start": "leaky"}
    return SlidingPsn(surrogate(), torch.Generator().manual_seed(1), **{**options, **changes})


def leaky(**changes: object) -> Leaky:
    options = {"beta": 0.8, "input_gain": "one", "threshold": 1.0, "reset": "subtract", "reset_gradient": "attached"}
    options |= {"learn_beta": "none", "learn_threshold": "none"}
    return Leaky(surrogate(), SIZE, **{**options, **changes})


def parallel(**changes: object) -> ParallelLeaky:
    options = {"beta": 0.8, "threshold": 1.0, "iterations": STEPS - 1, "reset": "subtract"}
    options |= {"reset_gradient": "attached", "learn_beta": "none", "learn_threshold": "none"}
    return ParallelLeaky(surrogate(), SIZE, **{**options, **changes})


def psu(**changes: object) -> Psu:
    options = {"steps": STEPS, "beta": 0.8, "threshold": 1.0, "estimate": "sigmoid", "learn": "both"}
    return Psu(surrogate(), **{**options, **changes})


def slstm(**changes: object) -> Slstm:
    options = {"threshold": 0.1, "forget_bias": 0.0, "reset": "none", "reset_gradient": "detached"}
    return Slstm(surrogate(), SIZE, **{**options, "learn_threshold": "none", **changes})


def sgru(**changes: object) -> Sgru:
    options = {"threshold": 0.1, "reset": "none", "reset_gradient": "detached", "learn_threshold": "none"}
    return Sgru(surrogate(), SIZE, **{**options, **changes})


def tc_lif(**changes: object) -> TcLif:
    options = {"soma_to_dendrite": 0.4, "dendrite_to_soma": 0.6, "gamma": 0.5, "threshold": 1.0}
    options |= {
        "reset_gradient": "attached",
        "learn_soma_to_dendrite": "shared",
        "learn_dendrite_to_soma": "per_neuron",
    }
    return TcLif(surrogate(), SIZE, **{**options, "learn_gamma": "none", "learn_threshold": "shared", **changes})


def dh_lif(**changes: object) -> DhLif:
    options = {
        "branches": 3,
        "inputs": "split",
        "alpha": 0.6,
        "fastest": 0.1,
        "slowest": 0.9,
        "input_gain": "one_minus_decay",
        "threshold": 1.0,
    }
    options |= {"reset": "subtract", "reset_gradient": "attached", "learn_alpha": "per_neuron"}
    return DhLif(surrogate(), SIZE, **{**options, "learn_branches": "per_neuron", "learn_threshold": "none", **changes})
