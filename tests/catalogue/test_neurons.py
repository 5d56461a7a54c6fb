"""Neurons against snnTorch 1.0 where it is right, against a recursion and adjoint written by hand elsewhere.

Legend: T steps, B batch, N neurons; I current, i synaptic current, u membrane potential, s spikes, theta threshold;
psi(u - theta) surrogate slope, here 1 / (1 + (pi x)^2). The loss is a random linear functional of all spikes and
potentials, so that every path of the gradient counts.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from sgbench.engine.choose import Engine
from sgbench.engine.layer import LayerRun
from sgbench.errors import InputError
from sgbench.networks.base import DenseLayer
from sgbench.neurons.base import RESET_GRADIENTS, RESETS, Neuron
from sgbench.neurons.leaky import Leaky
from sgbench.neurons.leaky_readout import LeakyReadout
from sgbench.neurons.quantity import LEARN, LOGIT_BOUND, Decay, Number, Threshold
from sgbench.neurons.synaptic import Synaptic
from sgbench.surrogates.atan import Atan
from tests.thinned import thinned, thinned_rows

pytestmark = pytest.mark.usefixtures("no_snntorch_neurons_left")

STEPS, BATCH, SIZE = 200, 3, 5
ALPHA, BETA, THETA = 0.7, 0.85, 0.8
KINDS = ("leaky", "synaptic")
RTOL = 1e-10


def surrogate() -> Atan:
    return Atan(alpha=2.0, width_fwhm=None, normalisation="peak1", scale=1.0)


def make_neuron(kind: str, **changes: object) -> Neuron:
    """A neuron with this file's constants in float64."""
    if kind == "leaky_readout":
        return LeakyReadout(SIZE, **{"beta": BETA, "learn_beta": "none", **changes})
    options = {"beta": BETA, "threshold": THETA, "reset": "subtract", "reset_gradient": "detached"}
    options |= {"learn_beta": "none", "learn_threshold": "none"}
    if kind == "leaky":
        return Leaky(surrogate(), SIZE, **{**options, **changes})
    options |= {"alpha": ALPHA, "learn_alpha": "none"}
    return Synaptic(surrogate(), SIZE, **{**options, **changes})


class Drive(NamedTuple):
    """Input and the loss's coefficients [T, B, N], recurrent weights [N, N]."""

    current: Tensor
    on_spikes: Tensor
    on_potential: Tensor
    matrix: Tensor

    def loss(self, spikes: Tensor, potential: Tensor) -> Tensor:
        return (self.on_spikes * spikes + self.on_potential * potential).sum()


def drive(steps: int = STEPS, mean: float = 0.25) -> Drive:
    """Random currents under which neurons fire now and then, sometimes twice in a row."""
    random = torch.Generator().manual_seed(11)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    shape = (steps, BATCH, SIZE)
    return Drive(0.5 * draw(*shape) + mean, draw(*shape), draw(*shape), 0.3 * draw(SIZE, SIZE) - 0.1)


class Driven(DenseLayer):
    """A layer that gets its current as it is; its recurrence is that of every layer."""

    def synapses(self) -> None:
        return None

    def current(self, x: Tensor) -> Tensor:
        return x


def unroll(neuron: Neuron, current: Tensor) -> LayerRun:
    """A layer of these neurons on a given current, from rest."""
    return Engine("reference").unroll([Driven("hidden0", 1, current.shape[-1], neuron)], current)[0]


class Result(NamedTuple):
    """Spikes and u - theta [T, B, N] and gradients by name."""

    spikes: Tensor
    potential: Tensor
    gradients: dict[str, Tensor]


def run_ours(
    neuron: Neuron, given: Drive, *, recurrence: str = "none", recurrence_gradient: str = "full"
) -> Result:
    """Our layer through the reference engine, gradients by autograd.

    Those of decays and thresholds come by the chain rule from their logits and logarithms.
    """
    layer = Driven("hidden0", 1, SIZE, neuron, recurrence=recurrence, recurrence_gradient=recurrence_gradient)
    if layer.recurrent is not None:
        layer.recurrent.data = given.matrix if recurrence == "all_to_all" else given.matrix[0]
    current = given.current.clone().requires_grad_()
    (run,) = Engine("reference").unroll([layer], current, keep_u=True)
    given.loss(run.output, run.u).backward()
    gradients = {"current": current.grad}
    if layer.recurrent is not None:
        gradients["recurrent"] = layer.recurrent.grad
    for name, number in neuron.named_children():
        if not list(number.parameters()):
            continue
        value = number().detach()
        if isinstance(number, Decay):
            gradients[name] = number.logit.grad / (value * (1 - value))  # d beta / d logit
        elif isinstance(number, Threshold):
            gradients[name] = number.logarithm.grad / value  # d theta / d logarithm
        elif isinstance(number, Number):
            gradients[name] = number.value.grad
    return Result(run.output.detach(), run.u.detach(), gradients)


def assert_equal_runs(ours: Result, expected: Result, *, rtol: float = RTOL) -> None:
    """Spikes equal; potentials and gradients within `rtol` of their largest value."""
    assert 0.02 < ours.spikes.mean() < 0.7, "the drive must make neurons fire, and not always"
    assert torch.equal(ours.spikes, expected.spikes)
    pairs = {"potential": (ours.potential, expected.potential)}
    assert ours.gradients.keys() == expected.gradients.keys()
    pairs |= {name: (ours.gradients[name], expected.gradients[name]) for name in ours.gradients}
    for name, (found, wanted) in pairs.items():
        assert found.shape == wanted.shape, name
        largest = wanted.abs().max().item()
        assert 0 < largest < math.inf, name
        torch.testing.assert_close(
            found, wanted, rtol=rtol, atol=rtol * largest, msg=lambda text, name=name: f"{name}: {text}"
        )


# --- snnTorch


def number(value: float) -> Tensor:
    """A float64 tensor: snnTorch would turn a plain float into float32."""
    return torch.tensor(value, dtype=torch.float64)


def theirs(
    kind: str, reset: str, *, recurrence: str = "none", decays: dict, learn: bool, given: Drive
) -> nn.Module:
    """The same neuron in snnTorch, in float64, biases 0."""
    options = {
        "threshold": number(THETA),
        "spike_grad": surrogate(),
        "reset_mechanism": reset,
        "learn_beta": learn,
        **{name: value.clone() for name, value in decays.items()},
    }
    if kind == "synaptic":
        options["learn_alpha"] = learn
    if recurrence == "none":
        return {"leaky": snn.Leaky, "synaptic": snn.Synaptic}[kind](**options)
    options |= {"all_to_all": recurrence == "all_to_all"}
    options |= {"linear_features": SIZE} if recurrence == "all_to_all" else {"V": given.matrix[0].clone()}
    neuron = {"leaky": snn.RLeaky, "synaptic": snn.RSynaptic}[kind](**options).double()
    if recurrence == "all_to_all":
        neuron.recurrent.weight.data = given.matrix.clone()
        neuron.recurrent.bias.data.zero_()
    return neuron


def run_theirs(neuron: nn.Module, given: Drive) -> Result:
    """snnTorch step by step with explicit state; a new neuron for each run, for it keeps its state."""
    current = given.current.clone().requires_grad_()
    recurrent = isinstance(neuron, snn.RLeaky | snn.RSynaptic)
    fields = {snn.Leaky: 1, snn.RLeaky: 2, snn.Synaptic: 2, snn.RSynaptic: 3}[type(neuron)]
    state = [torch.zeros_like(given.current[0]) for _ in range(fields)]
    spikes, potential = [], []
    for now in current:
        out = neuron(now, *state)
        state = list(out) if recurrent else list(out[1:])
        spikes.append(out[0])
        potential.append(out[-1] - THETA)
    spikes, potential = torch.stack(spikes), torch.stack(potential)
    given.loss(spikes, potential).backward()
    gradients = {"current": current.grad}
    if recurrent:
        gradients["recurrent"] = neuron.recurrent.weight.grad if neuron.all_to_all else neuron.V.grad
    for name in ("alpha", "beta"):
        if isinstance(getattr(neuron, name, None), nn.Parameter):
            gradients[name] = getattr(neuron, name).grad
    return Result(spikes.detach(), potential.detach(), gradients)


def against_snntorch(
    kind: str, reset: str, learn: str, recurrence: str, given: Drive
) -> tuple[Result, Result]:
    """Both libraries on the same input, with the same decays to the last bit."""
    names = ("beta",) if kind == "leaky" else ("alpha", "beta")
    neuron = make_neuron(kind, reset=reset, **{f"learn_{name}": learn for name in names})
    decays = {name: torch.as_tensor(getattr(neuron, name)(), dtype=torch.float64).detach() for name in names}
    other = theirs(kind, reset, recurrence=recurrence, decays=decays, learn=learn != "none", given=given)
    return run_ours(neuron, given, recurrence=recurrence), run_theirs(other, given)


@pytest.mark.parametrize("learn", thinned(LEARN, 2))
@pytest.mark.parametrize(
    ("kind", "reset"),
    [
        ("leaky", "subtract"),
        ("leaky", "zero"),
        ("leaky", "none"),
        ("synaptic", "subtract"),
        ("synaptic", "none"),
    ],
)
def test_equals_snntorch(kind, reset, learn):
    """Expected: snnTorch 1.0 Leaky and Synaptic, 200 steps: spikes, membrane and all gradients.

    Its gradient of a raw decay equals ours of the logit divided by beta (1 - beta).
    """
    assert_equal_runs(*against_snntorch(kind, reset, learn, "none", drive(mean=0.1)))


@pytest.mark.parametrize("learn", ["none", "shared"])
@pytest.mark.parametrize("recurrence", ["one_to_one", "all_to_all"])
@pytest.mark.parametrize("reset", thinned(["subtract", "none"], 2))
@pytest.mark.parametrize("kind", KINDS)
def test_recurrent_equals_snntorch(kind, reset, recurrence, learn):
    """Expected: snnTorch 1.0 RLeaky and RSynaptic with bias 0, 200 steps, the recurrent weights' gradient too."""
    assert_equal_runs(*against_snntorch(kind, reset, learn, recurrence, drive(mean=0.1)))


@pytest.mark.parametrize("learn", LEARN)
def test_readout_equals_snntorch_membrane(learn):
    """Expected: the membrane of snnTorch 1.0 Leaky(reset_mechanism="none"), 200 steps, and its gradients."""
    given = drive()
    given = given._replace(on_spikes=torch.zeros_like(given.on_spikes))
    readout = make_neuron("leaky_readout", learn_beta=learn)
    ours = run_ours(readout, given)
    decay = torch.as_tensor(readout.beta(), dtype=torch.float64).detach()
    other = theirs("leaky", "none", decays={"beta": decay}, learn=learn != "none", given=given)
    expected = run_theirs(other, given)
    assert torch.equal(ours.spikes, ours.potential)  # its output is its potential; there is no threshold
    torch.testing.assert_close(ours.potential - THETA, expected.potential, rtol=RTOL, atol=RTOL)
    assert ours.gradients.keys() == expected.gradients.keys()
    for name, gradient in expected.gradients.items():
        scale = gradient.abs().max().item()
        torch.testing.assert_close(ours.gradients[name], gradient, rtol=RTOL, atol=RTOL * scale)


# --- a recursion and its adjoint by hand


def by_hand(
    kind: str,
    given: Drive,
    reset: str,
    *,
    attached: bool,
    recurrence: str = "none",
    cut: bool = False,
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


CONNECTIONS = [
    ("none", "full"),
    ("one_to_one", "full"),
    ("one_to_one", "cut"),
    ("all_to_all", "full"),
    ("all_to_all", "cut"),
]


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


def ours_with(kind: str, given: Drive, **changes: object) -> Result:
    connection = {key: changes.pop(key) for key in ("recurrence", "recurrence_gradient") if key in changes}
    return run_ours(make_neuron(kind, **changes), given, **connection)


@pytest.mark.parametrize("kind", KINDS)
def test_resets_differ(kind):
    """Must differ: every pair of resets gives other spikes on the same input."""
    given = drive()
    runs = [ours_with(kind, given, reset=reset).spikes for reset in RESETS]
    for position, one in enumerate(runs):
        for other in runs[:position]:
            assert (one != other).any()


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


@pytest.mark.parametrize("recurrence", ["one_to_one", "all_to_all"])
@pytest.mark.parametrize("kind", KINDS)
def test_recurrence_gradients_differ_and_forwards_do_not(kind, recurrence):
    """Must differ: cut loses the gradient through recurrent spikes, in the input and in the recurrent weights."""
    given = drive(mean=0.1)
    full, cut = (
        ours_with(kind, given, recurrence=recurrence, recurrence_gradient=one) for one in ("full", "cut")
    )
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


# --- snnTorch 1.0's own ways, pinned


def test_snntorch_always_detaches_the_reset():
    """Must differ. Pinned: snnTorch 1.0's gradient is that of `detached`, not of `attached`.

    If this fails, snnTorch has gained an attached reset: compare it with ours in `test_equals_snntorch`.
    """
    given = drive(mean=0.1)
    other = theirs("leaky", "subtract", decays={"beta": number(BETA)}, learn=False, given=given)
    expected = run_theirs(other, given).gradients["current"]
    attached = ours_with("leaky", given, reset_gradient="attached").gradients["current"]
    assert (expected - attached).abs().max() > 0.1


def spike_times(step: Callable[..., tuple], fields: int, steps: int = 12) -> list[int]:
    """Steps at which one snnTorch neuron fires under a constant current of 0.6."""
    state, times = [torch.zeros(1, 1)] * fields, []
    for t in range(steps):
        out = step(torch.full((1, 1), 0.6), *state)
        state = list(out)[-fields:]
        times += [t] if out[0].item() else []
    return times


def our_spike_times(neuron: Neuron, steps: int = 12) -> list[int]:
    """The same of ours."""
    current = torch.full((steps, 1, 1), 0.6)
    output = unroll(neuron, current).output
    return output.flatten().nonzero().flatten().tolist()


def test_zero_reset_of_snntorch_differs_between_its_neurons():
    """Must differ. Pinned: `zero` of snnTorch 1.0's Synaptic and RLeaky drops the current after a spike.

    By hand, current 0.6, beta 0.9, theta 1: u = 0.6, 1.14 (spike), then 0.6 again if the current is kept (a
    spike every 2nd step: Leaky and ours) or 0 if it is dropped (every 3rd). If this fails, snnTorch has changed:
    put ("synaptic", "zero") into `test_equals_snntorch` and `zero` into `test_recurrent_equals_snntorch`, and
    edit the docstring of `Synaptic`.
    """
    options = {"beta": 0.9, "reset_mechanism": "zero", "spike_grad": surrogate()}
    kept, dropped = [1, 3, 5, 7, 9, 11], [1, 4, 7, 10]
    assert spike_times(snn.Leaky(**options), 1) == kept
    assert spike_times(snn.Synaptic(alpha=0.0, **options), 2) == dropped
    one_to_one = {"all_to_all": False, "V": torch.zeros(1), "learn_recurrent": False}
    assert spike_times(snn.RLeaky(**options, **one_to_one), 2) == dropped
    ours = {"beta": 0.9, "threshold": 1.0, "reset": "zero"}
    assert our_spike_times(make_neuron("leaky", **ours)) == kept
    assert our_spike_times(make_neuron("synaptic", alpha=0.0, **ours)) == kept


@pytest.mark.parametrize(("kind", "recurrence"), [("synaptic", "none"), ("leaky", "one_to_one")])
def test_zero_reset_of_snntorch_differs_from_ours(kind, recurrence):
    """Must differ. Pinned on random input; see the test above."""
    ours, expected = against_snntorch(kind, "zero", "none", recurrence, drive())
    assert (ours.spikes != expected.spikes).any()


def test_subtract_of_snntorch_is_not_the_textbook_reset():
    """Must differ. Pinned: snnTorch 1.0 subtracts theta, the textbook's same-step reset beta theta.

    By hand, beta 0.5, theta 1, current 1.5, 0: subtract leaves u = 0.75 - 1, decayed 0.5 (1.5 - 1).
    """
    neuron = snn.Leaky(beta=0.5, spike_grad=surrogate())
    _, membrane = neuron(torch.full((1, 1), 1.5), torch.zeros(1, 1))
    _, membrane = neuron(torch.zeros(1, 1), membrane)
    assert membrane.item() == -0.25
    for reset, expected in (("subtract", -0.25), ("subtract_decayed", 0.25)):
        ours = make_neuron("leaky", beta=0.5, threshold=1.0, reset=reset)
        current = torch.tensor([1.5, 0.0]).reshape(2, 1, 1)
        assert unroll(ours, current).state.u.item() == expected


# --- learnable decays

OPTIMISERS = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=1e6),
    "momentum": lambda parameters: torch.optim.SGD(parameters, lr=10.0, momentum=0.99),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=1.0),
    "rmsprop": lambda parameters: torch.optim.RMSprop(parameters, lr=1.0),
}


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("optimiser", thinned(OPTIMISERS, 4))
def test_learnt_decay_stays_inside_and_alive(optimiser, dtype, direction):
    """Expected from the parametrisation: 0 < beta < 1 and a gradient that is not 0, however large the steps."""
    decay = Decay("beta", 0.9, learn="per_neuron", features=2).to(dtype)
    steps = OPTIMISERS[optimiser](decay.parameters())
    for _ in range(300):
        steps.zero_grad()
        (direction * decay().sum()).backward()
        assert (decay.logit.grad * direction > 0).all()
        steps.step()
        assert ((decay() > 0) & (decay() < 1)).all()
    assert ((decay() < 0.01) if direction == 1 else (decay() > 0.99)).all()


@pytest.mark.parametrize("far", [20.0, 1e4, 1e9, 1e30])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_decay_beyond_the_bound_keeps_the_bounds_value_and_slope(far, sign, dtype):
    """Expected: sigma(+-16) and sigma(16) (1 - sigma(16)), to rounding of 1 - sigma."""
    decay = Decay("beta", 0.5, learn="shared", features=None).to(dtype)
    decay.logit.data.fill_(sign * far)
    decay().backward()
    sigma = 1 / (1 + math.exp(-sign * LOGIT_BOUND))
    eps = torch.finfo(dtype).eps
    assert decay().item() == pytest.approx(sigma, abs=eps)
    assert decay.logit.grad.item() == pytest.approx(sigma * (1 - sigma), abs=eps)


def test_snntorch_decay_dies_outside_its_clamp():
    """Must differ. Pinned: snnTorch 1.0 clamps a raw beta, whose gradient is 0 once it has left [0, 1].

    If this fails, snnTorch has another parametrisation: compare `Decay` with it.
    """
    neuron = snn.Leaky(beta=torch.tensor(1.1), learn_beta=True)
    membrane = torch.ones(1, 1)
    for _ in range(3):
        _, membrane = neuron(torch.full((1, 1), 0.1), membrane)
    membrane.sum().backward()
    assert neuron.beta.grad.item() == 0


@pytest.mark.parametrize("learn", ["shared", "per_neuron"])
@pytest.mark.parametrize("value", [1.2e-7, 0.01, 0.5, 0.9048, 0.999999])
def test_learnt_decay_starts_where_it_was_told(value, learn):
    """Expected: the given value; the logit's rounding moves it by at most |w| eps beta (1 - beta), w < 16."""
    decay = Decay("beta", value, learn=learn, features=SIZE)
    eps = torch.finfo(torch.float64).eps
    expected = torch.full((SIZE,) if learn == "per_neuron" else (), value, dtype=torch.float64)
    assert decay().shape == decay.logit.shape == expected.shape
    torch.testing.assert_close(decay(), expected, rtol=32 * eps, atol=0)


def test_fixed_decay_is_a_number_without_parameters():
    """Expected: the number itself, exactly, and nothing for an optimiser; also 0 and 1."""
    for value in (0, 0.3, 1):
        decay = Decay("beta", value, learn="none", features=None)
        assert decay() == value
        assert not list(decay.parameters())


# --- refusals by name


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, math.inf, "0.9", None, True], ids=repr)
@pytest.mark.parametrize(
    ("kind", "name"),
    [("leaky", "beta"), ("synaptic", "alpha"), ("synaptic", "beta"), ("leaky_readout", "beta")],
)
def test_decay_outside_zero_to_one_is_refused(kind, name, value):
    """Expected: an InputError that names the decay and its value."""
    with pytest.raises(InputError) as caught:
        make_neuron(kind, **{name: value})
    assert str(caught.value).startswith(f"neuron.{name}={value!r}: a number in [0, 1] is needed")


@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf, "1"], ids=repr)
@pytest.mark.parametrize("kind", KINDS)
def test_threshold_that_is_not_positive_is_refused(kind, value):
    """Expected: an InputError that names the threshold and its value."""
    with pytest.raises(InputError) as caught:
        make_neuron(kind, threshold=value)
    assert str(caught.value).startswith(f"neuron.threshold={value!r}: a number in (0, inf")


@pytest.mark.parametrize("name", ["reset", "reset_gradient", "learn_beta", "learn_threshold"])
@pytest.mark.parametrize("value", ["hard", "", None, 1], ids=repr)
@pytest.mark.parametrize("kind", KINDS)
def test_unknown_choice_is_refused(kind, name, value):
    """Expected: an InputError that names the option and lists its values."""
    with pytest.raises(InputError, match=rf"neuron\.{name}={value!r}: one of .* is needed"):
        make_neuron(kind, **{name: value})


@pytest.mark.parametrize("value", [0.0, 1.0, 1e-9, 1 - 1e-9])
@pytest.mark.parametrize("learn", ["shared", "per_neuron"])
@pytest.mark.parametrize(("kind", "name"), [("leaky", "beta"), ("synaptic", "alpha"), ("synaptic", "beta")])
def test_decay_to_be_learnt_at_a_bound_is_refused(kind, name, learn, value):
    """Expected: an InputError; a logit of 0 or 1 is infinite."""
    with pytest.raises(InputError, match=rf"neuron\.{name}={value}: .* strictly between 0 and 1"):
        make_neuron(kind, **{name: value, f"learn_{name}": learn})


def test_decay_per_neuron_needs_their_number():
    """Expected: an InputError that says so."""
    with pytest.raises(InputError, match=r"neuron\.learn_beta=per_neuron: .*features.* is needed"):
        LeakyReadout(beta=0.9, learn_beta="per_neuron")
