"""The generated engine: which steps it writes as loops, that these are right, and what is refused with the reason.

Expected: the engine `reference`, which calls the very `step`. The loops run as the Python that they are written in;
`test_generated_cache.py` compiles some.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fastspiking import arrays
from fastspiking.choose import Engine
from fastspiking.codegen import build
from fastspiking.signals.trajectory import Trajectory
from sgbench.composition import catalogue
from sgbench.errors import InputError, NonFiniteError
from sgbench.networks.base import check_finite, surrogates
from sgbench.neurons.base import RESET_GRADIENTS, RESETS
from tests.fastspiking.cases import (
    SHAPES,
    SINGLE,
    WIRINGS,
    Given,
    Result,
    Wired,
    assert_same,
    catalogued,
    error,
    fires,
    neuron,
    packed,
    result,
    spikes,
)
from tests.fastspiking.test_networks import Saturating, SaturatingState
from tests.messages import raises_naming

X = spikes(8, 2, 6)
ALL = [name for name in catalogue.entries("neuron") if not neuron(name, 2).sees_all_steps]
BY_STEP_ALONE = [name for name in ALL if neuron(name, 2).recurrence_spec() is None]


def both(layer: Any, signal: Any = X) -> tuple[Result, Result]:
    """Of the generated engine and of the reference, from the same random numbers."""
    found = []
    for engine in ("generated", "reference"):
        for place, surrogate in enumerate(surrogates(layer)):
            surrogate.generator = torch.Generator().manual_seed(place)
        found.append(result(engine, [layer], signal))
    return found[0], found[1]


def learning(kind: str, size: int = 3, **changes: object) -> Any:
    """Neurons that learn a number each, where the entry has such."""
    try:
        return neuron(kind, size, learn="per_neuron", **changes)
    except InputError:  # a decay of 1 cannot be learnt
        return neuron(kind, size, **changes)


# --- what is covered


def test_all_neurons_with_a_step_alone_are_covered():
    """Expected: of the catalogue's neurons that no other engine runs, none is left to the reference."""
    assert len(BY_STEP_ALONE) >= 23
    for kind in BY_STEP_ALONE:
        name, reason = Engine("auto").pick(Wired(6, neuron(kind, 3), 3, gain=1.0))
        assert (name, "not fused" in reason) == ("generated", True), kind


@pytest.mark.one_in(10)
@pytest.mark.parametrize("kind", ALL)
def test_every_neuron(kind):
    """Expected: spikes equal; potentials, states, gradients of inputs, weights and learnt numbers to 1e-12."""
    place = ALL.index(kind)
    wirings = (WIRINGS[0], WIRINGS[1 + place % 4]) if fires(kind) else WIRINGS[:1]
    for wiring in wirings:
        layer = Wired(6, learning(kind), 3, gain=3.0, wiring=wiring)
        found, expected = both(layer)
        assert expected.output[0].any()
        assert_same(found, expected, f"{kind} {wiring}")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ALL)
def test_every_neuron_with_every_wiring_and_reset(kind):
    """Expected: as above."""
    for wiring in WIRINGS if fires(kind) else WIRINGS[:1]:
        for reset in RESETS:
            for reset_gradient in RESET_GRADIENTS:
                try:
                    made = learning(kind, reset=reset, reset_gradient=reset_gradient)
                except InputError:
                    continue
                layer = Wired(6, made, 3, gain=3.0, wiring=wiring)
                assert_same(*both(layer), f"{kind} {wiring} {reset} {reset_gradient}")
                found, expected = both(layer, packed(X))
                assert_same(found, expected, f"packed: {kind} {wiring} {reset} {reset_gradient}")


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("reset_gradient", RESET_GRADIENTS)
def test_every_reset(reset, reset_gradient):
    """Expected: as above, of a neuron whose potential is not linear."""
    layer = Wired(6, learning("eif", reset=reset, reset_gradient=reset_gradient), 3, gain=3.0)
    found, expected = both(layer)
    assert expected.output[0].any()
    assert_same(found, expected)


@pytest.mark.one_in(10)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_surrogate(shape):
    """Expected: as above, those that draw numbers included; only one that mixes neurons is refused."""
    made = catalogued(shape)
    if not made.elementwise:
        with pytest.raises(InputError, match=r"no rule|mixes samples"):
            Engine("generated").pick(Given(neuron("qif", 3, surrogate=made)))
        return
    reset = "zero" if made.output == "binary" else "subtract"
    found, expected = both(Wired(6, neuron("qif", 3, surrogate=made, reset=reset), 3, gain=3.0))
    assert_same(found, expected)
    assert expected.gradients["0.weight"].any() or shape == "zero"


@pytest.mark.one_in(4)
@pytest.mark.parametrize("kind", ["adex", "izhikevich", "conductance"])
def test_single_precision(kind):
    """Expected: spikes equal, gradients to 1e-5 of the reference in the same precision."""
    layer = Wired(6, neuron(kind, 3, learn="per_neuron"), 3, gain=3.0).float()
    found, expected = both(layer, X.float())
    assert torch.equal(found.output[0], expected.output[0])
    assert_same(found, expected, rtol=SINGLE)


def test_a_steepness_that_learns_or_moves():
    """Expected: as above; and must differ: with another stretch other gradients, by the numbers of that pass."""
    layer = Wired(6, neuron("qif", 3), 3, gain=3.0)
    slopes = []
    for stretch in (1.0, 1.5, 2.0):
        layer.neuron.surrogate.stretch = stretch
        found, expected = both(layer)
        assert_same(found, expected)
        slopes.append(found.gradients["0.weight"])
    assert error(slopes[1], slopes[0]) > 1e-3
    assert error(slopes[2], slopes[1]) > 1e-3
    layer.neuron.surrogate.stretch = 1.0
    layer.neuron.surrogate.learn_stretch()
    found, expected = both(layer)
    assert found.gradients["0.neuron.surrogate.log_stretch"].any()
    assert_same(found, expected)


def test_other_numbers_share_the_loops(monkeypatch):
    """Expected: one source for a sweep over a time constant and a slope; another one for another reset."""
    sources = set()
    in_python = build._loops

    def listening(text: str, *rest: Any) -> build.Loops:
        sources.add(text)
        return in_python(text, *rest)

    monkeypatch.setattr(build, "_loops", listening)
    for tau in (0.02, 0.03):
        surrogate = catalogued("atan")
        both(Wired(6, neuron("adex", 3, tau_mem_s=tau, surrogate=surrogate), 3, gain=3.0))
    assert len(sources) == 1
    both(Wired(6, neuron("adex", 3, reset="subtract"), 3, gain=3.0))
    assert len(sources) == 2


# --- sizes


@pytest.mark.parametrize(("steps", "batch", "size"), [(1, 1, 1), (1, 5, 2), (3, 1, 65), (2, 33, 3)])
def test_sizes(steps, batch, size):
    """Expected: as above; one step, one sample, one neuron, more samples than a block has, a long row."""
    layer = Wired(6, learning("adex", size), size, gain=3.0, wiring=WIRINGS[3])
    found, expected = both(layer, spikes(steps, batch, 6, 0.5))
    assert_same(found, expected)


def test_threads_do_not_change_a_bit(monkeypatch):
    """Expected: equal bits of everything with one thread and with two, of three blocks of samples."""
    monkeypatch.setattr(arrays, "MIN_WORK", 1)
    layer = Wired(6, learning("adex"), 3, gain=3.0).float()
    runs = []
    before = torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        runs.append(result("generated", [layer], spikes(5, 70, 6).float()))
    torch.set_num_threads(before)
    assert torch.equal(runs[0].output[0], runs[1].output[0])
    assert all(torch.equal(each, runs[1].gradients[name]) for name, each in runs[0].gradients.items())


# --- numbers at their ends


def test_subnormal_potentials_keep_their_bits():
    """Expected: equal bits; a potential of 1e-40 decays and is not set to 0, where only sums and products occur."""
    layer = Given(neuron("leaky", 3).float())
    current = torch.zeros(6, 2, 3)
    current[0] = 1e-40
    found, expected = both(layer, current)
    assert all(torch.equal(a, b) for a, b in zip(found.state[0], expected.state[0], strict=True))
    assert 0 < found.state[0][0].abs().max() < np.finfo(np.float32).tiny


def test_what_is_not_a_number_stops_with_the_name_of_the_layer():
    """Expected: the same message as with the reference."""
    layer = Wired(6, neuron("adex", 3), 3, gain=3.0)
    layer.weight.data[0, 0] = math.nan
    network = nn.Module()
    network.layers = nn.ModuleList([layer])
    run = Engine("generated").unroll([layer], torch.ones_like(X))[0]
    reached = Trajectory(run.output, torch.full((2,), 8), (), (), (run.state,))
    with raises_naming(NonFiniteError, "'hidden0'", "membrane potential"):
        check_finite(network, reached)


# --- what is refused


class Refused(Saturating):
    """A step that does one thing more."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.count, self.seen = how, 0, []
        self.register_buffer("total", torch.zeros(()))

    def step(  # noqa: C901 - one thing after another
        self, current: Tensor, state: SaturatingState
    ) -> tuple[Tensor, SaturatingState]:
        u = state.u
        if self.how == "branches" and u[0, 0] > 100:
            current = 2 * current
        if self.how == "item":
            current = current * max(1.0, u.detach().flatten()[0].item())
        if self.how == "numpy":
            current = current + torch.from_numpy(np.zeros_like(u.detach().numpy()))
        if self.how == "attribute":
            self.count = self.count + 1
        if self.how == "list":
            self.seen.append(1)
        if self.how == "buffer":
            self.total += 1
        if self.how == "rule":
            current = current + 0 * torch.special.bessel_j0(u)
        if self.how == "torch's numbers":
            current = current + 0 * torch.randn_like(u)
        if self.how == "own numbers":
            current = current + 1e-9 * torch.rand(u.shape).to(u)
        if self.how == "samples":
            current = current + 0 * u.mean(0)
        if self.how == "neurons":
            current = current + 0 * u.sum(1, keepdim=True)
        if self.how == "precision":
            current = (current.half() + 0).to(u.dtype)
        return super().step(current, state)


REASONS = {
    "branches": "aten::select|looks at a number",
    "item": "other axes than its neurons'|looks at a number",
    "numpy": "its step calls numpy",
    "attribute": "its step keeps 'count' on itself",
    "list": "its step keeps 'seen' on itself",
    "buffer": "its step keeps 'total' on itself",
    "rule": r"its step calls aten::special_bessel_j0, for which there is no rule",
    "torch's numbers": r"its step calls aten::randn_like, for which there is no rule",
    "own numbers": "its step takes a tensor that has samples and is no input",
    "samples": "aten::mean",
    "neurons": "its step sums over neurons",
    "precision": "its step computes in torch.float16",
}


@pytest.mark.parametrize(("how", "reason"), REASONS.items())
def test_what_cannot_be_written_runs_on_the_reference(how, reason):
    """Expected: `auto` gives the reason and takes the reference, on which the step is as if nobody had looked."""
    own = Refused(how)
    layer = Wired(6, own, 3, gain=3.0)
    name, why = Engine("auto").pick(layer)
    assert name == "reference"
    with pytest.raises(InputError, match=reason):
        Engine("generated").pick(layer)
    assert len(why) < 400
    assert (own.count, own.seen, own.total.item()) == (0, [], 0)
    result("auto", [layer], X)


def test_a_number_that_learns_is_never_written_into_the_loops():
    """Expected: its gradient, as of the reference, however the step takes it; and after it moved, other outputs."""

    class Learns(Saturating):
        def __init__(self) -> None:
            super().__init__()
            self.leak = nn.Parameter(torch.tensor(0.3, dtype=torch.float64))

        def step(self, current: Tensor, state: SaturatingState) -> tuple[Tensor, SaturatingState]:
            return super().step(current * self.leak.exp() + self.leak.view(1, 1), state)

    layer = Wired(6, Learns(), 3, gain=3.0)
    first, expected = both(layer)
    assert first.gradients["0.neuron.leak"].any()
    assert_same(first, expected)
    layer.neuron.leak.data += 0.5
    second, expected = both(layer)
    assert_same(second, expected)
    assert error(second.u[0], first.u[0]) > 0.01
