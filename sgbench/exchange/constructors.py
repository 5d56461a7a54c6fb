"""Makes neurons and networks with the parameters of another library, to the last bit."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from fastspiking.choose import Engine
from sgbench.errors import InputError
from sgbench.networks.base import Chain
from sgbench.neurons.leaky import Leaky
from sgbench.neurons.leaky_readout import LeakyReadout
from sgbench.neurons.quantity import Quantity
from sgbench.neurons.synaptic import Synaptic
from sgbench.neurons.synaptic_readout import SynapticReadout
from sgbench.surrogates.base import Surrogate

MakeSurrogate = Callable[[], Surrogate]


def leaky(surrogate: Surrogate, neurons: int, *, beta: Tensor, threshold: Tensor, reset: str) -> Leaky:
    """Make leaky neurons with fixed decay per step beta and threshold: tensors of one value, or one each [N]."""
    neuron = Leaky(
        surrogate,
        neurons,
        beta=_checked_range("beta", beta, neurons),
        input_gain="one",
        threshold=_checked_range("threshold", threshold, neurons),
        reset=reset,
        reset_gradient="detached",
        learn_beta="none",
        learn_threshold="none",
    )
    _set_values((neuron.beta, beta), (neuron.threshold, threshold))
    return neuron


def synaptic(
    surrogate: Surrogate, neurons: int, *, alpha: Tensor, beta: Tensor, threshold: Tensor, reset: str
) -> Synaptic:
    """Make neurons with a synaptic current of fixed decay alpha, and otherwise as `leaky` makes them."""
    neuron = Synaptic(
        surrogate,
        neurons,
        alpha=_checked_range("alpha", alpha, neurons),
        beta=_checked_range("beta", beta, neurons),
        threshold=_checked_range("threshold", threshold, neurons),
        reset=reset,
        reset_gradient="detached",
        learn_alpha="none",
        learn_beta="none",
        learn_threshold="none",
    )
    _set_values((neuron.alpha, alpha), (neuron.beta, beta), (neuron.threshold, threshold))
    return neuron


def readout(neurons: int, *, beta: Tensor) -> LeakyReadout:
    """Make leaky integrators that do not fire, with a fixed decay per step beta: one value, or one each [N]."""
    neuron = LeakyReadout(neurons, beta=_checked_range("beta", beta, neurons), input_gain="one", learn_beta="none")
    _set_values((neuron.beta, beta))
    return neuron


def synaptic_readout(neurons: int, *, alpha: Tensor, beta: Tensor) -> SynapticReadout:
    """Make integrators of a synaptic current of fixed decay alpha, and otherwise as `readout` makes them."""
    neuron = SynapticReadout(
        neurons,
        alpha=_checked_range("alpha", alpha, neurons),
        beta=_checked_range("beta", beta, neurons),
        input_gain="one",
        learn_alpha="none",
        learn_beta="none",
    )
    _set_values((neuron.alpha, alpha), (neuron.beta, beta))
    return neuron


def _checked_range(name: str, value: Tensor, neurons: int) -> float | list[float]:
    flat = value.detach().double().flatten()
    if len(flat) not in (1, neurons) or not bool(flat.isfinite().all()):
        raise InputError(f"{name}: a finite number, or one for each of {neurons} neurons, is needed")
    low, high = float(flat.min()), float(flat.max())
    return low if low == high else [low, high]


def _set_values(*pairs: tuple[Quantity, Tensor]) -> None:
    """Give each quantity that differs between neurons its values [N], in place of an even spread over a range."""
    for quantity, value in pairs:
        if quantity.spread is not None:
            quantity.spread = value.detach().double().flatten().clone()


def chain(layers: Sequence[nn.Module], dtype: torch.dtype) -> Chain:
    """Build a network of these layers, with numbers of this dtype, on the fastest engine that runs them."""
    network = Chain()
    network.layers = nn.ModuleList(layers)
    network.engine = Engine("auto")
    return network.to(dtype)
