"""Networks through NIR files and back, and through snnTorch's own NIR import; `make test-peers` runs it.

Expected: spikes of the network that came back equal those of the one that went, over 200 steps; and the steps of
NIR's differential equations written out in NumPy.

Legend: T steps, B batch, N neurons.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sgbench.engine.choose import Engine
from sgbench.errors import InputError
from sgbench.exchange.nir_export import to_nir
from sgbench.exchange.nir_import import from_nir
from sgbench.firing.base import Firing
from sgbench.firing.escape import Escape
from sgbench.firing.soft import Soft
from sgbench.firing.ternary import Ternary
from sgbench.inits.kaiming import Kaiming
from sgbench.networks.base import Network, Provided
from sgbench.networks.conv import Conv
from sgbench.networks.delayed import Delayed
from sgbench.networks.mlp import Mlp
from sgbench.neurons.adlif import AdLif
from sgbench.neurons.leaky import Leaky
from sgbench.neurons.leaky_readout import LeakyReadout
from sgbench.neurons.lstm import Slstm
from sgbench.neurons.psn import Psn
from sgbench.neurons.synaptic import Synaptic
from sgbench.signals.trajectory import SPIKES
from sgbench.surrogates.atan import Atan

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries, while they are imported
nir = pytest.importorskip("nir")
STEPS, BATCH, INPUTS, CLASSES, DT_S = 200, 3, 6, 4, 0.001
NOTHING = {"learn_threshold": "none"}


def surrogate() -> Atan:
    return Atan(alpha=2.0, width_fwhm=None, normalisation="peak1", scale=1.0)


def leaky(features: int, **changes: Any) -> Leaky:
    options = {
        "beta": 0.9,
        "input_gain": "one",
        "threshold": 1.0,
        "reset": "zero",
        "reset_gradient": "detached",
    }
    return Leaky(surrogate(), features, **{**options, "learn_beta": "none", **NOTHING, **changes})


def spread(features: int) -> Leaky:
    """Decays and thresholds of each neuron, decays learnt: stored as logits."""
    return leaky(features, beta=[0.7, 0.97], threshold=[0.8, 1.2], learn_beta="per_neuron")


def integrator(features: int) -> Leaky:
    return leaky(features, beta=1.0)


def half_gain(features: int) -> Leaky:
    return leaky(features, beta=[0.8, 0.95], input_gain="one_minus_beta", threshold=0.1)


def synaptic(features: int, **changes: Any) -> Synaptic:
    options = {
        "alpha": 0.8,
        "beta": [0.85, 0.95],
        "threshold": 1.0,
        "reset": "zero",
        "reset_gradient": "detached",
    }
    options |= {"learn_alpha": "none", "learn_beta": "none"}
    return Synaptic(surrogate(), features, **{**options, **NOTHING, **changes})


def readout(features: int, beta: float = 0.9) -> LeakyReadout:
    return LeakyReadout(features, beta=beta, input_gain="one", learn_beta="none")


def given() -> tuple:
    return Kaiming(gain=2.0, recurrent_gain=0.5), torch.Generator().manual_seed(1), Engine("reference")


def mlp(make: Any, last: Any = readout, recurrence: str = "none", *, bias: bool = True) -> Mlp:
    options = {"hidden": [8, 7], "recurrence": recurrence, "recurrence_gradient": "full", "bias": bias}
    net = Mlp(Provided(INPUTS, CLASSES, make, last, *given()), **options)
    return with_biases(net)


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


def with_biases(net: Any) -> Any:
    for layer in net.layers:
        if layer.bias is not None:
            layer.bias.data = torch.linspace(-0.1, 0.2, len(layer.bias), dtype=torch.float64)
    return net


def spikes(inputs: int, density: float = 0.3) -> Tensor:
    random = torch.Generator().manual_seed(5)
    return (torch.rand(STEPS, BATCH, inputs, generator=random, dtype=torch.float64) < density).double()


def unrolled(net: Network, x: Tensor) -> tuple[list[Tensor], Tensor]:
    net.engine = Engine("reference")
    with torch.no_grad():
        found = net.unroll(
            x.to(next(net.parameters()).dtype), torch.full((BATCH,), STEPS), keep=frozenset({SPIKES})
        )
    return list(found.spikes), found.output


NETWORKS = {
    "leaky": lambda: mlp(leaky),
    "leaky per neuron, learnt": lambda: mlp(spread),
    "gain below 1": lambda: mlp(half_gain),
    "integrate and fire": lambda: mlp(integrator, lambda n: readout(n, 1.0)),
    "synaptic": lambda: mlp(synaptic),
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
    torch.testing.assert_close(
        again, output, rtol=0, atol=scale * (1e-5 if dtype == torch.float32 else 1e-12)
    )


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
        with_state(norse.from_nir(graph, dt=DT_S, ignore_warnings=True), spikes(INPUTS).float())
        for graph in graphs
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


# --- refusals by name


def adlif(features: int) -> AdLif:
    options = {
        "beta": 0.9,
        "rho": 0.9,
        "a": 0.1,
        "b": 0.1,
        "threshold": 1.0,
        "reset": "zero",
        "reset_gradient": "detached",
    }
    learn = {f"learn_{name}": "none" for name in ("beta", "rho", "a", "b", "threshold")}
    return AdLif(surrogate(), features, **options, **learn)


NO_STEP = "'hidden0': its spikes are not those of a step at threshold.*firing=step"


def fires_by(firing: Firing) -> Callable[[int], Leaky]:
    """Return how to build neurons that send something else than a step."""

    def build(features: int) -> Leaky:
        neurons = leaky(features, reset="subtract")
        neurons.surrogate = Atan(alpha=2.0, width_fwhm=None, normalisation="area1", scale=1.0)
        firing.begin(neurons.surrogate)
        return neurons

    return build


def slstm(features: int) -> Slstm:
    return Slstm(
        surrogate(), threshold=0.1, forget_bias=0.0, reset="none", reset_gradient="detached", **NOTHING
    )


def psn(features: int) -> Psn:
    return Psn(surrogate(), steps=STEPS, threshold=1.0, beta=0.9, start="leaky")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: mlp(lambda n: leaky(n, reset="subtract")),
            "'hidden0': its reset is subtract, .* neuron.reset=zero",
        ),
        (lambda: mlp(lambda n: leaky(n, reset="none")), "'hidden0': its reset is none"),
        (lambda: mlp(adlif), "'hidden0': AdLif adapts or couples variables as none of NIR's neurons does"),
        (lambda: mlp(slstm), "'hidden0': Slstm is none of NIR's neurons, whose equations are linear"),
        (
            lambda: mlp(psn),
            "NIR has no such layer: the neurons of layer 'hidden0' take all time steps at once",
        ),
        (lambda: mlp(fires_by(Ternary(threshold=1.0))), NO_STEP),
        (lambda: mlp(fires_by(Escape(noise="logistic", noise_slope=5.0))), NO_STEP),
        (lambda: mlp(fires_by(Soft())), NO_STEP),
        (lambda: mlp(lambda n: leaky(n, beta=[0.5, 1.0])), "'hidden0': some of its decays are 1"),
        (
            lambda: Delayed(
                Provided(INPUTS, CLASSES, leaky, readout, *given()),
                hidden=[5],
                max_delay_steps=3,
                kernel="rounded",
                sigma_steps=[1.0, 1.0],
                readout_delays=False,
                bias=False,
            ),
            "NIR has no such layer: the synapses of layer 'hidden0' delay what they transmit",
        ),
    ],
)
def test_what_nir_cannot_say_is_refused_with_the_reason(make, message):
    with pytest.raises(InputError, match=message):
        to_nir(make(), dt_s=DT_S)


def changed(**nodes: Any) -> Any:
    graph = to_nir(mlp(leaky), dt_s=DT_S)
    graph.nodes.update({name.replace("__", "."): node for name, node in nodes.items()})
    return graph


def lif(n: int = 8, **changes: Any) -> Any:
    numbers = {"tau": 0.01, "r": 10.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0, **changes}
    return nir.LIF(**{name: np.full(n, value) for name, value in numbers.items()})


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (lambda: changed(hidden0__neurons=lif(v_reset=-0.5)), "'hidden0.neurons': v_reset is not 0"),
        (lambda: changed(hidden0__neurons=lif(v_leak=0.5)), "'hidden0.neurons': v_leak is not 0"),
        (
            lambda: changed(hidden0__neurons=lif(tau=0.0001)),
            "time constant of 0.0001 s is shorter than the time step",
        ),
        (lambda: changed(hidden0__neurons=lif(tau=-1.0)), "'hidden0.neurons': a time constant above 0"),
        (
            lambda: changed(hidden0__neurons=lif(v_threshold=-1.0)),
            r"neuron\.threshold=-1\.0: a number in \(0, inf",
        ),
        (lambda: changed(hidden0__neurons=lif(v_threshold=float("nan"))), "threshold: a finite number"),
        (
            lambda: changed(hidden0__neurons=nir.Threshold(np.ones(8))),
            "'hidden0.neurons': a Threshold, which no layer",
        ),
        (lambda: changed(hidden0__weights=lif(6)), "'hidden0.weights': a LIF, where weights are expected"),
        (lambda: changed(hidden0__neurons=lif(9)), "'hidden0.neurons': 9 neurons behind weights of 8 rows"),
    ],
)
def test_what_no_layer_stands_for_is_refused_with_the_node(graph, message):
    with pytest.raises(InputError, match=message):
        from_nir(graph(), make_surrogate=surrogate)


def test_a_graph_of_others_needs_a_time_step():
    graph = to_nir(mlp(leaky), dt_s=DT_S)
    graph.metadata = {}
    with pytest.raises(InputError, match="does not say how long a time step is; give dt_s"):
        from_nir(graph, make_surrogate=surrogate)


def test_branches_are_refused(tmp_path: Path):
    graph = to_nir(mlp(leaky), dt_s=DT_S)
    graph.edges.append(("hidden0.neurons", "readout.weights"))
    with pytest.raises(InputError, match=r"'hidden0\.neurons': goes on to 2 nodes; layers one after another"):
        from_nir(graph, make_surrogate=surrogate)
