"""Spike-element-wise residual networks: what a block passes on, its literal meaning, its costs.

Expected values come from the paper's identity mapping, from truth tables, and from loops over steps with torch's
convolutions.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fastspiking.signals.trajectory import POTENTIAL, SPIKES, Batch
from sgbench.composition.compose import compose
from sgbench.energy.count import OperationCounter
from sgbench.errors import InputError
from sgbench.exchange.nir_export import to_nir
from sgbench.networks.base import Provided
from sgbench.networks.spiking_resnet import CONNECTS, SpikingResnet
from sgbench.neurons.base import Neuron
from sgbench.normalisations.tdbn import Tdbn
from sgbench.training.runner import run_spec
from tests.messages import raises_naming
from tests.networks.parts import BATCH, FULL, LENGTHS, given, leaky, readout, spikes
from tests.run.tiny import WORDS

every_connect = pytest.mark.parametrize("connect", CONNECTS)
IMAGE = [2, 4, 6]


def resnet(connect: str = "add", make: Any = leaky, **changes: Any) -> SpikingResnet:
    """Two stages of one block each."""
    options = {"image": IMAGE, "channels": [3, 4], "blocks": [1, 1], "connect": connect, "bias": True}
    words = {**options, **changes}
    made = SpikingResnet(Provided(48, 2, make, readout, *given(gain=3.0)), **words)
    for layer in made.layers:
        if layer.bias is not None:
            layer.bias.data += torch.linspace(0, 0.4, layer.bias.numel())
    return made


def test_connections_have_the_truth_tables_of_the_paper():
    """Expected: A + S, A and S, (not A) and S, for all four pairs."""
    residual, straight = torch.tensor([0.0, 0.0, 1.0, 1.0]), torch.tensor([0.0, 1.0, 0.0, 1.0])
    tables = {"add": [0, 1, 1, 2], "and": [0, 0, 0, 1], "iand": [0, 1, 0, 0]}
    for connect, table in tables.items():
        assert resnet(connect).join(residual, straight).tolist() == table


@every_connect
def test_a_deep_stack_of_silent_branches_passes_on_what_it_gets(connect):
    """Expected: ten blocks whose residual branch is 0 (and: 1) are the identity, in spikes and gradient.

    Must differ: with branches that fire now and then.
    """
    deep = resnet(connect, channels=[3], blocks=[10])
    for block in deep.blocks:
        layer = deep.layers[block.second]
        layer.weight.data.zero_()
        layer.bias.data.fill_(50.0 if connect == "and" else -50.0)
    shallow = resnet(connect, channels=[3], blocks=[1])
    shallow.layers[0].load_state_dict(deep.layers[0].state_dict())
    shallow.readout.load_state_dict(deep.readout.state_dict())
    stem = deep.engine.unroll([deep.layers[0]], spikes(48))[0].output
    assert 0.02 < stem.mean() < 0.9
    assert torch.equal(deep.received(spikes(48), sent(deep))[-1], stem)
    stem_weight = deep.layers[0].weight
    found = torch.autograd.grad(deep.unroll(spikes(48), FULL).output.square().sum(), stem_weight)[0]
    alone = shallow.engine.unroll([shallow.layers[0], shallow.readout], spikes(48))[-1].output
    expected = torch.autograd.grad(alone.square().sum(), shallow.layers[0].weight)[0]
    assert expected.any()
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    firing = resnet(connect, channels=[3], blocks=[10])
    assert not torch.equal(firing.received(spikes(48), sent(firing))[-1], stem)


def sent(net: SpikingResnet) -> list[Tensor | None]:
    """Spikes of all layers."""
    with torch.no_grad():
        return [*net.unroll(spikes(48), FULL, keep=frozenset({SPIKES})).spikes, None]


def literal(net: SpikingResnet, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Output and spikes by name, all layers at step t, then step t + 1, with torch's convolutions."""
    states: dict[str, Any] = {}
    outputs, found = [], {layer.name: [] for layer in net.hidden_layers}

    def fire(layer: Any, signal: Tensor, stride: int, padding: int) -> Tensor:
        current = nn.functional.conv2d(signal, layer.weight, layer.bias, stride=stride, padding=padding)
        flat = current.flatten(1)
        state = states.get(layer.name) or layer.neuron.initial_state(flat)
        fired, states[layer.name] = layer.neuron.step(flat, state)
        found[layer.name].append(fired)
        return fired.view_as(current)

    by_name = {layer.name: layer for layer in net.layers}
    for now in x:
        signal = fire(by_name["stem"], now.view(BATCH, *IMAGE), 1, 1)
        for index in range(2):
            name, stride = f"block{index}", 1 + index
            residual = fire(by_name[f"{name}_first"], signal, stride, 1)
            residual = fire(by_name[f"{name}_second"], residual, 1, 1)
            if index:
                signal = fire(by_name[f"{name}_shortcut"], signal, stride, 0)
            both = (residual, signal)
            signal = {"add": sum, "and": lambda b: b[0] * b[1], "iand": lambda b: (1 - b[0]) * b[1]}[net.connect](both)
        current = signal.mean((2, 3)) @ net.readout.weight.T + net.readout.bias
        state = states.get("readout") or net.readout.neuron.initial_state(current)
        out, states["readout"] = net.readout.neuron.step(current, state)
        outputs.append(out)
    return torch.stack(outputs), {name: torch.stack(each) for name, each in found.items()}


@every_connect
def test_unroll_is_a_loop_over_steps_and_blocks(connect):
    """Must match: the loop above, in spikes of every layer, output and gradients of all weights."""
    net = resnet(connect)
    assert [layer.name for layer in net.layers] == [
        "stem",
        *(f"block0_{part}" for part in ("first", "second")),
        *(f"block1_{part}" for part in ("first", "second", "shortcut")),
        "readout",
    ]
    found = net.unroll(spikes(48), FULL, keep=frozenset({SPIKES, POTENTIAL}))
    output, fired = literal(net, spikes(48))
    for layer, one in zip(net.hidden_layers, found.spikes, strict=True):
        assert 0.01 < fired[layer.name].mean() < 0.99, layer.name
        assert torch.equal(one, fired[layer.name]), layer.name
    torch.testing.assert_close(found.output, output, rtol=1e-12, atol=1e-12)
    assert len(found.u) == len(found.state) == 7
    weights = list(net.parameters())
    ours, theirs = (torch.autograd.grad(each.square().sum(), weights) for each in (found.output, output))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)


def test_connections_differ():
    """Must differ: the outputs of the three."""
    outputs = [resnet(connect).unroll(spikes(48), FULL).output for connect in CONNECTS]
    for position, one in enumerate(outputs):
        assert all((one - other).abs().max() > 1e-3 for other in outputs[:position])


def test_windows_with_carried_state_are_one_unroll():
    """Expected: two windows with the state handed on give the output of one, as no normalisation is there."""
    net = resnet()
    first = net.unroll(spikes(48)[:2], FULL)
    second = net.unroll(spikes(48)[2:], FULL, first.state)
    whole = net.unroll(spikes(48), FULL)
    torch.testing.assert_close(torch.cat([first.output, second.output]), whole.output, rtol=1e-12, atol=1e-12)


@every_connect
def test_counts_are_those_of_a_walk(connect):
    """By hand: an addition for each value that a block joins, events times their synapses, kinds and sources."""
    net = resnet(connect)
    x, steps = spikes(48), int(LENGTHS.sum())
    with torch.no_grad():
        trajectory = net.unroll(x, LENGTHS, keep=frozenset({SPIKES}))
    counter = OperationCounter(net, "binary", bits=32)
    counter.update(Batch(x, torch.zeros(BATCH), LENGTHS, torch.arange(BATCH)), trajectory)
    layers = {layer.name: layer for layer in counter.result().layers}
    added = {name: layer.residual_additions.total for name, layer in layers.items()}
    assert added.pop("block0_second") == steps * 3 * 24
    assert added.pop("block1_second") == steps * 4 * 6
    assert not any(added.values())
    whole = connect == "add"
    origin = {
        "stem": ("input", "accumulate"),
        "block0_first": ("stem", "accumulate"),
        "block0_second": ("block0_first", "accumulate"),
        "block1_first": ("block0", "multiply_accumulate" if whole else "accumulate"),
        "block1_second": ("block1_first", "accumulate"),
        "block1_shortcut": ("block0", "multiply_accumulate" if whole else "accumulate"),
        "readout": ("block1", "multiply_accumulate"),  # the mean over pixels is no spike
    }
    assert {name: (each.synapses[0].source, each.synapses[0].operation) for name, each in layers.items()} == origin
    fired = dict(zip([layer.name for layer in net.hidden_layers], trajectory.spikes, strict=True))
    joined = net.join(fired["block0_second"], fired["stem"])
    valid = (torch.arange(len(x))[:, None] < LENGTHS)[..., None]
    events = ((joined != 0) & valid).double()
    # each pixel of the shortcut hears its own place alone, every second one of them; 4 channels listen
    places = events.view(-1, BATCH, 3, 4, 6)[..., ::2, ::2]
    assert layers["block1_shortcut"].synapses[0].effective.total == 4 * int(places.sum()) > 0
    ones = torch.ones(4, 3, 3, 3, dtype=torch.float64)
    heard = nn.functional.conv2d(events.view(-1, 3, 4, 6), ones, stride=2, padding=1)
    assert layers["block1_first"].synapses[0].effective.total == int(heard.sum()) > 0
    assert layers["readout"].pooling_operations.total == steps * 4 * 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"connect": "or"}, r"network\.connect='or': one of add, and, iand"),
        ({"channels": []}, r"network\.channels=\[\]: a list such as \[16, 32\]"),
        ({"blocks": [1]}, r"network\.blocks=\[1\]: 2 stages have channels"),
        ({"blocks": [1, 0]}, r"network\.blocks=0: a whole number of at least 1"),
        ({"image": [1, 2, 3]}, r"network\.image=\[1, 2, 3\]: .* multiply to 48 inputs"),
        ({"bias": None}, r"network\.bias=None: true or false"),
    ],
)
def test_bad_values_are_refused_by_name(changes, message):
    """Expected: an InputError that names the parameter and what is needed."""
    with pytest.raises(InputError, match=message):
        resnet(**changes)


@pytest.mark.slow
def test_gates_need_spikes_of_0_and_1():
    """Expected: neurons that send spikes of either sign are refused with `and`, and taken with `add`."""
    from sgbench.firing.ternary import Ternary

    def signed(features: int) -> Neuron:
        neuron = leaky(features)
        Ternary(threshold=1.0).begin(neuron.surrogate)
        return neuron

    with raises_naming(InputError, "network.connect=and", "signed", "network.connect=add"):
        resnet("and", signed)
    assert resnet("add", signed).unroll(spikes(48), FULL).output.isfinite().all()


def test_it_is_not_written_as_nir():
    """Expected: one line that says why."""
    with raises_naming(InputError, "NIR", "SpikingResnet"):
        to_nir(resnet(), dt_s=0.001)


@pytest.mark.slow
def test_a_run_ends_in_a_record(tmp_path):
    """Expected: a finished record, checked against itself, with normalisation and dropout before the readout."""
    words = ("network=spiking_resnet", "network.channels=[4,6]", "normalisation=tdbn", "dropout=shared_mask")
    record = run_spec(compose([*WORDS, *words, "protocol.epochs=1", f"paths.runs_dir={tmp_path}"]))
    assert record.status == "finished", record.failure
    assert [layer.name for layer in record.test.activity][:2] == ["stem", "block0_first"]
    assert record.counts.layers[2].residual_additions.total == record.counts.steps * 4 * 64


def test_normalisation_keeps_deep_networks_alive():
    """Expected: with it all layers of six blocks fire and every weight has a gradient. Must differ: without."""
    deep = resnet(channels=[3], blocks=[6], bias=False)
    plain = [each.mean().item() for each in sent(deep)[:-1]]
    deep.normalise(Tdbn(alpha=1.0, momentum=0.1, epsilon=1e-5))
    trajectory = deep.train().unroll(spikes(48), FULL, keep=frozenset({SPIKES}))
    rates = [each.mean().item() for each in trajectory.spikes]
    assert all(0.02 < rate < 0.6 for rate in rates)
    assert max(plain) - min(plain) > 2 * (max(rates) - min(rates))
    trajectory.output.square().sum().backward()
    assert all(layer.weight.grad.any() for layer in deep.layers)
