"""What torch's recurrent layers do in one call, step by step and layer by layer."""

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
"""A tally by name, module and number of neurons."""


@dataclass(frozen=True)
class Gates:
    """Holds what one unit of a recurrent layer does in a step, besides its products."""

    gates: int
    multiplications: int
    additions: int
    comparisons: int
    functions: int
    state_words: int


def gates_of(module: nn.Module) -> Gates:
    r"""Return the arithmetic of one recurrent unit, read off torch's equations.

    LSTM: sums of W x and U h for four gates, three sigmoids, two tanh, :math:`f c + i g` and :math:`o \tanh c`.
    GRU: sums for three gates, two sigmoids, one tanh, :math:`r (U h)`, :math:`(1 - z) n + z h`.
    """
    if isinstance(module, nn.LSTM | nn.LSTMCell):
        return Gates(4, multiplications=3, additions=5, comparisons=0, functions=5, state_words=2)
    if isinstance(module, nn.GRU | nn.GRUCell):
        return Gates(3, multiplications=3, additions=5, comparisons=0, functions=3, state_words=1)
    relu = module.nonlinearity == "relu"
    return Gates(
        1, multiplications=0, additions=1, comparisons=int(relu), functions=int(not relu), state_words=1
    )


def sequence(module: nn.RNNBase, received: Received, state: object, name: str, tally: GetTally) -> None:
    """Count a recurrent module over all steps of its input [T, B, N], each layer and direction by itself.

    Raises:
        InputError: a projection, or a first state that is given: neither is counted.
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
            one = _one_layer(module, layer, suffix)
            shown = x.flip(0) if suffix else x
            with torch.no_grad():
                hidden = one(shown)[0]
            before = torch.cat([torch.zeros_like(hidden[:1]), hidden[:-1]])
            layer_tally = tally(f"{name}.l{layer}{suffix}", type(module).__name__, module.hidden_size)
            _count(one, gates_of(module), Received(shown, source, kind), before, layer_tally)
            outputs.append(hidden.flip(0) if suffix else hidden)
        x, source, kind = torch.cat(outputs, 2), f"{name}.l{layer}", "real"


def _one_layer(module: nn.RNNBase, layer: int, suffix: str) -> nn.RNNBase:
    """Copy one layer and direction into a module of its own, with the same weights."""
    weights = dict(_weights(module, layer, suffix))
    extra = {"nonlinearity": module.nonlinearity} if isinstance(module, nn.RNN) else {}
    one = type(module)(
        weights["weight_ih_l0"].shape[1],  # type: ignore[arg-type]
        module.hidden_size,
        bias=module.bias,
        dtype=weights["weight_ih_l0"].dtype,
        device=weights["weight_ih_l0"].device,
        **extra,  # type: ignore[arg-type]
    )
    one.load_state_dict(weights)
    return one


def _weights(module: nn.RNNBase, layer: int, suffix: str) -> Iterator[tuple[str, Tensor]]:
    """Yield a layer's weights under the names of a network of one layer."""
    end = f"_l{layer}{suffix}"
    for name, weight in module.state_dict().items():
        if name.endswith(end):
            yield name.removesuffix(end) + "_l0", weight


def cell(module: nn.RNNCellBase, received: Received, state: Tensor | None, tally: Tally) -> None:
    """Count one step of a cell; `state` is its hidden state before [B, H], None where it starts from zeros."""
    rows = received.x.numel() // module.input_size
    before = received.x.new_zeros(rows, module.hidden_size) if state is None else state
    _count(module, gates_of(module), received, before, tally)


def _count(
    module: nn.RNNBase | nn.RNNCellBase, gates: Gates, received: Received, before: Tensor, tally: Tally
) -> None:
    """Count one pass of a recurrent layer."""
    units = module.hidden_size
    fan_out = gates.gates * units
    rows = before.numel() // units
    end = "_l0" if isinstance(module, nn.RNNBase) else ""
    # Products with the input and with the layer's own state.
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
    # What each unit does with them.
    updates = rows * units
    if module.bias:
        tally.biased(2 * gates.gates * updates)
    tally.counts["neuron_updates"] += updates
    tally.counts["neuron_updates_with_input"] += updates  # its own state reaches it in every step
    tally.counts["neuron_multiplications"] += gates.multiplications * updates
    tally.counts["neuron_additions"] += gates.additions * updates
    tally.counts["neuron_comparisons"] += gates.comparisons * updates
    tally.counts["function_evaluations"] += gates.functions * updates
    tally.counts["state_reads"] += gates.state_words * updates
    tally.counts["state_writes"] += gates.state_words * updates
