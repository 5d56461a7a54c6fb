"""REINFORCE: its expectation over all spike patterns, its baselines, and what it refuses."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from fastspiking.signals.trajectory import Batch
from sgbench.composition.compose import compose
from sgbench.diagnosis.enumeration import expected_gradients
from sgbench.diagnosis.score_function import tiny_network
from sgbench.errors import InputError
from sgbench.firing.escape import Escape
from sgbench.losses.van_rossum import VanRossum
from sgbench.networks.base import Chain, surrogates
from sgbench.regularisers.none import NoPenalty
from sgbench.rules.base import Objective
from sgbench.rules.reinforce import Reinforce
from sgbench.surrogates.base import Surrogate
from sgbench.training.build import build
from tests.catalogue.shapes import make
from tests.contracts.gradients import seeded
from tests.run.tiny import WORDS

SLOPE, STEPS = 1.0, 2
OBJECTIVE = Objective(VanRossum(tau_decay_s=0.003, tau_rise_s=0.0, dt_s=1e-3), NoPenalty())


def noisy_network(seed: int, noise: str = "logistic") -> tuple[Chain, Batch]:
    """Return 4 inputs, 2 hidden neurons and 1 output neuron that fire by chance over two steps."""

    def make_surrogate() -> Surrogate:
        surrogate = make("fast_sigmoid")
        Escape(noise=noise, noise_slope=SLOPE).begin(surrogate)
        return surrogate

    network, batch = tiny_network(seed, make_surrogate)
    return network, batch._replace(x=batch.x[:STEPS], target=batch.target[:, :STEPS], lengths=torch.tensor([STEPS]))


def forced(network: Chain, pattern: tuple[int, ...]) -> list[Tensor]:
    """Make a pattern [steps, all neurons] be drawn; return where its probability is noted, by layer."""
    wanted = torch.tensor(pattern, dtype=torch.float64).view(STEPS, -1)
    noted = []
    for surrogate, spikes in zip(surrogates(network), wanted.split([2, 1], dim=1), strict=True):
        rows = iter(spikes)
        likely: list[Tensor] = []
        noted.append(likely)

        def uniform(u: Tensor, rows=rows, likely=likely, surrogate=surrogate) -> Tensor:
            spike = next(rows)
            fires = torch.sigmoid(SLOPE * u)
            likely.append(torch.where(spike > 0, fires, 1 - fires).detach())
            return torch.where(spike > 0, torch.zeros_like(u), torch.ones_like(u))

        surrogate.uniform = uniform
    return noted


def estimate(network: Chain, batch: Batch, rule: Reinforce) -> Tensor:
    """Return what the rule puts into the weights, as one vector."""
    network.zero_grad()
    list(rule.gradients(network, batch, OBJECTIVE))
    return torch.cat([weight.grad.flatten() for weight in network.parameters()])


@pytest.mark.one_in(4)
@pytest.mark.parametrize("seed", [0, 3])
def test_the_mean_over_all_patterns_is_the_exact_gradient(seed: int) -> None:
    """Must match: estimates of all 64 patterns, weighted by hand-counted probabilities, and enumeration, to 1e-10.

    Must differ: the expected surrogate gradient of the same network.
    """
    network, batch = noisy_network(seed)
    rule = Reinforce(draws=1, baseline="none")
    total, whole = 0.0, 0.0
    for pattern in itertools.product((0, 1), repeat=3 * STEPS):
        noted = forced(network, pattern)
        found = estimate(network, batch, rule)
        probability = torch.cat([torch.stack(each).flatten() for each in noted]).prod()
        total, whole = total + probability * found, whole + probability
    assert whole == pytest.approx(1.0, abs=1e-12)
    expected = expected_gradients(noisy_network(seed)[0], batch, OBJECTIVE, noise_slope=SLOPE)
    exact, surrogate = (torch.cat(list(each.values())) for each in (expected.exact, expected.surrogate))
    assert (total - exact).abs().max() < 1e-10 * exact.abs().max()
    assert (total - surrogate).abs().max() > 1e-2 * exact.abs().max()


@pytest.mark.slow
def test_baselines_leave_the_mean_and_shrink_the_spread() -> None:
    """Expected: over 49 times 16 draws, means of all three within five standard errors of the exact gradient.

    Must differ: the spread, which is smaller with a baseline.
    """
    network, batch = noisy_network(1)
    expected = expected_gradients(network, batch, OBJECTIVE, noise_slope=SLOPE)
    exact = torch.cat(list(expected.exact.values()))
    spread = {}
    for baseline in ("none", "batch", "draws"):
        network, batch = noisy_network(1)
        seeded(network)
        rule = Reinforce(draws=16, baseline=baseline)
        found = torch.stack([estimate(network, batch, rule) for _ in range(49)])
        error = found.std(0) / 7
        assert ((found.mean(0) - exact).abs() <= 5 * error + 1e-12).all(), baseline
        spread[baseline] = found.var(0).sum()
    assert spread["batch"] < spread["none"]
    # One sample: its other draws are all others of the batch.
    assert spread["draws"] == pytest.approx(spread["batch"])


def test_what_lies_behind_a_samples_end_does_not_count() -> None:
    """Must match: a sample that ends after one step, whatever is drawn in the second. Must differ: in the first."""
    found = []
    wrong = 1 - int(noisy_network(2)[1].target[0, 0, 0])  # so that there is a loss
    for first, last in (((1, 0), (1, 1, 1)), ((1, 0), (0, 1, 0)), ((0, 0), (1, 1, 1))):
        network, batch = noisy_network(2)
        forced(network, (*first, wrong, *last))
        short = batch._replace(lengths=torch.tensor([1]))
        found.append(estimate(network, short, Reinforce(draws=1, baseline="none")))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("rule=reinforce",), r"layer 'hidden0' does not draw each spike.*use firing=escape$"),
        (("rule=reinforce", "neuron=escape_noise"), r"use rule=bptt$"),
        (("rule=reinforce", "firing=escape", "regulariser=activity_bounds"), r"use regulariser=none$"),
        (("rule=reinforce", "firing=escape", "rule.baseline=draws"), r"use rule\.draws=2$"),
        (("rule=reinforce", "firing=escape", "rule.baseline=mean"), r"rule\.baseline"),
        (("rule=reinforce", "firing=escape", "firing.noise=uniform"), r"firing\.noise"),
    ],
)
def test_what_it_is_not_defined_for_is_refused(words: tuple[str, ...], says: str) -> None:
    """Expected: one line that names the option and the remedy."""
    with pytest.raises(InputError, match=says):
        build(compose([*WORDS, *words]))
