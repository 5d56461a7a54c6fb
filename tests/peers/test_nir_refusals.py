"""What NIR cannot say, and graphs that no layer stands for, are refused by name; `make test-peers` runs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sgbench.errors import InputError
from sgbench.exchange.nir_export import to_nir
from sgbench.exchange.nir_import import from_nir
from sgbench.firing.base import Firing
from sgbench.firing.escape import Escape
from sgbench.firing.soft import Soft
from sgbench.firing.ternary import Ternary
from sgbench.networks.base import Provided
from sgbench.networks.delayed import Delayed
from sgbench.neurons.adlif import AdLif
from sgbench.neurons.leaky import Leaky
from sgbench.neurons.lstm import Slstm
from sgbench.neurons.psn import Psn
from sgbench.surrogates.atan import Atan
from tests.peers.nir_networks import CLASSES, DT_S, INPUTS, NOTHING, STEPS, given, leaky, mlp, readout, surrogate

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries, while they are imported
nir = pytest.importorskip("nir")


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
    return Slstm(surrogate(), threshold=0.1, forget_bias=0.0, reset="none", reset_gradient="detached", **NOTHING)


def psn(features: int) -> Psn:
    return Psn(surrogate(), steps=STEPS, threshold=1.0, beta=0.9, start="leaky")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mlp(lambda n: leaky(n, reset="subtract")), "'hidden0': its reset is subtract, .* neuron.reset=zero"),
        (lambda: mlp(lambda n: leaky(n, reset="none")), "'hidden0': its reset is none"),
        (lambda: mlp(adlif), "'hidden0': AdLif adapts or couples variables as none of NIR's neurons does"),
        (lambda: mlp(slstm), "'hidden0': Slstm is none of NIR's neurons, whose equations are linear"),
        (lambda: mlp(psn), "NIR has no such layer: the neurons of layer 'hidden0' take all time steps at once"),
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
        (lambda: changed(hidden0__neurons=lif(tau=0.0001)), "time constant of 0.0001 s is shorter than the time step"),
        (lambda: changed(hidden0__neurons=lif(tau=-1.0)), "'hidden0.neurons': a time constant above 0"),
        (lambda: changed(hidden0__neurons=lif(v_threshold=-1.0)), r"neuron\.threshold=-1\.0: a number in \(0, inf"),
        (lambda: changed(hidden0__neurons=lif(v_threshold=float("nan"))), "threshold: a finite number"),
        (lambda: changed(hidden0__neurons=nir.Threshold(np.ones(8))), "'hidden0.neurons': a Threshold, which no layer"),
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
