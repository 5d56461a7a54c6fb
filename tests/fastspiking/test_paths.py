"""Every path of the gradient by itself, graphs that are used twice, and states that are carried on.

Expected: the engine `reference`.
"""

import functools
import itertools
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from fastspiking.choose import Engine
from fastspiking.layer import LayerRun
from fastspiking.signals.spikes import windows
from tests.fastspiking.cases import (
    FAST,
    NEURONS,
    WIRINGS,
    Wired,
    assert_same,
    engines,
    error,
    fires,
    functional,
    gain_of,
    neuron,
    packed,
    result,
    spikes,
)
from tests.thinned import thinned

KINDS = [kind for kind in NEURONS if fires(kind)]
PARTS = [parts for count in (1, 2) for parts in itertools.combinations(("spikes", "u", "state"), count)]


def network(kind: str = "leaky", wiring: tuple[str, str] = WIRINGS[3], **changes: object) -> list[Wired]:
    """One spiking layer, one more, and a readout."""
    changes = {"reset_gradient": "attached", "learn": "shared"} | changes
    return [
        Wired(6, neuron(kind, 7, **changes), 7, gain=gain_of(kind), wiring=wiring),
        Wired(7, neuron("leaky", 5, **changes), 5, gain=gain_of("leaky"), name="hidden1"),
        Wired(5, neuron("leaky_readout", 3), 3, gain=1.0, name="readout"),
    ]


X = spikes(15, 3, 6)


@pytest.mark.one_in(16)
@pytest.mark.parametrize("part", ["a third", pytest.param("all", marks=pytest.mark.slow)])
@pytest.mark.parametrize("parts", thinned(PARTS, 2), ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_of_some_parts(kind, parts, part):
    """Expected: `reference`; gradients of what the loss does not use are absent, not zeros or garbage."""
    combinations = list(itertools.product(WIRINGS, ("subtract", "zero")))
    for wiring, reset in combinations if part == "all" else combinations[PARTS.index(parts) % 3 :: 3]:
        layers = network(kind, wiring, reset=reset)
        loss = functools.partial(functional, parts=parts)
        expected = result("reference", layers, X, loss=loss)
        for engine in engines(part):
            assert_same(result(engine, layers, packed(X), loss=loss), expected, f"{engine} {wiring} {reset}")


def only(layer: int, field: str) -> functools.partial:
    """A loss of one field of one layer."""

    def loss(runs: Sequence[LayerRun], layer: int, field: str) -> Tensor:
        run = runs[layer]
        value = getattr(run, field) if hasattr(run, field) else getattr(run.state, field)
        weights = torch.randn(value.shape, generator=torch.Generator().manual_seed(3), dtype=value.dtype)
        return (weights * value).sum()

    return functools.partial(loss, layer=layer, field=field)


@pytest.mark.one_in(5)
@pytest.mark.parametrize(
    ("kind", "field"),
    [(kind, field) for kind in KINDS for field in ("output", *type(neuron(kind, 1).initial_state(X[0]))._fields)],
)
def test_a_loss_of_one_field_alone(kind, field):
    """Expected: `reference`; each field of the last state, and the spikes, of the first layer and nothing else."""
    layers = network(kind)
    expected = result("reference", layers, X, loss=only(0, field))
    assert expected.gradients["0.weight"].any()
    assert not expected.gradients["1.weight"].any()
    for engine in FAST:
        assert_same(result(engine, layers, X, loss=only(0, field)), expected, engine)


@pytest.mark.parametrize("engine", FAST)
def test_a_loss_of_the_last_layer_alone_without_potentials(engine):
    """Expected: `reference`; the usual training loss, of which only the readout's output is part."""
    layers = network("alif")

    def loss(runs: Sequence[LayerRun]) -> Tensor:
        return runs[-1].output.square().mean()

    expected = result("reference", layers, X, loss=loss, keep_u=False)
    assert_same(result(engine, layers, packed(X), loss=loss, keep_u=False, keep_spikes=False), expected)


@pytest.mark.one_in(5)
@pytest.mark.parametrize("engine", FAST)
@pytest.mark.parametrize("fixed", ["weight", "recurrent", "bias", "neuron"])
def test_weights_that_do_not_learn(engine, fixed):
    """Expected: `reference`; nothing for what is fixed, the same for the rest."""
    layers = network("alif")
    for layer in layers[:2]:
        for name, weight in layer.named_parameters():
            if name.startswith(fixed):
                weight.requires_grad_(False)
    expected = result("reference", layers, X)
    assert_same(result(engine, layers, X), expected)
    assert_same(result(engine, layers, packed(X)), expected)
    assert all(weight.grad is None for layer in layers for weight in layer.parameters() if not weight.requires_grad)


@pytest.mark.parametrize("engine", ["reference", *FAST])
def test_without_gradient_nothing_is_recorded(engine):
    """Expected: the same numbers under no_grad and inference_mode, without history."""
    layers = network()
    expected = result("reference", layers, X)
    for context in (torch.no_grad, torch.inference_mode):
        with context():
            runs = Engine(engine).unroll(layers, packed(X), keep_u=True)
        assert not any(run.output.requires_grad or run.u.requires_grad for run in runs)
        for run, output in zip(runs, expected.output, strict=True):
            assert error(run.output, output) < 1e-12


# --- graphs used twice


@pytest.mark.one_in(5)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("engine", FAST)
def test_a_second_backward_equals_the_first(engine, kind):
    """Expected: with retain_graph the same bits again; without it torch's own refusal."""
    layers = network(kind)
    parameters = [weight for layer in layers for weight in layer.parameters()]
    loss = functional(Engine(engine).unroll(layers, packed(X), keep_u=True))
    first, second, third = (torch.autograd.grad(loss, parameters, retain_graph=keep) for keep in (True, True, False))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    assert all(torch.equal(one, other) for one, other in zip(first, third, strict=True))
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(loss, parameters)


@pytest.mark.parametrize("engine", FAST)
def test_two_losses_of_one_graph_add_up(engine):
    """Expected: mathematics; the gradients of spikes and of potentials, each by itself, sum to those of both."""
    layers = network()
    parameters = [weight for layer in layers for weight in layer.parameters()]
    runs = Engine(engine).unroll(layers, packed(X), keep_u=True)
    both, one, other = (
        torch.autograd.grad(functional(runs, parts), parameters, retain_graph=True)
        for parts in (("spikes", "u"), ("spikes",), ("u",))
    )
    for whole, a, b in zip(both, one, other, strict=True):
        assert error(a + b, whole) < 1e-12


@pytest.mark.parametrize("engine", FAST)
@pytest.mark.parametrize("signal", [X, packed(X)], ids=["dense", "packed"])
def test_a_second_derivative_is_refused(engine, signal):
    """Expected: an error that says so, not a wrong number."""
    layers = network()
    loss = Engine(engine).unroll(layers, signal)[-1].output.square().sum()
    (slope,) = torch.autograd.grad(loss, layers[0].weight, create_graph=True)
    with pytest.raises(RuntimeError, match=r"twice|not implemented"):
        slope.sum().backward()


@pytest.mark.parametrize("engine", ["reference", *FAST])
@pytest.mark.parametrize(("layer", "name"), [(0, "recurrent"), (1, "weight"), (2, "weight")])
def test_weights_that_moved_before_backward_are_noticed(engine, layer, name):
    """Expected: torch's refusal, as from `reference`; the adjoint needs the weights of the forward pass."""
    layers = network()
    loss = functional(Engine(engine).unroll(layers, packed(X), keep_u=True))
    with torch.no_grad():
        getattr(layers[layer], name).mul_(2)
    with pytest.raises(RuntimeError, match="inplace"):
        loss.backward()


@pytest.mark.parametrize("engine", FAST)
def test_outputs_that_were_overwritten_are_noticed(engine):
    """Expected: torch's refusal; potentials are what the adjoint is made from."""
    runs = Engine(engine).unroll(network(), packed(X), keep_u=True)
    loss = functional(runs)
    with torch.no_grad():
        runs[0].u.zero_()
    with pytest.raises(RuntimeError, match="inplace"):
        loss.backward()


# --- states


@pytest.mark.one_in(8)
@pytest.mark.parametrize("engine", FAST)
@pytest.mark.parametrize("kind", thinned(KINDS, 2))
@pytest.mark.parametrize("wiring", thinned(WIRINGS, 4), ids="/".join)
def test_a_given_state_is_where_it_starts(engine, kind, wiring):
    """Expected: `reference` from the last states of another run, whose spikes enter recurrence and resets."""
    for reset in ("subtract", "zero"):
        layers = network(kind, wiring, reset=reset)
        before = Engine("reference").unroll(layers, spikes(9, 3, 6, seed=5))
        states = [type(run.state)(*(each.detach() for each in run.state)) for run in before]
        assert states[0].s.any()
        expected = result("reference", layers, X, states=states)
        assert_same(result(engine, layers, X, states=states), expected, reset)
        assert_same(result(engine, layers, packed(X), states=states), expected, reset)
        rest = result("reference", layers, X)
        assert (rest.u[0] - expected.u[0]).abs().max() > 1e-3, "the state matters"


@pytest.mark.one_in(5)
@pytest.mark.parametrize("engine", ["auto", *FAST])
@pytest.mark.parametrize("kind", KINDS)
def test_gradient_reaches_a_state_that_learns(engine, kind):
    """Expected: `reference`, the gradient of the state before the first step included."""
    layers = network(kind)
    gradients = {}
    for name in ("reference", engine):
        before = Engine("reference").unroll(layers, spikes(9, 3, 6, seed=5))
        states = [type(run.state)(*(each.detach().requires_grad_() for each in run.state)) for run in before]
        functional(Engine(name).unroll(layers, packed(X), states, keep_u=True)).backward()
        gradients[name] = [each.grad for state in states for each in state if each.grad is not None]
    assert len(gradients[engine]) == len(gradients["reference"]) > 3
    for found, expected in zip(gradients[engine], gradients["reference"], strict=True):
        assert error(found, expected) < 1e-12


@pytest.mark.one_in(8)
@pytest.mark.parametrize("engine", ["auto", *FAST])
@pytest.mark.parametrize("cut", [True, False], ids=["cut", "whole"])
def test_windows_of_packed_and_dense_input(engine, cut):
    """Expected: `reference` in windows of 4 of 15 steps; with the history cut at borders or carried over them."""
    layers = network("alif")

    def gradients(name: str, signal: object) -> list[Tensor]:
        for layer in layers:
            layer.zero_grad()
        states, total = None, torch.zeros((), dtype=torch.float64)
        for window in windows(signal, 4):
            runs = Engine(name).unroll(layers, window, states, keep_u=True)
            total = total + functional(runs)
            states = [run.state for run in runs]
            if cut:
                states = [type(state)(*(each.detach() for each in state)) for state in states]
        total.backward()
        return [weight.grad.clone() for layer in layers for weight in layer.parameters()]

    expected = gradients("reference", X)
    for signal in (X, packed(X)):
        for found, wanted in zip(gradients(engine, signal), expected, strict=True):
            assert error(found, wanted) < 1e-12
