"""The convention mean rate times dense operations, as syops counts: where it is right, and where it is not.

syops 0.0.5 imports no current SpikingJelly, so its two formulas are written out here: a tensor is spikes if it
holds at most two values, all in [0, 1]; operations are the tensor's mean times those of a dense layer (its ops.py).
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from sgbench.energy.modules import ModuleCounter
from sgbench.records.counts import SynapseCounts


def by_mean_rate(layer: nn.Module, x: Tensor) -> tuple[str, float]:
    """Kind and number of operations under the convention."""
    if isinstance(layer, nn.Conv2d):
        outputs = layer(x).numel()
        dense = outputs * math.prod(layer.kernel_size) * layer.in_channels
    else:
        assert isinstance(layer, nn.Linear)
        dense = len(x) * layer.in_features * layer.out_features
    if len(x.unique()) <= 2 and x.max() <= 1 and x.min() >= 0:
        return "accumulate", x.mean().item() * dense
    return "multiply_accumulate", dense


def counted(layer: nn.Module, x: Tensor, kind: str = "binary") -> SynapseCounts:
    """The same, counted here."""
    counter = ModuleCounter(layer.eval(), input_kind=kind, bits=32, fold_batch_norm=False)
    counter(x, samples=len(x), steps=len(x))
    ((group,),) = [each.synapses for each in counter.result().layers]
    return group


def spikes(*shape: int) -> Tensor:
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(3)) < 0.2).float()


def test_right_for_dense_layers():
    """Every input has as many synapses, so only their mean matters."""
    layer, x = nn.Linear(9, 5, bias=False), spikes(6, 9)
    kind, operations = by_mean_rate(layer, x)
    found = counted(layer, x)
    assert (found.operation, found.effective.total) == (kind, round(operations))


def test_right_for_an_unpadded_convolution_of_steps_as_wide_as_its_kernel():
    """Each pixel is in one window: as many synapses for every input again."""
    layer, x = nn.Conv2d(2, 3, 2, stride=2, bias=False), spikes(6, 2, 6, 4)
    kind, operations = by_mean_rate(layer, x)
    found = counted(layer, x)
    assert (found.operation, found.effective.total) == (kind, round(operations))


@pytest.mark.parametrize(("padding", "place", "reached"), [(1, (0, 0), 4), (1, (2, 2), 9), (0, (0, 0), 1)])
def test_wrong_at_the_border_of_a_convolution(padding, place, reached):
    """One event on 5 x 5 pixels reaches 4 positions from a corner; its mean says 9, or 81 / 25 without padding."""
    layer, x = nn.Conv2d(1, 1, 3, padding=padding, bias=False), torch.zeros(1, 1, 5, 5)
    x[0, 0, *place] = 1
    _, operations = by_mean_rate(layer, x)
    assert counted(layer, x).effective.total == reached
    assert operations == pytest.approx(9 if padding else 81 / 25)


def test_wrong_kind_for_analogue_inputs_that_happen_to_be_0_and_1():
    """A black and white image is no train of spikes: what the source declares decides, not a batch."""
    layer, x = nn.Linear(4, 2, bias=False), torch.tensor([[0.0, 1.0, 1.0, 0.0]])
    assert by_mean_rate(layer, x)[0] == "accumulate"
    assert counted(layer, x, "real").operation == "multiply_accumulate"


def test_wrong_for_spikes_that_are_added_up():
    """A residual sum of 0, 1 and 2 counts as dense there; here as its events, which are weighted."""
    layer, x = nn.Linear(4, 2, bias=False), torch.tensor([[0.0, 1.0, 2.0, 0.0]])
    assert by_mean_rate(layer, x) == ("multiply_accumulate", 8)
    found = counted(layer, x, "real")
    assert (found.effective.total, found.dense.total) == (4, 8)
