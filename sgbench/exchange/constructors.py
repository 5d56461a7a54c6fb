"""Layers with parameters from another library, which are kept to the last bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from sgbench.engine.choose import Engine
from sgbench.errors import InputError
from sgbench.networks.base import Chain
from sgbench.neurons.leaky import Leaky
from sgbench.neurons.leaky_readout import LeakyReadout
from sgbench.neurons.quantity import Quantity
from sgbench.neurons.synaptic import Synaptic
from sgbench.surrogates.base import Surrogate

MakeSurrogate = Callable[[], Surrogate]


def leaky(surrogate: Surrogate, neurons: int, *, beta: Tensor, threshold: Tensor, reset: str) -> Leaky:
    """Make leaky neurons with these fixed parameters, one for all or one of each [N]."""
    neuron = Leaky(
        surrogate,
        neurons,
        beta=_range("beta", beta, neurons),
        input_gain="one",
        threshold=_range("threshold", threshold, neurons),
        reset=reset,
        reset_gradient="detached",
        learn_beta="none",
        learn_threshold="none",
    )
    _spread((neuron.beta, beta), (neuron.threshold, threshold))
    return neuron


def synaptic(
    surrogate: Surrogate, neurons: int, *, alpha: Tensor, beta: Tensor, threshold: Tensor, reset: str
) -> Synaptic:
    """Make neurons with a synaptic current and these fixed parameters, one for all or one of each [N]."""
    neuron = Synaptic(
        surrogate,
        neurons,
        alpha=_range("alpha", alpha, neurons),
        beta=_range("beta", beta, neurons),
        threshold=_range("threshold", threshold, neurons),
        reset=reset,
        reset_gradient="detached",
        learn_alpha="none",
        learn_beta="none",
        learn_threshold="none",
    )
    _spread((neuron.alpha, alpha), (neuron.beta, beta), (neuron.threshold, threshold))
    return neuron


def readout(neurons: int, *, beta: Tensor) -> LeakyReadout:
    """Make integrators that do not fire, with this fixed decay, one for all or one of each [N]."""
    neuron = LeakyReadout(neurons, beta=_range("beta", beta, neurons), input_gain="one", learn_beta="none")
    _spread((neuron.beta, beta))
    return neuron


def _range(name: str, value: Tensor, neurons: int) -> float | list[float]:
    """Reduce values to those that a quantity's check reads: one for all, or the smallest and the largest."""
    flat = value.detach().double().flatten()
    if len(flat) not in (1, neurons) or not bool(flat.isfinite().all()):
        raise InputError(f"{name}: a finite number, or one for each of {neurons} neurons, is needed")
    low, high = float(flat.min()), float(flat.max())
    return low if low == high else [low, high]


def _spread(*pairs: tuple[Quantity, Tensor]) -> None:
    """Set quantities that differ between neurons to their own values in place of an even spread."""
    for quantity, value in pairs:
        if quantity.spread is not None:
            quantity.spread = value.detach().double().flatten().clone()


def chain(layers: Sequence[nn.Module], dtype: torch.dtype) -> Chain:
    """Build a network of these layers on the fastest engine that runs them."""
    network = Chain()
    network.layers = nn.ModuleList(layers)
    network.engine = Engine("auto")
    return network.to(dtype)
