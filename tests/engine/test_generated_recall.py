"""What is written down once, and when it is written down anew.

Expected: a hand count of how often the step is called by the engine; and the reference's numbers after each change.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sgbench.engine.choose import Engine
from tests.engine.cases import Given, assert_same, error, neuron, result
from tests.engine.test_networks import Saturating, SaturatingState

X = torch.linspace(-1, 2, 24, dtype=torch.float64).view(4, 2, 3)


class Counted(Saturating):
    """Counts outside of itself how often its step is written down."""

    def __init__(self, calls: list[int]) -> None:
        super().__init__()
        self.leak, self.parts, self.calls = 0.5, {"gain": [1.0]}, calls.append
        self.register_buffer("shift", torch.zeros(3, dtype=torch.float64))

    def step(self, current: Tensor, state: SaturatingState) -> tuple[Tensor, SaturatingState]:
        self.calls(1)
        return super().step(self.leak * current * self.parts["gain"][0] + self.shift, state)


def test_once_and_anew_after_any_number_moved():
    """Expected: one call to try it out and one to write it down; one more for each change, the right numbers."""
    calls: list[int] = []
    layer = Given(Counted(calls))
    for _ in range(3):
        first = result("generated", [layer], X)
    assert len(calls) == 2

    def moved(count: int) -> None:
        nonlocal first
        found = result("generated", [layer], X)
        assert len(calls) == count
        assert error(found.u[0], first.u[0]) > 1e-3
        assert_same(found, result("reference", [layer], X))
        del calls[count:]
        first = found

    layer.neuron.leak = 0.75
    moved(3)
    layer.neuron.parts["gain"][0] = 1.5
    moved(4)
    layer.neuron.shift += 0.25
    moved(5)
    layer.neuron.surrogate.stretch = 2.0
    found = result("generated", [layer], X)
    assert len(calls) == 6
    assert error(found.gradients["input"], first.gradients["input"]) > 1e-3


@pytest.mark.parametrize("kind", ["noisy", "escape_noise"])
def test_what_draws_or_learns_is_written_anew(kind):
    """Expected: other noise in the next pass; other outputs after a learnt number moved."""
    layer = Given(neuron(kind, 3, learn="shared"))
    runs = [Engine("generated").unroll([layer], X, keep_u=True)[0].u for _ in range(2)]
    assert kind == "escape_noise" or not torch.equal(*runs)
    for parameter in layer.neuron.parameters():
        parameter.data += 0.1
    assert not torch.equal(Engine("generated").unroll([layer], X, keep_u=True)[0].u, runs[1])
