"""The recipes of the literature as NIR: written where it can say them, refused with the reason where not.

Expected of what is written: read back, the same spikes, and outputs to 1e-12.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fastspiking.choose import Engine
from fastspiking.signals.trajectory import SPIKES
from sgbench.composition import catalogue
from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.exchange.nir_export import to_nir
from sgbench.exchange.nir_import import from_nir
from sgbench.networks.base import Chain, Provided
from sgbench.networks.conv import Conv
from sgbench.training.build import build
from tests.peers.nir_networks import BATCH, CLASSES, DT_S, given, leaky, readout, surrogate, with_biases

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries, while they are imported
nir = pytest.importorskip("nir")
STEPS = 12
REFUSED = {
    "shd_se_adlif": "SeAdLif is none of NIR's neurons, whose equations are linear",
    "ssc_se_adlif": "SeAdLif is none of NIR's neurons, whose equations are linear",
    "shd_heterogeneous": "layer 'hidden0': its reset is subtract, and NIR sets a potential when a neuron fires",
    "shd_delays": "the synapses of layer 'hidden0' delay what they transmit",
    "dvs_gesture_sew": "NIR: SpikingResnet is no chain of layers",
}
WRITTEN = ("nmnist_vgg", "cifar10_dvs_vgg")


def test_every_recipe_is_written_or_refused() -> None:
    names = {name.removeprefix("recipe/") for name in catalogue.paths("experiment") if name.startswith("recipe/")}
    assert names == {*REFUSED, *WRITTEN}


@pytest.mark.parametrize("name", REFUSED)
def test_what_nir_cannot_say_of_a_recipe_is_named(name: str) -> None:
    network = build(compose([f"experiment=recipe/{name}", "seed=200"])).network.eval()
    with pytest.raises(InputError, match=re.escape(REFUSED[name])):
        to_nir(network, dt_s=0.01)


def pooled(network: Chain, x: Tensor) -> tuple[list[Tensor], Tensor]:
    network.engine = Engine("reference")
    lengths = torch.full((x.shape[1],), len(x))
    with torch.no_grad():
        found = network.eval().unroll(x.to(network.layers[0].weight.dtype), lengths, keep=frozenset({SPIKES}))
    return list(found.spikes), found.output


@pytest.mark.parametrize("name", WRITTEN)
def test_a_recipe_comes_back_as_it_went(name: str) -> None:
    """Expected: spikes and outputs of the network that went; its means are nodes between neurons and weights."""
    words = [f"experiment=recipe/{name}", "seed=200", "surrogate=atan"]
    if name == "cifar10_dvs_vgg":
        words.append("network.channels=[4,4,8,8,8,8,8,8]")  # the same wiring, for seconds
    network = build(compose(words)).network.double().eval()
    for layer in network.hidden_layers:  # a trained normalisation differs from the first one
        layer.normaliser.running_var.mul_(0.2)
    graph = to_nir(network, dt_s=0.01)
    means = [key for key, node in graph.nodes.items() if type(node).__name__ == "AvgPool2d"]
    assert len(means) == {"nmnist_vgg": 2, "cifar10_dvs_vgg": 4}[name]
    random = torch.Generator().manual_seed(4)
    pixels = math.prod(network.layers[0].image_in)
    x = (torch.rand(STEPS, 2, pixels, generator=random) < 0.3).double()
    back = from_nir(graph, make_surrogate=surrogate)
    gone, come = pooled(network, x), pooled(back, x)
    assert sum(int(each.sum()) for each in gone[0]) > 0
    for one, other in zip(gone[0], come[0], strict=True):
        assert torch.equal(one, other)
    torch.testing.assert_close(gone[1], come[1], rtol=1e-12, atol=1e-12)


def conv(**changes: Any) -> Conv:
    options = {"channels": [3, 4], "kernel_size": 3, "stride": 1, "pooling": "average", "pooling_of": "spikes"}
    options |= {"pool_size": 2, "recurrence": "none", "recurrence_gradient": "full", "bias": True}
    net = Conv(Provided(2 * 5 * 6, CLASSES, leaky, readout, *given()), image=[2, 5, 6], **options | changes)
    return with_biases(net)


def test_windows_that_do_not_fill_an_image_leave_the_rest_out() -> None:
    """Must match: 5 x 6 pixels become 2 x 3, then 1 x 1. Must differ: without the node of the means."""
    graph = to_nir(conv(), dt_s=DT_S)
    back = from_nir(graph, make_surrogate=surrogate)
    assert [layer.pool_in and layer.pool_in.image_out for layer in back.layers] == [None, (3, 2, 3), (4, 1, 1)]
    x = (torch.rand(STEPS, BATCH, 60, generator=torch.Generator().manual_seed(2)) < 0.4).double()
    torch.testing.assert_close(pooled(conv(), x)[1], pooled(back, x)[1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pooling": "max"}, "NIR has means of spikes alone"),
        ({"pooling_of": "currents"}, "NIR has means of spikes alone"),
    ],
)
def test_other_pooling_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        to_nir(conv(**changes), dt_s=DT_S)


@pytest.mark.parametrize(
    "changes", [{"stride": [1, 1]}, {"padding": [1, 1]}, {"kernel_size": [3, 3], "stride": [3, 3]}]
)
def test_means_of_another_kind_are_refused(changes: dict[str, Any]) -> None:
    graph = to_nir(conv(), dt_s=DT_S)
    given_node = {"kernel_size": [2, 2], "stride": [2, 2], "padding": [0, 0]} | changes
    graph.nodes["hidden1.pool"] = nir.AvgPool2d(**{key: np.array(value) for key, value in given_node.items()})
    with pytest.raises(
        InputError, match=r"means (are taken of images, in windows side by side|of \(3, 1, 2\) in front)"
    ):
        from_nir(graph, make_surrogate=surrogate)
