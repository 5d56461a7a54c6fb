"""A learnt encoder in front of a network: its currents, its costs, and that it learns.

Expected values come from a dense layer whose weights are 0 wherever there is no synapse, and from counts by hand.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from fastspiking.signals.trajectory import SPIKES, Batch
from sgbench.composition.compose import compose
from sgbench.energy.count import OperationCounter
from sgbench.errors import InputError
from sgbench.networks.base import Provided
from sgbench.networks.encoded import Encoded
from sgbench.networks.mlp import Mlp
from sgbench.neurons.base import Neuron
from sgbench.neurons.lstm import Slstm
from sgbench.training.build import build
from sgbench.training.run_folder import folder_of
from sgbench.training.runner import run_spec
from tests.networks.parts import BATCH, CLASSES, FULL, LENGTHS, STEPS, given, leaky, readout
from tests.run.tiny import WORDS

OPTIONS = {"population": 3, "wiring": "one_to_one", "widths": [5], "recurrence": "none", "bias": True}


def encoded(make: Any = leaky, **changes: Any) -> Encoded:
    """Of four inputs, biases other than 0."""
    words = {**OPTIONS, "recurrence_gradient": "full", **changes}
    made = Encoded(Provided(4, CLASSES, make, readout, *given()), **words)
    for layer in made.layers:
        if layer.bias is not None:
            layer.bias.data += torch.linspace(-0.2, 0.6, layer.bias.numel())
    return made


def values(seed: int = 0) -> Tensor:
    """Analogue input, the same in every step, a fifth of it 0."""
    random = torch.Generator().manual_seed(seed)
    x = torch.rand(1, BATCH, 4, generator=random, dtype=torch.float64)
    return (x * (x > 0.2)).expand(STEPS, -1, -1).contiguous()


def as_dense(net: Encoded) -> Mlp:
    """The same network with a matrix in place of the one-to-one synapses."""
    currents = net.layers[0].neuron.currents
    hidden = [12, *(layer.neurons for layer in net.layers[1:-1])]
    made = Mlp(
        Provided(4, CLASSES, type_of(net), readout, *given()),
        hidden=hidden,
        recurrence="none",
        recurrence_gradient="full",
        bias=True,
    )
    state = net.state_dict()
    weight = torch.zeros(currents * 12, 4, dtype=torch.float64)
    rows = torch.arange(currents * 12)
    weight[rows, (rows % 12) // 3] = state["layers.0.weight"]
    made.load_state_dict(state | {"layers.0.weight": weight})
    return made


def type_of(net: Encoded) -> Any:
    """What makes neurons as this network has them."""
    return gated if net.layers[0].neuron.currents > 1 else leaky


def gated(features: int) -> Neuron:
    """Neurons of four currents."""
    options = {"threshold": 0.05, "forget_bias": 0.0, "reset": "none", "reset_gradient": "detached"}
    return Slstm(leaky(features).surrogate, features, **options, learn_threshold="none")


@pytest.mark.usefixtures("loops_in_python")
@pytest.mark.one_in(4)
@pytest.mark.parametrize("make", [leaky, gated])
def test_it_is_a_dense_layer_without_the_other_synapses(make):
    """Must match: spikes, output and gradients of the matrix with zeros; must differ: all synapses."""
    net = encoded(make)
    matrix = as_dense(net)
    keep = frozenset({SPIKES})
    found, expected = (each.unroll(values(), FULL, keep=keep) for each in (net, matrix))
    assert 0.02 < expected.spikes[0].mean() < 0.98
    for one, other in zip(found.spikes, expected.spikes, strict=True):
        assert torch.equal(one, other)
    torch.testing.assert_close(found.output, expected.output, rtol=1e-12, atol=1e-12)
    for each, run in ((net, found), (matrix, expected)):
        each.zero_grad()
        run.output.square().sum().backward()
    there = matrix.layers[0].weight.grad
    rows = torch.arange(len(there))
    torch.testing.assert_close(net.layers[0].weight.grad, there[rows, (rows % 12) // 3], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(net.layers[1].weight.grad, matrix.layers[1].weight.grad, rtol=1e-9, atol=1e-12)
    dense = encoded(make, wiring="all_to_all").unroll(values(), FULL).output
    assert (dense - found.output).abs().max() > 1e-3


@pytest.mark.parametrize(("wiring", "reach"), [("one_to_one", 3), ("all_to_all", 12)])
def test_counts_by_hand(wiring, reach):
    """Expected: a multiplication and addition for each value other than 0 and neuron that it reaches; biases."""
    net = encoded(wiring=wiring)
    x = values()
    with torch.no_grad():
        trajectory = net.unroll(x, LENGTHS, keep=frozenset({SPIKES}))
    counter = OperationCounter(net, "real", bits=32)
    counter.update(Batch(x, torch.zeros(BATCH), LENGTHS, torch.arange(BATCH)), trajectory)
    counts = counter.result()
    steps = int(LENGTHS.sum())
    valid = torch.arange(STEPS)[:, None] < LENGTHS
    events = int((x[valid] != 0).sum())
    layer = counts.layers[0]
    assert layer.name == "encoder"
    assert layer.synapses[0].wiring == wiring
    assert layer.synapses[0].operation == "multiply_accumulate"
    assert layer.synapses[0].effective.total == events * reach > 0
    assert layer.synapses[0].dense.total == steps * 4 * reach
    assert layer.synapses[0].weights == 4 * reach
    assert layer.bias_additions.total == steps * 12
    assert layer.weight_reads.total == events * reach + steps * 12
    one_to_one = wiring == "one_to_one"
    heard = events * 3 if one_to_one else int((x[valid] != 0).any(1).sum()) * 12
    assert layer.neuron_updates_with_input.total == heard
    behind = counts.layers[1].synapses[0]
    assert behind.operation == "accumulate"
    fired = int(trajectory.spikes[0][valid].sum())
    assert behind.effective.total == fired * 5 > 0


def test_weights_start_from_the_seed_and_one_input():
    """Expected: of deviation gain, as each neuron has one input; equal for equal seeds alone."""
    made = [
        Encoded(Provided(400, 2, leaky, readout, *given(seed)), **OPTIONS, recurrence_gradient="full")
        for seed in (1, 1, 2)
    ]
    first, again, other = (net.layers[0].weight.detach() for net in made)
    assert first.std().item() == pytest.approx(2.0, rel=0.1)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"population": 0}, r"network\.population=0: a whole number of at least 1"),
        ({"wiring": "local"}, r"network\.wiring='local': one of one_to_one, all_to_all"),
        ({"widths": 5}, r"network\.widths=5: a list of layer sizes such as \[64\] or \[\]"),
        ({"widths": [0]}, r"network\.widths=0: a whole number of at least 1"),
        ({"recurrence": "some"}, r"network\.recurrence='some'"),
        ({"bias": "no"}, r"network\.bias='no': true or false"),
    ],
)
def test_bad_values_are_refused_by_name(changes, message):
    """Expected: an InputError that names the parameter."""
    with pytest.raises(InputError, match=message):
        encoded(**changes)


def test_an_encoder_may_stand_alone():
    """Expected: no layer behind it but the readout, which hears its spikes."""
    net = encoded(widths=[])
    assert [layer.name for layer in net.layers] == ["encoder", "readout"]
    assert net.unroll(values(), FULL).output.shape == (STEPS, BATCH, CLASSES)


def test_a_run_learns_its_code(tmp_path):
    """Expected: a record without contradictions, analogue input, and encoder weights other than at the start."""
    words = [*WORDS, "network=encoded", "encoder=direct", f"paths.runs_dir={tmp_path}", "normalisation=none"]
    spec = compose(words)
    record = run_spec(spec)
    assert record.status == "finished", record.failure
    assert record.counts.layers[0].synapses[0].operation == "multiply_accumulate"
    assert record.counts.layers[0].neurons == 128
    assert record.curve[-1].train_loss < record.curve[0].train_loss
    kept = load_file(folder_of(spec) / "weights.safetensors")["layers.0.weight"]
    assert not torch.equal(kept, build(spec).network.state_dict()["layers.0.weight"])
