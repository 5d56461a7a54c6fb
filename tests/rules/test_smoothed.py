"""Smoothed networks: a true gradient of the network that is evaluated, and what their records say of spikes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import sgbench
from fastspiking.signals.trajectory import Batch
from sgbench.composition.compose import compose
from sgbench.firing.curve import stepping
from sgbench.networks.base import surrogates
from sgbench.training.build import Parts, build
from tests.contracts.rows import batch_of
from tests.entries import spec_with
from tests.messages import raises_naming
from tests.run.tiny import WORDS

pytestmark = pytest.mark.usefixtures("loops_in_python")
SMALL: dict[str, Any] = {
    "protocol.steps": 5,
    "protocol.batch_size": 4,
    "protocol.hidden": [4],
    "protocol.precision": "float64",
    "network.recurrence": "all_to_all",
    "neuron.reset_gradient": "attached",
    "surrogate.normalisation": "area1",
    "init.gain": 2.0,
}


def smoothed(firing: str, **values: Any) -> tuple[Parts, Batch]:
    """Return a recurrent network of four neurons in float64, and a batch of digits for it."""
    spec = spec_with({"firing": firing, "loss": "per_step", "surrogate": "sigmoid"}, {**SMALL, **values})
    parts = build(spec)
    return parts, batch_of(parts, spec)


def loss_at(parts: Parts, batch: Batch) -> float:
    with torch.no_grad():
        return parts.objective.whole(parts.network.unroll(batch.x, batch.lengths), batch.target).item()


def worst_difference(parts: Parts, batch: Batch) -> float:
    """Return the largest error of a slope along a random direction of some weights, relative to the largest slope.

    The reference is the central difference of the loss on both sides, a step of 1e-6 away.
    """
    parts.network.zero_grad()
    list(parts.rule.gradients(parts.network, batch, parts.objective))
    parts.network.eval()
    generator = torch.Generator().manual_seed(0)
    errors, slopes = [], []
    for weight in parts.network.parameters():
        direction = torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
        kept, step, ends = weight.data.clone(), 1e-6, []
        for sign in (1, -1):
            weight.data.copy_(kept + sign * step * direction)
            ends.append(loss_at(parts, batch))
        weight.data.copy_(kept)
        slopes.append((weight.grad * direction).sum().item())
        errors.append(abs((ends[0] - ends[1]) / (2 * step) - slopes[-1]))
    return max(errors) / max(map(abs, slopes))


def test_the_gradient_is_that_of_the_network_that_is_evaluated() -> None:
    """Must match: central differences of the loss in evaluation, to 1e-6. Must differ: spikes by the step."""
    assert worst_difference(*smoothed("soft")) < 1e-6
    assert worst_difference(*smoothed("step")) > 1e-2


def test_a_detached_reset_is_no_part_of_it() -> None:
    """Must differ: central differences know of the reset, the gradient does not."""
    assert worst_difference(*smoothed("soft", **{"neuron.reset_gradient": "detached"})) > 1e-4


def test_stepping_sends_the_spikes_of_the_same_weights() -> None:
    """Must match: a network built with the step, bit for bit; afterwards the curve is sent again."""
    (parts, batch), (hard, _) = smoothed("soft"), smoothed("step")
    before = loss_at(parts, batch)
    with stepping(surrogates(parts.network)):
        inside = loss_at(parts, batch)
    assert inside == loss_at(hard, batch)
    assert loss_at(parts, batch) == before != inside


@pytest.mark.one_in(4)
@pytest.mark.parametrize("init", ["bounded_gradient", "steady_gradient"])
def test_an_initialisation_that_reshapes_the_slope_is_refused(init: str) -> None:
    """Expected: one line with the remedy, since the slope would be that of another curve."""
    words = ("firing=soft", "surrogate.normalisation=area1", "network.recurrence=all_to_all", f"init={init}")
    with raises_naming(sgbench.InputError, "firing=soft", "init=kaiming"):
        build(compose([*WORDS, *words]))


@pytest.mark.slow
def test_a_record_holds_the_transfer_gap() -> None:
    """Expected: `test` by the curve, `test_hard` by the same weights with spikes; none of a network that spikes."""
    words = (*WORDS, "surrogate=sigmoid", "surrogate.normalisation=area1", "engine=reference")
    record = sgbench.run(*words, "firing=soft")
    assert record.test_hard is not None
    assert record.test_hard.samples == record.test.samples
    assert record.test_hard.loss != record.test.loss
    assert record.test_hard.activity[0].rate_per_step < record.test.activity[0].rate_per_step == 1
    plain = sgbench.run(*words, "protocol.epochs=1")
    assert plain.test_hard is None
    assert "test_hard" not in plain.model_dump_json()
