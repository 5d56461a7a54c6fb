"""Back-propagation through time against an adjoint written by hand and finite differences.

Legend: T steps, B batch, N neurons, K window; i synaptic current, u membrane potential, s spikes, y output; theta
threshold, alpha, beta, kappa decays, psi(u - theta) the surrogate's slope; W, V, O, b, c weights and biases.
Everything is in float64.
"""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from fastspiking.signals.trajectory import SPIKES, Batch
from sgbench.losses.max_over_time import MaxOverTime
from sgbench.losses.per_step import PerStep
from sgbench.networks.mlp import Mlp
from sgbench.neurons.base import RESET_GRADIENTS, RESETS
from sgbench.rules.base import Objective
from sgbench.rules.bptt import Bptt
from tests.rules.bptt_cases import (
    ALPHA,
    BETA,
    BOUNDS,
    CLASSES,
    HIDDEN,
    KAPPA,
    KINDS,
    PLAIN,
    RECURRENCES,
    SLOPE,
    THETA,
    Smooth,
    gradients,
    literal_penalty,
    make_batch,
    make_network,
    relative_error,
)

# --- the adjoint written by hand


class Hand:
    """One hidden layer in NumPy: forward by the definition, backward by the adjoint recursion."""

    def __init__(self, network: Mlp, kind: str, reset: str, reset_gradient: str) -> None:
        hidden, readout = network.layers
        as_array = {name: weight.detach().numpy() for name, weight in hidden.named_parameters()}
        self.w, self.b = as_array["weight"], as_array["bias"]
        self.v = as_array.get("recurrent", np.zeros((HIDDEN, HIDDEN)))
        self.one_to_one = self.v.ndim == 1
        self.v = np.diag(self.v) if self.one_to_one else self.v
        self.recurrent = "recurrent" in as_array
        self.o, self.c = readout.weight.detach().numpy(), readout.bias.detach().numpy()
        self.alpha = ALPHA if kind == "synaptic" else 0.0
        self.reset, self.attached = reset, reset_gradient == "attached"

    def potential(self, u: np.ndarray, s: np.ndarray, i: np.ndarray) -> np.ndarray:
        """One step of the membrane."""
        kept = (1 - s) * u if self.reset == "zero" else u
        paid = {"subtract": THETA, "subtract_decayed": BETA * THETA}.get(self.reset, 0.0)
        return BETA * kept + i - paid * s

    def by_spike(self, u: np.ndarray) -> np.ndarray | float:
        """Slope of the next potential by this step's spike, through an attached reset."""
        slopes = {"subtract": -THETA, "subtract_decayed": -BETA * THETA, "zero": -BETA * u, "none": 0.0}
        return slopes[self.reset] if self.attached else 0.0

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Potentials, spikes [T, B, N] and outputs [T, B, C]."""
        i = u = s = np.zeros((x.shape[1], HIDDEN))
        y = np.zeros((x.shape[1], CLASSES))
        rows = []
        for now in x:
            i = self.alpha * i + now @ self.w.T + s @ self.v.T + self.b
            u = self.potential(u, s, i)
            s = (u > THETA).astype(float)
            y = KAPPA * y + s @ self.o.T + self.c
            rows.append((u, s, y))
        return tuple(np.stack(each) for each in zip(*rows, strict=True))

    def backward(self, x: np.ndarray, by_output: np.ndarray) -> dict[str, np.ndarray]:
        """Gradients from dL/dy[t], the loss's own derivative [T, B, C]."""
        u, s, _ = self.forward(x)
        psi = 1 / (1 + SLOPE * np.abs(u - THETA)) ** 2
        total = dict.fromkeys(("w", "v", "b", "o", "c"), 0.0)
        on_i = on_u = np.zeros_like(u[0])
        on_y = np.zeros_like(by_output[0])
        for t in reversed(range(len(x))):
            on_y = by_output[t] + KAPPA * on_y
            on_s = on_y @ self.o + on_i @ self.v + self.by_spike(u[t]) * on_u
            kept = 1 - s[t] if self.reset == "zero" else 1.0
            on_u = psi[t] * on_s + BETA * kept * on_u
            on_i = on_u + self.alpha * on_i
            before = s[t - 1] if t else np.zeros_like(s[0])
            total["w"] += on_i.T @ x[t]
            total["v"] += on_i.T @ before
            total["b"] += on_i.sum(0)
            total["o"] += on_y.T @ s[t]
            total["c"] += on_y.sum(0)
        return self.named(total)

    def named(self, total: dict[str, np.ndarray]) -> dict[str, Tensor]:
        """As the network calls its weights."""
        found = {"0.weight": total["w"], "0.bias": total["b"], "1.weight": total["o"], "1.bias": total["c"]}
        if self.recurrent:
            found["0.recurrent"] = np.diag(total["v"]).copy() if self.one_to_one else total["v"]
        return {name: torch.from_numpy(value) for name, value in found.items()}


def slope_of_per_step(y: np.ndarray, batch: Batch) -> np.ndarray:
    """dL/dy[t] = (softmax(y[t]) - one-hot) / (B T_b) within each sample and 0 behind it."""
    chance = np.exp(y - y.max(2, keepdims=True))
    chance /= chance.sum(2, keepdims=True)
    lengths = batch.lengths.numpy()
    inside = np.arange(len(y))[:, None] < lengths
    return (chance - np.eye(CLASSES)[batch.target.numpy()]) * (inside / (lengths * len(lengths)))[..., None]


@pytest.mark.one_in(5)
@pytest.mark.parametrize("recurrence", RECURRENCES)
@pytest.mark.parametrize("reset_gradient", RESET_GRADIENTS)
@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_adjoint_written_by_hand(kind, reset, reset_gradient, recurrence):
    r"""Expected: mathematics. The forward is, with r = 1 - s[t-1] for `zero` and 1 otherwise,

        i[t] = alpha i[t-1] + W x[t] + V s[t-1] + b      u[t] = beta r u[t-1] + i[t] - paid s[t-1]
        s[t] = H(u[t] - theta)                           y[t] = kappa y[t-1] + O s[t] + c

    (`leaky` is alpha = 0; paid is theta, beta theta or 0). Let g_z[t] be the derivative of L by z[t] along all
    later paths; each variable passes on what its readers in steps t and t+1 hand back, H' replaced by psi:

        g_y[t] = dL/dy[t] + kappa g_y[t+1]
        g_s[t] = O' g_y[t] + V' g_i[t+1] + d g_u[t+1]    d = -paid, or -beta u[t] for `zero`; 0 if detached
        g_u[t] = psi[t] g_s[t] + beta (1 - s[t] if `zero`) g_u[t+1]
        g_i[t] = g_u[t] + alpha g_i[t+1]
        dW = sum g_i[t] x[t]'   dV = sum g_i[t] s[t-1]'   db = sum g_i[t]   dO = sum g_y[t] s[t]'   dc = sum g_y[t]
    """
    network, batch = (make_network(kind, recurrence, reset=reset, reset_gradient=reset_gradient), make_batch())
    hand = Hand(network, kind, reset, reset_gradient)
    _, s, y = hand.forward(batch.x.numpy())
    assert 0.05 < s.mean() < 0.8
    found, progress = gradients(network, batch)
    assert np.abs(progress.trajectory.output.detach().numpy() - y).max() < 1e-12
    assert relative_error(found, hand.backward(batch.x.numpy(), slope_of_per_step(y, batch))) < 1e-10


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reset", ["subtract", "subtract_decayed", "zero"])
def test_reset_gradient_is_a_real_choice(kind, reset):
    """Must differ: an attached reset has a path that a detached one lacks, in the same forward."""
    found = [
        gradients(make_network(kind, "none", reset=reset, reset_gradient=choice), make_batch())[0]
        for choice in RESET_GRADIENTS
    ]
    assert relative_error(*found) > 1e-3


# --- the smoothed network: there the surrogate gradient is the gradient


def smooth_network(**options: object) -> Mlp:
    """Two hidden layers whose spikes are smooth functions of the potential."""
    surrogate = Smooth(slope=4.0, width_fwhm=None, normalisation="raw", scale=1.0)
    chosen = {"kind": "synaptic", "recurrence": "all_to_all", "reset": "subtract", "reset_gradient": "attached"}
    return make_network(**{**chosen, **options}, surrogate=surrogate, hidden=(3, 2))


def finite_differences(network: Mlp, batch: Batch, objective: Objective, step: float = 1e-5):
    """Central differences of the loss by each weight; error of order step^2 plus rounding/step, about 1e-10."""

    @torch.no_grad()
    def loss() -> float:
        trajectory = network.unroll(batch.x, batch.lengths, keep=objective.keep)
        return objective.whole(trajectory, batch.target).item()

    found = {}
    for name, weight in network.named_parameters():
        slopes = torch.zeros_like(weight)
        for place in itertools.product(*map(range, weight.shape)):
            value = weight.data[place].item()
            weight.data[place] = value + step
            above = loss()
            weight.data[place] = value - step
            slopes[place] = (above - loss()) / (2 * step)
            weight.data[place] = value
        found[name.removeprefix("layers.")] = slopes.detach()
    return found


SMOOTH_BATCH = make_batch(5, (5, 3))


@pytest.mark.one_in(16)
@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize(("kind", "recurrence"), [("leaky", "one_to_one"), ("synaptic", "all_to_all")])
def test_smooth_network_equals_finite_differences(kind, recurrence, reset):
    """Expected: central differences, of loss plus penalty, through two hidden layers and an attached reset."""
    network = smooth_network(kind=kind, recurrence=recurrence, reset=reset)
    objective = Objective(loss=MaxOverTime(), regulariser=BOUNDS)
    found, _ = gradients(network, SMOOTH_BATCH, objective)
    assert relative_error(found, finite_differences(network, SMOOTH_BATCH, objective)) < 1e-6


@pytest.mark.one_in(4)
@pytest.mark.parametrize("change", [{"reset_gradient": "detached"}, {"recurrence_gradient": "cut"}], ids=str)
def test_what_is_cut_is_missing_from_the_smooth_gradient(change):
    """Must differ: a detached reset or cut recurrence leaves out a path that finite differences see."""
    network = smooth_network(**change)
    found, _ = gradients(network, SMOOTH_BATCH)
    assert relative_error(found, finite_differences(network, SMOOTH_BATCH, PLAIN)) > 1e-3


# --- loss and penalty


def test_penalty_enters_the_gradient_once():
    """Expected: gradient of loss and gradient of penalty, each by itself, add up; neither is zero."""
    network, batch = make_network("leaky", "all_to_all"), make_batch()
    objective = Objective(loss=PerStep(), regulariser=BOUNDS)
    both, progress = gradients(network, batch, objective)
    loss_alone, plain = gradients(network, batch)
    trajectory = network.unroll(batch.x, batch.lengths, keep=frozenset({SPIKES}))
    network.zero_grad()
    penalty = literal_penalty(trajectory.spikes[0], batch, objective)
    penalty.backward()
    penalty_alone = {
        name.removeprefix("layers."): torch.zeros_like(weight) if weight.grad is None else weight.grad
        for name, weight in network.named_parameters()
    }
    assert relative_error(both, {name: loss_alone[name] + penalty_alone[name] for name in both}) < 1e-10
    assert relative_error(both, loss_alone) > 1e-2
    assert progress.loss.item() == pytest.approx(plain.loss.item() + penalty.item(), rel=1e-12)


def test_gradients_add_to_what_is_there():
    """Expected: two passes without zeroing leave twice the gradient, as the contract of a rule says."""
    network, batch = make_network("leaky", "none"), make_batch()
    once, _ = gradients(network, batch)
    list(Bptt(window=None).gradients(network, batch, PLAIN))
    twice = {name.removeprefix("layers."): weight.grad for name, weight in network.named_parameters()}
    assert all(torch.equal(twice[name], 2 * once[name]) for name in once)
