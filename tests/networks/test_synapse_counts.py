"""Operation counts of networks of several currents, taps and pixels against a walk over every synapse.

Legend: T steps, B batch, N neurons, C channels; I current.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastspiking.signals.trajectory import SPIKES, Batch
from sgbench.energy.count import OperationCounter
from sgbench.networks.base import Provided
from sgbench.networks.conv import Conv
from sgbench.networks.convolution import ConvLayer
from sgbench.networks.delayed import Delayed, DelayedLayer
from sgbench.networks.mlp import Mlp
from tests.networks.sequence_parts import BATCH, CLASSES, LENGTHS, conv, delayed, dh_lif, given, readout, slstm, spikes

pytestmark = pytest.mark.usefixtures("no_snntorch_neurons_left")


def brute_force(net: Conv | Delayed | Mlp, x: Tensor, sent: list[Tensor | None]) -> list[dict[str, int]]:
    """Walk over every event and every synapse that its layer declares for it."""
    found = []
    for layer, fired in zip(net.layers, sent, strict=True):
        total = {"arriving": 0, "returning": 0, "reached": 0}
        for b in range(BATCH):
            for t in range(int(LENGTHS[b])):
                reached: set[int] = set()
                for j in x[t, b].nonzero().flatten().tolist():
                    rows = targets(layer, j)
                    total["arriving"] += len(rows) * max(1, layer.taps)
                    reached |= {row % layer.neurons for row in rows}
                if fired is not None and t > 0 and layer.recurrence != "none":
                    back = torch.ones_like(fired) if layer.neuron.feeds_back == "potential" else fired
                    for j in back[t - 1, b].nonzero().flatten().tolist():
                        rows = targets(layer, j, recurrent=True)
                        total["returning"] += len(rows) * max(1, layer.taps)
                        reached |= {row % layer.neurons for row in rows}
                total["reached"] += len(reached)
        found.append(total)
        if fired is not None:
            x = fired
    return found


def targets(layer: object, source: int, *, recurrent: bool = False) -> list[int]:
    """Rows of currents that a source reaches: where a current answers to it, with all weights set to 1."""
    saved = {name: value.detach().clone() for name, value in layer.named_parameters()}
    with torch.no_grad():
        for name in ("weight", "recurrent"):
            if getattr(layer, name, None) is not None:
                getattr(layer, name).fill_(1.0)
        if getattr(layer, "recurrent_delay_logit", None) is not None:
            layer.recurrent_delay_logit.fill_(-30.0)  # the first lag is within reach of every kernel
        if layer.bias is not None:
            layer.bias.zero_()
        if recurrent:
            answer = layer.begin_feedback()(torch.nn.functional.one_hot(torch.tensor([source]), layer.neurons).double())
        elif isinstance(layer, DelayedLayer):
            answer = torch.ones(1, layer.weight.shape[0])
        else:
            inputs = layer.weight.shape[1]
            if isinstance(layer, ConvLayer):
                inputs = layer.image_in[0] * layer.image_in[1] * layer.image_in[2]
            answer = layer.current(torch.nn.functional.one_hot(torch.tensor([source]), inputs).double())
        for name, value in layer.named_parameters():
            value.copy_(saved[name])
    return answer.flatten().nonzero().flatten().tolist()


def mlp(make: object, recurrence: str) -> Mlp:
    options = {"hidden": [5], "recurrence": recurrence, "recurrence_gradient": "full", "bias": True}
    return Mlp(Provided(7, CLASSES, make, readout, *given()), **options)


NETWORKS = {
    **{f"conv_{r}": lambda r=r: conv(recurrence=r, image=[1, 3, 4]) for r in ("none", "one_to_one", "all_to_all")},
    "conv_stride": lambda: conv(stride=2, channels=[2, 2], image=[1, 5, 4]),
    "conv_lstm": lambda: conv(slstm, recurrence="all_to_all", image=[1, 3, 4]),
    **{f"lstm_{r}": lambda r=r: mlp(slstm, r) for r in ("none", "one_to_one", "all_to_all")},
    **{f"dendrites_{r}": lambda r=r: mlp(dh_lif, r) for r in ("none", "one_to_one", "all_to_all")},
    **{f"delayed_{k}": lambda k=k: delayed(kernel=k) for k in ("gaussian", "rounded")},
    **{f"delayed_{k}_recurrent": lambda k=k: delayed(kernel=k, recurrent_delays=True) for k in ("gaussian", "rounded")},
}


@pytest.mark.one_in(8)
@pytest.mark.parametrize("name", NETWORKS)
def test_counts_are_those_of_a_walk_over_all_synapses(name):
    """Expected: per layer, operations through each group of synapses, neurons reached, biases and kind."""
    net = NETWORKS[name]()
    layer = net.layers[0]
    inputs = layer.weight.shape[1]
    if isinstance(layer, ConvLayer):
        inputs = layer.image_in[0] * layer.image_in[1] * layer.image_in[2]
    x = spikes(inputs)
    with torch.no_grad():
        trajectory = net.unroll(x, LENGTHS, keep=frozenset({SPIKES}))
    counter = OperationCounter(net, "binary", bits=32)
    counter.update(Batch(x, torch.zeros(BATCH), LENGTHS, torch.arange(BATCH)), trajectory)
    counts = counter.result()
    expected = brute_force(net, x, [*trajectory.spikes, None])
    for position, (found, wanted) in enumerate(zip(counts.layers, expected, strict=True)):
        assert found.synapses[0].effective.total == wanted["arriving"] > 0
        assert found.neuron_updates_with_input.total == wanted["reached"]
        delayed_events = wanted["arriving"] + wanted["returning"] if net.layers[position].taps else 0
        assert found.delay_operations.total == delayed_events
        if len(found.synapses) > 1:
            assert found.synapses[1].effective.total == wanted["returning"] > 0
            values = net.layers[position].neuron.feeds_back == "potential" or net.layers[position].taps > 1
            assert found.synapses[1].operation == ("multiply_accumulate" if values else "accumulate")
        steps, layer = int(LENGTHS.sum()), net.layers[position]
        assert found.neurons == layer.neurons
        assert found.neuron_updates.total == steps * layer.neurons
        assert found.bias_additions.total == steps * layer.neurons * layer.neuron.currents
        everything = torch.ones(1, 1, inputs if position == 0 else net.layers[position - 1].neurons)
        once = sum(len(targets(layer, j)) for j in range(everything.shape[2])) * max(1, layer.taps)
        assert found.synapses[0].dense.total == steps * once
        functions = found.function_evaluations
        assert (functions.total if functions else 0) == (
            5 * steps * layer.neurons if "lstm" in name and position == 0 else 0
        )
    kind = "multiply_accumulate" if name.startswith("delayed_gaussian") else "accumulate"
    assert counts.layers[0].synapses[0].operation == kind
