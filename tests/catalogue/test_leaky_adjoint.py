"""Leaky and synaptic neurons against a recursion and its adjoint by hand, and options that must differ.

Legend: T steps, B batch, N neurons; I current, i synaptic current, u membrane potential, s spikes, theta threshold;
psi(u - theta) surrogate slope, here 1 / (1 + (pi x)^2).
"""

import numpy as np
import pytest
import torch

from sgbench.neurons.base import RESET_GRADIENTS, RESETS
from tests.catalogue.leaky_cases import (
    ALPHA,
    BATCH,
    BETA,
    CONNECTIONS,
    KINDS,
    SIZE,
    THETA,
    Drive,
    Result,
    assert_equal_runs,
    drive,
    make_neuron,
    ours_with,
    run_ours,
)
from tests.thinned import thinned, thinned_rows

pytestmark = pytest.mark.usefixtures("no_snntorch_neurons_left")

# --- a recursion and its adjoint by hand


def by_hand(
    kind: str, given: Drive, reset: str, *, attached: bool, recurrence: str = "none", cut: bool = False
) -> Result:
    """Forward recursion and hand-derived adjoint in NumPy; no autograd, none of our code.

    With g_x = dL/dx of a variable, d u[t+1]/d u[t] = du and d u[t+1]/d s[t] = ds of the reset,

        g_s[t] = on_spikes[t] + ds g_u[t+1] (if attached) + V^T g_I[t+1] (if not cut)
        g_u[t] = on_potential[t] + psi[t] g_s[t] + du g_u[t+1]
        g_I[t] = g_i[t] = g_u[t] + alpha g_i[t+1]
        g_theta = -sum over t of on_potential[t] + psi[t] g_s[t] + paid s[t-1] g_u[t]

    with paid = 1, beta or 0 thetas. A leaky neuron is a synaptic one with alpha = 0.
    """
    alpha = ALPHA if kind == "synaptic" else 0.0
    inputs, on_s, on_u = (x.numpy() for x in given[:3])
    weights = {"none": 0.0 * given.matrix, "one_to_one": given.matrix[0].diag(), "all_to_all": given.matrix}
    v = weights[recurrence].numpy()
    steps = len(inputs)
    i, u, s = (np.zeros((steps + 1, BATCH, SIZE)) for _ in range(3))  # index t + 1 holds step t; 0 is rest
    for t in range(steps):
        i[t + 1] = alpha * i[t] + inputs[t] + s[t] @ v.T
        kept = {
            "subtract": BETA * u[t] - THETA * s[t],
            "subtract_decayed": BETA * (u[t] - THETA * s[t]),
            "zero": np.where(s[t] > 0, 0.0, BETA * u[t]),
            "none": BETA * u[t],
        }[reset]
        u[t + 1] = kept + i[t + 1]
        s[t + 1] = u[t + 1] > THETA
    psi = 1 / (1 + (np.pi * (u - THETA)) ** 2)
    g_u, g_i = np.zeros((steps + 2, BATCH, SIZE)), np.zeros((steps + 2, BATCH, SIZE))
    g_alpha = g_beta = g_theta = 0.0
    paid = {"subtract": 1.0, "subtract_decayed": BETA}.get(reset, 0.0)
    g_v = np.zeros((SIZE, SIZE))
    for t in range(steps, 0, -1):
        du = BETA * (1 - s[t]) if reset == "zero" else np.full_like(s[t], BETA)
        ds = {"subtract": -THETA, "subtract_decayed": -BETA * THETA, "zero": -BETA * u[t], "none": 0.0}[reset]
        g_s = on_s[t - 1] + (ds * g_u[t + 1] if attached else 0.0) + (0.0 if cut else g_i[t + 1] @ v)
        g_u[t] = on_u[t - 1] + psi[t] * g_s + du * g_u[t + 1]
        g_i[t] = g_u[t] + alpha * g_i[t + 1]
        decayed = {"subtract_decayed": u[t - 1] - THETA * s[t - 1], "zero": (1 - s[t - 1]) * u[t - 1]}
        g_beta = g_beta + (g_u[t] * decayed.get(reset, u[t - 1])).sum(0)
        g_alpha = g_alpha + (g_i[t] * i[t - 1]).sum(0)
        g_theta = g_theta - (on_u[t - 1] + psi[t] * g_s + paid * s[t - 1] * g_u[t]).sum(0)
        g_v = g_v + g_i[t].T @ s[t - 1]
    gradients = {"current": g_i[1:-1], "beta": g_beta, "threshold": g_theta}
    gradients |= {"alpha": g_alpha} if kind == "synaptic" else {}
    if recurrence != "none":
        gradients["recurrent"] = g_v if recurrence == "all_to_all" else np.diagonal(g_v)
    return Result(
        torch.from_numpy(s[1:]),
        torch.from_numpy(u[1:] - THETA),
        {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in gradients.items()},
    )


@pytest.mark.one_in(10)
@pytest.mark.parametrize(("recurrence", "recurrence_gradient"), thinned_rows(CONNECTIONS, 2))
@pytest.mark.parametrize("reset_gradient", RESET_GRADIENTS)
@pytest.mark.parametrize("reset", thinned(RESETS, 2))
@pytest.mark.parametrize("kind", KINDS)
def test_equals_hand_recursion_and_adjoint(kind, reset, reset_gradient, recurrence, recurrence_gradient):
    """Expected: the recursion and adjoint of `by_hand`, 100 steps, every option, all numbers learnt per neuron."""
    given = drive(steps=100, mean=0.05)
    names = ("beta", "threshold") if kind == "leaky" else ("alpha", "beta", "threshold")
    learn = {f"learn_{name}": "per_neuron" for name in names}
    neuron = make_neuron(kind, reset=reset, reset_gradient=reset_gradient, **learn)
    ours = run_ours(neuron, given, recurrence=recurrence, recurrence_gradient=recurrence_gradient)
    attached, cut = reset_gradient == "attached", recurrence_gradient == "cut"
    assert_equal_runs(ours, by_hand(kind, given, reset, attached=attached, recurrence=recurrence, cut=cut))


@pytest.mark.parametrize("kind", KINDS)
def test_hand_adjoint_is_the_slope_of_a_smooth_recursion(kind):
    """The hand adjoint is itself right where no spike is fired: central differences of its own loss."""
    given = drive(steps=30, mean=-3.0)
    given = given._replace(on_spikes=torch.zeros_like(given.on_spikes))
    result = by_hand(kind, given, "subtract", attached=False)
    assert not result.spikes.any()
    step = 1e-6
    for where in [(0, 0, 0), (7, 1, 2), (29, 2, 4)]:
        losses = []
        for sign in (1, -1):
            moved = given.current.clone()
            moved[where] += sign * step
            run = by_hand(kind, given._replace(current=moved), "subtract", attached=False)
            losses.append(given.loss(run.spikes, run.potential).item())
        slope = (losses[0] - losses[1]) / (2 * step)
        assert slope == pytest.approx(result.gradients["current"][where].item(), rel=1e-6, abs=1e-6)


# --- options must differ


@pytest.mark.one_in(4)
@pytest.mark.parametrize("kind", KINDS)
def test_resets_differ(kind):
    """Must differ: every pair of resets gives other spikes on the same input."""
    given = drive()
    runs = [ours_with(kind, given, reset=reset).spikes for reset in RESETS]
    for position, one in enumerate(runs):
        for other in runs[:position]:
            assert (one != other).any()


@pytest.mark.one_in(8)
@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("kind", KINDS)
def test_reset_gradients_differ_and_forwards_do_not(kind, reset):
    """Must differ, except for `none`: detached cuts the path of the gradient through the reset alone."""
    given = drive(mean=0.1)
    detached, attached = (ours_with(kind, given, reset=reset, reset_gradient=one) for one in RESET_GRADIENTS)
    assert torch.equal(detached.spikes, attached.spikes)
    assert torch.equal(detached.potential, attached.potential)
    difference = (detached.gradients["current"] - attached.gradients["current"]).abs().max()
    assert (difference == 0) if reset == "none" else (difference > 0.1)


@pytest.mark.one_in(8)
@pytest.mark.parametrize("recurrence", ["one_to_one", "all_to_all"])
@pytest.mark.parametrize("kind", KINDS)
def test_recurrence_gradients_differ_and_forwards_do_not(kind, recurrence):
    """Must differ: cut loses the gradient through recurrent spikes, in the input and in the recurrent weights."""
    given = drive(mean=0.1)
    full, cut = (ours_with(kind, given, recurrence=recurrence, recurrence_gradient=one) for one in ("full", "cut"))
    assert torch.equal(full.spikes, cut.spikes)
    for name in ("current", "recurrent"):
        assert (full.gradients[name] - cut.gradients[name]).abs().max() > 0.01


def test_recurrences_differ():
    """Must differ: no, one-to-one and all-to-all connections give other spikes."""
    given = drive(mean=0.1)
    none, own, dense = (
        ours_with("leaky", given, recurrence=one).spikes for one in ("none", "one_to_one", "all_to_all")
    )
    assert (none != own).any()
    assert (none != dense).any()
    assert (own != dense).any()
