"""Operation counts of modules with a state: torch's recurrent ones, and the neurons of snnTorch."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sgbench.energy.module_operations import Received, StoredWeights, Tally, stored
from sgbench.errors import InputError
from sgbench.neurons.base import Operations

SEQUENCES = (nn.RNN, nn.GRU, nn.LSTM)
CELLS = (nn.RNNCell, nn.GRUCell, nn.LSTMCell)


def _unit(module: Any) -> tuple[int, Operations]:
    r"""Return the weighted sums of one unit of a recurrent module, and its other operations, by torch's equations.

    LSTM: sums of W x and U h for four gates, three sigmoids, two tanh, :math:`f c + i g` and :math:`o \tanh c`.
    GRU: sums for three gates, two sigmoids, one tanh, :math:`r (U h)`, :math:`(1 - z) n + z h`. RNN: one sum, and
    tanh or ReLU.
    """
    if isinstance(module, nn.LSTM | nn.LSTMCell):
        return 4, Operations(3, 5, 0, 2, functions=5)
    if isinstance(module, nn.GRU | nn.GRUCell):
        return 3, Operations(3, 5, 0, 1, functions=3)
    is_relu = module.nonlinearity == "relu"
    return 1, Operations(0, 1, int(is_relu), 1, functions=int(not is_relu))


GetTally = Callable[[str, str, int], Tally]
"""Function that returns the tally of a layer, given its name, its class's name and its number of neurons."""


def count_sequence(module: Any, received: Received, state: object, name: str, tally: GetTally) -> None:
    """Add the operations of one call of an RNN, GRU or LSTM, each layer and direction to a tally of its own."""
    if getattr(module, "proj_size", 0):
        raise InputError(f"'{name}': a projection of the state (proj_size) is not counted")
    if state is not None:
        raise InputError(f"'{name}': a first state that is given is not counted; start from zeros")
    x = received.x.transpose(0, 1) if module.batch_first and received.x.dim() == 3 else received.x  # noqa: PLR2004
    x = x.unsqueeze(1) if x.dim() == 2 else x  # noqa: PLR2004
    source, kind = received.source, received.kind
    for layer in range(module.num_layers):
        outputs = []
        for suffix in ("", "_reverse")[: 2 if module.bidirectional else 1]:
            single = _one_layer(module, layer, suffix)
            layer_input = x.flip(0) if suffix else x
            with torch.no_grad():
                hidden = single(layer_input)[0]
            before = torch.cat([torch.zeros_like(hidden[:1]), hidden[:-1]])
            layer_tally = tally(f"{name}.l{layer}{suffix}", type(module).__name__, module.hidden_size)
            _count_units(single, Received(layer_input, source, kind), before, layer_tally)
            outputs.append(hidden.flip(0) if suffix else hidden)
        x, source, kind = torch.cat(outputs, 2), f"{name}.l{layer}", "real"


def _one_layer(module: Any, layer: int, suffix: str) -> Any:
    """Return a module with one layer and direction of `module`; suffix: "_reverse" for the backward direction."""
    end = f"_l{layer}{suffix}"
    weights = {
        f"{name.removesuffix(end)}_l0": weight for name, weight in module.state_dict().items() if name.endswith(end)
    }
    first = weights["weight_ih_l0"]
    extra = {"nonlinearity": module.nonlinearity} if isinstance(module, nn.RNN) else {}
    options = {"bias": module.bias, "dtype": first.dtype, "device": first.device}
    single = type(module)(first.shape[1], module.hidden_size, **options, **extra)
    single.load_state_dict(weights)
    return single


def count_cell(module: Any, received: Received, state: Tensor | None, tally: Tally) -> None:
    """Add the operations of one step of a cell; state: hidden state before it [B, H], None for zeros."""
    rows = received.x.numel() // module.input_size
    before = received.x.new_zeros(rows, module.hidden_size) if state is None else state
    _count_units(module, received, before, tally)


def _count_units(module: Any, received: Received, before: Tensor, tally: Tally) -> None:
    """Add the operations of a recurrent layer of one direction, or a cell; before: hidden states [..., H]."""
    gates, unit = _unit(module)
    fan_out = gates * module.hidden_size
    rows = before.numel() // module.hidden_size
    end = "_l0" if isinstance(module, nn.RNNBase) else ""
    own = Received(before, tally.name, "real")
    for sender, weight in ((received, f"weight_ih{end}"), (own, f"weight_hh{end}")):
        inputs = sender.x.numel() // rows
        tally.connect(
            sender,
            "all_to_all",
            effective=int(torch.count_nonzero(sender.x)) * fan_out,
            dense=rows * inputs * fan_out,
            weights=stored(module, weight),
            fan_in=inputs * gates,
        )
    updates = rows * module.hidden_size
    if module.bias:
        tally.biased(2 * gates * updates)
    tally.update(updates, updates, unit)  # the hidden state reaches each unit in every step


NEURONS: dict[str, Operations] = {  # of snnTorch: operations and state words of an update
    "Leaky": Operations(1, 2, 1, 1),  # beta u; + I, - theta s; > theta; u
    "Lapicque": Operations(1, 2, 1, 1),  # with its beta of R, C and the time step
    "RLeaky": Operations(1, 3, 1, 1),  # the same, and V s joins
    "Synaptic": Operations(2, 3, 1, 2),  # alpha i, beta u; + I, + i, - theta s
    "RSynaptic": Operations(2, 4, 1, 2),
    "Alpha": Operations(3, 6, 1, 3),  # alpha e, beta i, tau (e + i); + I, - I, a reset of each of three states
    "SLSTM": Operations(0, 1, 1, 0),  # its cell is counted apart; - theta s, > theta
}


def neuron_operations(module: nn.Module) -> Operations | None:
    """Return the operations of an update of snnTorch's neurons, also of a class with their `forward`; else None."""
    for base in type(module).__mro__:
        if base.__module__.startswith("snntorch._neurons.") and base.__name__ in NEURONS:
            return NEURONS[base.__name__] if type(module).forward is base.forward else None  # type: ignore[attr-defined]
    return None


def count_neurons(module: Any, received: Received, spikes: Tensor, tally: Tally) -> None:
    """Add the operations of one step of snnTorch's neurons; graded spikes take a multiplication more."""
    unit = neuron_operations(module)
    assert unit is not None  # noqa: S101 - the caller looked it up
    tally.update(spikes.numel(), int(torch.count_nonzero(received.x)), unit)
    sent = int(torch.count_nonzero(spikes))
    tally.counts["spikes_sent"] += sent
    tally.counts["neuron_multiplications"] += sent if is_graded(module) else 0
    tally.counts["neuron_comparisons"] += spikes.numel() if getattr(module, "inhibition", False) else 0


def is_graded(module: Any) -> bool:
    return bool((torch.as_tensor(getattr(module, "graded_spikes_factor", 1.0)) != 1).any())


def count_one_to_one(module: nn.Module, received: Received, tally: Tally) -> None:
    """Add the operations of one-to-one recurrent weights: each spike in x reaches the neuron that sent it."""
    weights = StoredWeights(
        sum(weight.numel() for weight in module.parameters()),
        sum(int((weight == 0).sum()) for weight in module.parameters()),
    )
    active = int(torch.count_nonzero(received.x))
    tally.connect(
        received._replace(kind="binary"),
        "one_to_one",
        effective=active,
        dense=received.x.numel(),
        weights=weights,
        fan_in=1,
    )
