"""Classes that nothing learns, on a readout whose outputs follow by hand; the reference is autograd itself."""

from __future__ import annotations

import pytest
import torch

from fastspiking.signals.trajectory import Batch
from sgbench.diagnosis.panels import diagnose_network
from sgbench.diagnosis.traces import trace
from sgbench.losses.base import Loss
from sgbench.losses.max_over_time import MaxOverTime
from sgbench.losses.max_since_input import MaxSinceInput
from sgbench.losses.sum_over_time import SumOverTime
from tests.diagnosis.made import network, objective, sigmoid


def one_spike() -> Batch:
    """Two samples of classes 0 and 1 with a spike in the second of four steps."""
    x = torch.zeros(4, 2, 1, dtype=torch.float64)
    x[1] = 1
    return Batch(x, torch.tensor([0, 1]), torch.tensor([4, 4]), torch.arange(2))


@pytest.mark.parametrize(
    ("loss", "weights", "lost"),
    [
        (MaxOverTime(), (1.0, -1.0, 0.5), "class 1: of 2 samples"),
        (MaxOverTime(), (1.0, -1.0, -0.5), "classes 1, 2: of 2 samples"),
        (MaxOverTime(), (1.0, 2.0, 0.5), None),
        (MaxSinceInput(), (1.0, -1.0, -0.5), None),
        (SumOverTime(), (1.0, -1.0, -0.5), None),
    ],
)
def test_a_class_is_lost_where_no_weight_into_it_has_a_gradient(
    loss: Loss, weights: tuple[float, ...], lost: str | None
) -> None:
    """By hand: behind a first step at 0 an output has the sign of its weight, so a negative one is largest at 0.

    Must differ: positive weights, and losses that do not look at the step at rest.
    """
    net, batch, goal = network([1, 3], sigmoid), one_spike(), objective(loss)
    with torch.no_grad():
        net.layers[0].weight.copy_(torch.tensor(weights, dtype=torch.float64)[:, None])
    gradient = trace(net, batch, goal).network.layers[0].weight.grad
    assert gradient is not None
    without = [str(place) for place, row in enumerate(gradient) if not row.any()]
    options = {"panels": ("flow", "activity"), "generator": torch.Generator().manual_seed(0)}
    advice = diagnose_network(net, None, [batch, batch], goal, **options).advice  # type: ignore[arg-type]
    found = [line for line in advice if "nothing is learnt of" in line]
    if lost is None:
        assert (without, found) == ([], [])
        return
    (line,) = found
    assert line.startswith(lost.replace("2 samples", "4 samples"))  # of both batches
    assert line.split(":")[0].split(" ", 1)[1] == ", ".join(without)
    assert "loss=max_since_input" in line


def test_a_readout_that_fires_is_left_alone() -> None:
    """A silent output has a gradient by its surrogate, so no class is called lost."""
    net, batch, goal = network([1, 3], sigmoid, spiking_readout=True), one_spike(), objective(SumOverTime())
    with torch.no_grad():
        net.layers[0].weight.copy_(torch.tensor([[2.0], [-1.0], [0.1]], dtype=torch.float64))
    options = {"panels": ("flow", "activity"), "generator": torch.Generator().manual_seed(0)}
    advice = diagnose_network(net, None, [batch], goal, **options).advice  # type: ignore[arg-type]
    assert not [line for line in advice if "nothing is learnt of" in line]
