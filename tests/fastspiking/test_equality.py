"""Every neuron, every option, every engine: spikes, potentials, last states and gradients are those of `step`.

Expected: the engine `reference`. The loss is a random linear functional of spikes, potentials and last states.
"""

import functools
import itertools
from collections.abc import Iterable
from typing import Any

import pytest
import torch

from fastspiking.choose import Engine
from sgbench.errors import InputError
from tests.fastspiking.cases import (
    BY_HAND,
    FAST,
    NEURONS,
    SHAPES,
    SINGLE,
    WIRINGS,
    Result,
    Wired,
    assert_clear,
    assert_same,
    catalogued,
    engines,
    fires,
    functional,
    gain_of,
    neuron,
    options,
    packed,
    result,
    spikes,
)
from tests.thinned import thinned, thinned_rows

STEPS, BATCH, INPUTS, SIZE = 12, 3, 6, 5
CASES = [
    (kind, reset, learn)
    for kind in NEURONS
    for reset, learn in itertools.product(options(kind)["reset"], options(kind)["learn"])
]
every_part = pytest.mark.parametrize("part", ["a third", pytest.param("all", marks=pytest.mark.slow)])


def of_all(combinations: Iterable[Any], part: str, first: int) -> list[Any]:
    """All of them, or each third; where that begins differs between cases, so that together they see all."""
    listed = list(combinations)
    return listed if part == "all" else listed[first % min(3, len(listed)) :: 3]


def layer(kind: str, wiring: tuple[str, str] = ("none", "full"), **changes: object) -> Wired:
    """One layer of this file's sizes, with weights at which it fires now and then."""
    return Wired(INPUTS, neuron(kind, SIZE, **changes), SIZE, gain=gain_of(kind), wiring=wiring)


def refused(engine: str, made: Wired) -> bool:
    """Whether an engine says that it does not run this layer."""
    try:
        Engine(engine).pick(made)
    except InputError:
        return True
    return False


@pytest.mark.one_in(5)
@every_part
@pytest.mark.parametrize(("kind", "reset", "learn"), thinned_rows(CASES, 2))
def test_engines_equal_the_step(kind, reset, learn, part):
    """Expected: `reference`, to 1e-12; both reset gradients, every recurrence, full and cut, dense and packed."""
    x = spikes(STEPS, BATCH, INPUTS)
    wirings = WIRINGS if fires(kind) else WIRINGS[:1]
    ran = 0
    combinations = itertools.product(options(kind)["reset_gradient"], wirings)
    for reset_gradient, wiring in of_all(combinations, part, CASES.index((kind, reset, learn))):
        made = layer(kind, wiring, reset=reset, reset_gradient=reset_gradient, learn=learn)
        expected = result("reference", [made], x)
        where = f"{kind} {reset} {reset_gradient} learn={learn} {'/'.join(wiring)}"
        assert_clear(expected, where)
        assert all(gradient.any() for gradient in expected.gradients.values()), f"{where}: a gradient is 0"
        for engine in (*engines(part), "snntorch"):
            if refused(engine, made):
                continue
            ran += 1
            assert_same(result(engine, [made], x), expected, f"{engine}: {where}")
            assert_same(result(engine, [made], packed(x)), expected, f"{engine}, packed: {where}")
    if neuron(kind, SIZE).recurrence_spec() is not None:
        assert ran >= len(BY_HAND)


@pytest.mark.parametrize("kind", NEURONS)
def test_spec_decides_what_auto_takes(kind):
    """Expected: an entry with numbers runs on the fused engine, one without on `reference`, with the reason."""
    made = layer(kind)
    choice = Engine("auto").describe([made])
    if made.neuron.recurrence_spec() is None:
        assert choice.name == "reference"
        assert "no linear recurrence" in choice.reason
    else:
        assert choice.name == "fused"
        assert not any(refused(engine, made) for engine in FAST)


@pytest.mark.one_in(10)
@every_part
@pytest.mark.parametrize("surrogate", thinned(SHAPES, 3))
def test_every_surrogate(surrogate, part):
    """Expected: `reference`, for each shape of the catalogue, compiled or not, in every reset and neuron.

    Where more than a slope is taken of a surrogate, `auto` stays on `reference` and the others refuse.
    """
    x = spikes(STEPS, BATCH, INPUTS)
    shape = catalogued(surrogate)
    if not shape.elementwise or shape.stochastic or shape.output != "binary":
        made = layer("leaky", surrogate=shape)
        assert Engine("auto").describe([made]).name == ("generated" if shape.elementwise else "reference")
        assert all(refused(engine, made) for engine in BY_HAND)
        return
    combinations = ((kind, reset) for kind in filter(fires, NEURONS) for reset in options(kind)["reset"])
    for kind, reset in of_all(combinations, part, SHAPES.index(surrogate)):
        made = layer(kind, ("one_to_one", "full"), surrogate=catalogued(surrogate), reset=reset, learn="shared")
        expected = result("reference", [made], x)
        assert_clear(expected)
        for engine in engines(part):
            assert_same(result(engine, [made], packed(x)), expected, f"{engine}: {kind} {reset} {surrogate}")


@pytest.mark.one_in(8)
@every_part
@pytest.mark.parametrize("kind", NEURONS)
def test_single_precision(kind, part):
    """Expected: `reference` in float64; all sums are exact in both precisions, so that spikes agree.

    The loss is one under which no sum over neurons, samples and steps cancels to nearly nothing: `reference` itself
    would then be off by more.
    """
    x = spikes(8, BATCH, INPUTS)
    loss = functools.partial(functional, seed=3)
    wirings = WIRINGS if fires(kind) else WIRINGS[:1]
    combinations = list(itertools.product(options(kind)["reset"], wirings, options(kind)["learn"]))
    combinations = combinations if part == "all" else combinations[:: 7 if fires(kind) else 1]
    for reset, wiring, learn in combinations:
        made = Wired(
            INPUTS,
            neuron(kind, SIZE, dyadic=True, reset=reset, reset_gradient="attached", learn=learn),
            SIZE,
            gain=2.0,
            wiring=wiring,
            unit=0.125,
        )
        where = f"{kind} {reset} learn={learn} {'/'.join(wiring)}"
        expected = result("reference", [made], x, loss=loss)
        assert not fires(kind) or 0.05 < expected.output[0].mean() < 0.95, where
        single = made.float()
        for engine in ("reference", *engines(part)):
            for signal in (x.float(), packed(x.float())):
                assert_same(result(engine, [single], signal, loss=loss), expected, f"{engine}: {where}", SINGLE)


# --- what the comparison must be able to see


def gradients(**changes: object) -> Result:
    """A recurrent leaky layer on the fused engine."""
    wiring = changes.pop("wiring", ("all_to_all", "full"))
    return result("fused", [layer("leaky", wiring, **changes)], spikes(STEPS, BATCH, INPUTS))


@pytest.mark.one_in(5)
@pytest.mark.parametrize("engine", FAST)
@pytest.mark.parametrize("kind", [kind for kind in NEURONS if fires(kind)])
@pytest.mark.parametrize("reset", ["subtract", "subtract_decayed", "zero"])
def test_attached_differs_from_detached(engine, kind, reset):
    """Must differ: the path through the reset; the forward pass must not."""
    x = spikes(STEPS, BATCH, INPUTS)
    one, other = (
        result(engine, [layer(kind, reset=reset, reset_gradient=choice)], x) for choice in ("attached", "detached")
    )
    assert torch.equal(one.u[0], other.u[0])
    largest = one.gradients["0.weight"].abs().max()
    assert (one.gradients["0.weight"] - other.gradients["0.weight"]).abs().max() > 1e-3 * largest


@pytest.mark.parametrize("engine", FAST)
@pytest.mark.parametrize("recurrence", ["one_to_one", "all_to_all"])
def test_cut_differs_from_full(engine, recurrence):
    """Must differ: the path over recurrent spikes, in weights and recurrent weights; the forward pass must not."""
    x = spikes(STEPS, BATCH, INPUTS)
    full, cut = (result(engine, [layer("leaky", (recurrence, choice))], x) for choice in ("full", "cut"))
    assert torch.equal(full.u[0], cut.u[0])
    for name in ("0.weight", "0.recurrent"):
        assert (full.gradients[name] - cut.gradients[name]).abs().max() > 1e-3 * full.gradients[name].abs().max()


@pytest.mark.parametrize("engine", FAST)
def test_the_order_of_layers_matters(engine):
    """Must differ: two layers of equal size the other way round."""
    first, second = (
        Wired(INPUTS, neuron("leaky", INPUTS), INPUTS, gain=gain_of("leaky"), seed=seed) for seed in (1, 2)
    )
    x = spikes(STEPS, BATCH, INPUTS)
    one, other = result(engine, [first, second], x), result(engine, [second, first], x)
    assert not torch.equal(one.output[1], other.output[1])
    assert (one.gradients["0.weight"] - other.gradients["1.weight"]).abs().max() > 1e-3


def test_neurons_differ():
    """Must differ: otherwise one kind's numbers would do for all."""
    x = spikes(STEPS, BATCH, INPUTS)
    runs = [result("fused", [Wired(INPUTS, neuron(kind, SIZE), SIZE, gain=2.0)], x).u[0] for kind in NEURONS]
    for position, one in enumerate(runs):
        for other in runs[:position]:
            assert (one - other).abs().max() > 1e-3
