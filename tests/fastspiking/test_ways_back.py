"""Feedback weights and windows on every engine; expected are the reference's gradients, unless a test says more.

Legend: B feedback weights in place of W, C in place of V.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastspiking.choose import Engine
from fastspiking.signals.spikes import SparseSpikes
from sgbench.errors import InputError
from tests.fastspiking.cases import BY_HAND, FAST, WIRINGS, Wired, functional, gain_of, neuron, spikes
from tests.thinned import thinned

X = spikes(15, 3, 6)
KINDS = ("leaky", "synaptic", "alif")
RESETS = (("subtract", "attached"), ("zero", "attached"), ("zero", "detached"))


def network(
    kind: str, wiring: tuple[str, str], reset: tuple[str, str] = RESETS[0], *, aligned: bool = False
) -> list[Wired]:
    """Two layers that fire and a readout; all that can learn does."""
    options = {"reset": reset[0], "reset_gradient": reset[1], "learn": "per_neuron"}
    gain = gain_of(kind)
    layers = [
        Wired(6, neuron(kind, 7, **options), 7, gain=gain, wiring=wiring),
        Wired(7, neuron(kind, 5, **options), 5, gain=gain, wiring=wiring, name="hidden1"),
        Wired(5, neuron("leaky_readout", 4), 4, gain=1.0, name="readout"),
    ]
    random = torch.Generator().manual_seed(4)
    for layer in layers if aligned else []:
        for own, back in (("weight", "feedback_weight"), ("recurrent", "recurrent_feedback")):
            given = getattr(layer, own)
            if given is not None:
                drawn = torch.randn(given.shape, generator=random, dtype=torch.float64)
                setattr(layer, back, gain * drawn)
    return layers


def gradients(engine: str, layers: list[Wired], signal: Tensor | SparseSpikes, window: int | None = None):
    """Of all parameters, in order."""
    for layer in layers:
        layer.zero_grad()
    functional(Engine(engine).unroll(layers, signal, keep_u=True, window=window)).backward()
    return [weight.grad.clone() for layer in layers for weight in layer.parameters()]


def assert_same(found: list[Tensor], expected: list[Tensor]) -> None:
    """To the rounding of sums in another order."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert other.any()
        assert (one - other).abs().max() <= 1e-11 * other.abs().max()


CASES = [(kind, wiring, reset) for kind in KINDS for wiring in WIRINGS for reset in RESETS]


@pytest.mark.one_in(4)
@pytest.mark.parametrize("case", thinned(CASES, 9), ids=str)
def test_feedback_weights_carry_gradient_back(case):
    """Must match: the reference, of dense input (which gradient may reach too) and of packed events."""
    layers = network(*case, aligned=True)
    expected = gradients("reference", layers, X)
    for engine in FAST if case[1][0] == "none" else BY_HAND:
        for signal in (X, SparseSpikes.of(X)):
            assert_same(gradients(engine, layers, signal), expected)


def test_written_loops_leave_other_recurrent_weights_to_the_reference():
    """Expected: the reason in one line; must differ: a recurrent layer without them."""
    wiring = ("all_to_all", "full")
    with pytest.raises(InputError, match="recurrent weights"):
        gradients("generated", network("leaky", wiring, aligned=True), X)
    gradients("generated", network("leaky", wiring), X)


@pytest.mark.parametrize("engine", ["reference", *BY_HAND])
def test_feedback_weights_of_its_own_size_are_those_weights(engine):
    """Must match: plain gradients where B = W and C = V. Must differ: others; the forward pass is the same."""
    wiring = ("all_to_all", "full")
    plain, drawn = (network("leaky", wiring, aligned=aligned) for aligned in (False, True))
    own = network("leaky", wiring)
    for layer in own:
        layer.feedback_weight = layer.weight.detach().clone()
        layer.recurrent_feedback = None if layer.recurrent is None else layer.recurrent.detach().clone()
    expected = gradients(engine, plain, X)
    assert_same(gradients(engine, own, X), expected)
    found = gradients(engine, drawn, X)
    assert (found[0] - expected[0]).abs().max() > 1e-2 * expected[0].abs().max()
    outputs = [Engine(engine).unroll(layers, X)[-1].output for layers in (plain, drawn)]
    assert torch.equal(*outputs)


@pytest.mark.parametrize("engine", ["reference", *FAST])
def test_gradient_reaches_dense_input_by_feedback_weights(engine):
    """Must match: mathematics; what is sent back is linear in B, and B = W sends what no B sends."""
    layers = network("leaky", ("none", "full"))
    weight = layers[0].weight.detach()
    other = torch.randn(weight.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)

    def of_input(back: Tensor | None) -> Tensor:
        layers[0].feedback_weight = back
        x = X.clone().requires_grad_()
        functional(Engine(engine).unroll(layers, x, keep_u=True)).backward()
        return x.grad

    plain, drawn, both = (of_input(back) for back in (None, other, weight + other))
    assert (plain - drawn).abs().max() > 1e-2 * plain.abs().max()
    torch.testing.assert_close(both, plain + drawn, rtol=1e-10, atol=1e-12)


@pytest.mark.one_in(8)
@pytest.mark.parametrize("window", [1, 4])
@pytest.mark.parametrize("case", thinned(CASES, 9), ids=str)
def test_windows_cut_all_states(case, window):
    """Must match: the reference, which detaches the whole state at each border; must differ: no window."""
    layers = network(*case)
    expected = gradients("reference", layers, X, window)
    for engine in FAST:
        for signal in (X, SparseSpikes.of(X)):
            assert_same(gradients(engine, layers, signal, window), expected)
    whole = gradients("reference", layers, X)
    assert (whole[0] - expected[0]).abs().max() > 1e-3 * whole[0].abs().max()


@pytest.mark.parametrize("engine", ["reference", *FAST])
def test_a_window_as_long_as_time_is_none(engine):
    """Expected: the same bytes; there is no border within."""
    layers = network("synaptic", ("all_to_all", "full"))
    for one, other in zip(gradients(engine, layers, X), gradients(engine, layers, X, 15), strict=True):
        assert torch.equal(one, other)


@pytest.mark.one_in(8)
@pytest.mark.parametrize("case", thinned(CASES, 5), ids=str)
def test_layers_run_apart(case):
    """Must match: each layer run by itself by the reference, on what the one before sent; the loss has it all."""
    layers = network(*case)
    expected, signal = [], X
    for layer in layers:
        (run,) = Engine("reference").unroll([layer], signal, keep_u=True)
        weights = list(layer.parameters())
        expected += torch.autograd.grad(functional([run]), weights)
        signal = run.output.detach()
    for engine in ("reference", *FAST):
        for given in (X, SparseSpikes.of(X)):
            runs = Engine(engine).unroll(layers, given, keep_u=True, apart=True)
            total = sum(functional([run]) for run in runs)
            found = torch.autograd.grad(total, [weight for layer in layers for weight in layer.parameters()])
            assert_same(list(found), expected)
