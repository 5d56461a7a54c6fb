"""`accelerate` on networks as their authors write them: results, gradients and training are the network's own."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from sgbench.yours.accelerate import Accelerated, accelerate
from tests.documents import ROOT
from tests.yours.as_written import IDIOMS, KINDS, dense, events, over_time, written
from tests.yours.networks import NETWORKS, NOT_AT_ONCE, close, drawn
from tests.yours.tutorials import TUTORIALS

PAGE = ROOT / "docs" / "your_network.md"


def test_the_page_counts_what_each_network_is_held_to() -> None:
    """Of twenty-two kinds at least 16, and of the other networks at least 20, run with no part step by step."""
    assert len(KINDS) == 22
    assert sum(name not in NOT_AT_ONCE for name in KINDS) >= 16
    assert len(IDIOMS | TUTORIALS) >= 30
    assert sum(name not in NOT_AT_ONCE for name in IDIOMS | TUTORIALS) >= 20
    reasons = Counter(reason for reason, _ in NOT_AT_ONCE.values())
    at_once = len(NETWORKS) - len(NOT_AT_ONCE)
    rows = [("all steps at once", at_once), *reasons.most_common()]
    expected = ["| reason | networks |", "| --- | --: |", *(f"| {reason} | {count} |" for reason, count in rows)]
    text = PAGE.read_text()
    assert "\n".join(expected) in text, "\n".join(expected)
    prose = " ".join(text.split())
    assert f"We wrote {len(NETWORKS)} networks" in prose
    assert f"{at_once} of them run" in prose


@pytest.mark.one_in(6)
@pytest.mark.parametrize("name", [*NETWORKS])
def test_evaluation_without_gradients_is_the_same(name: str) -> None:
    """The mode and the missing gradients are a call of another form, which is recorded anew."""
    make = NETWORKS[name]
    theirs, args = drawn(make)
    ours, _ = drawn(make)
    fast = accelerate(ours)
    for network in (theirs.eval(), fast.eval()):
        network.requires_grad_(requires_grad=False)
    for turn in range(2):
        torch.manual_seed(turn)
        expected = theirs(*args)
        torch.manual_seed(turn)
        close(fast(*args), expected)
    assert isinstance(fast, Accelerated)


def test_the_example_leaves_the_network_as_it_was() -> None:
    """States, running means, counters, gradients and generators, also with noise and batch statistics."""
    for name in ("batch_norm_on_currents", "noise_in_each_step", "hidden_states_in_a_sequential", "states_of_a_class"):
        network, args = drawn(IDIOMS[name])
        before = {key: value.clone() for key, value in network.named_buffers()}
        plain, draws = dict(vars(network)), torch.get_rng_state()
        fast = accelerate(network, args)
        assert fast.times_faster is not None
        assert fast.times_faster > 0
        assert torch.equal(torch.get_rng_state(), draws)
        assert vars(network).keys() == plain.keys()
        assert all(torch.equal(value, before[key]) for key, value in network.named_buffers())
        assert all(weight.grad is None for weight in network.parameters())


def test_random_numbers_are_those_of_the_network() -> None:
    """Must match: the generator afterwards, so that what is drawn next is the same."""
    for name in ("dropout_between", "noise_in_each_step", "noise_on_the_input"):
        network, args = drawn(IDIOMS[name])
        fast = accelerate(network, args)
        states = []
        for run in (network, fast):
            torch.manual_seed(5)
            run(*args)
            states.append(torch.get_rng_state())
        assert torch.equal(*states)


def test_two_ways_to_run_are_told_apart() -> None:
    """Must differ: what `runs_on` says of a whole sequence, and of a feedback from a later layer."""
    network, args = drawn(KINDS["counts"])
    fast = accelerate(network, args)
    assert fast.runs_on.splitlines() == [
        "lif1: fused engine, all 6 steps at once",
        "lif2: fused engine, all 6 steps at once",
    ]
    network, args = drawn(IDIOMS["feedback_from_a_later_layer"])
    assert "lif1, lif2: step by step" in accelerate(network, args).runs_on


def test_a_part_is_named_once_however_many_steps_it_has() -> None:
    """Must match: a line, not one for each of the six steps."""
    network, args = drawn(IDIOMS["a_potential_that_is_clamped"])
    assert len(accelerate(network, args).lines) == 1


def test_tensors_without_batch_are_taken() -> None:
    """A sample alone [T, N], as in notebooks."""
    network, (x,) = drawn(KINDS["spikes_and_potentials_over_time"])
    fast = accelerate(network, x[:, 0])
    assert not fast.step_by_step
    expected: tuple[Tensor, Tensor] = network(x[:, 0])
    close(fast(x[:, 0]), expected)


def test_a_threshold_that_is_meant_never_to_be_reached_may_be() -> None:
    """Must match: potentials beside a threshold of 20,000, which rounding would swallow; spikes once it is reached."""
    network, args = drawn(TUTORIALS["tutorial_of_autoencoders"])
    fast = accelerate(network, args)
    assert not fast.step_by_step
    last: Any = network.decoder[-1]  # type: ignore[index, union-attr]
    for threshold in (20000.0, 0.05, 33.0):
        last.threshold.fill_(threshold)
        for scale in (1.0, 1e3):
            network.linear_net[0].weight.data.mul_(scale)  # type: ignore[index, union-attr]
            torch.testing.assert_close(fast(*args), network(*args), rtol=1e-4, atol=2e-5)


def test_neurons_that_stay_silent_are_told_from_those_that_begin_to_fire() -> None:
    """Must match: a network whose last layer reaches its threshold of 40 in a later call only."""

    def made() -> nn.Module:
        torch.manual_seed(0)
        parts = dense() | {"lif2": snn.Leaky(beta=0.9, threshold=40.0)}
        return written(over_time, **parts)

    theirs, ours = made(), made()
    fast, x = accelerate(ours, events()), events()
    for scale in (1.0, 300.0, 1 / 300):
        for network in (theirs, ours):
            network.fc2.weight.data.mul_(scale)  # type: ignore[operator, union-attr]
        expected = theirs(x)
        assert expected[0].any() == (scale > 1)
        close(fast(x), expected)
    assert not fast.step_by_step
