"""What serves a user's network takes every network of the list that `accelerate` is held to, as its author wrote it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import sgbench
from sgbench.errors import InputError
from sgbench.networks.watching import tensors_in
from tests.yours.as_written import IDIOMS, KINDS
from tests.yours.tutorials import TUTORIALS

NETWORKS = KINDS | IDIOMS | TUTORIALS
RECURRENT = ("rleaky", "rsynaptic", "one_to_one", "recurrent_conv", "lstm", "regression_2", "liquid")
pytestmark = pytest.mark.filterwarnings("ignore:Inhibition is an unstable feature")


def made(name: str) -> tuple[nn.Module, Any]:
    torch.manual_seed(1)
    return NETWORKS[name]()


def squares(net: nn.Module, x: Any) -> Tensor:
    out = net(*x) if isinstance(x, tuple) else net(x)
    return torch.stack([each.square().mean() for each in tensors_in(out)]).sum()


@pytest.mark.one_in(20)
@pytest.mark.parametrize("name", [*NETWORKS])
def test_each_network_is_diagnosed_priced_and_advised(name: str) -> None:
    """What they do not know is named. A width is chosen where neurons hear themselves, in words for a module."""
    network, x = made(name)
    kind = "binary" if all(bool(((each == 0) | (each.abs() == 1)).all()) for each in tensors_in(x)) else "real"
    priced = sgbench.energy_of(network, x, input_kind=kind, targets=["horowitz_45nm"])
    assert priced["horowitz_45nm"].priced_nj is not None
    shown = " ".join(repr(priced).split())
    assert not priced.left_out or ("nJ *" in shown or "pJ *" in shown)
    assert not priced.left_out or priced.left_out[0] in shown
    assert sgbench.diagnose_module(network, x, squares).layers
    advice = str(sgbench.recommend(network=network, batch=x))
    assert "sgbench.use(net" in advice
    assert "neuron." not in advice
    if any(word in name for word in RECURRENT):
        assert str(sgbench.calibrate(network=network, batch=x)).startswith('sgbench.use(net, surrogate="atan", width_')
    else:
        with pytest.raises(InputError, match=r"sgbench\.recommend\(network="):
            sgbench.calibrate(network=network, batch=x)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*KINDS])
def test_each_kind_is_compared_in_on_the_engine(name: str) -> None:
    """One epoch on 12 samples of the network's own form; the table says that it ran on the engine."""
    _, x = made(name)
    time_first = x.dim() > 2  # [T, B, ...]; else a static image [B, N]
    samples = torch.cat([x] * 3, dim=1).transpose(0, 1) if time_first else torch.cat([x] * 3)
    labels = torch.arange(12) % 2
    table = sgbench.compare_in(
        lambda: NETWORKS[name]()[0],
        (samples, labels),
        test=(samples, labels),
        validation=(samples, labels),
        surrogates=["atan", "own"],
        seeds=1,
        epochs=1,
        batch_size=4,
        time_first=time_first,
        progress=False,
    )
    assert "2 runs on the engine" in repr(table), repr(table)
    assert "written" not in repr(table)


def test_a_recurrent_network_without_spikes_is_told_what_to_do_in_the_words_of_torch() -> None:
    """Must differ: no word of an override, such as init.gain=3, which a torch module does not have."""
    network, x = made("rleaky_with_a_dense_readout")
    network.rlif.threshold.fill_(1e3)  # type: ignore[operator, union-attr]
    with pytest.raises(InputError, match="no recurrent neuron fires in the batch \\(rlif\\)") as caught:
        sgbench.calibrate(network=network, batch=x)
    assert "threshold=0.5" in str(caught.value)
    assert "init.gain" not in str(caught.value)


def test_a_module_for_two_layers_is_left_out_of_a_diagnosis_and_named() -> None:
    """snnTorch's first tutorial of regression calls one module for 9 neurons, then for 1."""
    found = sgbench.diagnose_module(*made("tutorial_of_regression_1"), squares)
    assert [layer.name for layer in found.layers] == ["lif_in"]
    assert "currents of shapes (1, 9) and (1, 1)" in " ".join(found.advice)
