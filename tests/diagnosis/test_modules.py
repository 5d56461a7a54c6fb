"""Networks of snnTorch, seen through hooks: equal to the same network of ours, and three kinds told apart."""

from __future__ import annotations

import math
from typing import Any

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

import sgbench
from benchmarks.outlook_foreign import Dense, Images, Recurrent
from sgbench.errors import InputError, NonFiniteError
from sgbench.networks.base import DenseLayer
from sgbench.surrogates.base import Surrogate
from tests.diagnosis.made import batch, fast_sigmoid, network, objective, rectangle
from tests.diagnosis.test_flow_and_activity import diagnosed
from tests.messages import lines_naming, raises_naming

pytestmark = pytest.mark.usefixtures("no_snntorch_neurons_left")


def squares(net: nn.Module, x: Tensor) -> Tensor:
    """The mean square of everything that comes out."""
    return net(x).square().mean()


def spikes(*shape: int, rate: float = 0.3) -> Tensor:
    """Random spikes of single precision."""
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(1)) < rate).float()


def test_hooks_see_what_the_recorder_of_our_network_sees() -> None:
    """Independent: snnTorch runs one of the two; both agree but for its decay, kept in single precision."""
    ours, given = network([5, 6, 2], fast_sigmoid, gain=2.0), batch(8, 3, 5, 2)
    theirs = Dense([5, 6], fast_sigmoid()).double()
    readout = nn.Linear(6, 2, bias=False).double()
    with torch.no_grad():
        theirs.dense[0].weight.copy_(ours.layers[0].weight)  # type: ignore[union-attr, operator, arg-type]
        readout.weight.copy_(ours.layers[1].weight)  # type: ignore[union-attr, arg-type]

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.readout = theirs, readout

        def forward(self, x: Tensor) -> Tensor:
            membrane, total, kept = self.body.spiking[0].reset_mem(), torch.zeros(3, 2).double(), []
            for now in x:
                sent, membrane = self.body.spiking[0](self.body.dense[0](now), membrane)
                total = 0.9 * total + self.readout(sent)
                kept.append(total)
            return torch.stack(kept)

    def loss(net: nn.Module, given: Any) -> Tensor:
        return 0.5 * (net(given.x) - given.target.transpose(0, 1)).square().sum()

    (found,) = sgbench.diagnose_module(Whole(), given, loss).layers
    expected = diagnosed(ours, [given], objective()).layers[0]
    for name in ("grad_norm", "nonzero_points", "in_window_fraction", "mean_slope", "rate_per_step", "dead_fraction"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-5), name
    assert found.grad_norm_by_step == pytest.approx(expected.grad_norm_by_step, rel=1e-5)
    assert found.jacobian_norm is None


def test_dense_tutorial_networks_are_told_dead_or_fine() -> None:
    """A quiet start is dead to a compact surrogate, and fine to one with tails; the remedies say so."""
    torch.manual_seed(0)
    quiet = spikes(20, 8, 64, rate=0.02)
    dead = sgbench.diagnose_module(Dense([64, 48, 48, 10], rectangle(0.1)), quiet, squares)
    assert dead.outlook == "dead"
    assert lines_naming("\n".join(dead.advice), "spike_grad=surrogate.atan()")
    fine = sgbench.diagnose_module(Dense([64, 48, 48, 10], snn.surrogate.atan()), spikes(20, 8, 64), squares)
    assert fine.outlook == "fine"
    assert not lines_naming("\n".join(fine.advice), "spike_grad=surrogate.atan()")
    assert [layer.name for layer in fine.layers] == ["spiking.0", "spiking.1", "spiking.2"]


def test_a_convolution_with_hidden_states_counts_its_pixels() -> None:
    """Hand count: 4 channels of 6 x 6 pixels, then 5 neurons; two batches have a scatter."""
    torch.manual_seed(0)
    net = Images(snn.surrogate.fast_sigmoid(slope=5))
    found = sgbench.diagnose_module(net, [spikes(10, 4, 1, 8, 8), spikes(10, 4, 1, 8, 8, rate=0.5)], squares)
    assert [(layer.name, layer.neurons) for layer in found.layers] == [("lif1", 144), ("lif2", 5)]
    assert found.samples == 8
    assert found.layers[0].signal_to_noise is not None
    assert found.outlook == "fine"


def test_recurrent_networks_explode_with_a_wide_surrogate_and_large_weights() -> None:
    """Mathematics: with slope 1 everywhere a step back multiplies by beta + V, whose norm the gain sets."""
    torch.manual_seed(0)
    wide = snn.surrogate.fast_sigmoid(slope=0.01)
    loud = sgbench.diagnose_module(Recurrent(wide, 3.0), spikes(40, 4, 10), squares)
    assert loud.outlook == "explodes"
    assert any("narrow the surrogate" in line for line in loud.advice)
    assert sgbench.diagnose_module(Recurrent(wide, 0.01), spikes(40, 4, 10), squares).outlook == "fine"


def test_our_neurons_in_somebodys_own_module_are_seen() -> None:
    """Our explicit state, stepped by hand in a module of one's own."""

    class Own(nn.Module):
        def __init__(self, surrogate: Surrogate) -> None:
            super().__init__()
            self.dense = DenseLayer("own", 5, 4, network([5, 4, 2], lambda: surrogate).layers[0].neuron)  # type: ignore[arg-type, union-attr]
            nn.init.normal_(self.dense.weight)

        def forward(self, x: Tensor) -> Tensor:
            state, kept = self.dense.neuron.initial_state(self.dense.current(x[0])), []
            for now in x:
                sent, state = self.dense.neuron.step(self.dense.current(now), state)
                kept.append(sent)
            return torch.stack(kept)

    (layer,) = sgbench.diagnose_module(Own(fast_sigmoid()), spikes(6, 3, 5).double(), squares).layers
    assert (layer.name, layer.neurons) == ("dense.neuron", 4)


def test_what_cannot_be_seen_is_refused_in_a_line() -> None:
    """No spiking layer, one never called, a loss of no number, weights that are none, one of our networks."""
    x = spikes(4, 2, 8)
    with raises_naming(InputError, "Linear", "snnTorch's"):
        sgbench.diagnose_module(nn.Linear(8, 2), x, squares)
    net = Dense([8, 4], snn.surrogate.atan())
    with raises_naming(InputError, "spiking layer", "loss(net, batch)"):
        sgbench.diagnose_module(net, x, lambda net, x: net.dense[0](x).mean())
    with pytest.raises(InputError, match="one number as a tensor"):
        sgbench.diagnose_module(net, x, lambda net, x: net(x))
    for loss in (
        lambda net: net(x).mean(),
        lambda net, x, target: net(x).mean() - target,
        nn.functional.mse_loss(x, x),
        nn.functional.cross_entropy,
        nn.MSELoss(),
    ):
        with raises_naming(InputError, "loss(net, batch)", "lambda net, batch: "):
            sgbench.diagnose_module(net, x, loss)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"sgbench\.diagnose"):
        sgbench.diagnose_module(network([5, 2], fast_sigmoid), x, squares)
    with torch.no_grad():
        net.dense[0].weight[0, 0] = math.nan  # type: ignore[index, operator]
    with raises_naming(NonFiniteError, "'dense.0.weight'", "not finite"):
        sgbench.diagnose_module(net, x, squares)
