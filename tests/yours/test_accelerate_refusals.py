"""What `accelerate` must not pass over in silence: hooks, states outside neurons, forwards that are no step."""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

import sgbench
from sgbench.errors import InputError
from sgbench.yours.accelerate import Accelerated, accelerate
from tests.messages import lines_naming, raises_naming

STEPS, BATCH = 5, 3


def leaky(threshold: float = 0.5) -> snn.Leaky:
    """Neurons that fire often."""
    return snn.Leaky(0.8, threshold=threshold)


def inputs(*shape: int) -> Tensor:
    """[T, B, ...] in [0, 2)."""
    return torch.rand(STEPS, BATCH, *shape, generator=torch.Generator().manual_seed(1)) * 2


class Net(nn.Module):
    """A network of two layers whose forward is given."""

    def __init__(self, forward: Callable[..., Any], *, linears_first: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.calls, self.kept, self.last = 0, [], None
        self.scale = torch.tensor(2.0)
        self.fc1 = nn.Linear(4, 4)
        if linears_first:
            self.fc2 = nn.Linear(4, 4)
        self.lif1 = leaky()
        if not linears_first:
            self.fc2 = nn.Linear(4, 4)
        self.lif2 = leaky()
        self.way = forward

    def forward(self, x: Tensor, gain: float = 2.0) -> Any:
        """As given."""
        return self.way(self, x, gain)


def a_step(net: Any, x: Tensor, gain: float) -> Tensor:
    return net.lif2(net.fc2(net.lif1(gain * net.fc1(x) + torch.tensor(0.1))))


def by_mode(net: Any, x: Tensor, gain: float) -> Tensor:
    return net.lif2(net.fc2(net.lif1(gain * net.fc1(x) if net.training else net.fc1(x))))


def counting(net: Any, x: Tensor, gain: float) -> Tensor:
    net.calls += 1
    return a_step(net, x, gain)


def listing(net: Any, x: Tensor, gain: float) -> Tensor:
    net.kept.append(1)
    return a_step(net, x, gain)


def scaling(net: Any, x: Tensor, gain: float) -> Tensor:
    net.scale += 1
    return a_step(net, x, gain)


def keeping(net: Any, x: Tensor, gain: float) -> Tensor:
    net.last = net.lif2(net.fc2(net.lif1(net.fc1(x))))
    return net.last


def twice(net: Any, x: Tensor, gain: float) -> Tensor:
    return net.lif1(net.fc2(net.lif1(net.fc1(x))))


def around(net: Any, x: Tensor, gain: float) -> Tensor:
    return a_step(net, a_step(net, x, gain), gain)


def counted_loop(net: Any, x: Tensor, gain: float) -> Tensor:
    one, two, spikes = net.lif1.reset_mem(), net.lif2.reset_mem(), []
    for t in range(STEPS):
        out, one = net.lif1(net.fc1(x[t]), one)
        out, two = net.lif2(net.fc2(out), two)
        spikes.append(out)
    return torch.stack(spikes)


def loop(net: Any, x: Tensor, gain: float) -> Tensor:
    one, two, spikes = net.lif1.reset_mem(), net.lif2.reset_mem(), []
    for now in x:
        out, one = net.lif1(net.fc1(now), one)
        out, two = net.lif2(net.fc2(out), two)
        spikes.append(out)
    return torch.stack(spikes)


def by_hand(net: Net, x: Tensor, gain: float, shift: float = 0.0) -> Tensor:
    """Spikes of the layers in turn, step by step."""
    one, two, spikes = net.lif1.reset_mem(), net.lif2.reset_mem(), []
    for now in x:
        out, one = net.lif1(gain * net.fc1(now) + shift, one)
        out, two = net.lif2(net.fc2(out), two)
        spikes.append(out)
    return torch.stack(spikes)


def test_further_arguments_stay_at_their_defaults() -> None:
    """And a tensor that the forward makes is kept, but not in the user's network."""
    net = Net(a_step)
    before = set(vars(net))
    found = accelerate(net, example=inputs(4))(inputs(4)).spikes
    assert torch.equal(found, by_hand(net, inputs(4), 2.0, 0.1))
    assert not torch.equal(found, by_hand(net, inputs(4), 1.0, 0.1))
    assert set(vars(net)) == before


class Needs(Net):
    """Takes states from outside."""

    def forward(self, x: Tensor, state: Tensor) -> Any:  # type: ignore[override]
        return self.way(self, x, state)


def test_an_argument_without_a_default_is_named() -> None:
    with raises_naming(InputError, "'state'"):
        accelerate(Needs(a_step))


@pytest.mark.parametrize(
    ("forward", "name"), [(counting, "calls"), (listing, "kept"), (scaling, "scale"), (keeping, "last")]
)
def test_states_in_attributes_are_refused(forward: Callable[..., Any], name: str) -> None:
    """And the user's own network is left alone."""
    net = Net(forward)
    with pytest.raises(InputError, match=f"changes '{name}'") as told:
        accelerate(net)
    assert "\n" not in str(told.value)
    assert (net.calls, net.kept, net.last, float(net.scale)) == (0, [], None, 2.0)


def test_what_is_decided_by_training_follows_it() -> None:
    net = Net(by_mode)
    fast = accelerate(net)
    for training, gain in ((True, 2.0), (False, 1.0), (True, 2.0)):
        fast.train(training)
        assert torch.equal(fast(inputs(4)).spikes, by_hand(net, inputs(4), gain))


@pytest.mark.parametrize("forward", [twice, around])
def test_neurons_that_are_passed_twice_are_refused(forward: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="calls neurons twice"):
        accelerate(Net(forward))


def test_potentials_that_are_used_within_a_step_are_refused() -> None:
    def by_potential(net: Any, x: Tensor, gain: float) -> Tensor:
        return net.lif2(net.fc2(net.lif1(net.fc1(x))[1]))

    with pytest.raises(InputError, match="uses their potentials"):
        accelerate(Net(by_potential))


def test_what_cannot_be_copied_is_refused_and_kept_tensors_are_no_hindrance() -> None:
    net = Net(a_step)
    net.scale = (net.fc1.weight * 2).sum()
    accelerate(net)
    net.last = threading.Lock()  # type: ignore[assignment]
    with pytest.raises(InputError, match="cannot be copied") as told:
        accelerate(net)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("forward", [loop, counted_loop])
def test_a_loop_is_passed_in_turn_with_a_warning(
    forward: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Must differ: whether an input was there to compare; spikes alone are enough for that, and for timing."""
    net = Net(forward)
    with caplog.at_level(logging.WARNING, logger="sgbench"):
        accelerate(net, inputs(4))
        assert not caplog.messages
        found = accelerate(net)(inputs(4)).spikes
    assert lines_naming(caplog.text, "batch=")
    assert torch.equal(found, by_hand(net, inputs(4), 1.0))


def test_a_loop_over_modules_made_in_another_order_is_refused() -> None:
    with pytest.raises(InputError, match="in another order"):
        accelerate(Net(counted_loop, linears_first=True))
    with pytest.raises(InputError, match="forward gives other spikes"):
        accelerate(Net(loop, linears_first=True), example=inputs(4))


def test_a_forward_that_decides_by_another_thing_is_found_by_an_example() -> None:
    """Tracing cannot see it: what is followed takes the branch of a value that is no tensor."""

    def deciding(net: Any, x: Tensor, gain: float) -> Tensor:
        return net.lif1(net.fc1(x) * (20.0 if isinstance(x, Tensor) else 0.0))

    net = Net(deciding)
    net.lif1.init_hidden = True
    with pytest.raises(InputError, match="in its first step"):
        accelerate(net, example=inputs(4))


def test_samples_that_are_mixed_within_a_step_are_found_by_an_example() -> None:
    def mixing(net: Any, x: Tensor, gain: float) -> Tensor:
        return net.lif1(net.fc1(x) * 9 - (net.fc1(x) * 9).mean(0))

    with pytest.raises(InputError, match="on the example"):
        accelerate(Net(mixing), example=inputs(4))


def matrices() -> nn.Sequential:
    """A chain."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 4), leaky(), nn.Linear(4, 4), leaky())


def test_pruned_matrices_are_called() -> None:
    """Hooks that come before and after `accelerate`; pruned weights that learn, and move."""
    network = matrices()
    prune.random_unstructured(network[0], "weight", 0.5)
    fast = accelerate(network)
    prune.random_unstructured(network[2], "weight", 0.5)
    with torch.no_grad():
        for index in (0, 2):
            pruned: Any = network[index]
            pruned.weight_orig.mul_(3)
    slow = Accelerated(copy.deepcopy(matrices()))
    for index in (0, 2):
        pruned = network[index]
        slow.network[index].weight.data = (pruned.weight_orig * pruned.weight_mask).detach()  # type: ignore[index]
    assert torch.equal(fast(inputs(4)).spikes, slow(inputs(4)).spikes)
    fast(inputs(4)).potential.sum().backward()
    assert network[0].weight_orig.grad is not None


def hush(module: nn.Module, given: Any, out: Any) -> Tensor:
    """Zeros in place of what a module gives."""
    return torch.zeros_like(out)


@pytest.mark.parametrize("index", [0, 1])
def test_hooks_of_convolutions_and_windows_are_called(index: int) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), leaky(), nn.Flatten(), nn.Linear(8, 3), leaky()
    )
    fast, x = accelerate(network), inputs(1, 6, 6).round()
    before = fast(x).potential
    network[index].register_forward_hook(hush)
    after = fast(x)
    assert not torch.allclose(after.potential, before)
    torch.testing.assert_close(after.potential, fast.by_steps(x)[1])


def test_hooks_of_neurons_and_of_the_network_are_refused() -> None:
    network = matrices()
    network.register_forward_hook(lambda module, given, out: out)
    with pytest.raises(InputError, match="the network has hooks"):
        accelerate(network)
    network = matrices()
    network[1].register_forward_pre_hook(lambda module, given: None)
    with pytest.raises(InputError, match="module '1' has hooks"):
        accelerate(network)


def test_other_neurons_are_named() -> None:
    alpha = snn.Alpha(alpha=0.9, beta=0.8)
    with raises_naming(InputError, "accelerate", "'1'", "Alpha"):
        accelerate(nn.Sequential(nn.Linear(4, 4), alpha))
    with raises_naming(InputError, "compile", "'neuron'", "Alpha"):
        sgbench.compile(alpha)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.BatchNorm2d(2, track_running_stats=False),
        lambda: nn.InstanceNorm2d(2, track_running_stats=True),
        lambda: nn.InstanceNorm2d(2),
    ],
    ids=["batch", "instance, tracked", "instance"],
)
def test_means_are_those_of_a_step(make: Callable[[], nn.Module], training: bool) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), make(), leaky()).train(training)
    fast, slow, x = accelerate(network), Accelerated(copy.deepcopy(network)), inputs(1, 6, 6)
    for one, other in zip(fast(x), slow.by_steps(x), strict=True):
        torch.testing.assert_close(one, other)
    for one, other in zip(network[1].buffers(), slow.network[1].buffers(), strict=True):  # type: ignore[index]
        torch.testing.assert_close(one, other)


def test_potentials_are_those_of_the_last_neurons_that_a_step_returns() -> None:
    """Neurons that are called behind them, for nothing, do not count."""

    def aside(net: Any, x: Tensor, gain: float) -> Tensor:
        spikes = net.lif1(net.fc1(x))
        net.lif2(net.fc2(spikes))
        return spikes

    fast = accelerate(Net(aside))
    torch.testing.assert_close(fast.by_steps(inputs(4))[1], fast(inputs(4)).potential)


def test_a_copy_runs_by_its_own_weights() -> None:
    fast = accelerate(matrices())
    fast.times_faster = 3.0
    twin = copy.deepcopy(fast).eval()
    before = fast(inputs(4)).potential
    with torch.no_grad():
        for weight in twin.parameters():
            weight.zero_()
    assert twin(inputs(4)).potential.eq(0).all()
    assert torch.equal(fast(inputs(4)).potential, before)
    assert fast.training
    assert twin.times_faster == fast.times_faster


def test_a_convolution_that_changes_meanwhile_is_pooled_once() -> None:
    """Must match: the modules step by step, after a dilation by which torch convolves."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), leaky())
    fast, x = accelerate(network), inputs(1, 8, 8).round()
    fast(x)
    network[0].dilation = (2, 2)  # type: ignore[assignment]
    torch.testing.assert_close(fast(x).potential, fast.by_steps(x)[1])
