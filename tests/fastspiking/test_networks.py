"""Chains of layers: what flows forward and back between them, on any mixture of engines.

Expected: the engine `reference`. Weights are multiples of 1/8 and decays a half where spikes must agree in spite of
other orders of summation; elsewhere no potential lies near its threshold.
"""

from typing import ClassVar, Literal, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fastspiking.choose import Engine
from sgbench.neurons.base import Neuron, Operations
from tests.fastspiking.cases import (
    FAST,
    NEURONS,
    WIRINGS,
    Wired,
    assert_clear,
    assert_same,
    atan,
    fires,
    functional,
    gain_of,
    last_output,
    neuron,
    packed,
    result,
    spikes,
)

FIRING = [kind for kind in NEURONS if fires(kind)]


class SaturatingState(NamedTuple):
    """What a `Saturating` layer carries from step to step."""

    u: Tensor
    s: Tensor


class Saturating(Neuron):
    """A neuron of a user's own, whose step is not linear."""

    output: ClassVar[Literal["binary", "real"]] = "binary"

    def __init__(self) -> None:
        super().__init__()
        self.surrogate = atan()

    def initial_state(self, like: Tensor) -> SaturatingState:
        return SaturatingState(torch.zeros_like(like), torch.zeros_like(like))

    def step(self, current: Tensor, state: SaturatingState) -> tuple[Tensor, SaturatingState]:
        u = 0.8 * torch.tanh(state.u) * (1 - state.s) + current
        s = self.surrogate(u - 1)
        return s, SaturatingState(u, s)

    def centred(self, state: SaturatingState) -> Tensor:
        return state.u - 1

    @property
    def operations(self) -> Operations:
        return Operations(3, 3, 1, state_words=1)


class Branching(Saturating):
    """One that looks at its potentials, so that no loop can be written for it."""

    def step(self, current: Tensor, state: SaturatingState) -> tuple[Tensor, SaturatingState]:
        return super().step(current if state.u.max() < 100 else 0 * current, state)


def chain(
    kinds: list[str], sizes: list[int], wirings: list[tuple[str, str]], *, dyadic: bool = False, **changes: object
) -> list[Wired]:
    """Layers of these kinds; "own" is a `Saturating`. sizes: of the input and of each layer."""
    layers = []
    for position, (kind, wiring) in enumerate(zip(kinds, wirings, strict=True)):
        size = sizes[position + 1]
        made = Saturating() if kind == "own" else neuron(kind, size, dyadic=dyadic, **changes)
        spread = 2.0 if dyadic else gain_of("leaky" if kind == "own" else kind)
        layers.append(
            Wired(
                sizes[position],
                made,
                size,
                gain=spread,
                wiring=wiring if made.output == "binary" else WIRINGS[0],
                unit=0.125 if dyadic else None,
                name=f"layer{position}",
                seed=position,
            )
        )
    return layers


@pytest.mark.one_in(5)
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("engine", ["auto", *FAST])
def test_depths_with_random_weights(engine, depth):
    """Expected: `reference` to 1e-12; 1 to 4 layers of all kinds and a readout, dense and packed input."""
    kinds = [FIRING[position % len(FIRING)] for position in range(depth)]
    wirings = [WIRINGS[(2 * position + depth) % 5] for position in range(depth)]
    layers = chain(
        [*kinds, "leaky_readout"],
        [6, *[7 + position for position in range(depth)], 3],
        [*wirings, WIRINGS[0]],
        learn="per_neuron",
        reset_gradient="attached",
    )
    x = spikes(20, 3, 6)
    expected = result("reference", layers, x)
    assert_clear(expected)
    assert_same(result(engine, layers, x), expected)
    assert_same(result(engine, layers, packed(x)), expected, "packed")


kind_lists = st.lists(
    st.tuples(st.sampled_from(FIRING), st.sampled_from(WIRINGS), st.sampled_from([1, 2, 5, 63, 64, 65]), st.booleans()),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60)
@given(
    layers=kind_lists,
    steps=st.integers(1, 6),
    batch=st.integers(1, 3),
    inputs=st.sampled_from([1, 3, 64, 65]),
    density=st.sampled_from([0.0, 0.05, 0.2, 0.24, 0.33, 0.37, 0.8, 1.0]),
    reset=st.sampled_from(["subtract", "subtract_decayed", "zero", "none"]),
    reset_gradient=st.sampled_from(["detached", "attached"]),
    learn=st.sampled_from(["none", "shared", "per_neuron"]),
    readout=st.booleans(),
    keep_spikes=st.booleans(),
    engine=st.sampled_from(FAST),
)
@pytest.mark.slow
def test_any_network(  # noqa: PLR0917 - given by name
    layers, steps, batch, inputs, density, reset, reset_gradient, learn, readout, keep_spikes, engine
):
    """Expected: `reference`; weights and numbers for which all sums are exact, so that all spikes must agree."""
    kinds = [kind for kind, *_ in layers] + (["leaky_readout"] if readout else [])
    sizes = [inputs, *(size for _, _, size, _ in layers)] + ([3] if readout else [])
    wirings = [wiring for _, wiring, *_ in layers] + ([WIRINGS[0]] if readout else [])
    options = {"reset": reset, "reset_gradient": reset_gradient, "learn": learn}
    net = chain(kinds, sizes, wirings, dyadic=True, **options)
    for layer, (*_, bias) in zip(net, layers, strict=False):
        if not bias:
            layer.bias = None
    x = spikes(steps, batch, inputs, density)
    loss = functional if keep_spikes else last_output
    expected = result("reference", net, x, loss=loss)
    for signal in (x, packed(x)):
        found = result(engine, net, signal, loss=loss, keep_spikes=keep_spikes)
        assert_same(found, expected, type(signal).__name__)


@pytest.mark.parametrize("engine", FAST)
def test_values_other_than_one_are_never_made_binary(engine):
    """Expected: `reference` on the dense input; and must differ from the same places with ones."""
    x = spikes(15, 3, 6, 0.25)
    values = torch.tensor([0.5, -2.0, 1.0, 3.25], dtype=torch.float64)
    graded = x * values[torch.arange(x.numel()).view(x.shape) % 4]
    layers = chain(["leaky", "leaky_readout"], [6, 5, 3], [WIRINGS[0]] * 2)
    expected = result("reference", layers, graded)
    assert_clear(expected)
    found = result(engine, layers, packed(graded))
    assert_same(found, expected)
    binary = result(engine, layers, packed(x))
    assert (binary.u[0] - found.u[0]).abs().max() > 0.1
    assert (binary.gradients["0.weight"] - found.gradients["0.weight"]).abs().max() > 0.1


# --- mixtures


@pytest.mark.one_in(8)
@pytest.mark.parametrize("keep_spikes", [True, False])
@pytest.mark.parametrize("middle", ["own", "leaky_readout"])
@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_a_layer_of_ones_own_among_others(place, middle, keep_spikes):
    """Expected: `reference` for all; `auto` runs the user's neuron there and the rest compiled.

    A layer that does not fire in the middle sends potentials, which the layer behind takes as a dense current.
    """
    kinds, wirings = (["leaky", "alif", "synaptic", "leaky_readout"], [WIRINGS[3], WIRINGS[1], WIRINGS[4], WIRINGS[0]])
    kinds[place] = middle
    layers = chain(kinds, [6, 7, 8, 9, 3], wirings, reset_gradient="attached", learn="shared")
    names = Engine("auto").describe(layers).name
    assert names == "fused" if middle != "own" else set(names.split("+")) == {"fused", "generated"}
    x = spikes(20, 3, 6)
    loss = functional if keep_spikes else last_output
    expected = result("reference", layers, x, loss=loss)
    assert_clear(expected)
    for engine in ["auto", *(FAST if middle != "own" else ())]:
        for signal in (x, packed(x)):
            found = result(engine, layers, signal, loss=loss, keep_spikes=keep_spikes)
            assert_same(found, expected, f"{engine}, {type(signal).__name__}")


def test_snntorch_in_a_network():
    """Expected: `reference`; snnTorch's Leaky and Synaptic with our recurrence, and a readout."""
    layers = chain(["leaky", "synaptic", "leaky_readout"], [6, 7, 8, 3], [WIRINGS[3], WIRINGS[1], WIRINGS[0]])
    x = spikes(20, 3, 6)
    expected = result("reference", layers, x)
    assert_clear(expected)
    assert_same(result("snntorch", layers, packed(x)), expected)


@pytest.mark.parametrize("engine", ["reference", *FAST])
def test_without_keep_spikes_nothing_else_changes(engine):
    """Expected: the same last output, potentials and gradients of a loss that needs no hidden spikes."""
    layers = chain(["leaky", "alif", "leaky_readout"], [6, 7, 8, 3], [WIRINGS[3], WIRINGS[1], WIRINGS[0]])

    def loss(runs: list) -> Tensor:
        return runs[-1].output.square().sum()

    x = packed(spikes(20, 3, 6))
    kept, dropped = (result(engine, layers, x, loss=loss, keep_spikes=choice) for choice in (True, False))
    assert torch.equal(kept.output[-1], dropped.output[-1])
    for name, gradient in kept.gradients.items():
        assert torch.equal(gradient, dropped.gradients[name]), name


def test_two_engines_in_one_network_share_no_state():
    """Expected: a network run twice, and once in between on another input, gives equal bits."""
    layers = chain(["leaky", "leaky_readout"], [6, 7, 3], [WIRINGS[3], WIRINGS[0]])
    x, other = packed(spikes(20, 3, 6)), packed(spikes(25, 2, 6, seed=9))
    once = result("fused", layers, x)
    result("fused", layers, other)
    again = result("fused", layers, x)
    assert all(torch.equal(once.gradients[name], again.gradients[name]) for name in once.gradients)
