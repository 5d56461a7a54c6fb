"""Normalisation over time and spike-element-wise blocks against SpikingJelly's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fastspiking.signals.trajectory import SPIKES
from sgbench.errors import InputError
from sgbench.networks.base import Provided
from sgbench.networks.convolution import ConvLayer
from sgbench.networks.spiking_resnet import SpikingResnet
from sgbench.neurons.leaky import Leaky
from sgbench.normalisations.tdbn import Tdbn
from sgbench.surrogates.atan import Atan
from tests.networks.parts import BATCH, FULL, STEPS, given, mlp, readout, spikes

based = pytest.importorskip("spikingjelly.activation_based")
pytestmark = pytest.mark.filterwarnings("ignore")  # of the library, while it runs


def test_tdbn_is_theirs():
    """Must match: `ThresholdDependentBatchNorm1d` over three batches in training and one behind it.

    Theirs starts its gain at alpha theta where ours multiplies by it: equal currents, other gradients of the gain.
    """
    from spikingjelly.activation_based import layer

    ours = mlp().layers[0]
    ours.normalise(Tdbn(alpha=0.75, momentum=0.1, epsilon=1e-5))
    theirs = layer.ThresholdDependentBatchNorm1d(alpha=0.75, v_th=1.0, num_features=7).double()
    raw = mlp().layers[0]
    for seed in range(3):
        x = spikes(6, seed=seed)
        torch.testing.assert_close(ours.current(x), theirs(raw.current(x)), rtol=1e-10, atol=1e-10)
    ours.eval(), theirs.eval()
    x = spikes(6, seed=5)
    torch.testing.assert_close(ours.current(x), theirs(raw.current(x)), rtol=1e-10, atol=1e-10)


def test_a_trained_normalisation_is_written_as_nir():
    """Must match: weights and biases folded by hand; the file's own layer makes the normalised current."""
    nir = pytest.importorskip("nir")
    from sgbench.exchange.nir_export import to_nir

    def zeroed(features: int) -> Leaky:
        options = {"threshold": 1.0, "reset": "zero", "reset_gradient": "detached"}
        surrogate = Atan(alpha=2.0, width_fwhm=None, normalisation="peak1", scale=1.0)
        return Leaky(surrogate, features, beta=0.8, **options, learn_beta="none", learn_threshold="none")

    net = mlp((7,), zeroed)
    net.normalise(Tdbn(alpha=0.5, momentum=0.3, epsilon=1e-3))
    net.train().unroll(spikes(6), FULL)
    with pytest.raises(InputError, match="normalised over time"):
        to_nir(net, dt_s=0.001)
    node = to_nir(net.eval(), dt_s=0.001).nodes["hidden0.weights"]
    assert isinstance(node, nir.Affine)
    norm, weight = net.layers[0].normaliser, net.layers[0].weight.detach()
    slope = 0.5 / (norm.running_var + 1e-3).sqrt()
    torch.testing.assert_close(torch.from_numpy(node.weight), slope[:, None] * weight)
    torch.testing.assert_close(torch.from_numpy(node.bias), -slope * norm.running_mean)


def fires(features: int) -> Any:
    """Integrators with the reset of theirs."""
    surrogate = Atan(alpha=2.0, width_fwhm=None, normalisation="raw", scale=1.0)
    options = {"threshold": 1.0, "reset": "subtract_decayed", "reset_gradient": "detached"}
    return Leaky(surrogate, features, beta=1.0, **options, learn_beta="none", learn_threshold="none")


@pytest.mark.parametrize("connect", ["add", "and", "iand"])
def test_blocks_are_theirs(connect):
    """Must match: the spikes of two blocks, the second with a shortcut, of `sew_resnet.BasicBlock`."""
    from spikingjelly.activation_based import functional, layer, neuron
    from spikingjelly.activation_based.model.sew_resnet import BasicBlock

    net = SpikingResnet(
        Provided(48, 2, fires, readout, *given()),
        image=[2, 4, 6],
        channels=[3, 4],
        blocks=[1, 1],
        connect=connect,
        bias=False,
    )
    net.normalise(Tdbn(alpha=1.0, momentum=0.1, epsilon=1e-5))
    net.train()
    found = net.unroll(spikes(48), FULL, keep=frozenset({SPIKES})).spikes
    options = {"spiking_neuron": neuron.IFNode, "v_reset": None, "detach_reset": True}

    def block(first: ConvLayer, second: ConvLayer, shortcut: ConvLayer | None, stride: int) -> nn.Module:
        downsample = None
        if shortcut is not None:
            downsample = nn.Sequential(layer.Conv2d(3, 4, 1, stride=stride, bias=False), layer.BatchNorm2d(4))
            downsample[0].weight.data = shortcut.weight.detach().float()
        made = BasicBlock(3, second.image_out[0], stride, downsample, cnf=connect.upper(), **options)
        made.conv1.weight.data, made.conv2.weight.data = first.weight.detach(), second.weight.detach()
        made = made.double()
        functional.set_step_mode(made, "m")
        return made

    layers: Any = list(net.layers)
    signal: Tensor = found[0].view(STEPS, BATCH, 3, 4, 6)
    received = net.received(spikes(48), [*found, None])
    for index, (parts, stride) in enumerate((((1, 2, None), 1), ((3, 4, 5), 2))):
        first, second, shortcut = (None if place is None else layers[place] for place in parts)
        signal = block(first, second, shortcut, stride)(signal)
        ours = received[3 if index == 0 else 6]
        assert torch.equal(signal.flatten(2), ours), index
        assert 0 < ours.mean() < 1.9
