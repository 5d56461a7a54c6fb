"""`accelerate` on networks as their authors write them: results, gradients and training are the network's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sgbench.yours.accelerate import Accelerated, accelerate
from sgbench.yours.traced.trace import tensors_in
from tests.yours.as_written import IDIOMS, KINDS, Made

BY_STEPS = {
    "reset_delay_false": "no linear recurrence",  # loops are generated for it, which are off in tests
    "alpha": "no linear recurrence",
    "latency_code_in_forward": "branch on data",
    "an_own_recurrent_layer": "what it sent a step before",
    "feedback_from_a_later_layer": "what it sent a step before",
    "winner_takes_all": "inhibition",
    "a_recurrent_convolution": "its recurrence is a convolution",
    "a_spiking_lstm": "SLSTM",
}
"""Networks of which a part runs step by step, and a word of why."""
ROUNDS = 3


def drawn(make: Callable[[], Made]) -> tuple[nn.Module, tuple[Any, ...]]:
    """One network and its input, the same in each call."""
    torch.manual_seed(1)
    network, x = make()
    return network, x if isinstance(x, tuple) else (x,)


def close(found: Any, expected: Any) -> None:
    """The same containers, with tensors of the same types that agree to rounding."""
    assert type(found) is type(expected)
    for one, other in zip(tensors_in(found), tensors_in(expected), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=2e-5)


def trained(network: nn.Module, run: Callable[..., Any], args: tuple[Any, ...]) -> list[Any]:
    """Outputs of some steps of an optimiser, each on another input, then weights and buffers."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    outs: list[Any] = []
    for turn in range(ROUNDS):
        torch.manual_seed(10 + turn)
        inputs = [x.roll(turn, 0) for x in args]
        out = run(*inputs)
        loss = sum((each * torch.linspace(-1, 1, each.numel()).view(each.shape)).sum() for each in tensors_in(out))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[union-attr]
        optimizer.step()
        outs.append(out)
        for module in network.modules():
            if hasattr(module, "reset_mechanism_val") and module.init_hidden:
                module.reset_mem()  # type: ignore[operator]
    kept = list(network.parameters())
    return [*outs, kept, [x for name, x in network.named_buffers() if "running" in name or "num_batches" in name]]


@pytest.mark.one_in(6)
@pytest.mark.parametrize("name", [*KINDS, *IDIOMS])
def test_a_network_as_written_gives_and_learns_the_same(name: str) -> None:
    """Expected: the network's own forward under the same seeds, in training. The page counts what runs by steps."""
    make = (KINDS | IDIOMS)[name]
    theirs, args = drawn(make)
    ours, _ = drawn(make)
    fast = accelerate(ours, args)
    close(trained(ours, fast, args), trained(theirs, theirs, args))
    said = fast.step_by_step
    assert bool(said) == (name in BY_STEPS)
    assert name not in BY_STEPS or any(BY_STEPS[name] in line for line in said)


def test_how_many_run_with_no_part_step_by_step() -> None:
    """Counted over what the test above holds each network to."""
    assert len(KINDS) == 22
    assert sum(name not in BY_STEPS for name in KINDS) >= 16
    assert len(IDIOMS) >= 30
    assert sum(name not in BY_STEPS for name in IDIOMS) >= 20


@pytest.mark.one_in(6)
@pytest.mark.parametrize("name", [*KINDS, *IDIOMS])
def test_evaluation_without_gradients_is_the_same(name: str) -> None:
    """The mode and the missing gradients are a call of another form, which is recorded anew."""
    make = (KINDS | IDIOMS)[name]
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


def test_tensors_without_batch_are_taken() -> None:
    """A sample alone [T, N], as in notebooks."""
    network, (x,) = drawn(KINDS["spikes_and_potentials_over_time"])
    fast = accelerate(network, x[:, 0])
    assert not fast.step_by_step
    expected: tuple[Tensor, Tensor] = network(x[:, 0])
    close(fast(x[:, 0]), expected)
