"""What serves a user's network takes it as its author wrote it, in 18 idioms: diagnosis, energy, advice, width."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import sgbench
from sgbench.recommendation.hooks import recurrent_layers
from sgbench.recommendation.start import measure_module
from tests.yours.idioms import BATCH, IDIOMS, STEPS, tensors

pytestmark = [
    pytest.mark.usefixtures("no_snntorch_neurons_left"),
    pytest.mark.filterwarnings("ignore:Inhibition is an unstable feature"),
]


def made(name: str) -> nn.Module:
    torch.manual_seed(4)
    return IDIOMS[name].make()


def squares(net: nn.Module, x: Any) -> Tensor:
    return torch.stack([tensor.square().mean() for tensor in tensors(net(x))]).sum()


@pytest.mark.parametrize("name", IDIOMS)
def test_a_network_is_diagnosed_as_it_is_written(name: str) -> None:
    """Expected: both layers where both are called, and the loss that the network itself has from rest."""
    net, batch = made(name), IDIOMS[name].batch
    torch.manual_seed(0)
    found = sgbench.diagnose_module(net, batch, squares)
    assert [layer.name for layer in found.layers] == (["lif1"] if name == "arguments by name" else ["lif1", "lif2"])
    assert all(layer.rate_per_step is not None for layer in found.layers)
    for layer in net.modules():
        if hasattr(layer, "reset_mem"):
            layer.reset_mem()  # type: ignore[operator]
    torch.manual_seed(0)
    assert found.loss == pytest.approx(squares(net, batch).item(), rel=1e-6)


@pytest.mark.parametrize("name", IDIOMS)
def test_a_network_is_priced_as_it_is_written(name: str) -> None:
    """Expected: steps are the calls of the layers; spikes sent are those that the diagnosis sees."""
    kind = "binary" if IDIOMS[name].binary else "real"
    torch.manual_seed(0)
    priced = sgbench.energy_of(made(name), IDIOMS[name].batch, input_kind=kind, targets=["horowitz_45nm"])
    assert (priced.counts.samples, priced.counts.steps) == (BATCH, BATCH * STEPS)
    torch.manual_seed(0)
    seen = sgbench.diagnose_module(made(name), IDIOMS[name].batch, squares)
    layers = {layer.name: layer for layer in priced.counts.layers}
    for layer in seen.layers:
        assert layer.rate_per_step is not None
        expected = layer.rate_per_step * layer.neurons * BATCH * STEPS
        assert layers[layer.name].spikes_sent.total == pytest.approx(expected)
    assert priced["horowitz_45nm"].priced_nj is not None


@pytest.mark.parametrize("name", IDIOMS)
def test_a_network_is_measured_for_advice(name: str) -> None:
    """Expected: one hidden layer, where both are called, and the steps; a recurrent one shows its potentials."""
    net = made(name)
    shape = measure_module(net, IDIOMS[name].batch)
    assert (shape.layers, shape.steps) == (1, STEPS)
    assert shape.recurrent == (name in ("recurrent", "one to one", "lstm", "convolution"))
    if shape.recurrent:
        (layer,), samples, _ = recurrent_layers(net, IDIOMS[name].batch)
        assert (layer.name, len(layer.centred), samples) == ("lif1", STEPS, BATCH)


def test_what_was_left_over_is_there_again() -> None:
    """Must match: states with their graph, gradients and mode are the same objects after each of the calls."""
    net = made("states left over")
    states, gradients = dict(net.named_buffers()), [weight.grad for weight in net.parameters()]
    batch = IDIOMS["states left over"].batch
    sgbench.diagnose_module(net, batch, squares)
    sgbench.energy_of(net, batch, input_kind="binary", targets=["horowitz_45nm"])
    measure_module(net, batch)
    assert all(states[key] is buffer for key, buffer in net.named_buffers())
    assert all(weight.grad is grad for weight, grad in zip(net.parameters(), gradients, strict=True))
    assert net.training
