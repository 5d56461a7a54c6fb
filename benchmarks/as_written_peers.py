"""Other ways to train the networks of `as_written` faster: vmap, torch.compile, SpikingJelly and Norse.

Each takes such a network and returns a module over its weights that gives the potentials of its last layer [T, B, C].
SpikingJelly and Norse reset a neuron in the step in which it fires, snnTorch in the next; their gradients pass through
the reset. Norse's SuperSpike is snnTorch's fast sigmoid of slope 1.
"""

import importlib.util
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import snntorch as snn
import torch
from snntorch import surrogate
from torch import Tensor, nn

from benchmarks.as_written import IMAGE_STEPS, Dense, Recurrent

NORSE_DT_S = 1e-3


class Staged(nn.Module):
    """Makes each product for all steps at once, then runs the neurons that follow it.

    `neurons`: map currents over time to spikes and potentials; `over_time`: applies a product to all steps.
    """

    def __init__(self, products: Sequence[nn.Module], neurons: Sequence[Any], over_time: Callable[..., Tensor]) -> None:
        super().__init__()
        self.products, self.neurons, self.over_time = nn.ModuleList(products), neurons, over_time

    def forward(self, x: Tensor) -> Tensor:
        """Return the last layer's potentials [T, B, C] on events [T, B, ...] or on an image [B, N].

        The first product of an image is made once, since all steps show the same.
        """
        is_image = x.dim() == 2  # noqa: PLR2004
        potentials = x
        for place, (product, neurons) in enumerate(zip(self.products, self.neurons, strict=True)):
            once = is_image and place == 0
            current = product(x).expand(IMAGE_STEPS, -1, -1) if once else self.over_time(product, x)
            x, potentials = neurons(current)
        return potentials


def stages(network: nn.Module) -> tuple[list[Any], list[Any]]:
    """Return the products of a network and the neurons behind each; the last product may have none.

    Neurons of a convolutional network keep their state inside; they are changed so that they take and return it.
    """
    if isinstance(network, Recurrent):
        return [network.fc1, network.fc2], [network.rlif]
    if isinstance(network, Dense):
        return list(network.fcs), list(network.lifs)
    modules: Any = network.net
    ends = [place for place, module in enumerate(modules) if isinstance(module, snn.Leaky)]
    neurons: list[Any] = [modules[end] for end in ends]
    for lif in neurons:
        lif.init_hidden = lif.output = False
    return [modules[before + 1 : end] for before, end in zip([-1, *ends], ends, strict=False)], neurons


def flattened(product: nn.Module, x: Tensor) -> Tensor:
    """Apply a product to x [T, B, ...] with time and batch on one axis."""
    return product(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def vmap(network: nn.Module) -> nn.Module:
    """Run each product by `torch.func.vmap` over time, and snnTorch's neurons step by step."""

    def stepped(lif: Any, currents: Tensor) -> tuple[Tensor, Tensor]:
        """Return spikes and potentials [T, B, N]; a step returns the spikes, then the state, the potential last."""
        is_recurrent = isinstance(lif, snn.RSynaptic)  # the spikes are part of its state
        state, spikes, potentials = lif.init_rsynaptic() if is_recurrent else (lif.reset_mem(),), [], []
        for current in currents.unbind(0):
            out = lif(current, *state)
            state = out if is_recurrent else out[1:]
            spikes.append(out[0])
            potentials.append(out[-1])
        return torch.stack(spikes), torch.stack(potentials)

    products, lifs = stages(network)
    neurons: list[Any] = [partial(stepped, lif) for lif in lifs]
    readout = [lambda current: (current, current)] * (len(products) - len(lifs))
    return Staged(products, [*neurons, *readout], lambda product, x: torch.func.vmap(product)(x))


def spikingjelly(network: nn.Module) -> nn.Module:
    """Build the network with SpikingJelly's neurons in their multi-step mode."""
    from spikingjelly.activation_based import functional, neuron
    from spikingjelly.activation_based import surrogate as theirs

    def node(lif: Any, last: bool) -> Any:
        return neuron.LIFNode(
            tau=float(1 / (1 - lif.beta)),
            decay_input=False,
            v_threshold=float(lif.threshold),
            v_reset=None,
            surrogate_function=theirs.ATan(),
            step_mode="m",
            store_v_seq=last,
        )

    def run(node: Any, current: Tensor) -> tuple[Tensor, Tensor]:
        functional.reset_net(node)
        return node(current), node.v_seq

    products, lifs = stages(network)
    return Staged(products, [partial(run, node(lif, lif is lifs[-1])) for lif in lifs], flattened)


def norse(network: nn.Module) -> nn.Module:
    """Build the network with Norse's box neurons, lifted over time."""
    import norse.torch as no
    from norse.torch.functional.reset import reset_subtract

    class Potential(nn.Module):
        """Sends a cell's potential in place of its spikes, since `Lift` keeps the last state alone."""

        def __init__(self, cell: nn.Module) -> None:
            super().__init__()
            self.cell = cell

        def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
            state = self.cell(x, state)[1]
            return state.v, state

    def lifted(lif: Any, last: bool) -> Any:
        rate, threshold = (1 - lif.beta) / NORSE_DT_S, lif.threshold.clone()
        cell = no.LIFBoxCell(no.LIFBoxParameters(rate, v_th=threshold, reset_method=reset_subtract), dt=NORSE_DT_S)
        return no.Lift(Potential(cell) if last else cell)

    def run(lift: Any, share: float, current: Tensor) -> tuple[Tensor, Tensor]:
        out = lift(current / share)[0]  # it multiplies currents by dt / tau
        return out, out

    products, lifs = stages(network)
    neurons = [partial(run, lifted(lif, lif is lifs[-1]), float(1 - lif.beta)) for lif in lifs]
    return Staged(products, neurons, flattened)


class Peer(NamedTuple):
    """Holds another way to train; `spike_grad` is None if it computes what the network as written does."""

    build: Callable[[nn.Module], nn.Module]
    package: str
    spike_grad: Any = None

    def reference(self, network: nn.Module) -> nn.Module:
        """Return a network that computes what this peer should: as written, or a plain loop with the reset at once."""
        if self.spike_grad is None:
            return network

        def looped(lif: Any, currents: Tensor) -> tuple[Tensor, Tensor]:
            potential, spikes, potentials = torch.zeros_like(currents[0]), [], []
            for current in currents.unbind(0):
                potential = lif.beta * potential + current
                spikes.append(self.spike_grad(potential - lif.threshold))
                potential = potential - lif.threshold * spikes[-1]
                potentials.append(potential)
            return torch.stack(spikes), torch.stack(potentials)

        products, lifs = stages(network)
        return Staged(products, [partial(looped, lif) for lif in lifs], flattened)

    def lacks(self, network: nn.Module) -> str:
        """Say how to install this peer, or for what neurons of a network it has no like; "" if nothing is missing."""
        if importlib.util.find_spec(self.package) is None:
            return f"pip install {self.package}"
        if self.spike_grad is None:
            return ""
        if isinstance(network, Recurrent):
            return "no recurrent neurons with a synapse that acts at once"
        learns = any(isinstance(module, snn.Leaky) and module.beta.requires_grad for module in network.modules())
        return "no neurons with a learnt decay and threshold" if learns else ""


PEERS = {
    "vmap": Peer(vmap, "torch"),
    "torch.compile": Peer(torch.compile, "torch"),  # compiled by the first call, which takes minutes
    "SpikingJelly": Peer(spikingjelly, "spikingjelly", surrogate.atan()),
    "Norse": Peer(norse, "norse", surrogate.fast_sigmoid(slope=1)),
}
