"""Counts of torch's recurrent layers and snnTorch's neurons against walks over synapses, steps and spikes."""

from __future__ import annotations

from typing import Any

import pytest
import snntorch as snn
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from sgbench.energy.modules import ModuleCounter
from sgbench.records.counts import SynapseCounts
from tests.energy.some_spikes import few, spikes

# --- recurrent layers

ARITHMETIC = {  # of a unit and step: gates, multiplications, additions, comparisons, functions, words of state
    nn.LSTM: (4, 3, 5, 0, 5, 2),  # i f o: sigmoid, g and c: tanh; f c, i g, o tanh(c); 4 sums of W x and U h, + for c
    nn.GRU: (3, 3, 5, 0, 3, 1),  # r, z: sigmoid, n: tanh; r (U h), (1 - z) n, z h; 3 sums, 1 - z, + for h
    nn.RNN: (1, 0, 1, 0, 1, 1),
}


@few
@given(
    kind=st.sampled_from([nn.LSTM, nn.GRU, nn.RNN]),
    layers=st.integers(1, 2),
    both=st.booleans(),
    bias=st.booleans(),
    batch_first=st.booleans(),
)
def test_recurrent_layers_equal_a_walk_over_steps(kind, layers, both, bias, batch_first):
    """Expected: torch's cells, run step by step with the module's weights, one `if` a synapse."""
    steps, batch, inputs, units = 3, 2, 4, 2
    module = kind(inputs, units, num_layers=layers, bidirectional=both, bias=bias, batch_first=batch_first)
    x = spikes(steps, batch, inputs, seed=1) * 0.5
    given_x = x.transpose(0, 1) if batch_first else x
    counter = ModuleCounter(module.eval(), input_kind="real", bits=32, fold_batch_norm=False)
    counter(given_x, samples=batch, steps=batch * steps)
    found = {layer.name.split(".")[-1]: layer for layer in counter.result().layers}
    for name, (effective, dense, rows) in step_by_step(module, x).items():
        gates, *arithmetic = ARITHMETIC[kind]
        layer = found[name]
        assert [group.effective.total for group in layer.synapses] == effective
        assert [group.dense.total for group in layer.synapses] == dense
        updates = rows * units
        fields = ("neuron_multiplications", "neuron_additions", "neuron_comparisons", "function_evaluations")
        totals = [getattr(layer, field).total for field in fields if getattr(layer, field) is not None]
        assert totals == [each * updates for each in arithmetic[:4]]
        assert layer.bias_additions.total == (2 * gates * updates if bias else 0)
        assert layer.state_reads.total == arithmetic[4] * updates


def step_by_step(module: Any, x: Tensor) -> dict[str, tuple[list[int], list[int], int]]:
    """Operations of each layer and direction: from its input and from itself, used and all."""
    cells = {nn.LSTM: nn.LSTMCell, nn.GRU: nn.GRUCell, nn.RNN: nn.RNNCell}
    steps, batch, _ = x.shape
    found = {}
    for layer in range(module.num_layers):
        outputs = []
        for suffix in ("", "_reverse")[: 2 if module.bidirectional else 1]:
            cell = cells[type(module)](x.shape[2], module.hidden_size, bias=module.bias)
            ends = ("weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if module.bias else ()))
            cell.load_state_dict({end: getattr(module, f"{end}_l{layer}{suffix}") for end in ends})
            state, hidden = None, torch.zeros(batch, module.hidden_size)
            rows = cell.weight_ih.shape[0]
            effective, dense, told = [0, 0], [0, 0], []
            for t in reversed(range(steps)) if suffix else range(steps):
                for index, values in enumerate((x[t], hidden)):
                    for value in values.flatten().tolist():
                        effective[index] += rows * (value != 0)
                        dense[index] += rows
                state = cell(x[t], state)
                hidden = state[0] if isinstance(state, tuple) else state
                told.append(hidden.detach())
            found[f"l{layer}{suffix}"] = (effective, dense, steps * batch)
            outputs.append(torch.stack(told[::-1] if suffix else told))
        x = torch.cat(outputs, 2)
    return found


def test_a_cell_over_time_counts_as_the_layer_does():
    """Expected: the same totals as `nn.GRU` with the same weights, called step by step."""
    torch.manual_seed(0)
    layer, x = nn.GRU(3, 2), spikes(4, 2, 3)

    class Stepwise(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.GRUCell(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            state = None
            for step in x.unbind(0):
                state = self.cell(step, state)
            return state

    stepwise = Stepwise()
    stepwise.cell.load_state_dict({name.removesuffix("_l0"): value for name, value in layer.state_dict().items()})
    counters = [
        ModuleCounter(each.eval(), input_kind="real", bits=32, fold_batch_norm=False) for each in (layer, stepwise)
    ]
    for counter in counters:
        counter(x, samples=2, steps=8)
    whole, single = (counter.result().layers[0] for counter in counters)
    assert [group.effective for group in whole.synapses] != []
    assert sum(group.effective.total or 0 for group in single.synapses) == sum(
        group.effective.total or 0 for group in whole.synapses
    )
    for field in ("neuron_updates", "neuron_additions", "function_evaluations", "bias_additions"):
        assert getattr(whole, field) == getattr(single, field)


# --- snnTorch


class Spiking(nn.Module):
    """A network of snnTorch's neurons, called once a step."""

    def __init__(self, neuron: nn.Module) -> None:
        super().__init__()
        self.fc1, self.fire, self.fc2 = nn.Linear(4, 3, bias=False), neuron, nn.Linear(3, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        outputs = [self.fc2(self.fire(self.fc1(step))) for step in x.unbind(0)]
        return torch.stack(outputs)


@pytest.mark.parametrize("recurrent", [None, True, False])
def test_snntorch_network_by_a_walk_over_spikes(recurrent):
    """Expected: spikes recorded by the test, each times its fan-out; all of them additions.

    One-to-one recurrence, which NeuroBench does not count, is an operation for each spike sent before.
    """
    torch.manual_seed(3)
    if recurrent is None:
        neuron = snn.Leaky(beta=0.5, threshold=0.1, init_hidden=True)
    else:
        options = {"linear_features": 3} if recurrent else {"V": torch.ones(3)}
        neuron = snn.RLeaky(beta=0.5, threshold=0.1, init_hidden=True, all_to_all=recurrent, **options)
    network, x, sent = Spiking(neuron), spikes(5, 2, 4), []
    network.fire.register_forward_hook(lambda _module, _inputs, output: sent.append(output.detach().clone()))
    counter = ModuleCounter(network.eval(), input_kind="binary", bits=32, fold_batch_norm=False)
    counter(x, samples=2, steps=10)
    fired = [int(each.sum()) for each in sent]
    assert 0 < sum(fired) < 30
    layers = {layer.name: layer for layer in counter.result().layers}
    assert effective(layers["fc1"].synapses) == int(x.sum()) * 3
    assert effective(layers["fc2"].synapses) == sum(fired) * 2
    assert layers["fire"].spikes_sent.total == sum(fired)
    assert layers["fire"].neuron_updates.total == 30
    if recurrent is not None:
        fan_out = 3 if recurrent else 1
        assert effective(layers["fire.recurrent"].synapses) == sum(fired[:-1]) * fan_out
        assert layers["fire.recurrent"].synapses[0].source == "fire"
    assert {group.operation for layer in layers.values() for group in layer.synapses} == {"accumulate"}


def effective(groups: tuple[SynapseCounts, ...]) -> int:
    (group,) = groups
    assert group.effective.total is not None
    return group.effective.total
