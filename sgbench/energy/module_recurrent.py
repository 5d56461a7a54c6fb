"""Operation counts of torch's recurrent modules: RNN, GRU and LSTM, and their cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sgbench.energy.module_layers import Received
from sgbench.energy.tally import Tally, stored
from sgbench.errors import InputError

SEQUENCES = (nn.RNN, nn.GRU, nn.LSTM)
CELLS = (nn.RNNCell, nn.GRUCell, nn.LSTMCell)
GetTally = Callable[[str, str, int], Tally]
"""Function that returns the tally of a layer, given its name, its class's name and its number of neurons."""


@dataclass(frozen=True)
class Gates:
    """Holds the operations of one unit of a recurrent layer in a step, besides products with weights."""

    gates: int  # number of weighted sums
    multiplications: int
    additions: int
    comparisons: int
    functions: int  # evaluations of sigmoid or tanh
    state_words: int  # state variables


def gates_of(module: nn.Module) -> Gates:
    r"""Return the operations of one unit of a recurrent module, as torch's equations state them.

    LSTM: sums of W x and U h for four gates, three sigmoids, two tanh, :math:`f c + i g` and :math:`o \tanh c`.
    GRU: sums for three gates, two sigmoids, one tanh, :math:`r (U h)`, :math:`(1 - z) n + z h`. RNN: one sum, and
    tanh or ReLU.
    """
    if isinstance(module, nn.LSTM | nn.LSTMCell):
        return Gates(4, multiplications=3, additions=5, comparisons=0, functions=5, state_words=2)
    if isinstance(module, nn.GRU | nn.GRUCell):
        return Gates(3, multiplications=3, additions=5, comparisons=0, functions=3, state_words=1)
    is_relu = module.nonlinearity == "relu"
    return Gates(
        1, multiplications=0, additions=1, comparisons=int(is_relu), functions=int(not is_relu), state_words=1
    )


def sequence(module: nn.RNNBase, received: Received, state: object, name: str, tally: GetTally) -> None:
    """Add the operations of one call of a recurrent module, each layer and direction to a tally of its own.

    Args:
        module: an RNN, GRU or LSTM.
        received: its input, [T, B, N], [B, T, N] or [T, N].
        state: its initial state argument.
        name: of the module.
        tally: returns the tally of a layer.

    Raises:
        InputError: the module has a projection, or `state` is not None; neither is counted.
    """
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
            _count(single, gates_of(module), Received(layer_input, source, kind), before, layer_tally)
            outputs.append(hidden.flip(0) if suffix else hidden)
        x, source, kind = torch.cat(outputs, 2), f"{name}.l{layer}", "real"


def _one_layer(module: nn.RNNBase, layer: int, suffix: str) -> nn.RNNBase:
    """Return a module with one layer and direction of `module`; suffix: "_reverse" for the backward direction."""
    weights = dict(_weights(module, layer, suffix))
    extra = {"nonlinearity": module.nonlinearity} if isinstance(module, nn.RNN) else {}
    single = type(module)(
        weights["weight_ih_l0"].shape[1],  # type: ignore[arg-type]
        module.hidden_size,
        bias=module.bias,
        dtype=weights["weight_ih_l0"].dtype,
        device=weights["weight_ih_l0"].device,
        **extra,  # type: ignore[arg-type]
    )
    single.load_state_dict(weights)
    return single


def _weights(module: nn.RNNBase, layer: int, suffix: str) -> Iterator[tuple[str, Tensor]]:
    """Yield the weights of a layer and direction (suffix), with their names in a module of one layer."""
    end = f"_l{layer}{suffix}"
    for name, weight in module.state_dict().items():
        if name.endswith(end):
            yield name.removesuffix(end) + "_l0", weight


def cell(module: nn.RNNCellBase, received: Received, state: Tensor | None, tally: Tally) -> None:
    """Add the operations of one step of a cell; state: hidden state before it [B, H], None for zeros."""
    rows = received.x.numel() // module.input_size
    before = received.x.new_zeros(rows, module.hidden_size) if state is None else state
    _count(module, gates_of(module), received, before, tally)


def _count(
    module: nn.RNNBase | nn.RNNCellBase, gates: Gates, received: Received, before: Tensor, tally: Tally
) -> None:
    """Add the operations of one recurrent layer.

    Args:
        module: of one layer and direction, or a cell.
        gates: operations of one unit in a step.
        received: input [..., N].
        before: hidden state before each step [..., H].
        tally: to which the operations are added.
    """
    units = module.hidden_size
    fan_out = gates.gates * units
    rows = before.numel() // units
    end = "_l0" if isinstance(module, nn.RNNBase) else ""
    # Products of weights with the input, and with the hidden state.
    groups = (
        (received.source, received.kind, received.x, f"weight_ih{end}"),
        (tally.name, "real", before, f"weight_hh{end}"),
    )
    for source, kind, x, weight in groups:
        inputs = x.numel() // rows
        tally.connect(
            source,
            "all_to_all",
            kind,
            effective=int(torch.count_nonzero(x)) * fan_out,
            dense=rows * inputs * fan_out,
            weights=stored(module, weight),
            fan_in=inputs * gates.gates,
        )
    # Operations of each unit.
    updates = rows * units
    if module.bias:
        tally.biased(2 * gates.gates * updates)
    tally.counts["neuron_updates"] += updates
    tally.counts["neuron_updates_with_input"] += updates  # the hidden state reaches each unit in every step
    tally.counts["neuron_multiplications"] += gates.multiplications * updates
    tally.counts["neuron_additions"] += gates.additions * updates
    tally.counts["neuron_comparisons"] += gates.comparisons * updates
    tally.counts["function_evaluations"] += gates.functions * updates
    tally.counts["state_reads"] += gates.state_words * updates
    tally.counts["state_writes"] += gates.state_words * updates
