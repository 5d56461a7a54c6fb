"""Neurons with adaptation, and learnt thresholds, against recursions and adjoints written by hand.

Legend: T steps, B batch, N neurons; I current, u potential, s spikes, theta threshold; psi surrogate slope, here
1 / (1 + (pi x)^2). The loss is a random linear functional of all spikes and of all x = u - threshold in force.
"""

import math

import numpy as np
import pytest
import torch

from sgbench.errors import InputError
from sgbench.neurons.adlif import AdLif
from sgbench.neurons.alif import Alif
from sgbench.neurons.base import RESET_GRADIENTS, RESETS, Neuron
from sgbench.neurons.quantity import LEARN, Number, Threshold
from tests.catalogue.leaky_cases import (
    BATCH,
    BETA,
    CONNECTIONS,
    OPTIMISERS,
    SIZE,
    THETA,
    Drive,
    Result,
    assert_equal_runs,
    drive,
    make_neuron,
    run_ours,
    surrogate,
    unroll,
)
from tests.messages import raises_naming
from tests.thinned import thinned, thinned_rows

RHO, KAPPA, A, B = 0.93, 0.25, 0.3, 0.4
NAMES = {"alif": ("beta", "rho", "kappa", "threshold"), "adlif": ("beta", "rho", "a", "b", "threshold")}
VALUES = {"beta": BETA, "rho": RHO, "kappa": KAPPA, "a": A, "b": B, "threshold": THETA}
KINDS = tuple(NAMES)


def make(kind: str, *, learn: str = "none", **changes: object) -> Neuron:
    """A neuron with this file's constants in float64."""
    numbers = {name: VALUES[name] for name in NAMES[kind]} | {f"learn_{name}": learn for name in NAMES[kind]}
    options = {"reset": "subtract", "reset_gradient": "detached", **numbers, **changes}
    return {"alif": Alif, "adlif": AdLif}[kind](surrogate(), SIZE, **options)


def input_for(kind: str, steps: int = 100, mean: float = 0.1) -> Drive:
    """The current of an adlif neuron enters with gain 1 - beta, so it has to be larger."""
    given = drive(steps=steps, mean=mean)
    return given if kind == "alif" else given._replace(current=12 * given.current, matrix=6 * given.matrix)


def kept(reset: str, u: np.ndarray, s: np.ndarray) -> np.ndarray:
    """What the next potential has of this one, after its reset."""
    return {
        "subtract": BETA * u - THETA * s,
        "subtract_decayed": BETA * u - BETA * THETA * s,
        "zero": np.where(s > 0, 0.0, BETA * u),
        "none": BETA * u,
    }[reset]


def forward(kind: str, given: Drive, reset: str, v: np.ndarray) -> tuple[np.ndarray, ...]:
    """u, adaptation, s, x and driven current; index t + 1 holds step t, index 0 rest."""
    inputs = given.current.numpy()
    u, w, s, x, i = (np.zeros((len(inputs) + 1, BATCH, SIZE)) for _ in range(5))
    for t, now in enumerate(inputs):
        i[t + 1] = now + s[t] @ v.T
        if kind == "alif":
            w[t + 1] = RHO * w[t] + s[t]
            u[t + 1] = kept(reset, u[t], s[t]) + i[t + 1]
            x[t + 1] = u[t + 1] - THETA - KAPPA * w[t + 1]
        else:
            w[t + 1] = RHO * w[t] + A * u[t] + B * s[t]
            u[t + 1] = kept(reset, u[t], s[t]) + (1 - BETA) * (i[t + 1] - w[t + 1])
            x[t + 1] = u[t + 1] - THETA
        s[t + 1] = x[t + 1] > 0
    return u, w, s, x, i


def by_hand(kind: str, given: Drive, reset: str, *, attached: bool, recurrence: str, cut: bool) -> Result:
    """Forward recursion and hand-derived adjoint in NumPy; no autograd, none of our code.

    g_z is the derivative of the loss by z along all later paths. For alif

        g_s[t] = on_s[t] + d g_u[t+1] + V' g_I[t+1] + g_a[t+1]          d of the reset, 0 if detached
        g_x[t] = on_x[t] + psi[t] g_s[t]        g_u[t] = g_x[t] + beta k g_u[t+1]
        g_a[t] = rho g_a[t+1] - kappa g_x[t]    g_I = g_u

    and for adlif, where a and b also bind the adaptation to u and s,

        g_s[t] = on_s[t] + d g_u[t+1] + V' g_I[t+1] + b g_w[t+1]
        g_x[t] = on_x[t] + psi[t] g_s[t]        g_u[t] = g_x[t] + beta k g_u[t+1] + a g_w[t+1]
        g_w[t] = rho g_w[t+1] - (1 - beta) g_u[t]    g_I = (1 - beta) g_u
    """
    wires = {"none": 0.0 * given.matrix, "one_to_one": given.matrix[0].diag(), "all_to_all": given.matrix}
    v = wires[recurrence].numpy()
    on_s, on_x = given.on_spikes.numpy(), given.on_potential.numpy()
    u, w, s, x, i = forward(kind, given, reset, v)
    psi = 1 / (1 + (np.pi * x) ** 2)
    by_spike, by_potential, slope, gain = (1.0, 0.0, KAPPA, 1.0) if kind == "alif" else (B, A, 0.0, 1 - BETA)
    paid = {"subtract": 1.0, "subtract_decayed": BETA}.get(reset, 0.0)
    g_u = g_w = g_i = np.zeros((BATCH, SIZE))
    on_current = np.zeros((len(on_s), BATCH, SIZE))
    sums = dict.fromkeys(("beta", "rho", "threshold", "kappa", "a", "b"), 0.0)
    g_v = np.zeros((SIZE, SIZE))
    for t in range(len(on_s), 0, -1):
        d = {"subtract": -THETA, "subtract_decayed": -BETA * THETA, "zero": -BETA * u[t], "none": 0.0}[reset]
        g_s = on_s[t - 1] + by_spike * g_w + (d * g_u if attached else 0.0) + (0.0 if cut else g_i @ v)
        g_x = on_x[t - 1] + psi[t] * g_s
        g_u = g_x + BETA * (1 - s[t] if reset == "zero" else 1.0) * g_u + by_potential * g_w
        g_w = RHO * g_w - slope * g_x - (0.0 if kind == "alif" else (1 - BETA) * g_u)
        g_i = gain * g_u
        on_current[t - 1] = g_i
        decayed = {"subtract_decayed": u[t - 1] - THETA * s[t - 1], "zero": (1 - s[t - 1]) * u[t - 1]}
        by_beta = decayed.get(reset, u[t - 1]) - (0.0 if kind == "alif" else i[t] - w[t])
        shares = {"beta": g_u * by_beta, "rho": g_w * w[t - 1], "kappa": -g_x * w[t]}
        shares |= {"a": g_w * u[t - 1], "b": g_w * s[t - 1], "threshold": -g_x - paid * s[t - 1] * g_u}
        sums = {name: sums[name] + share.sum(0) for name, share in shares.items()}
        g_v = g_v + g_i.T @ s[t - 1]
    gradients = {"current": on_current} | {name: sums[name] for name in NAMES[kind]}
    if recurrence != "none":
        gradients["recurrent"] = g_v if recurrence == "all_to_all" else np.diagonal(g_v)
    return Result(
        torch.from_numpy(s[1:]),
        torch.from_numpy(x[1:]),
        {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in gradients.items()},
    )


@pytest.mark.one_in(10)
@pytest.mark.parametrize(("recurrence", "recurrence_gradient"), thinned_rows(CONNECTIONS, 2))
@pytest.mark.parametrize("reset_gradient", RESET_GRADIENTS)
@pytest.mark.parametrize("reset", thinned(RESETS, 3))
@pytest.mark.parametrize("kind", KINDS)
def test_equals_hand_recursion_and_adjoint(kind, reset, reset_gradient, recurrence, recurrence_gradient):
    """Expected: the recursion and adjoint of `by_hand`, 100 steps, every option, all numbers learnt per neuron."""
    given = input_for(kind)
    neuron = make(kind, learn="per_neuron", reset=reset, reset_gradient=reset_gradient)
    ours = run_ours(neuron, given, recurrence=recurrence, recurrence_gradient=recurrence_gradient)
    attached, cut = reset_gradient == "attached", recurrence_gradient == "cut"
    assert_equal_runs(ours, by_hand(kind, given, reset, attached=attached, recurrence=recurrence, cut=cut))


@pytest.mark.one_in(8)
@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("kind", KINDS)
def test_shared_numbers_get_the_sum(kind, reset):
    """Expected: mathematics; the gradient of one number for all neurons is the sum over neurons."""
    given = input_for(kind)
    shared, each = (
        run_ours(make(kind, learn=learn, reset=reset, reset_gradient="attached"), given)
        for learn in ("shared", "per_neuron")
    )
    for name in NAMES[kind]:
        assert shared.gradients[name].shape == ()
        expected = each.gradients[name].sum()
        scale = each.gradients[name].abs().sum().item()
        torch.testing.assert_close(shared.gradients[name], expected, rtol=0, atol=1e-12 * scale)


@pytest.mark.parametrize("kind", KINDS)
def test_learning_changes_no_number(kind):
    """Expected: the same spikes and potentials to rounding, whatever is learnt."""
    given = input_for(kind)
    fixed, *learnt = (run_ours(make(kind, learn=learn), given) for learn in LEARN)
    for other in learnt:
        assert torch.equal(fixed.spikes, other.spikes)
        torch.testing.assert_close(fixed.potential, other.potential, rtol=0, atol=1e-12)


# --- against formulas in another form


def test_adlif_equals_the_sums_of_bittar_and_garner():
    """Expected: Bittar & Garner 2022 with theta = 1, solved for t: no recursion of w and u, but sums over the past.

    w[t] = sum over k < t of rho^(t-1-k) (a u[k] + b s[k])
    u[t] = sum over k <= t of beta^(t-k) (1 - beta) (I[k] - w[k]) - sum over k < t of beta^(t-k) s[k]
    """
    steps = 60
    current = input_for("adlif", steps).current[:, 0, 0].tolist()
    u, w, s = [], [], []
    for t in range(steps):
        w.append(math.fsum(RHO ** (t - 1 - k) * (A * u[k] + B * s[k]) for k in range(t)))
        charged = math.fsum(BETA ** (t - k) * (1 - BETA) * (current[k] - w[k]) for k in range(t + 1))
        u.append(charged - math.fsum(BETA ** (t - k) * s[k] for k in range(t)))
        s.append(1.0 if u[t] > 1 else 0.0)
    assert 5 < sum(s) < 55
    neuron = make("adlif", threshold=1.0, reset="subtract_decayed")
    run = unroll(neuron, torch.tensor(current, dtype=torch.float64).view(steps, 1, 1))
    assert run.output.flatten().tolist() == s
    assert run.state.u.item() == pytest.approx(u[-1], rel=1e-12)
    assert run.state.w.item() == pytest.approx(w[-1], rel=1e-12)


def test_alif_threshold_is_a_trace_of_its_spikes():
    """Expected: a[t] = sum over k < t of rho^(t-1-k) s[k], and a spike exactly where u - theta - kappa a > 0."""
    given = input_for("alif")
    run = run_ours(make("alif"), given)
    spikes = run.spikes.numpy()
    powers = RHO ** np.arange(len(spikes) - 2, -1, -1)
    trace = np.tensordot(powers, spikes[:-1], axes=(0, 0))
    state = unroll(make("alif"), given.current).state
    np.testing.assert_allclose(state.a.numpy(), trace, rtol=1e-12)
    in_force = state.u - (THETA + KAPPA * state.a)
    torch.testing.assert_close(in_force, run.potential[-1], rtol=0, atol=1e-12)


# --- limits in which they are leaky neurons


def assert_equal_bits(one: Result, other: Result) -> None:
    """Spikes, potentials and the gradients that both have."""
    assert 0.02 < one.spikes.mean() < 0.7
    assert torch.equal(one.spikes, other.spikes)
    assert torch.equal(one.potential, other.potential)
    for name in one.gradients.keys() & other.gradients.keys():
        assert torch.equal(one.gradients[name], other.gradients[name]), name


@pytest.mark.one_in(16)
@pytest.mark.parametrize("reset_gradient", RESET_GRADIENTS)
@pytest.mark.parametrize("reset", RESETS)
def test_alif_without_kappa_is_leaky(reset, reset_gradient):
    """Expected: equal bits, gradients too; and must differ with kappa > 0."""
    given = input_for("alif")
    options = {"reset": reset, "reset_gradient": reset_gradient}
    leaky = run_ours(make_neuron("leaky", **options), given, recurrence="all_to_all")
    assert_equal_bits(run_ours(make("alif", kappa=0.0, **options), given, recurrence="all_to_all"), leaky)
    adaptive = run_ours(make("alif", **options), given, recurrence="all_to_all")
    assert adaptive.spikes.sum() < leaky.spikes.sum()


@pytest.mark.one_in(8)
@pytest.mark.parametrize("reset_gradient", RESET_GRADIENTS)
@pytest.mark.parametrize("reset", RESETS)
def test_adlif_without_a_and_b_is_leaky_with_a_gain(reset, reset_gradient):
    """Expected: a leaky neuron on (1 - beta) I, equal bits; must differ with a, b > 0."""
    given = input_for("adlif")
    options = {"reset": reset, "reset_gradient": reset_gradient}
    leaky = run_ours(make_neuron("leaky", **options), given._replace(current=(1 - BETA) * given.current))
    plain = run_ours(make("adlif", a=0.0, b=0.0, **options), given)
    scaled = {"current": leaky.gradients["current"] * (1 - BETA)}
    assert_equal_bits(plain, leaky._replace(gradients=scaled))
    for changes in ({"a": 0.0}, {"b": 0.0}, {}):
        other = run_ours(make("adlif", **{**changes, **options}), given)
        assert (other.potential - plain.potential).abs().max() > 1e-2


# --- learnt numbers


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("learn", ["shared", "per_neuron"])
def test_learnt_threshold_stays_above_zero(learn, dtype, direction):
    """Expected from the parametrisation e^w: above 0 after any number of steps in either direction."""
    threshold = Threshold(0.8, learn=learn, features=2).to(dtype)
    assert threshold().detach().double().flatten().tolist() == pytest.approx([0.8] * threshold().numel(), rel=1e-7)
    steps = OPTIMISERS["adam"](threshold.parameters())
    for _ in range(60):
        steps.zero_grad()
        (direction * threshold().sum()).backward()
        steps.step()
        assert (threshold() > 0).all()
    assert ((threshold() < 0.01) if direction == 1 else (threshold() > 100)).all()


def test_fixed_numbers_are_themselves():
    """Expected: the number itself, exactly, and nothing for an optimiser."""
    for made in (Threshold(0.3, learn="none", features=None), Number("a", 0.3, learn="none", features=None)):
        assert made() == 0.3
        assert not list(made.parameters())


@pytest.mark.parametrize("value", [math.nan, math.inf, "0.9", None, True], ids=repr)
@pytest.mark.parametrize(("kind", "name"), [("alif", "kappa"), ("adlif", "a"), ("adlif", "b")])
def test_numbers_that_are_none_are_refused(kind, name, value):
    """Expected: an InputError that names the number and its value."""
    with pytest.raises(InputError) as caught:
        make(kind, **{name: value})
    assert str(caught.value).startswith(f"neuron.{name}={value!r}: a number")


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_choices_are_refused(kind):
    """Expected: an InputError that names the option and lists its values; per_neuron without a size."""
    for name in NAMES[kind]:
        with raises_naming(InputError, f"neuron.learn_{name}='each'", "none", "per_neuron"):
            make(kind, **{f"learn_{name}": "each"})
    with raises_naming(InputError, "neuron.learn_threshold=per_neuron", "features"):
        Threshold(1.0, learn="per_neuron", features=None)
