"""Weighted sums in bfloat16: what is coarse, what stays fine, and who refuses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.records.method import method_id
from sgbench.replicas.grouping import why_alone
from sgbench.training.build import Parts, build
from tests.messages import lines_naming
from tests.run.tiny import WORDS

COARSE = "protocol.precision=bfloat16"
STEP = 2.0**-8
"""Relative distance of a number to the nearest of bfloat16, at most: half a step of 2^-7."""


def parts_of(*words: str) -> Parts:
    return build(compose([*WORDS, *words]))


def test_a_sum_is_that_of_rounded_numbers():
    """Expected: input and weights rounded, summed up in double precision, to the rounding of the result."""
    layer = parts_of(COARSE).network.layers[0]
    x = torch.rand(5, 4, layer.weight.shape[1], generator=torch.Generator().manual_seed(1))
    found = layer.current(x)
    rounded = [values.bfloat16().double() for values in (x, layer.weight)]
    expected = rounded[0] @ rounded[1].T
    size = rounded[0].abs() @ rounded[1].abs().T
    assert found.dtype == torch.float32
    assert ((found - expected).abs() <= STEP * expected.abs() + 1e-6 * size).all()
    assert torch.equal(found, found.bfloat16().float())
    fine = torch.nn.functional.linear(x, layer.weight)
    assert not torch.allclose(found, fine, rtol=1e-4)


def test_states_weights_and_the_loss_stay_fine():
    """Expected: float32 everywhere; potentials that bfloat16 has no numbers for; the recurrent sum to the bit."""
    parts = parts_of(COARSE, "network.recurrence=all_to_all")
    network = parts.network
    parts.data.setup()
    batch = next(iter(parts.data.epoch(0)))
    trajectory = network.unroll(batch.x, batch.lengths, keep=frozenset({"u", "spikes"}))
    states = [field for state in trajectory.state for field in state]
    kept: list[Tensor] = [*network.parameters(), *states, *trajectory.u, trajectory.output]
    assert {values.dtype for values in kept} == {torch.float32}
    assert not torch.equal(trajectory.u[0], trajectory.u[0].bfloat16().float())
    sent = trajectory.spikes[0][-1]
    assert torch.equal(network.layers[0].feedback(sent), sent @ network.layers[0].recurrent.T)


@pytest.mark.parametrize("words", [("network.recurrence=all_to_all",), ("network=conv",)], ids=lambda words: words[0])
def test_the_engines_agree(words):
    """Must match: loss and gradients of `auto`, which takes torch, and of `reference`; must differ from float32."""

    def gradients(*more: str) -> list[Tensor]:
        parts = parts_of(*words, *more)
        parts.data.setup()
        (progress,) = parts.rule.gradients(parts.network, next(iter(parts.data.epoch(0))), parts.objective)
        return [progress.loss, *(weight.grad for weight in parts.network.parameters() if weight.grad is not None)]

    found, expected, fine = gradients(COARSE), gradients(COARSE, "engine=reference"), gradients()
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=2 * STEP, atol=2 * STEP * other.abs().max().item())
    assert any(not torch.equal(one, other) for one, other in zip(found, fine, strict=True))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("engine=fused",), r"engine=fused: layer 'hidden0' .* asked for in bfloat16; use engine=auto"),
        (("network=gru",), r"protocol\.precision: network .*; use network=mlp or protocol\.precision=float32"),
        (("rule=local",), r"rule=local makes sums of its own .*; use rule=bptt or protocol\.precision=float32"),
    ],
    ids=lambda words: words[0] if isinstance(words, tuple) else "",
)
def test_what_cannot_says_so(words, line):
    """Expected: one line with the remedy."""
    with pytest.raises(InputError, match=line) as caught:
        parts_of(COARSE, *words)
    assert "\n" not in str(caught.value)


def test_neurons_with_loops_of_their_own_run_in_torch():
    """Expected: the reason names the compiled engine for a neuron that only its step describes."""
    reason = parts_of("neuron=izhikevich", COARSE).engine.reason
    assert lines_naming(reason, "float32", "float64")


def test_it_is_another_method_and_trained_alone():
    """Must differ: its id; must match: that of float32, written out or not. Replicas leave it alone."""
    plain, coarse = compose(list(WORDS)), compose([*WORDS, COARSE])
    assert method_id(plain.method) != method_id(coarse.method)
    assert method_id(compose([*WORDS, "protocol.precision=float32"]).method) == method_id(plain.method)
    assert why_alone(plain) is None
    assert "protocol.precision=bfloat16" in str(why_alone(coarse))
