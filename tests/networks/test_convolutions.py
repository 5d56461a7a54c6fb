"""Convolutional networks against loops over pixels and taps and snnTorch's `SConv2dLSTM`, their engines and images.

Legend: T steps, B batch, N neurons, C channels; I current.
"""

from __future__ import annotations

import itertools

import pytest
import snntorch as snn
import torch
from torch import Tensor

from fastspiking.choose import Engine
from fastspiking.signals.trajectory import POTENTIAL, SPIKES
from sgbench.errors import InputError
from sgbench.networks.base import Provided
from sgbench.networks.conv import Conv
from tests.networks.sequence_parts import BATCH, CLASSES, LENGTHS, conv, given, leaky, readout, slstm, spikes, surrogate

pytestmark = pytest.mark.usefixtures("no_snntorch_neurons_left")


@pytest.mark.parametrize("stride", [1, 2])
def test_current_of_a_convolution_is_a_sum_over_its_window(stride):
    """Expected: loops over output and input pixels, zeros beyond the border, currents of one kind side by side."""
    layer = conv(slstm, stride=stride).layers[0]
    layer.bias.data = torch.linspace(-1, 1, 12, dtype=torch.float64)
    x = spikes(40)[0, :1]
    image = x.view(2, 4, 5)
    _, height, width = layer.image_out
    assert (height, width) == ((4, 5) if stride == 1 else (2, 3))
    expected = torch.zeros(12, height, width, dtype=torch.float64)
    for row, top, left in itertools.product(range(12), range(height), range(width)):
        expected[row, top, left] = layer.bias[row]
        for c, dy, dx in itertools.product(range(2), range(3), range(3)):
            y, z = stride * top + dy - 1, stride * left + dx - 1
            if 0 <= y < 4 and 0 <= z < 5:
                expected[row, top, left] += layer.weight[row, c, dy, dx] * image[c, y, z]
    torch.testing.assert_close(layer.current(x).view(12, height, width), expected, rtol=1e-12, atol=1e-12)
    gates = layer.current(x).chunk(4, -1)
    torch.testing.assert_close(gates[2].flatten(), expected[6:9].flatten(), rtol=1e-12, atol=1e-12)


def test_convolutional_lstm_is_snntorchs():
    """Must match: `SConv2dLSTM` over 30 steps in spikes, states and weight gradients; its gates lie as i, f, o, g.

    Must differ: with the gates taken in our own order.
    """
    net = conv(slstm, recurrence="all_to_all", bias=False)
    layer = net.layers[0]
    options = {"bias": False, "threshold": 0.125, "spike_grad": surrogate(), "reset_mechanism": "none"}
    theirs = snn.SConv2dLSTM(2, 3, 3, **options).double()
    order = torch.tensor([0, 1, 3, 2])  # ours is i, f, g, o

    def gates(weight: Tensor) -> Tensor:
        return weight.view(4, 3, *weight.shape[1:])[order].flatten(0, 1)

    def run(combined: Tensor) -> tuple[Tensor, Tensor]:
        theirs.conv.weight.data = combined.detach().clone()
        state = tuple(torch.zeros(BATCH, 3, 4, 5, dtype=torch.float64) for _ in range(2))
        sent, hidden = [], []
        for now in x.view(30, BATCH, 2, 4, 5):
            s, *state = theirs(now, *state)
            sent.append(s.flatten(1))
            hidden.append(state[1].flatten(1))
        return torch.stack(sent), torch.stack(hidden)

    x = spikes(40, steps=30)
    ours = net.unroll(x, torch.full((BATCH,), 30), keep=frozenset({SPIKES, POTENTIAL}))
    joined = torch.cat([layer.weight, layer.recurrent], 1)
    sent, hidden = run(gates(joined))
    assert 0.02 < sent.mean() < 0.95
    assert torch.equal(ours.spikes[0], sent)
    torch.testing.assert_close(ours.u[0] + 0.125, hidden, rtol=1e-10, atol=1e-12)
    coefficients = torch.randn(sent.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (theirs_gradient,) = torch.autograd.grad((coefficients * sent).sum(), theirs.conv.weight)
    found = torch.autograd.grad((coefficients * ours.spikes[0]).sum(), [layer.weight, layer.recurrent])
    torch.testing.assert_close(gates(torch.cat(found, 1)), theirs_gradient, rtol=1e-9, atol=1e-9)
    assert not torch.equal(run(joined)[0], sent)


@pytest.mark.parametrize("recurrence", ["none", "one_to_one"])
@pytest.mark.parametrize("engine", ["scan", "fused"])
def test_convolutions_run_on_the_fast_engines(recurrence, engine):
    """Must match: the reference in spikes, outputs and gradients of all weights."""
    results = {}
    for name in (engine, "reference"):
        net = conv(recurrence=recurrence, channels=[3, 4], stride=2)
        net.engine = Engine(name)
        trajectory = net.unroll(spikes(40), LENGTHS, keep=frozenset({SPIKES}))
        trajectory.output.square().sum().backward()
        results[name] = [trajectory.output, *trajectory.spikes, *(weight.grad for weight in net.parameters())]
        assert 0.02 < trajectory.spikes[0].mean() < 0.95
    for one, other in zip(*results.values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_a_convolution_among_neurons_runs_on_the_reference():
    """Expected: auto takes the reference for that layer alone, and says why."""
    net = conv(recurrence="all_to_all")
    name, reason = net.engine.pick(net.layers[0])
    assert name == "reference"
    assert "its recurrence is a convolution" in reason
    assert net.engine.pick(net.layers[1])[0] == "fused"


@pytest.mark.parametrize(
    ("n_inputs", "image", "message"),
    [
        (8, None, r"network\.image=null: 8 inputs are no square"),
        (8, [1, 2, 5], r"network\.image=\[1, 2, 5\]: \[channels, height, width\] that multiply to 8 inputs"),
        (8, [2, 4], r"network\.image=\[2, 4\]"),
        (8, "2x4", r"network\.image='2x4'"),
    ],
)
def test_an_image_has_as_many_pixels_as_there_are_inputs(n_inputs, image, message):
    """Expected: an InputError; null stands for one square channel."""
    options = {
        "channels": [2],
        "kernel_size": 3,
        "stride": 1,
        "pooling": "none",
        "pooling_of": "currents",
        "pool_size": 2,
        "recurrence": "none",
        "recurrence_gradient": "full",
    }
    with pytest.raises(InputError, match=message):
        Conv(Provided(n_inputs, CLASSES, leaky, readout, *given()), image=image, **options, bias=False)
    assert Conv(Provided(9, 2, leaky, readout, *given()), image=None, **options, bias=False).layers[0].image_in == (
        1,
        3,
        3,
    )
