"""Networks as code of other libraries, run there beside ours; `make test-peers` runs it.

Expected: spikes of every layer over 200 steps equal ours, in float64, and outputs to rounding; what a library's
neurons cannot do is refused by the layer's name. Must differ: the same file with another reset or decay.

Legend: T steps, B batch, N neurons.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fastspiking.choose import Engine
from fastspiking.signals.trajectory import SPIKES
from sgbench.errors import InputError
from sgbench.exchange.libraries import LIBRARIES
from sgbench.exchange.library_code import write
from sgbench.networks.base import Network, Provided
from sgbench.networks.conv import Conv
from sgbench.neurons.synaptic_readout import SynapticReadout
from tests.peers.nir_networks import (
    BATCH,
    CLASSES,
    INPUTS,
    STEPS,
    given,
    leaky,
    mlp,
    readout,
    spikes,
    synaptic,
    with_biases,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries, while they are imported


def soft(features: int, **changes: Any) -> Any:
    return leaky(features, **{"reset": "subtract", **changes})


def conv(make: Any, recurrence: str = "none", **options: Any) -> Conv:
    """Two convolutions of 2 x 8 x 6 pixels, and a readout."""
    options = {"pooling": "none", "pooling_of": "currents", "pool_size": 2, "stride": 1, **options}
    return with_biases(
        Conv(
            Provided(2 * 8 * 6, CLASSES, make, readout, *given()),
            image=[2, 8, 6],
            channels=[3, 4],
            kernel_size=3,
            recurrence=recurrence,
            recurrence_gradient="full",
            bias=True,
            **options,
        )
    )


def synaptic_readout(features: int) -> SynapticReadout:
    options = {"alpha": 0.7, "beta": 0.9, "input_gain": "one", "learn_alpha": "none", "learn_beta": "none"}
    return SynapticReadout(features, **options)


def each_its_own(features: int) -> Any:
    return soft(features, beta=[0.7, 0.97], threshold=[0.8, 1.2], learn_beta="per_neuron")


NETWORKS: dict[str, Callable[[], Network]] = {
    "subtract": lambda: mlp(soft),
    "subtract decayed": lambda: mlp(lambda n: soft(n, reset="subtract_decayed")),
    "zero": lambda: mlp(leaky),
    "no reset": lambda: mlp(lambda n: soft(n, reset="none", threshold=5.0)),
    "each its own": lambda: mlp(each_its_own, recurrence="all_to_all"),
    "gain below 1": lambda: mlp(lambda n: soft(n, input_gain="one_minus_beta", threshold=0.1)),
    "integrate and fire": lambda: mlp(lambda n: soft(n, beta=1.0), lambda n: readout(n, 1.0)),
    "integrate and fire, zero": lambda: mlp(lambda n: leaky(n, beta=1.0)),
    "all to all": lambda: mlp(soft, recurrence="all_to_all"),
    "one to one": lambda: mlp(soft, recurrence="one_to_one"),
    "synapse": lambda: mlp(lambda n: synaptic(n, beta=0.9, reset="subtract")),
    "synapse, subtract decayed": lambda: mlp(lambda n: synaptic(n, beta=0.9, reset="subtract_decayed")),
    "synapse, zero, one to one": lambda: mlp(lambda n: synaptic(n, beta=0.9), recurrence="one_to_one"),
    "synaptic readout": lambda: mlp(soft, synaptic_readout),
    "spiking readout, no bias": lambda: mlp(soft, lambda n: soft(n, threshold=0.5), bias=False),
    "convolutions": lambda: conv(soft, stride=2),
    "convolutions among neurons": lambda: conv(leaky, "all_to_all"),
    "convolutions, subtract, among neurons": lambda: conv(soft, "all_to_all"),
    "convolutions, one to one": lambda: conv(soft, "one_to_one"),
    "currents pooled": lambda: conv(soft, pooling="average"),
    "spikes pooled": lambda: conv(soft, pooling="max", pooling_of="spikes"),
}
REFUSED = {
    ("snntorch", "synapse, subtract decayed"): "'hidden0': its reset is subtract_decayed behind a synapse",
    ("spikingjelly", "no reset"): "'hidden0': its spikes reset nothing",
    ("spikingjelly", "each its own"): "'hidden0': its decays differ from neuron to neuron",
    ("spikingjelly", "synapse"): "'hidden0': its reset is subtract behind a synapse",
    ("spikingjelly", "synaptic readout"): "'readout': it does not fire, and has a synaptic current",
    ("spikingjelly", "convolutions, subtract, among neurons"): "'hidden0': reset=subtract cannot be joined",
    ("norse", "integrate and fire"): "'hidden0': some of its decays are 1",
    ("sinabs", "no reset"): "'hidden0': its spikes reset nothing",
    ("sinabs", "synaptic readout"): "'readout': it sums a synaptic current and does not fire",
}
HELD = [(library, name) for library in LIBRARIES for name in NETWORKS if (library, name) not in REFUSED]


def load(library: str, written: Any, folder: Path) -> nn.Module:
    """Import the written file as a user does, and build its network."""
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed; make test-peers installs it")
    path = folder / "net.py"
    path.write_text(written.code)
    torch.save(written.tensors, path.with_suffix(".pt"))
    spec = importlib.util.spec_from_file_location("net", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.network()


def layer_by_layer(net: nn.Module, x: Tensor) -> list[Tensor]:
    """What each layer sends."""
    sent = []
    with torch.no_grad():
        for layer in net:
            x = layer(x)
            sent.append(x)
    return sent


def of_ours(net: Network, x: Tensor) -> list[Tensor]:
    """Spikes of each layer that fires, and the output."""
    net.engine = Engine("reference")
    with torch.no_grad():
        found = net.unroll(x, torch.full((BATCH,), STEPS), keep=frozenset({SPIKES}))
    return [*found.spikes[: len(net.layers) - 1], found.output]


def test_each_pair_is_tried():
    """Expected: no refusal is listed for a network that is not there."""
    assert {name for _, name in REFUSED} <= set(NETWORKS)
    assert {library for library, _ in REFUSED} <= set(LIBRARIES)


@pytest.mark.one_in(16)
@pytest.mark.parametrize(("library", "name"), HELD)
def test_spikes_and_outputs_are_ours(library, name, tmp_path):
    """Must match: spikes exactly, potentials of the readout to 1e-9; a second pass begins at rest again."""
    ours = NETWORKS[name]().double().eval()
    theirs = load(library, write(ours, LIBRARIES[library]), tmp_path)
    x = spikes(96 if name.startswith(("conv", "currents", "spikes")) else INPUTS)
    expected = of_ours(ours, x)
    for found in (layer_by_layer(theirs, x), layer_by_layer(theirs, x)):
        assert len(found) == len(expected) == len(ours.layers)
        for one, other in zip(found[:-1], expected[:-1], strict=True):
            assert 0.01 < other.mean() < 0.95
            assert torch.equal(one, other)
        torch.testing.assert_close(found[-1], expected[-1], rtol=0, atol=1e-9 * float(expected[-1].abs().max()))


@pytest.mark.parametrize(("library", "name"), REFUSED)
def test_what_a_library_cannot_do_is_refused(library, name):
    """Expected: one line that names the layer and the library."""
    with pytest.raises(InputError, match=REFUSED[library, name]) as refusal:
        write(NETWORKS[name]().eval(), LIBRARIES[library])
    assert f", so {LIBRARIES[library].name} cannot hold it" in str(refusal.value)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_potential_at_threshold_stays_silent(library, tmp_path):
    """Expected: no spike where a potential equals its threshold, in libraries that fire there too; one above it."""
    ours = mlp(soft, bias=False).float().eval()
    for layer in ours.layers:
        nn.init.zeros_(layer.weight)
    ours.layers[0].weight.data[0, 0] = 1.0  # of threshold 1
    ours.layers[0].weight.data[1, 0] = 1.0 + 2**-22
    theirs = load(library, write(ours, LIBRARIES[library]), tmp_path)
    x = torch.zeros(3, 1, INPUTS)
    x[0, 0, 0] = 1.0
    assert layer_by_layer(theirs, x)[0][0, 0, :3].tolist() == [0.0, 1.0, 0.0]


@pytest.mark.one_in(4)
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("change", ["zero", "subtract_decayed"])
def test_another_reset_gives_other_spikes(library, change, tmp_path):
    """Must differ: the reset is in the file, and the network's own."""
    x = spikes(INPUTS)
    expected = of_ours(mlp(soft).double().eval(), x)
    other = mlp(lambda n: soft(n, reset=change)).double().eval()
    found = layer_by_layer(load(library, write(other, LIBRARIES[library]), tmp_path), x)
    assert not torch.equal(found[0], expected[0])


def test_weights_of_another_network_are_refused(tmp_path):
    """Expected: an error that names the tensor, not a network with half of its weights."""
    if importlib.util.find_spec("snntorch") is None:
        pytest.skip("snntorch is not installed")
    written = write(mlp(soft).eval(), LIBRARIES["snntorch"])
    written.tensors["hidden9.weights.weight"] = torch.zeros(2, 2)
    with pytest.raises(ValueError, match="hidden9"):
        load("snntorch", written, tmp_path)
