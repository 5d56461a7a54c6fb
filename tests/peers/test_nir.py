"""Networks through NIR files and back, and through snnTorch's own NIR import; `make test-peers` runs it.

Expected: spikes of the network that came back equal those of the one that went, over 200 steps; and the steps of
NIR's differential equations written out in NumPy.

Legend: T steps, B batch, N neurons.
"""

from __future__ import annotations

import importlib
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fastspiking.choose import Engine
from fastspiking.signals.trajectory import SPIKES
from sgbench.exchange.nir_export import to_nir
from sgbench.exchange.nir_import import from_nir
from sgbench.networks.base import Network, Provided
from sgbench.networks.conv import Conv
from sgbench.neurons.leaky import Leaky
from sgbench.neurons.synaptic_readout import SynapticReadout
from tests.peers.nir_networks import (
    BATCH,
    CLASSES,
    DT_S,
    INPUTS,
    STEPS,
    given,
    leaky,
    mlp,
    readout,
    spikes,
    surrogate,
    synaptic,
    with_biases,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries, while they are imported
nir = pytest.importorskip("nir")


def spread(features: int) -> Leaky:
    """Decays and thresholds of each neuron, decays learnt: stored as logits."""
    return leaky(features, beta=[0.7, 0.97], threshold=[0.8, 1.2], learn_beta="per_neuron")


def integrator(features: int) -> Leaky:
    return leaky(features, beta=1.0)


def half_gain(features: int) -> Leaky:
    return leaky(features, beta=[0.8, 0.95], input_gain="one_minus_beta", threshold=0.1)


def synaptic_readout(features: int) -> SynapticReadout:
    decays = {"alpha": [0.7, 0.9], "beta": 0.95, "learn_alpha": "none", "learn_beta": "none"}
    return SynapticReadout(features, input_gain="one", **decays)


def conv(make: Any, recurrence: str = "none", *, stride: int = 2) -> Conv:
    options = {"channels": [3, 4], "kernel_size": 3, "stride": stride, "recurrence": recurrence}
    options |= {"pooling": "none", "pooling_of": "currents", "pool_size": 2}
    net = Conv(
        Provided(2 * 5 * 6, CLASSES, make, readout, *given()),
        image=[2, 5, 6],
        **options,
        recurrence_gradient="full",
        bias=True,
    )
    return with_biases(net)


def unrolled(net: Network, x: Tensor) -> tuple[list[Tensor], Tensor]:
    net.engine = Engine("reference")
    with torch.no_grad():
        found = net.unroll(x.to(next(net.parameters()).dtype), torch.full((BATCH,), STEPS), keep=frozenset({SPIKES}))
    return list(found.spikes), found.output


NETWORKS = {
    "leaky": lambda: mlp(leaky),
    "leaky per neuron, learnt": lambda: mlp(spread),
    "gain below 1": lambda: mlp(half_gain),
    "integrate and fire": lambda: mlp(integrator, lambda n: readout(n, 1.0)),
    "synaptic": lambda: mlp(synaptic),
    "synaptic readout": lambda: mlp(synaptic, synaptic_readout),
    "all to all": lambda: mlp(spread, recurrence="all_to_all"),
    "one to one": lambda: mlp(synaptic, recurrence="one_to_one"),
    "spiking readout, no bias": lambda: mlp(lambda n: leaky(n, threshold=0.5), leaky, bias=False),
    "convolutions": lambda: conv(leaky),
    "convolutions among neurons": lambda: conv(leaky, "all_to_all"),
    "convolutions, one to one": lambda: conv(integrator, "one_to_one", stride=1),
}


@pytest.mark.parametrize("step", ["euler", "exponential"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", NETWORKS)
def test_round_trip_is_exact_in_spikes(name, dtype, step, tmp_path):
    """Must match: spikes of all layers over 200 steps through a file; outputs to rounding of the gains."""
    net = NETWORKS[name]().to(dtype)
    path = tmp_path / "net.nir"
    nir.write(path, to_nir(net, dt_s=DT_S, step=step))
    back = from_nir(nir.read(path), make_surrogate=surrogate)
    assert next(back.parameters()).dtype == dtype
    x = spikes(net.layers[0].weight.shape[1] if name[0] != "c" else 60)
    (sent, output), (returned, again) = unrolled(net, x), unrolled(back, x)
    assert len(sent) == len(returned) >= 2
    for one, other in zip(sent, returned, strict=True):
        assert 0.01 < one.mean() < 0.95
        assert torch.equal(one, other)
    scale = output.abs().max().item()
    torch.testing.assert_close(again, output, rtol=0, atol=scale * (1e-5 if dtype == torch.float32 else 1e-12))


def test_weights_come_back_to_the_last_bit():
    """Expected: equal weights, biases and decays where no gain has to go into them."""
    net = mlp(leaky, recurrence="all_to_all").float()
    back = from_nir(to_nir(net, dt_s=DT_S), make_surrogate=surrogate)
    for one, other in itertools.chain(zip(net.parameters(), back.parameters(), strict=True)):
        assert torch.equal(one, other)
    assert back.layers[0].neuron.beta() == pytest.approx(0.9, rel=1e-15)


def test_other_steps_and_times_give_other_networks():
    """Must differ: a graph stepped otherwise, or in steps of another length, than it was written for."""
    net = mlp(leaky)
    graph = to_nir(net, dt_s=DT_S)
    x = spikes(INPUTS)
    same = unrolled(from_nir(graph, make_surrogate=surrogate), x)[0][0]
    for options in ({"step": "exponential"}, {"dt_s": 0.002}):
        other = unrolled(from_nir(graph, make_surrogate=surrogate, **options), x)[0][0]
        assert not torch.equal(same, other)


@pytest.mark.parametrize("step", ["euler", "exponential"])
def test_graph_is_the_equation_that_nir_prints(step):
    """Expected: tau v' = v_leak - v + R I stepped in NumPy from the node's numbers and reset to v_reset."""
    net = mlp(spread, recurrence="all_to_all")
    graph = to_nir(net, dt_s=DT_S, step=step)
    nodes = {name.split(".", 1)[1]: node for name, node in graph.nodes.items() if name.startswith("hidden0")}
    lif = nodes["neurons"]
    assert isinstance(lif, nir.LIF)
    x = spikes(INPUTS)
    v, s, sent = np.zeros((BATCH, 8)), np.zeros((BATCH, 8)), []
    decay = 1 - DT_S / lif.tau if step == "euler" else np.exp(-DT_S / lif.tau)
    for now in x.numpy():
        current = now @ nodes["weights"].weight.T + nodes["weights"].bias + s @ nodes["recurrent"].weight.T
        v = decay * v + (1 - decay) * (lif.v_leak + lif.r * current)
        s = (v > lif.v_threshold).astype(float)
        v = np.where(s > 0, lif.v_reset, v)
        sent.append(s)
    assert np.array_equal(np.stack(sent), unrolled(net, x)[0][0].numpy())


def test_snntorch_reads_what_we_write():
    """Must match: snnTorch 1.0's import at its own time step, hard-coded as 1e-4 s, in spikes over 200 steps."""
    importer = importlib.import_module("snntorch.import_nir")
    net = mlp(leaky, leaky)
    theirs = importer.import_from_nir(to_nir(net.float(), dt_s=1e-4))
    x = spikes(INPUTS).float()
    assert torch.equal(with_state(theirs, x), unrolled(net, x)[0][-1])


def with_state(theirs: Any, x: Tensor) -> Tensor:
    """Outputs [T, B, N] of a module that takes and returns its state."""
    state, sent = None, []
    with torch.no_grad():
        for now in x:
            out, state = theirs(now, state)
            sent.append(out)
    return torch.stack(sent)


def test_spikingjelly_reads_what_we_write():
    """Must match: SpikingJelly 2.0.0's import in spikes over 200 steps."""
    exchange = importlib.import_module("spikingjelly.activation_based.nir_exchange")
    for make in (leaky, lambda n: synaptic(n, beta=0.9)):
        net = mlp(make, make).float()
        theirs = exchange.import_from_nir(to_nir(net, dt_s=DT_S), dt=DT_S)
        expected = unrolled(net, spikes(INPUTS))[0][-1]
        assert expected.mean() > 0.01
        assert torch.equal(with_state(theirs, spikes(INPUTS).float()), expected)


def test_norse_reads_what_we_write_for_it():
    """Must match: Norse 1.1.0's import with gains in the weights, over 200 steps; must differ: without."""
    norse = importlib.import_module("norse.torch")
    net = mlp(leaky, leaky)
    expected = unrolled(net, spikes(INPUTS))[0][-1]
    assert expected.mean() > 0.01
    graphs = [to_nir(net.float(), dt_s=DT_S, unit_resistance=unit) for unit in (True, False)]
    one, other = (
        with_state(norse.from_nir(graph, dt=DT_S, ignore_warnings=True), spikes(INPUTS).float()) for graph in graphs
    )
    assert torch.equal(one, expected.float())
    assert not torch.equal(other, expected.float())


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "gain below 1"])
def test_gains_go_into_weights_and_back(name):
    """Must match: spikes through a graph whose R and w_in are 1; weights come back to rounding."""
    net = NETWORKS[name]()
    graph = to_nir(net, dt_s=DT_S, unit_resistance=True)
    for node in graph.nodes.values():
        assert np.all(getattr(node, "r", 1.0) == 1)
        assert np.all(getattr(node, "w_in", 1.0) == 1)
    back = from_nir(graph, make_surrogate=surrogate)
    x = spikes(60 if name[0] == "c" else INPUTS)
    for one, other in zip(unrolled(net, x)[0], unrolled(back, x)[0], strict=True):
        assert torch.equal(one, other)
    torch.testing.assert_close(back.layers[0].weight, net.layers[0].weight, rtol=1e-12, atol=0)


def test_we_read_what_snntorch_writes():
    """Must match: snnTorch 1.0's own graph of Leaky with reset zero, whose decays it wants for each neuron."""
    snn = importlib.import_module("snntorch")
    exporter = importlib.import_module("snntorch.export_nir")
    torch.manual_seed(3)
    before = list(snn.SpikingNeuron.instances)
    options = {"reset_mechanism": "zero", "init_hidden": True}
    modules = []
    for n_in, n_out in ((INPUTS, 8), (8, CLASSES)):
        modules += [
            torch.nn.Linear(n_in, n_out),
            snn.Leaky(beta=torch.full((n_out,), 0.9), threshold=torch.full((n_out,), 0.3), **options),
        ]
    net = torch.nn.Sequential(*modules)
    x = spikes(INPUTS).float()
    graph = exporter.export_to_nir(net, x[0], ignore_dims=[0])
    ours = from_nir(graph, make_surrogate=surrogate, dt_s=1e-4)
    for module in net:
        if isinstance(module, snn.Leaky):
            module.reset_mem()
    with torch.no_grad():
        expected = torch.stack([net(now) for now in x])
    snn.SpikingNeuron.instances[:] = before
    assert 0.02 < expected.mean() < 0.95
    assert torch.equal(unrolled(ours, x)[0][-1], expected)
