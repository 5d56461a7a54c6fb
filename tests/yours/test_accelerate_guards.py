"""What changes between calls of an accelerated network, and what its forward does besides: found, or right.

Expected everywhere: the network's own forward, called on the same values.
"""

from __future__ import annotations

import copy
import functools
import os
import random
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from snntorch import utils
from torch import Tensor, nn
from torch.nn.utils import parametrize

import sgbench
from sgbench.errors import InputError
from sgbench.yours.accelerate import PATIENCE, accelerate
from tests.messages import raises_naming
from tests.yours.as_written import B, C, H, N, T, dense, events, over_time, written
from tests.yours.test_accelerate import close

pytestmark = pytest.mark.usefixtures("no_snntorch_neurons_left")
Forward = Callable[..., Any]


def loop(step: Callable[..., Tensor]) -> Forward:
    """A forward over time that calls `step(self, x, t, states)` for the current of the first layer."""

    def forward(self: Any, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        out = []
        for t in range(x.size(0)):
            spk1, mem1 = self.lif1(step(self, x[t], t), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            out.append(spk2)
        return torch.stack(out)

    return forward


def made(forward: Forward = over_time, **more: Any) -> nn.Module:
    """A network of two layers."""
    torch.manual_seed(0)
    return written(forward, **dense(), **more)


def same(fast: Any, x: Tensor, network: nn.Module | None = None) -> None:
    """The accelerated network gives what the network gives now, with its gradients."""
    network = fast.network if network is None else network
    sources = [weight for weight in network.parameters() if weight.requires_grad]
    found = []
    for run in (network, fast):
        torch.manual_seed(3)
        out = run(x)
        first = out[0] if isinstance(out, tuple) else out
        pull = torch.linspace(-1, 1, first.numel()).view(first.shape)
        grads = torch.autograd.grad(first, sources, pull, allow_unused=True) if first.requires_grad else ()
        found.append((out, [torch.zeros(1) if each is None else each for each in grads]))
    close(found[1], found[0])


# --- values that change between calls


def gain(self: Any, now: Tensor, t: int) -> Tensor:
    return self.fc1(now) * self.gain


def flag(self: Any, now: Tensor, t: int) -> Tensor:
    return -self.fc1(now) if self.gain > 2 else self.fc1(now)


def nested(self: Any, now: Tensor, t: int) -> Tensor:
    return self.fc1(now) * self.options["inner"][0]


@pytest.mark.parametrize("step", [gain, flag])
def test_plain_attributes_are_read_in_each_call(step: Callable[..., Tensor]) -> None:
    network = made(loop(step), gain=1.0)
    fast, x = accelerate(network, events()), events()
    for value in (1.0, 3.0, 0.5, 1.0):
        network.gain = value
        same(fast, x)


def test_values_in_containers_globals_and_closures_are_read_in_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    network = made(loop(nested), options={"inner": [1.0]})
    fast, x = accelerate(network, events()), events()
    network.options["inner"][0] = 4.0  # type: ignore[index, operator]
    same(fast, x)

    factor = 1.0

    def by_closure(self: Any, now: Tensor, t: int) -> Tensor:
        return self.fc1(now) * factor * by_name()

    fast = accelerate(made(loop(by_closure)), x)
    factor = 5.0
    same(fast, x)
    monkeypatch.setitem(globals(), "SETTING", 3.0)
    same(fast, x)
    assert not fast.step_by_step


SETTING = 1.0


def by_name() -> float:
    """A global, read by a function that the forward calls."""
    return SETTING


def test_modules_that_name_each_other_are_read_in_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Must match: a setting of a user's module, which imports another that imports it."""
    one, two = ModuleType("one"), ModuleType("two")
    for module in (one, two):
        vars(module).update(__file__=f"/home/me/{module.__name__}.py", one=one, two=two, gain=1.0)
    monkeypatch.setitem(globals(), "MODULE", one)
    fast, x = accelerate(made(loop(by_modules)), events()), events()
    two.gain = 4.0  # type: ignore[attr-defined]
    same(fast, x)
    assert not fast.step_by_step


MODULE: Any = None


def by_modules(self: Any, now: Tensor, t: int) -> Tensor:
    """A setting that is reached through modules."""
    return self.fc1(now) * MODULE.two.one.two.gain


def test_weights_are_those_of_now_however_they_were_changed() -> None:
    """In place, replaced, loaded, assigned, tied, parametrised, frozen; thresholds and betas too."""
    network = made()
    fast, x = accelerate(network, events()), events()
    network.register_parameter("lif1_bias", nn.Parameter(torch.randn(H)))
    other = {key: value + 0.01 if value.is_floating_point() else value for key, value in network.state_dict().items()}

    class Doubled(nn.Module):
        """Twice a weight."""

        def forward(self, weight: Tensor) -> Tensor:
            return 2 * weight

    def replace() -> None:
        network.fc1 = nn.Linear(N, H)

    moves: list[Callable[[], Any]] = [
        lambda: network.fc1.weight.data.mul_(2.0),
        lambda: setattr(network.fc1, "weight", nn.Parameter(torch.randn(H, N))),
        replace,
        lambda: network.load_state_dict(other),
        lambda: network.load_state_dict(other, assign=True),
        lambda: setattr(network.fc1, "bias", network.lif1_bias),
        lambda: network.lif1.threshold.fill_(0.2),
        lambda: setattr(network.lif2, "beta", torch.tensor(0.3)),
        lambda: setattr(network.lif1, "beta", torch.rand(H)),
        lambda: network.fc2.requires_grad_(requires_grad=False),
        lambda: parametrize.register_parametrization(network.fc1, "weight", Doubled()),
        lambda: network.lif1.graded_spikes_factor.fill_(3),
    ]
    for move in moves:
        with torch.no_grad():
            move()
        same(fast, x)
    assert not fast.step_by_step


def test_other_lengths_batches_and_modes_are_taken() -> None:
    network = made(loop(lambda self, now, t: self.drop(self.fc1(now))), drop=nn.Dropout(0.5))
    fast = accelerate(network, events())
    for x in (events(), events()[:4], events()[:, :2], events().repeat(2, 1, 1), events()):
        same(fast, x)
        same(fast.eval(), x)
        fast.train()
        with torch.no_grad():
            same(fast, x)
    assert len(fast._entries) <= 12


def test_weights_stay_where_they_are() -> None:
    """Views of one vector, shared memory and weights tied by their data are not moved, nor changed in layout."""
    network = made()
    flat = nn.utils.parameters_to_vector(network.parameters()).detach()
    nn.utils.vector_to_parameters(flat, network.parameters())
    before = [(weight.data_ptr(), weight.stride()) for weight in network.parameters()]
    fast, x = accelerate(network, events()), events()
    fast(x)[1].sum().backward()
    assert [(weight.data_ptr(), weight.stride()) for weight in network.parameters()] == before
    flat.mul_(2)
    same(fast, x)


def test_a_network_that_keeps_its_states_between_calls() -> None:
    """Hidden states that the loop outside resets, or does not."""

    def forward(self: Any, x: Tensor) -> Tensor:
        return torch.stack([self.net(now)[0] for now in x])

    def build() -> nn.Module:
        torch.manual_seed(0)
        hidden = {"beta": 0.9, "threshold": 0.4, "init_hidden": True}
        layers = (nn.Linear(N, H), snn.Leaky(**hidden), nn.Linear(H, C), snn.Leaky(**hidden, output=True))
        return written(forward, net=nn.Sequential(*layers))

    theirs, ours = build(), build()
    fast, x = accelerate(ours, events()), events()
    for turn in range(5):
        close(fast(x.roll(turn, 0)), theirs(x.roll(turn, 0)))
        for one, other in zip(ours.modules(), theirs.modules(), strict=True):
            if hasattr(one, "mem"):
                torch.testing.assert_close(one.mem, other.mem, rtol=1e-4, atol=1e-5)
        if turn == 2:
            utils.reset(ours.net)
            utils.reset(theirs.net)
        for network in (ours, theirs):
            for module in network.net:  # type: ignore[union-attr]
                if hasattr(module, "mem"):
                    module.mem = module.mem.detach()
    assert not fast.step_by_step


def test_a_value_that_never_stays_runs_as_written() -> None:
    """Must match: the results. It is not recorded in each call, for that would be slower."""
    network = made(loop(gain), gain=1.0)
    fast, x = accelerate(network, events()), events()
    said = []
    for turn in range(PATIENCE + 4):
        network.gain = 1.0 + turn
        same(fast, x)
        said.append(fast.runs_on)
    assert "'gain'" in said[-1] or "gain was another" in said[-1]


# --- what a forward does besides


def counts_calls(self: Any, x: Tensor) -> Tensor:
    self.calls += 1
    return over_time(self, x)[0] * self.calls


def keeps_a_list(self: Any, x: Tensor) -> Tensor:
    out = over_time(self, x)[0]
    self.kept.append(len(x))
    return out + len(self.kept)


def branches_on_data(self: Any, x: Tensor) -> Tensor:
    return over_time(self, x)[0] * (3.0 if x.sum() > 20 else 1.0)


def reads_an_item(self: Any, x: Tensor) -> Tensor:
    return over_time(self, x)[0] * x.mean().item()


def draws_by_numpy(self: Any, x: Tensor) -> Tensor:
    return over_time(self, x)[0] * float(np.random.rand())  # noqa: NPY002


def draws_by_python(self: Any, x: Tensor) -> Tensor:
    return over_time(self, x)[0] * random.random()  # noqa: S311


def seeds(self: Any, x: Tensor) -> Tensor:
    torch.manual_seed(7)
    return over_time(self, x + torch.randn_like(x))[0]


def writes_into_its_input(self: Any, x: Tensor) -> Tensor:
    x.mul_(0.5)
    return over_time(self, x)[0]


def writes_into_a_weight(self: Any, x: Tensor) -> Tensor:
    with torch.no_grad():
        self.fc1.weight.mul_(0.9)
    return over_time(self, x)[0]


def writes_under_a_view(self: Any, x: Tensor) -> Tensor:
    spikes = over_time(self, x)[0].clone()
    row = spikes[0]
    spikes[0] = 5.0
    return spikes + row


def masks(self: Any, x: Tensor) -> Tensor:
    spikes = over_time(self, x)[0]
    return spikes[spikes.sum((1, 2)) > 0]


def comes_from_numpy(self: Any, x: Tensor) -> Tensor:
    return over_time(self, x + torch.from_numpy(np.ones(N, np.float32)))[0]


def takes_a_gradient(self: Any, x: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(over_time(self, x)[1].sum(), x)
    return over_time(self, x + slope)[0]


BESIDES: dict[Forward, str] = {
    counts_calls: "'calls'",
    keeps_a_list: "'kept'",
    branches_on_data: "branch on data",
    reads_an_item: "item",
    draws_by_numpy: "random numbers",
    draws_by_python: "random numbers",
    seeds: "seeds a generator",
    writes_into_its_input: "in place",
    writes_into_a_weight: "in place",
    writes_under_a_view: "another view",
    masks: "a mask",
    comes_from_numpy: "comes from elsewhere",
    takes_a_gradient: "requires_grad_",
}


@pytest.mark.parametrize("forward", BESIDES, ids=lambda each: each.__name__)
def test_a_forward_that_does_more_runs_as_written(forward: Forward) -> None:
    """And `runs_on` says why in one line; under `strict` that is an error."""
    theirs, ours = (made(forward, calls=0, kept=[]) for _ in range(2))
    fast = accelerate(ours, events())
    for turn in range(3):
        xs = [events(0.2 + 0.3 * turn).clone() for _ in range(2)]
        xs[1] = xs[0].clone()
        random.seed(turn)
        np.random.seed(turn)  # noqa: NPY002
        torch.manual_seed(turn)
        expected = theirs(xs[0])
        random.seed(turn)
        np.random.seed(turn)  # noqa: NPY002
        torch.manual_seed(turn)
        close(fast(xs[1]), expected)
        close(xs[1], xs[0])
    assert fast.runs_on.startswith("as written: ")
    assert BESIDES[forward] in fast.runs_on
    assert "\n" not in fast.runs_on
    assert (theirs.calls, theirs.kept) == (ours.calls, ours.kept)
    with raises_naming(InputError, "accelerate", BESIDES[forward]):
        accelerate(made(forward, calls=0, kept=[]), events(), strict=True)


def test_hooks_are_called() -> None:
    """Hooks that are there, and hooks that come later."""
    network, seen = made(), []
    fast, x = accelerate(network, events()), events()
    network.fc1.register_forward_hook(lambda module, given, out: seen.append(1) or out * 2)
    same(fast, x)
    assert len(seen) == 2 * T
    assert "has hooks" in fast.runs_on


def test_an_unhashable_input_runs_as_written() -> None:
    def forward(self: Any, x: Tensor, options: Any) -> Tensor:
        return over_time(self, x)[0] * next(options)

    network, x = made(forward), events()
    fast = accelerate(network)
    close(fast(x, iter([2.0])), network(x, iter([2.0])))
    assert "plain value" in fast.runs_on


OTHER_INPUTS: dict[str, Callable[[Tensor], Any]] = {
    "int64": lambda x: x.long(),
    "bool": lambda x: x > 0,
    "float64": lambda x: x.double(),
    "float16": lambda x: x.half(),
    "bfloat16": lambda x: x.bfloat16(),
    "numpy array": lambda x: x.numpy(),
    "list of arrays": lambda x: [step.numpy() for step in x],
    "list of tensors": list,
    "nested list": lambda x: x.tolist(),
    "None": lambda _: None,
}


@pytest.mark.parametrize("kind", OTHER_INPUTS)
@pytest.mark.parametrize("recorded", [False, True], ids=["first call", "after a recorded call"])
def test_input_of_another_type_ends_as_in_the_plain_network(kind: str, *, recorded: bool) -> None:
    """Must match: the plain network's result, or the kind and text of its error, whatever was recorded before."""
    network, x = made(), events()
    given = OTHER_INPUTS[kind](x)
    fast = accelerate(network, x if recorded else None)
    ends = []
    for each in (network, fast):
        try:
            ends.append(each(given))
        except Exception as error:
            ends.append((type(error), str(error)))
    plain, ours = ends
    if isinstance(plain[0], type):
        assert ours == plain
    else:
        close(ours, plain)
    close(fast(x), network(x))  # and float32 goes on as before


class ResetsItself(nn.Module):
    """A network whose `utils.reset` sets the states of all networks of the process to rest."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.lif = nn.Linear(12, 3), snn.Leaky(beta=0.9, init_hidden=True)

    def forward(self, x: Tensor) -> Tensor:
        utils.reset(self)
        return torch.stack([self.lif(self.fc(step)) for step in x])


def test_states_that_inference_left_in_another_network() -> None:
    """Must match the plain network: with a reset that touches them, as written, and without, on the engine."""
    evaluated, network, x = ResetsItself(), ResetsItself(), events()
    with torch.inference_mode():
        evaluated(x)
    fast = accelerate(network, x)
    assert "inference_mode" in fast.runs_on
    close(fast(x), network(x))
    with torch.inference_mode():
        evaluated(x)
    assert not accelerate(made(), x).step_by_step


def test_under_another_machinery_it_is_as_written() -> None:
    network, x = made(), events()
    fast = accelerate(network, x)
    expected = network(x)
    with torch.inference_mode():
        close(fast(x), network(x))
    assert "inference_mode" in fast.runs_on
    assert fast.step_by_step == fast.lines
    strict = accelerate(made(), events(), strict=True)
    with torch.inference_mode(), raises_naming(InputError, "accelerate: as written", "inference_mode"):
        strict(events())
    found = torch.func.functional_call(fast, dict(fast.named_parameters()), (x,))
    close(found, expected)


def test_an_unknown_engine_is_named() -> None:
    with raises_naming(InputError, "fsued", "fused"):
        accelerate(made(), engine="fsued")


def test_the_engine_that_is_asked_for_runs() -> None:
    network = made()
    for engine in ("scan", "reference"):
        fast = accelerate(network, events(), engine=engine)
        same(fast, events())
        assert engine in fast.runs_on


def test_a_copy_runs_by_its_own_weights() -> None:
    fast, x = accelerate(made(), events()), events()
    twin = copy.deepcopy(fast)
    with torch.no_grad():
        for weight in twin.parameters():
            weight.zero_()
    assert twin(x)[0].eq(0).all()
    same(fast, x)


def test_a_surrogate_and_an_attached_reset_that_use_sets_are_followed() -> None:
    network = made()
    fast, x = accelerate(network, events()), events()
    same(fast, x)
    sgbench.use(network, surrogate="triangle", width_fwhm=0.7, reset_gradient="attached")
    same(fast, x)
    assert not fast.step_by_step
    assert B  # of the events


def test_values_behind_a_cache_of_a_class_and_of_the_environment_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Must match: a function with a cache around a global, a class's own attribute, and a variable of the process."""

    class Config:
        gain = 1.0

    factor = [1.0]

    @functools.cache
    def cached(power: int) -> float:
        return factor[0] ** power

    steps: tuple[Callable[..., Tensor], ...] = (
        lambda self, now, t: self.fc1(now) * cached(t + 1),
        lambda self, now, t: self.fc1(now) * Config.gain,
        lambda self, now, t: self.fc1(now) * type(self).gain,
        lambda self, now, t: self.fc1(now) * float(os.environ["GAIN"]),
    )
    monkeypatch.setenv("GAIN", "1")
    networks = [made(loop(step)) for step in steps]
    for network in networks:
        type(network).gain = 1.0  # type: ignore[assignment]
    fast, x = [accelerate(network, events()) for network in networks], events()
    for value in (1.0, 1.5):
        monkeypatch.setenv("GAIN", str(value))
        Config.gain = factor[0] = value
        cached.cache_clear()
        for each in fast:
            type(each.network).gain = value  # type: ignore[assignment]
            same(each, x)
    assert [each.as_written for each in fast] == ["", "", "", "it reads the environment of its process"]


def test_a_neuron_of_the_catalogue_is_the_one_of_now() -> None:
    """Must match: a neuron that was put in the place of another of its class, with a decay that learns."""

    def leaky(beta: float) -> nn.Module:
        atan = sgbench.create("surrogate/atan")
        return sgbench.create("neuron/leaky", beta=beta, learn_beta="shared", threshold=0.4, surrogate=atan)

    def forward(self: Any, x: Tensor) -> Tensor:
        out, state = [], self.lif.initial_state(self.fc(x[0]))
        for now in x:
            spikes, state = self.lif.step(self.fc(now), state)
            out.append(spikes)
        return torch.stack(out)

    torch.manual_seed(0)
    network = written(forward, fc=nn.Linear(N, H), lif=leaky(0.9))
    fast, x = accelerate(network, events()), events()
    before = fast(x)
    network.lif = leaky(0.1)
    same(fast, x)
    assert not fast.step_by_step
    assert not torch.equal(fast(x), before)
