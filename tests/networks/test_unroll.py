"""Unrolling a network over time, in one go or in windows, and what is kept of it.

Expected values come from a literal double loop over steps and layers written here, or from the definition.
"""

import pytest
import torch
from torch import Tensor

from fastspiking.choose import Engine
from fastspiking.signals.trajectory import POTENTIAL, SPIKES
from sgbench.networks.base import RECURRENCES
from sgbench.networks.mlp import Mlp
from tests.networks.small_mlp import (
    BATCH,
    DEPTHS,
    KINDS,
    N_OUT,
    STEPS,
    every_depth,
    every_recurrence,
    full_lengths,
    inputs,
    network,
)


def literal(net: Mlp, x: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Output, spikes and centred potentials of hidden layers: all layers at step t, then step t + 1."""
    states = [None] * len(net.layers)
    last = [torch.zeros(BATCH, layer.weight.shape[0], dtype=x.dtype) for layer in net.layers]
    output, spikes, potentials = [], [[] for _ in net.hidden_layers], [[] for _ in net.layers]
    for now in x:
        signal = now
        for position, layer in enumerate(net.layers):
            current = signal @ layer.weight.T
            if layer.bias is not None:
                current = current + layer.bias
            if layer.recurrent is not None and layer.recurrent.dim() == 1:
                current = current + layer.recurrent * last[position]
            elif layer.recurrent is not None:
                current = current + last[position] @ layer.recurrent.T
            if states[position] is None:
                states[position] = layer.neuron.initial_state(current)
            signal, states[position] = layer.neuron.step(current, states[position])
            last[position] = signal
            potentials[position].append(layer.neuron.centred(states[position]))
            if layer is not net.readout:
                spikes[position].append(signal)
        output.append(signal)
    return torch.stack(output), [torch.stack(one) for one in spikes], [torch.stack(one) for one in potentials]


def gradients(net: Mlp, output: Tensor) -> dict[str, Tensor]:
    """Gradient of an arbitrary functional of the output, by parameter."""
    net.zero_grad()
    weights = torch.linspace(-1, 2, output.numel(), dtype=output.dtype).reshape(output.shape)
    (weights * output.square()).sum().backward()
    return {name: parameter.grad.clone() for name, parameter in net.named_parameters()}


def assert_close(found: Tensor, expected: Tensor, name: str = "") -> None:
    """Within 1e-12 of the largest value: one product for all steps may round otherwise than one a step."""
    scale = max(1.0, expected.abs().max().item())
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12 * scale, msg=lambda text: f"{name}: {text}")


@pytest.mark.one_in(5)
@every_depth
@every_recurrence
@pytest.mark.parametrize("kind", KINDS)
def test_unroll_equals_literal_double_loop(hidden, recurrence, kind):
    """Expected: the double loop over steps and layers of this file; spikes equal, gradients of all parameters."""
    net = network(hidden, recurrence=recurrence, kind=kind)
    trajectory = net.unroll(inputs(), full_lengths(), keep=frozenset({SPIKES, POTENTIAL}))
    found = gradients(net, trajectory.output)
    output, spikes, potentials = literal(net, inputs())
    expected = gradients(net, output)
    assert_close(trajectory.output, output, "output")
    for kept, wanted in zip(trajectory.spikes, spikes, strict=True):
        assert 0 < wanted.mean() < 1, "every hidden layer must fire, and not always"
        assert torch.equal(kept, wanted)
    for kept, wanted in zip(trajectory.u, potentials, strict=True):
        assert_close(kept, wanted, "u")
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        assert gradient.any(), f"{name} has no gradient: the test would say nothing"
        assert_close(found[name], gradient, name)


def test_recurrences_and_depths_give_different_outputs():
    """Must differ: otherwise the loop above could ignore them."""
    outputs = [
        network(hidden, recurrence=recurrence).unroll(inputs(), full_lengths()).output
        for hidden in DEPTHS
        for recurrence in RECURRENCES
    ]
    for position, one in enumerate(outputs):
        for other in outputs[:position]:
            assert (one - other).abs().max() > 1e-3


@pytest.mark.one_in(10)
@every_depth
@every_recurrence
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cuts", [(1,), (13,), (10, 20), (29,)], ids=str)
def test_windows_with_carried_state_equal_one_unroll(hidden, recurrence, kind, cuts):
    """Expected: one unroll over all steps, outputs, spikes, final state and gradients."""
    net = network(hidden, recurrence=recurrence, kind=kind)
    keep = frozenset({SPIKES})
    whole = net.unroll(inputs(), full_lengths(), keep=keep)
    state, outputs, spikes = None, [], []
    for window in torch.tensor_split(inputs(), cuts):
        part = net.unroll(window, full_lengths(), state, keep=keep)
        state = part.state
        outputs.append(part.output)
        spikes.append(part.spikes)
    assert_close(torch.cat(outputs), whole.output)
    for windows, wanted in zip(zip(*spikes, strict=True), whole.spikes, strict=True):
        assert torch.equal(torch.cat(windows), wanted)
    for carried, wanted in zip(state, whole.state, strict=True):
        for one, other in zip(carried, wanted, strict=True):
            assert_close(one, other)
    found, expected = gradients(net, torch.cat(outputs)), gradients(net, whole.output)
    for name, gradient in expected.items():
        assert_close(found[name], gradient, name)


@every_recurrence
def test_windows_from_rest_differ(recurrence):
    """Must differ: a window that starts at rest forgets potential and recurrent spikes."""
    net = network([7], recurrence=recurrence)
    whole = net.unroll(inputs(), full_lengths()).output
    fresh = net.unroll(inputs()[15:], full_lengths()).output
    assert (fresh - whole[15:]).abs().max() > 1e-3


@every_depth
@pytest.mark.parametrize(
    "keep", [frozenset(), frozenset({SPIKES}), frozenset({POTENTIAL}), frozenset({SPIKES, POTENTIAL})], ids=sorted
)
def test_keeps_exactly_what_was_asked(hidden, keep):
    """Expected: spikes of spiking layers alone, potentials of all layers, nothing else; the output as without."""
    net = network(hidden)
    trajectory = net.unroll(inputs(), full_lengths(), keep=keep)
    sizes = [(STEPS, BATCH, size) for size in hidden]
    assert [tuple(one.shape) for one in trajectory.spikes] == (sizes if SPIKES in keep else [])
    everywhere = [*sizes, (STEPS, BATCH, N_OUT)]
    assert [tuple(one.shape) for one in trajectory.u] == (everywhere if POTENTIAL in keep else [])
    assert len(trajectory.state) == len(net.layers)
    assert torch.equal(trajectory.output, net.unroll(inputs(), full_lengths()).output)
    if POTENTIAL in keep:
        assert torch.equal(trajectory.u[-1], trajectory.output)  # a readout shows its potential
    for spikes, u in zip(trajectory.spikes, trajectory.u, strict=False):
        assert torch.equal(spikes, (u > 0).double())


@every_recurrence
def test_lengths_and_padding_do_not_change_outputs_before_them(recurrence):
    """Expected from causality: a sample's valid outputs depend on its valid inputs alone, bit for bit.

    On `reference`: the others sum in an order that depends on the density of all spikes of a batch.
    """
    net = network([7, 5], recurrence=recurrence)
    net.engine = Engine("reference")
    lengths = torch.tensor([1, 7, 19, STEPS])
    padded = inputs()
    other = inputs(seed=6)
    for sample, length in enumerate(lengths):
        padded[length:, sample] = other[length:, sample]
    short = net.unroll(padded, lengths)
    full = net.unroll(inputs(), full_lengths())
    assert torch.equal(short.lengths, lengths)
    for sample, length in enumerate(lengths):
        assert torch.equal(short.output[:length, sample], full.output[:length, sample])
    assert not torch.equal(short.output, full.output)
    net.engine = Engine("auto")
    fast_short, fast_full = net.unroll(padded, lengths), net.unroll(inputs(), full_lengths())
    torch.testing.assert_close(fast_short.output, short.output, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(fast_full.output, full.output, rtol=1e-12, atol=1e-12)


@every_recurrence
def test_samples_do_not_see_each_other(recurrence):
    """Expected: each sample's output as in a batch of its own."""
    net = network([7, 5], recurrence=recurrence)
    together = net.unroll(inputs(), full_lengths()).output
    for sample in range(BATCH):
        alone = net.unroll(inputs()[:, sample : sample + 1], full_lengths()[:1]).output
        assert_close(alone, together[:, sample : sample + 1])
