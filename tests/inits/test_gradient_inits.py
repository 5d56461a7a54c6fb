"""Initialisations that fit the surrogate to the weights: what gradients then do in one step back, simulated.

Expected values come from autograd through the neurons' own step, at potentials and gradients that are drawn.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fastspiking.choose import Engine
from fastspiking.signals.streams import generator
from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.inits.base import Init
from sgbench.inits.bounded_gradient import BoundedGradient
from sgbench.inits.centred import Centred
from sgbench.inits.conditions import PotentialStep
from sgbench.inits.steady_gradient import SteadyGradient
from sgbench.networks.base import DenseLayer
from sgbench.neurons.leaky import Leaky
from sgbench.surrogates.atan import Atan
from sgbench.surrogates.base import Surrogate
from sgbench.surrogates.exponential import Exponential
from sgbench.surrogates.fast_sigmoid import FastSigmoid
from sgbench.surrogates.gaussian import Gaussian
from sgbench.surrogates.sigmoid import Sigmoid
from sgbench.surrogates.triangle import Triangle
from sgbench.surrogates.zero import Zero
from sgbench.training.build import build
from tests.messages import raises_naming

N = 60
RESETS = [("subtract", "attached"), ("subtract", "detached"), ("subtract_decayed", "attached"), ("none", "detached")]
every_reset = pytest.mark.parametrize(("reset", "gradient"), RESETS, ids=lambda each: each)
NUMBERS = {"gain": 1.5, "input_power": 0.5}


def drawn(init: Init, *, surrogate: str = "atan", scale: float = 1.0, **options: Any) -> DenseLayer:
    """A recurrent layer in float64 with its weights."""
    plain = {"beta": 0.8, "threshold": 1.5, "reset": "subtract", "reset_gradient": "detached"}
    plain |= {"learn_beta": "none", "learn_threshold": "none"}
    neuron = Leaky(slope(surrogate, scale=scale), N, **{**plain, **options})
    layer = DenseLayer("hidden0", 30, N, neuron, recurrence="all_to_all")
    layer.reset_weights(init, generator(2, "initialisation"))
    return layer


def slope(name: str, *, normalisation: str = "peak1", scale: float = 1.0) -> Surrogate:
    """A surrogate of width 1."""
    common = {"width_fwhm": 1.0, "normalisation": normalisation, "scale": scale}
    kinds = {"atan": (Atan, "alpha"), "triangle": (Triangle, "slope"), "exponential": (Exponential, "slope")}
    kinds |= {"gaussian": (Gaussian, "slope"), "sigmoid": (Sigmoid, "slope"), "fast_sigmoid": (FastSigmoid, "slope")}
    if name == "zero":
        return Zero(normalisation="raw", scale=1.0)
    kind, native = kinds[name]
    return kind(**{native: None}, **common)


def step_back(layer: DenseLayer, u: Tensor, delta: Tensor) -> Tensor:
    """Gradient of potentials [B, N] from that of the potentials one step later, by autograd through the step."""
    u = u.clone().requires_grad_()
    neuron = layer.neuron
    s = neuron.surrogate(u - neuron.threshold())
    before = neuron.initial_state(u)._replace(u=u, s=s)
    _, after = neuron.step(layer.feedback(s), before)
    return torch.autograd.grad((delta * after.u).sum(), u)[0]


@every_reset
def test_no_gradient_can_grow(reset, gradient):
    """Expected: at most 1 over 2000 draws of signs and potentials, and 1 for the worst signs at threshold.

    Must differ: beyond 1 with a peak 1 % higher.
    """
    layer = drawn(BoundedGradient(**NUMBERS), reset=reset, reset_gradient=gradient)
    theta = layer.neuron.threshold()
    random = torch.Generator().manual_seed(0)
    delta = torch.randn(2000, N, generator=random, dtype=torch.float64).sign()
    u = theta + torch.randn(2000, N, generator=random, dtype=torch.float64)
    assert step_back(layer, u, delta).abs().max() <= 1 + 1e-9
    rows = torch.eye(N, dtype=torch.float64)
    at = torch.full((N, N), theta, dtype=torch.float64)  # where the slope has its peak
    reach = step_back(layer, at, rows)  # J, one row for each neuron that receives
    worst = step_back(layer, at, reach.sign().T.contiguous()).diagonal()
    assert worst.max().item() == pytest.approx(1.0, abs=1e-6)
    layer.neuron.surrogate.reshape(height=1.01)
    again = step_back(layer, at, step_back(layer, at, rows).sign().T.contiguous()).diagonal()
    assert again.max() > 1 + 1e-4


def test_the_librarys_peak_lets_gradients_grow():
    """Must differ: S- (1 - beta) / (S+ (S- - theta)), the mean over neurons, as lif_stability has it."""
    layer = drawn(BoundedGradient(**NUMBERS), reset="subtract", reset_gradient="attached")
    step = PotentialStep.of("bounded_gradient", layer, layer.neuron.recurrence_spec())
    above, below = (layer.recurrent.detach() * sign for sign in (1, -1))
    above, below = above.relu().sum(0), -below.relu().sum(0)
    theirs = (below / (above * (below - 1.5)) * (1 - 0.8)).mean().item()
    assert theirs > step.height_of_bound()
    assert step.largest_growth(theirs) > 1.02


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("reset", "gradient", "surrogate"),
    [*((*each, "atan") for each in RESETS), *((*RESETS[0], name) for name in ("triangle", "exponential"))],
)
def test_gradients_keep_their_variance(reset, gradient, surrogate):
    """Expected: 1 over 4 000 draws of potentials between their bounds and of normal gradients.

    Must differ: with a slope three times as wide, and as told.
    """
    layer = drawn(SteadyGradient(**NUMBERS), surrogate=surrogate, reset=reset, reset_gradient=gradient)
    step = PotentialStep.of("steady_gradient", layer, layer.neuron.recurrence_spec())
    random = torch.Generator().manual_seed(1)

    def growth() -> float:
        share = torch.rand(4_000, N, generator=random, dtype=torch.float64)
        u = step.lowest + share * (step.highest - step.lowest) + layer.neuron.threshold()
        delta = torch.randn(4_000, N, generator=random, dtype=torch.float64)
        return step_back(layer, u, delta).square().mean().item()

    assert growth() == pytest.approx(1.0, abs=0.03)
    layer.neuron.surrogate.reshape(width=3.0)
    assert growth() > 1.2
    plain = drawn(Centred(**NUMBERS), surrogate=surrogate, reset=reset, reset_gradient=gradient)
    layer.neuron.surrogate = plain.neuron.surrogate
    assert abs(growth() - 1) > 0.1


@pytest.mark.one_in(8)
@every_reset
def test_potentials_stay_between_their_bounds(reset, gradient):
    """Expected: over 500 steps of random input; the highest is what all positive weights together hold up."""
    layer = drawn(SteadyGradient(**NUMBERS), reset=reset, reset_gradient=gradient)
    neuron = layer.neuron
    step = PotentialStep.of("steady_gradient", layer, neuron.recurrence_spec())
    random = torch.Generator().manual_seed(3)
    state = neuron.initial_state(torch.zeros(1, N, dtype=torch.float64))
    for _ in range(500):
        x = (torch.rand(1, 30, generator=random) < 0.5).double()
        with torch.no_grad():
            _, state = neuron.step(layer.current(x) + layer.feedback(state.s), state)
        centred = neuron.centred(state)[0]
        assert ((centred >= step.lowest - 1e-9) & (centred <= step.highest + 1e-9)).all()
    most = layer.weight.relu().sum(1) + layer.recurrent.relu().sum(1)
    torch.testing.assert_close(step.highest, (most / (1 - 0.8) - 1.5).detach())


@pytest.mark.parametrize("init", [BoundedGradient(**NUMBERS), SteadyGradient(**NUMBERS)])
def test_weights_are_those_of_centred(init):
    """Must match: conditions I and II draw the same numbers; must differ: the surrogate."""
    ours, plain = drawn(init), drawn(Centred(**NUMBERS))
    assert torch.equal(ours.weight, plain.weight)
    assert torch.equal(ours.recurrent, plain.recurrent)
    assert ours.neuron.surrogate.peak != plain.neuron.surrogate.peak or (
        ours.neuron.surrogate.fwhm != plain.neuron.surrogate.fwhm
    )


@pytest.mark.parametrize("name", ["atan", "fast_sigmoid", "gaussian", "sigmoid"])
@pytest.mark.parametrize("normalisation", ["peak1", "raw"])
def test_a_fitted_surrogate_is_one_of_other_width_and_height(name, normalisation):
    """Must match: slopes of the original at u / width, times height; and the primitive's own slope."""
    plain, fitted = (slope(name, normalisation=normalisation) for _ in range(2))
    fitted.reshape(width=2.5, height=0.3)
    u = torch.linspace(-4, 4, 100, dtype=torch.float64)
    torch.testing.assert_close(fitted.derivative(u), 0.3 * plain.derivative(u / 2.5), rtol=1e-10, atol=1e-12)
    h = 1e-5
    found = (fitted.primitive(u + h) - fitted.primitive(u - h)) / (2 * h)
    torch.testing.assert_close(found, fitted.derivative(u), rtol=1e-6, atol=1e-7)
    assert fitted.peak == pytest.approx(0.3 * plain.peak)
    assert fitted.fwhm == pytest.approx(2.5 * plain.fwhm)


@pytest.mark.parametrize("init", [BoundedGradient(**NUMBERS), SteadyGradient(**NUMBERS)])
def test_engines_take_the_fitted_surrogate(init):
    """Must match: gradients of the compiled engine and of the reference."""
    found = []
    for engine in ("fused", "reference"):
        layer = drawn(init)
        x = (torch.rand(20, 4, 30, generator=torch.Generator().manual_seed(4)) < 0.3).double()
        (run,) = Engine(engine).unroll([layer], x)
        run.output.cumsum(0).square().mean().backward()
        found.append(layer.recurrent.grad)
    assert found[0].any()
    torch.testing.assert_close(found[0], found[1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("init", "options", "words"),
    [
        (BoundedGradient(**NUMBERS), {"reset": "zero", "reset_gradient": "attached"}, "reset_gradient=detached"),
        (BoundedGradient(**NUMBERS), {"beta": 1.0}, r"use neuron\.beta below 1"),
        (BoundedGradient(**NUMBERS), {"surrogate": "zero"}, "Zero is no bell"),
        (SteadyGradient(**NUMBERS), {"scale": 0.01}, "fade whatever the surrogate's width"),
    ],
)
def test_layers_for_which_they_are_not_defined_are_refused(init, options, words):
    """Expected: one line that says the mend."""
    with pytest.raises(InputError, match=words):
        drawn(init, **options)


@pytest.mark.parametrize("init", ["bounded_gradient", pytest.param("steady_gradient", marks=pytest.mark.slow)])
def test_a_run_takes_them_from_its_words(init, tmp_path: Path):
    """Expected: a surrogate per layer that the seed decides; recurrence that is cut or absent is refused."""
    words = [f"paths.data_dir={tmp_path}", "experiment=digits", f"init={init}", "network.recurrence=all_to_all"]
    words.append("init.gain=2.0")

    def fitted(seed: int, *more: str) -> tuple[float, float]:
        surrogate = build(compose([*words, f"seed={seed}", *more])).network.layers[0].neuron.surrogate
        return surrogate.peak, surrogate.fwhm

    assert fitted(0) == fitted(0) != fitted(1)
    with raises_naming(InputError, f"init={init}", "recurrence_gradient=full"):
        fitted(0, "network.recurrence_gradient=cut")
    with raises_naming(InputError, f"init={init}", "'hidden0'", "recurrent weights"):
        fitted(0, "network.recurrence=none")
