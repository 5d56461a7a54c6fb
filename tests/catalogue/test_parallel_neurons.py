"""Neurons that take all steps at once, against sums over time, the leaky neuron and snnTorch.

Expected values come from double loops over steps, differentiated by autograd, and from limits that make one model
another.

Legend: T steps, B batch, N neurons; I current, u membrane potential, s spikes, theta threshold.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import snntorch as snn
import torch
from torch import Tensor

from fastspiking.choose import Engine
from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.firing.bernoulli import Bernoulli
from sgbench.neurons.base import Neuron
from sgbench.neurons.parallel_leaky import ParallelLeaky
from sgbench.training.build import construct
from tests.catalogue.sequence_cases import (
    BATCH,
    SIZE,
    STEPS,
    Given,
    Run,
    assert_same,
    draw,
    leaky,
    masked,
    ours,
    parallel,
    psn,
    psu,
    sliding,
    surrogate,
)
from tests.messages import raises_naming

pytestmark = pytest.mark.usefixtures("no_snntorch_neurons_left")

# --- parallel spiking neurons


def sums_over_time(weight: Callable[[int, int], Tensor], theta: Callable[[int], Tensor], current: Tensor) -> list:
    """u[t] - theta_t by a double loop over steps, as the paper prints it."""
    return [sum(weight(t, k) * current[k] for k in range(len(current))) - theta(t) for t in range(len(current))]


@pytest.mark.one_in(3)
@pytest.mark.parametrize("start", ["leaky", "uniform"])
@pytest.mark.parametrize("kind", ["psn", "masked", "sliding"])
def test_psn_is_the_sum_over_time_of_the_paper(kind, start):
    """Expected: a double loop over steps, gradients by autograd through it."""
    neuron = {"psn": psn, "masked": masked, "sliding": sliding}[kind](start=start)
    with torch.no_grad():
        for each in neuron.parameters():
            each.add_(draw(*each.shape, seed=5, spread=0.2))
    current = draw(STEPS, BATCH, SIZE, mean=0.3)
    found = ours(neuron, current)
    weight, theta = (each.detach().clone().requires_grad_() for each in (neuron.weight, neuron.threshold))
    leaf = current.clone().requires_grad_()
    zero = torch.zeros((), dtype=torch.float64)
    if kind == "sliding":
        rows = sums_over_time(lambda t, k: weight[t - k] if 0 <= t - k < 4 else zero, lambda t: theta, leaf)
    else:
        seen = (lambda t, k: True) if kind == "psn" else (lambda t, k: 0 <= t - k < 4)
        rows = sums_over_time(lambda t, k: weight[t, k] if seen(t, k) else zero, lambda t: theta[t], leaf)
    x = torch.stack(rows)
    expected = Run(surrogate()(x), x, {"current": leaf, "weight": weight, "threshold": theta})
    assert_same(found, expected, ("current", "weight", "threshold"))


def test_psn_starts_as_a_leaky_integrator_without_reset():
    """Must match: `Leaky` with reset none, of equal decay; must differ: with a reset."""
    current = draw(STEPS, BATCH, SIZE, mean=0.3)
    assert_same(ours(psn(), current), ours(leaky(reset="none"), current))
    assert not torch.equal(ours(psn(), current).spikes, ours(leaky(reset="subtract"), current).spikes)


def test_only_a_full_psn_sees_later_steps():
    """Expected: du[2]/dI[5] is not 0 for a full matrix and for a mask below 1, and 0 for the causal ones."""

    def later(neuron: Neuron) -> float:
        leaf = draw(STEPS, 1, 1).requires_grad_()
        x = neuron.potential(leaf)
        return torch.autograd.grad(x[2].sum(), leaf)[0][5].abs().item()

    assert later(psn(start="uniform")) > 0
    assert later(masked(start="uniform", mask=[0.5, 0.5])) > 0
    assert later(masked(start="uniform")) == later(sliding(start="uniform")) == 0


def test_mask_of_0_is_the_full_psn_and_equal_diagonals_slide():
    """Must match: masked at mask 0 and the full one; masked from the leaky start and sliding from it."""
    current = draw(STEPS, BATCH, SIZE, mean=0.3)
    assert_same(
        ours(masked(mask=[0.0, 0.0], start="uniform"), current), ours(psn(start="uniform"), current), ("weight",)
    )
    assert_same(ours(masked(), current), ours(sliding(), current))


def test_the_mask_closes_in_the_course_of_training():
    """Must match: the full matrix at the first epoch and the masked one at the last; half of each in between."""
    neuron = masked(mask=[0.0, 1.0], start="uniform")
    full, banded = psn(start="uniform").matrix(), masked(start="uniform").matrix()
    for progress, expected in ((0.0, full), (0.5, (full + banded) / 2), (1.0, banded)):
        neuron.advance(progress)
        torch.testing.assert_close(neuron.matrix(), expected, rtol=1e-15, atol=1e-15)
    assert neuron.operations.multiplications == 4
    neuron.advance(0.9)
    assert neuron.operations.multiplications == STEPS


def test_sliding_psn_takes_any_length_and_the_others_their_own():
    """Expected: a shorter sequence gives the beginning of a longer one; a fixed number of steps is named."""
    current = draw(STEPS, BATCH, SIZE, mean=0.3)
    whole, part = ours(sliding(), current), ours(sliding(), current[:9])
    assert torch.equal(whole.spikes[:9], part.spikes)
    for neuron in (psn(), masked(), psu()):
        with raises_naming(InputError, "neuron.steps=24", "9", "set neuron.steps"):
            ours(neuron, current[:9])


# --- the parallel leaky neuron


@pytest.mark.one_in(4)
@pytest.mark.parametrize("reset", ["subtract", "subtract_decayed"])
@pytest.mark.parametrize("reset_gradient", ["attached", "detached"])
@pytest.mark.parametrize("learn", ["none", "shared", "per_neuron"])
def test_enough_iterations_are_the_leaky_neuron(reset, reset_gradient, learn):
    """Must match: `Leaky` in spikes, potentials and all gradients, from T - 1 iterations on."""
    options = {"reset": reset, "reset_gradient": reset_gradient, "learn_beta": learn, "learn_threshold": learn}
    current = draw(STEPS, BATCH, SIZE, mean=0.4)
    names = ("current",) if learn == "none" else ("current", "beta.logit", "threshold.logarithm")
    assert_same(ours(parallel(**options), current), ours(leaky(**options), current), names, rtol=1e-11)


def test_each_iteration_makes_one_more_step_exact():
    """Expected: K iterations are right in the first K + 1 steps; must differ somewhere for K = 0 and 1."""
    current = draw(STEPS, 64, SIZE, mean=0.6)
    exact = ours(leaky(), current).x
    for iterations in (0, 1, 3, 10):
        found = ours(parallel(iterations=iterations), current).x
        torch.testing.assert_close(found[: iterations + 1], exact[: iterations + 1], rtol=1e-12, atol=1e-12)
        assert iterations > 1 or not torch.allclose(found, exact)


def test_no_iteration_is_snntorch_state_leaky_of_another_decay():
    """Pinned: `StateLeaky(beta)` decays by exp(-(1 - beta)) per step; must differ from beta, which it is given."""
    beta, told = 0.5, torch.exp(torch.tensor(-0.5, dtype=torch.float64)).item()
    current = draw(STEPS, BATCH, SIZE, mean=0.4)
    theirs = snn.StateLeaky(beta=beta, channels=SIZE, spike_grad=surrogate(), output=True)
    spikes, _ = theirs(current.float())
    found = ours(parallel(iterations=0, beta=told), current)
    assert (found.x.abs() > 1e-4).all(), "no potential lies so near threshold that float32 could turn it"
    assert torch.equal(found.spikes.float(), spikes)
    assert not torch.equal(ours(parallel(iterations=0, beta=beta), current).spikes.float(), spikes)


def test_snntorch_leaky_parallel_forgets_inhibition():
    """Pinned in snnTorch 1.0: its membrane is a ReLU, so nothing below 0 is remembered; ours remembers.

    By hand: -8 then 1.5 at a decay of 1/2 is -2.5; with the ReLU it is 1.5, above 1. And without a beta its decays
    are drawn within 1/sqrt(neurons) and fixed.
    """
    theirs = snn.LeakyParallel(input_size=1, hidden_size=1, beta=0.5, bias=False)
    theirs.rnn.weight_ih_l0.data.fill_(1.0)
    x = torch.tensor([-8.0, 1.5, 0.0]).view(3, 1, 1)
    assert theirs(x).flatten().tolist() == [0.0, 1.0, 0.0]
    neuron = ParallelLeaky(
        surrogate(),
        beta=0.5,
        threshold=1.0,
        iterations=0,
        reset="subtract",
        reset_gradient="detached",
        learn_beta="none",
        learn_threshold="none",
    )
    assert neuron.potential(x).flatten().tolist() == [-9.0, -3.5, -2.25]
    drawn = snn.LeakyParallel(input_size=1, hidden_size=256).rnn.weight_hh_l0
    assert not drawn.requires_grad
    assert 0 < drawn.diag().abs().max() <= 256**-0.5


def test_a_surrogate_with_statistics_of_a_batch_takes_them_step_by_step():
    """Must match: `Leaky` without reset, whose steps are made one by one, in gradients too."""
    spec = compose(["surrogate=batch_normalised"])
    target, values = spec.targets["surrogate"], spec.method.parameters["surrogate"]
    current = draw(STEPS, 8, SIZE, mean=0.3)
    one, other = (parallel(iterations=0, reset_gradient="detached"), leaky(reset="none", reset_gradient="detached"))
    one.surrogate, other.surrogate = (construct("surrogate", target, values) for _ in range(2))
    assert not one.surrogate.elementwise
    assert_same(ours(one, current), ours(other, current))


# --- the parallel spiking unit


@pytest.mark.parametrize("estimate", ["sigmoid", "linear"])
def test_psu_is_its_equations(estimate):
    """Expected: loops over steps, with the lower triangles of both matrices, gradients by autograd."""
    neuron = psu(estimate=estimate)
    with torch.no_grad():
        for each in neuron.parameters():  # above the diagonal too, where nothing may read
            each.add_(draw(*each.shape, seed=5, spread=0.1))
    current = draw(STEPS, BATCH, SIZE, mean=0.6)
    found = ours(neuron, current)
    a, r = (each.detach().clone().requires_grad_() for each in (neuron.integration, neuron.reset))
    leaf = current.clone().requires_grad_()
    d = [sum(a[t, k] * leaf[k] for k in range(t + 1)) for t in range(STEPS)]
    p = [torch.sigmoid(each) if estimate == "sigmoid" else each for each in d]
    x = torch.stack([d[t] - sum((r[t, k] * p[k] for k in range(t)), torch.zeros(())) - 1.0 for t in range(STEPS)])
    expected = Run(surrogate()(x), x, {"current": leaf, "integration": a, "reset": r})
    assert_same(found, expected, ("current", "integration", "reset"))


@pytest.mark.parametrize(
    ("learn", "expected"), [("none", set()), ("integration", {"integration"}), ("both", {"integration", "reset"})]
)
def test_psu_learns_what_it_is_told_to(learn, expected):
    assert {name for name, _ in psu(learn=learn).named_parameters()} == expected


def test_psu_at_its_start_is_the_leaky_neuron_if_the_estimate_were_the_spike():
    """Expected by hand: d of a leaky integrator; what is taken is theta beta^(t-k-1) p[k], the reset `subtract`."""
    neuron = psu(steps=3, beta=0.5, estimate="linear", learn="none")
    x = neuron.potential(torch.tensor([[[2.0]], [[0.0]], [[0.0]]], dtype=torch.float64))
    assert x.flatten().tolist() == [1.0, 1.0 - 2.0 - 1.0, 0.5 - (1.0 + 1.0) - 1.0]


# --- refusals by name


def test_iterations_of_random_spikes_are_refused():
    """Expected: an InputError with the remedy; without iterations they are drawn once."""
    drawn = surrogate()
    Bernoulli().begin(drawn)
    options = {"learn_beta": "none", "learn_threshold": "none", "reset": "subtract", "reset_gradient": "detached"}
    with raises_naming(InputError, "neuron.iterations=3", "neuron.iterations=0"):
        ParallelLeaky(drawn, beta=0.8, threshold=1.0, iterations=3, **options)
    ParallelLeaky(drawn, beta=0.8, threshold=1.0, iterations=0, **options)


def test_a_sequence_has_no_single_step_and_no_recurrence():
    """Expected: errors that say so; a state to go on from is refused too."""
    with raises_naming(InputError, "Psn", "single step"):
        psn().step(torch.zeros(1, SIZE), None)
    with raises_naming(InputError, "network.recurrence=one_to_one", "network.recurrence=none"):
        Given(sliding(), recurrence="one_to_one")
    layer = Given(sliding().double())
    state = layer.neuron.initial_state(torch.zeros(BATCH, SIZE))
    with raises_naming(InputError, "'hidden0'", "whole sequence"):
        Engine("reference").unroll([layer], draw(STEPS, BATCH, SIZE), [state])
