"""SuperSpike against its three factors written forward in time, and against what it must not be.

Legend: T steps, B batch, C outputs; lambda the kernel of the van Rossum distance. Everything is in float64.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastspiking.signals.streams import generator
from fastspiking.signals.trajectory import Batch
from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.losses.van_rossum import VanRossum
from sgbench.networks.base import Provided
from sgbench.networks.mlp import Mlp
from sgbench.regularisers.none import NoPenalty
from sgbench.rules.base import LearningRule, Objective
from sgbench.rules.bptt import Bptt
from sgbench.rules.superspike import FEEDBACKS, SuperSpike
from sgbench.training.build import build
from tests.networks.parts import BATCH, CLASSES, LENGTHS, STEPS, given, leaky, spikes

KERNELS = {"single": (0.004, 0.0), "double": (0.01, 0.005)}


def objective(kernel: str = "double") -> Objective:
    decay, rise = KERNELS[kernel]
    return Objective(VanRossum(tau_decay_s=decay, tau_rise_s=rise, dt_s=0.001), NoPenalty())


def network(hidden: tuple[int, ...] = (7,)) -> Mlp:
    options = {"recurrence": "all_to_all", "recurrence_gradient": "cut", "bias": False}
    return Mlp(Provided(6, CLASSES, leaky, leaky, *given()), hidden=hidden, **options)


def batch() -> Batch:
    wanted = spikes(CLASSES, density=0.3, seed=8).transpose(0, 1).contiguous()
    return Batch(spikes(6), wanted, LENGTHS, torch.arange(BATCH))


def begun(net: Mlp, feedback: str) -> SuperSpike:
    rule = SuperSpike(feedback=feedback)
    rule.begin(net, generator(0, "initialisation", "rule"))
    return rule


def gradients(rule: LearningRule, net: Mlp, kernel: str = "double") -> dict[str, Tensor]:
    net.zero_grad()
    list(rule.gradients(net, batch(), objective(kernel)))
    return {name: weight.grad.clone() for name, weight in net.named_parameters()}


def smoothed(values: list[Tensor], kernel: Tensor) -> list[Tensor]:
    """The kernel over values of all steps, causally."""
    return [sum(kernel[t - then] * values[then] for then in range(t + 1)) for t in range(len(values))]


def three_factors(net: Mlp, kernel: str, feedback: list[Tensor]) -> list[Tensor]:
    """Per hidden layer, sums over steps of a smoothed error times a smoothed eligibility, forward in time."""
    samples, curve = batch(), objective(kernel).loss.kernel(STEPS)
    with torch.no_grad():
        seen = net.unroll(samples.x, LENGTHS, keep=frozenset({"spikes", "u"}))
        inside = (torch.arange(STEPS)[:, None] < LENGTHS).double()[..., None]
        wrong = list(inside * (seen.output - samples.target.transpose(0, 1)))
        share = 2 * inside / (LENGTHS[:, None] * CLASSES * BATCH)
        errors = [share[t] * each for t, each in enumerate(smoothed(wrong, curve))]
        signal, found = samples.x, []
        for place, layer in enumerate(net.hidden_layers):
            slopes = layer.neuron.surrogate.derivative(seen.u[place])
            trace, eligible = torch.zeros_like(signal[0]), []
            for t in range(STEPS):
                trace = 0.8 * trace + signal[t]
                eligible.append(slopes[t][..., None] * trace[:, None, :])
            filtered = smoothed(eligible, curve)
            learning = [error @ feedback[place] for error in errors]
            found.append(
                sum(torch.einsum("bn,bnk->nk", one, other) for one, other in zip(learning, filtered, strict=True))
            )
            signal = seen.spikes[place]
    return found


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("feedback", FEEDBACKS)
def test_equals_the_three_factors_forward_in_time(feedback, kernel):
    """Must match: the paper's product of a smoothed error and a smoothed eligibility, reset detached, no recurrence
    in the trace; samples end at three lengths."""
    net = network((7,) if feedback == "symmetric" else (7, 5))
    rule = begun(net, feedback)
    weights = [net.readout.weight.detach()] if feedback == "symmetric" else list(net.direct_feedback)
    found = gradients(rule, net, kernel)
    for place, expected in enumerate(three_factors(net, kernel, weights)):
        assert expected.any()
        error = (found[f"layers.{place}.weight"] - expected).abs().max() / expected.abs().max()
        assert error < 1e-10


def test_it_is_not_back_propagation_and_points_along_it():
    """Must differ: the output's slope and membrane are left out; on this seed the direction stays related."""
    net = network()
    found, expected = gradients(begun(net, "symmetric"), net), gradients(Bptt(window=None), net)
    one, other = found["layers.0.weight"], expected["layers.0.weight"]
    assert (one - other).abs().max() > 1e-2 * other.abs().max()
    assert 0 < torch.nn.functional.cosine_similarity(one.flatten(), other.flatten(), dim=0) < 0.9999
    torch.testing.assert_close(found["layers.1.weight"], expected["layers.1.weight"], rtol=1e-10, atol=1e-14)


def test_uniform_feedback_is_one_number():
    """Expected by hand: the root mean square of the readout's weights, everywhere, and no parameter."""
    net = network((7, 5))
    begun(net, "uniform")
    size = net.readout.weight.square().mean().sqrt()
    for weight in net.direct_feedback:
        torch.testing.assert_close(weight, size.detach().expand_as(weight))
    assert not [name for name, _ in net.named_parameters() if "feedback" in name]


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("experiment=digits",), "compares something else; use rule=bptt"),
        (("network.recurrence=all_to_all",), r"use network\.recurrence_gradient=cut"),
        (("protocol.hidden=[4,4]", "rule.feedback=symmetric"), r"use rule\.feedback=random"),
        (("rule.feedback=adaptive",), r"rule\.feedback='adaptive': one of symmetric, random, uniform"),
    ],
)
def test_what_does_not_go_together_is_refused(words, message):
    """Expected: an InputError that names the mend."""
    given_words = words if words[0].startswith("experiment") else ("experiment=spike_patterns", *words)
    with pytest.raises(InputError, match=message):
        build(compose([*given_words, "rule=superspike"]))
