"""Truncated back-propagation against a literal loop, and what a shorter window loses.

Legend: T steps, B batch, N neurons, K window; i synaptic current, u membrane potential, s spikes, y output; theta
threshold, alpha, beta, kappa decays, psi(u - theta) the surrogate's slope; W, V, O, b, c weights and biases.
Everything is in float64.
"""

import pytest
import torch
from torch import Tensor

from fastspiking.signals.trajectory import Batch
from sgbench.errors import InputError
from sgbench.losses.per_step import PerStep
from sgbench.networks.mlp import Mlp
from sgbench.regularisers.none import NoPenalty
from sgbench.rules.base import Objective
from sgbench.rules.bptt import Bptt
from tests.messages import raises_naming
from tests.rules.bptt_cases import (
    ALPHA,
    BETA,
    BOUNDS,
    CLASSES,
    HIDDEN,
    KAPPA,
    RECURRENCES,
    STEPS,
    THETA,
    gradients,
    literal_penalty,
    make_batch,
    make_network,
    relative_error,
)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("recurrence", RECURRENCES)
@pytest.mark.parametrize("window", [STEPS, STEPS + 1, 10 * STEPS])
def test_window_of_all_steps_is_the_full_gradient(recurrence, window):
    """Expected: the same computation, so equal bits."""
    network = make_network("synaptic", recurrence, reset_gradient="attached")
    full, _ = gradients(network, make_batch())
    cut, _ = gradients(network, make_batch(), window=window)
    assert all(torch.equal(cut[name], full[name]) for name in full)


def literal_loop(network: Mlp, batch: Batch, window: int, objective: Objective):
    """Gradients of a synaptic layer with all-to-all recurrence, written out; everything is cut each K steps."""
    w, b, v, o, c = weights = [
        weight.detach().clone().requires_grad_()
        for weight in (
            network.layers[0].weight,
            network.layers[0].bias,
            network.layers[0].recurrent,
            network.layers[1].weight,
            network.layers[1].bias,
        )
    ]
    spike = network.layers[0].neuron.surrogate
    i = u = s = torch.zeros(len(batch.target), HIDDEN, dtype=torch.float64)
    y = torch.zeros(len(batch.target), CLASSES, dtype=torch.float64)
    outputs, spikes = [], []
    for t, x in enumerate(batch.x):
        if t % window == 0:
            i, u, s, y = i.detach(), u.detach(), s.detach(), y.detach()
        i = ALPHA * i + x @ w.T + s @ v.T + b
        u = BETA * u + i - THETA * s
        s = spike(u - THETA)
        y = KAPPA * y + s @ o.T + c
        outputs.append(y)
        spikes.append(s)
    loss = literal_loss(torch.stack(outputs), batch) + literal_penalty(torch.stack(spikes), batch, objective)
    names = ("0.weight", "0.bias", "0.recurrent", "1.weight", "1.bias")
    return dict(zip(names, torch.autograd.grad(loss, weights), strict=True)), loss.item()


def literal_loss(output: Tensor, batch: Batch) -> Tensor:
    """Mean over samples of the mean cross-entropy of the sample's own steps."""
    shares = [
        torch.nn.functional.cross_entropy(output[:length, b], batch.target[b].expand(int(length)))
        for b, length in enumerate(batch.lengths)
    ]
    return torch.stack(shares).mean()


@pytest.mark.one_in(3)
@pytest.mark.parametrize("penalty", [NoPenalty(), BOUNDS], ids=["plain", "bounds"])
@pytest.mark.parametrize("window", [1, 2, 5, STEPS - 1, STEPS])
def test_window_equals_a_literal_loop(window, penalty):
    """Expected: a loop that detaches current, potential, spikes and output each K steps, K also not dividing T.

    The loss of all windows is counted, and the penalty once, on the counts of whole samples.
    """
    network = make_network("synaptic", "all_to_all", reset_gradient="attached")
    objective = Objective(loss=PerStep(), regulariser=penalty)
    found, progress = gradients(network, make_batch(), objective, window=window)
    expected, loss = literal_loop(network, make_batch(), window, objective)
    assert relative_error(found, expected) < 1e-10
    assert progress.loss.item() == pytest.approx(loss, rel=1e-12)
    assert not progress.loss.requires_grad


@pytest.mark.parametrize("recurrence", RECURRENCES)
@pytest.mark.parametrize("window", [1, 3, STEPS - 1])
def test_shorter_window_loses_credit_but_not_activity(window, recurrence):
    """Must differ: K < T gives another gradient of every hidden weight; outputs and spikes stay equal."""
    network = make_network("leaky", recurrence)
    objective = Objective(loss=PerStep(), regulariser=BOUNDS)
    full, whole = gradients(network, make_batch(), objective)
    cut, parts = gradients(network, make_batch(), objective, window=window)
    for name in set(full) - {"1.bias", "1.weight"}:
        assert relative_error({name: cut[name]}, {name: full[name]}) > 1e-3, name
    assert torch.equal(parts.trajectory.spikes[0], whole.trajectory.spikes[0])
    for one, other in (
        (parts.trajectory.output, whole.trajectory.output),
        (parts.trajectory.state[0].u, whole.trajectory.state[0].u),
        (parts.trajectory.state[1].u, whole.trajectory.state[1].u),
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("window", [0, -1, 2.5, True, "3"], ids=repr)
def test_bad_window_is_refused_by_name(window):
    """Expected: one line that names the option and what is allowed."""
    with raises_naming(InputError, "rule.window=", "at least 1"):
        Bptt(window=window)
