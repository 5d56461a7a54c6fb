"""Pooling in convolutional networks: its order, what arrives behind it, what it costs, and the image it works on.

Expected values come from torch's own pooling layers between literal steps, and from walks over windows.
"""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from fastspiking.choose import Engine
from fastspiking.signals.trajectory import SPIKES, Batch
from sgbench.composition.compose import compose
from sgbench.datasets.digits import Digits
from sgbench.energy.count import OperationCounter
from sgbench.errors import InputError
from sgbench.networks.base import Provided
from sgbench.networks.conv import Conv
from sgbench.networks.pool import Pool
from sgbench.records.counts import OpCounts
from sgbench.records.method import method_id
from sgbench.training.build import build
from tests.networks.parts import BATCH, FULL, LENGTHS, conv, given, leaky, readout, spikes

KINDS = ("max", "average")
PLACES = ("currents", "spikes")
every_kind = pytest.mark.parametrize("kind", KINDS)
every_place = pytest.mark.parametrize("place", PLACES)


def literal(
    net: Conv, x: Tensor, pool: nn.Module, place: str, pooled: tuple[int, ...] = (1, 2)
) -> tuple[Tensor, list[Tensor]]:
    """Output and spikes [T, B, C, H, W] of hidden layers, step by step with torch's layers."""
    states: list = [None] * len(net.layers)
    output, sent = [], [[] for _ in net.hidden_layers]
    for now in x:
        signal = now.view(BATCH, *net.layers[0].image_in)
        for position, layer in enumerate(net.hidden_layers):
            current = nn.functional.conv2d(signal, layer.weight, layer.bias, layer.stride, padding=1)
            here = position + 1 in pooled
            current = pool(current) if place == "currents" and here else current
            flat = current.flatten(1)
            states[position] = states[position] or layer.neuron.initial_state(flat)
            fired, states[position] = layer.neuron.step(flat, states[position])
            signal = fired.view_as(current)
            sent[position].append(signal)
            signal = pool(signal) if place == "spikes" and here else signal
        flat = nn.functional.linear(signal.flatten(1), net.readout.weight, net.readout.bias)
        states[-1] = states[-1] or net.readout.neuron.initial_state(flat)
        out, states[-1] = net.readout.neuron.step(flat, states[-1])
        output.append(out)
    return torch.stack(output), [torch.stack(each) for each in sent]


@every_kind
@every_place
@pytest.mark.parametrize("engine", ["reference", "auto"])
def test_pooling_stands_where_it_is_said_to(kind, place, engine):
    """Must match: torch's pooling layers in a loop over steps, in spikes, output and gradients; sides not of 2."""
    net = conv((2, 5, 7), engine, pooling=kind, pooling_of=place)
    x = spikes(70)
    pool = {"max": nn.MaxPool2d(2), "average": nn.AvgPool2d(2)}[kind]
    found = net.unroll(x, FULL, keep=frozenset({SPIKES}))
    output, sent = literal(net, x, pool, place)
    for one, other in zip(found.spikes, sent, strict=True):
        assert 0.02 < other.mean() < 0.95
        assert torch.equal(one, other.flatten(2))
    torch.testing.assert_close(found.output, output, rtol=1e-12, atol=1e-12)
    weights = list(net.parameters())
    ours, theirs = (
        torch.autograd.grad(each.square().sum(), weights, retain_graph=True) for each in (found.output, output)
    )
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_orders_and_kinds_differ():
    """Must differ: pooling of currents or spikes, by maximum or mean, and none; numbers of neurons and outputs."""
    made = {(kind, place): conv(pooling=kind, pooling_of=place) for kind in KINDS for place in PLACES}
    made["none", "currents"] = conv()
    assert [layer.neurons for layer in made["max", "currents"].hidden_layers] == [3 * 2 * 3, 4 * 1 * 1]
    assert [layer.neurons for layer in made["max", "spikes"].hidden_layers] == [3 * 4 * 6, 4 * 2 * 3]
    outputs = [net.unroll(spikes(48), FULL).output for net in made.values()]
    for one, other in itertools.combinations(outputs, 2):
        assert (one - other).abs().max() > 1e-3


def counted(net: Conv, x: Tensor) -> tuple[OpCounts, tuple[Tensor, ...]]:
    """Operations over one batch, and the spikes."""
    with torch.no_grad():
        trajectory = net.unroll(x, LENGTHS, keep=frozenset({SPIKES}))
    counter = OperationCounter(net, "binary", bits=32)
    counter.update(Batch(x, torch.zeros(BATCH), LENGTHS, torch.arange(BATCH)), trajectory)
    return counter.result(), trajectory.spikes


def heard(place: tuple[int, int], sides: tuple[int, int]) -> list[tuple[int, int]]:
    """Places of a 3 x 3 convolution that an event reaches."""
    near = itertools.product(*(range(max(0, at - 1), min(side, at + 2)) for at, side in zip(place, sides, strict=True)))
    return list(near)


@every_kind
@every_place
def test_counts_are_those_of_a_walk(kind, place):
    """Expected: events walked through windows and synapses of the second layer and the readout, by hand."""
    net = conv((2, 5, 7), pooling=kind, pooling_of=place)
    counts, sent = counted(net, spikes(70))
    steps = int(LENGTHS.sum())
    second = net.layers[1]
    sides = (5, 7) if place == "currents" else (2, 3)  # of what the second layer receives
    images = sent[0].view(-1, BATCH, 3, 5, 7) if place == "spikes" else sent[0].view(-1, BATCH, 3, 2, 3)
    sides = images.shape[3:]
    synapses = reached = arriving_readout = 0
    for sample, t in itertools.product(range(BATCH), range(6)):
        if t >= LENGTHS[sample]:
            continue
        image, pooled_sides = images[t, sample], sides
        if place == "spikes":
            pooled_sides = (2, 3)
            windows = image[:, :4, :6].reshape(3, 2, 2, 3, 2)
            image = windows.amax((2, 4)) if kind == "max" else windows.mean((2, 4))
        hit = set()
        for _, row, column in image.nonzero().tolist():
            places = heard((row, column), pooled_sides)
            synapses += 4 * len(places)
            hit |= set(places)
        if place == "currents":
            hit = {(row // 2, column // 2) for row, column in hit if row < 2 and column < 2}
        reached += 4 * len(hit)
        last = sent[1].view(-1, BATCH, 4, *second.image_out[1:])[t, sample]
        if place == "spikes":
            last = last[:, :2, :2].amax((1, 2)) if kind == "max" else last[:, :2, :2].sum((1, 2))
        arriving_readout += int((last != 0).sum())
    found = counts.layers[1]
    assert found.synapses[0].effective.total == synapses > 0
    assert found.neuron_updates_with_input.total == reached > 0
    assert found.neurons == second.neurons
    assert counts.layers[2].synapses[0].effective.total == arriving_readout * 2 > 0
    mean = kind == "average" and place == "spikes"
    for layer in counts.layers[1:]:
        assert layer.synapses[0].operation == ("multiply_accumulate" if mean else "accumulate")
    values = 3 if kind == "max" else 4
    # windows of 2 x 2 in images of 5 x 7, then 2 x 3; biases of the sums before them
    pooled = [3 * 6 * values, 4 * 1 * values, 0] if place == "currents" else [0, 3 * 6 * values, 4 * values]
    assert [layer.pooling_operations.total for layer in counts.layers] == [steps * each for each in pooled]
    sums = [3 * 35, 4 * 6, 2]
    assert [layer.bias_additions.total for layer in counts.layers] == [steps * each for each in sums]


def test_pooled_values_are_those_of_torchs_layers():
    """Expected: torch's layers on images of several currents side by side; leading dimensions of any number."""
    x = torch.randn(2, 3, 4 * 5 * 6, generator=torch.Generator().manual_seed(0))
    for kind, layer in (("max", nn.MaxPool2d((2, 3))), ("average", nn.AvgPool2d((2, 3)))):
        found = Pool(kind, (2, 5, 6), 2, 3)(x)
        assert torch.equal(found, layer(x.view(6, 4, 5, 6)).view(2, 3, -1))


def test_an_image_comes_from_the_data_set(monkeypatch):
    """Expected: told, stated by the data set, or one square channel, in this order; not behind a code of others."""
    words = ["experiment=digits", "network=conv"]

    def image(*more: str) -> tuple[int, ...]:
        return build(compose([*words, *more])).network.layers[0].image_in

    assert image() == (1, 8, 8)
    monkeypatch.setattr(Digits, "image", (1, 4, 16))
    assert image() == (1, 4, 16)
    assert image("network.image=[4,4,4]") == (4, 4, 4)
    with pytest.raises(InputError, match="320 inputs are no square"):
        image("encoder=population", "encoder.neurons=5")
    events = Conv(Provided(2 * 34 * 34, 10, leaky, readout, *given(), (2, 34, 34)), **OPTIONS)
    assert [layer.image_out for layer in events.hidden_layers] == [(8, 17, 17), (16, 8, 8)]


OPTIONS = {"image": None, "channels": [8, 16], "kernel_size": 3, "stride": 1, "pooling": "max", "bias": False}
OPTIONS |= {"pooling_of": "currents", "pool_size": 2, "recurrence": "none", "recurrence_gradient": "full"}


def test_networks_without_pooling_keep_their_names():
    """Expected: the ids that these methods had before there was pooling; must differ with it."""
    words = ["experiment=digits", "network=conv"]
    assert method_id(compose(words).method) == "37ac115d8ac1"
    assert method_id(compose([*words, "network.pooling=max"]).method) != "37ac115d8ac1"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pooling": "mean"}, r"network\.pooling='mean': one of none, max, average"),
        ({"pooling_of": "potentials"}, r"network\.pooling_of='potentials': one of currents, spikes"),
        ({"pool_size": 1}, r"network\.pool_size=1: a whole number of at least 2"),
        ({"pooling": "max", "pool_size": 5}, r"network\.pool_size=5: windows are larger than .* 4 x 6 pixels"),
        ({"pooling": "max", "pool_size": 3}, r"network\.pool_size=3: .* 1 x 2 pixels"),
    ],
)
def test_bad_values_are_refused_by_name(changes, message):
    """Expected: an InputError that names the parameter and the mend."""
    with pytest.raises(InputError, match=message):
        conv(**changes)


def test_the_fast_engines_take_a_pooled_layer():
    """Expected: auto runs each layer on the compiled engine, as without pooling."""
    net = conv(pooling="max", pooling_of="spikes")
    assert {net.engine.pick(layer)[0] for layer in net.layers} == {Engine("auto").pick(conv().layers[0])[0]}


@every_kind
@every_place
@pytest.mark.parametrize("pooled", [(1,), (2,)])
def test_layers_that_are_not_named_are_not_pooled(kind, place, pooled):
    """Must match: the loop of torch's layers with pooling in the named layer alone; must differ: in both."""
    words = {"pooling": kind, "pooling_of": place}
    net, x = conv(pooled_layers=list(pooled), **words), spikes(48)
    pool = nn.MaxPool2d(2) if kind == "max" else nn.AvgPool2d(2)
    expected, _ = literal(net, x, pool, place, pooled)
    torch.testing.assert_close(net.unroll(x, FULL).output, expected, rtol=1e-12, atol=1e-12)
    assert net.readout.weight.shape != conv(**words).readout.weight.shape


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"pooled_layers": [3], "pooling": "max"}, r"network\.pooled_layers=\[3\]: there are 2 hidden layers"),
        ({"pooled_layers": [1]}, r"network\.pooled_layers=\[1\]: use network\.pooling=average"),
        ({"pooled_layers": 1, "pooling": "max"}, r"network\.pooled_layers=1: a list such as"),
    ],
)
def test_pooled_layers_have_to_exist(words, message):
    with pytest.raises(InputError, match=message):
        conv(**words)
