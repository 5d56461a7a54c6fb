"""Another surrogate and an attached reset in a snnTorch network, in place and back; held to equations by hand."""

from __future__ import annotations

import copy
import io
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import snntorch as snn
import torch
from snntorch import surrogate as theirs
from torch import Tensor, nn

import sgbench
from sgbench.errors import InputError
from sgbench.networks.watching import reset_gradient_of

STEPS, BATCH, INPUTS, HIDDEN = 6, 3, 4, 5


class Net(nn.Module):
    """A tutorial's network: two layers, potentials of the last one."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(INPUTS, HIDDEN), snn.Leaky(beta=0.8, **options)
        self.fc2, self.lif2 = nn.Linear(HIDDEN, 2), snn.Leaky(beta=0.7, **options)

    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2, kept = self.lif1.reset_mem(), self.lif2.reset_mem(), []
        for now in x:
            spk, mem1 = self.lif1(self.fc1(now), mem1)
            spk, mem2 = self.lif2(self.fc2(spk), mem2)
            kept.append(mem2)
        return torch.stack(kept)


def net(seed: int = 0, **options: Any) -> Any:
    torch.manual_seed(seed)
    made = Net(**options)
    with torch.no_grad():
        made.fc1.weight.mul_(4)  # so that it fires
        made.fc2.weight.mul_(4)
    return made


X = torch.rand(STEPS, BATCH, INPUTS, generator=torch.Generator().manual_seed(1))


def gradients(network: nn.Module, x: Tensor = X) -> list[Tensor]:
    network.zero_grad()
    network(x).square().sum().backward()
    return [weight.grad.clone() for weight in network.parameters() if weight.grad is not None]


def equal(ours: list[Tensor], others: list[Tensor]) -> bool:
    return len(ours) == len(others) and all(
        torch.allclose(one, other, rtol=1e-5, atol=1e-7) for one, other in zip(ours, others, strict=True)
    )


class Spike(torch.autograd.Function):
    """A spike with the slope of a triangle of height 1 and full width at half maximum 1, written by hand."""

    @staticmethod
    def forward(ctx: Any, u: Tensor) -> Tensor:
        ctx.save_for_backward(u)
        return (u > 0).float()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (u,) = ctx.saved_tensors
        return grad * (1 - u.abs()).clamp(min=0)


def by_hand(network: Net, x: Tensor, *, attached: bool) -> Tensor:
    """The same network from its weights alone, by the equations of the docstring."""
    potentials = [torch.zeros(BATCH, HIDDEN), torch.zeros(BATCH, 2)]
    kept = []
    for now in x:
        sent = now
        for index, (weights, beta) in enumerate(((network.fc1, 0.8), (network.fc2, 0.7))):
            before = potentials[index]
            spikes = Spike.apply(before - 1)
            reset = spikes if attached else spikes.detach()
            potentials[index] = beta * before + sent @ weights.weight.T + weights.bias - reset
            sent = Spike.apply(potentials[index] - 1)
        kept.append(potentials[1])
    return torch.stack(kept)


@pytest.mark.parametrize("reset", ["attached", "detached"])
def test_gradients_are_those_of_the_equations(reset: Any) -> None:
    """Must match: outputs and all gradients, by a loop written out in torch."""
    network = net()
    sgbench.use(network, surrogate="triangle", width_fwhm=1.0, reset_gradient=reset)
    ours = gradients(network)
    network.zero_grad()
    output = by_hand(network, X, attached=reset == "attached")
    torch.testing.assert_close(network(X), output)
    output.square().sum().backward()
    assert equal(ours, [weight.grad for weight in network.parameters()])


def test_attached_and_detached_differ_in_gradients_alone() -> None:
    """Must differ: the gradients; must match: the outputs."""
    attached, detached = net(), net()
    sgbench.use(attached, surrogate="atan", width_fwhm=0.5, reset_gradient="attached")
    sgbench.use(detached, surrogate="atan", width_fwhm=0.5)
    assert torch.equal(attached(X), detached(X))
    assert not equal(gradients(attached), gradients(detached))


def free(neurons: Any) -> Any:
    """The class with a `mem_reset` that does not detach, as the documentation used to recommend."""

    class Free(neurons):
        def mem_reset(self, mem: Tensor) -> Tensor:
            return self.spike_grad(mem - self.threshold)

    return Free


KINDS: dict[str, Callable[[type], nn.Module]] = {
    "Leaky": lambda kind: kind(beta=0.9, reset_mechanism="zero"),
    "Lapicque": lambda kind: kind(beta=0.9),
    "Synaptic": lambda kind: kind(alpha=0.5, beta=0.9),
    "Alpha": lambda kind: kind(alpha=0.9, beta=0.8),
    "RLeaky": lambda kind: kind(beta=0.9, linear_features=HIDDEN),
    "RSynaptic": lambda kind: kind(alpha=0.5, beta=0.9, all_to_all=False, V=0.5),
    "SLSTM": lambda kind: kind(HIDDEN, HIDDEN, threshold=0.1, reset_mechanism="subtract"),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_neuron_is_attached(name: str) -> None:
    """Must match a subclass that does not detach, and must differ from the neuron as snnTorch has it."""
    grads: Any = {}
    for way in ("used", "subclass", "as it is"):
        torch.manual_seed(2)
        kind = getattr(snn, name)
        layer: Any = KINDS[name](free(kind) if way == "subclass" else kind)
        layer.init_hidden = True
        if way == "used":
            sgbench.use(layer, reset_gradient="attached")
        x: Any = (3 * torch.rand(STEPS, BATCH, HIDDEN)).requires_grad_()
        torch.stack([(layer(now) * (1 + step)).sum() for step, now in enumerate(x)]).sum().backward()
        grads[way] = x.grad
    assert torch.equal(grads["used"], grads["subclass"])
    assert not torch.equal(grads["used"], grads["as it is"])


def test_everything_is_set_back() -> None:
    """Must match: after the block, gradients, surrogates and pickled names are those from before."""
    network = net()
    before, spike_grad = gradients(network), network.lif1.spike_grad
    with sgbench.use(network, surrogate="sigmoid", width_fwhm=0.5, reset_gradient="attached") as inside:
        assert inside is network
        assert not equal(gradients(network), before)
    assert network.lif1.spike_grad is spike_grad
    assert "mem_reset" not in vars(network.lif1)
    assert equal(gradients(network), before)


def test_changes_are_undone_in_turn() -> None:
    """Must match: the first settings after the second are undone; must refuse: the other order, and leave them."""
    network = net()
    first = sgbench.use(network, surrogate="atan", width_fwhm=0.5, reset_gradient="attached")
    before = gradients(network)
    second = sgbench.use(network, reset_gradient="detached")
    with pytest.raises(InputError, match="'lif1' was changed again since"):
        first.restore()
    second.restore()
    assert equal(gradients(network), before)
    first.restore()
    first.restore()
    assert reset_gradient_of(network.lif1) == "detached"


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda network: pickle.loads(pickle.dumps(network))],  # noqa: S301 - our own bytes
    ids=["deepcopy", "pickle"],
)
def test_copies_keep_the_settings(copied: Callable[[Any], Any]) -> None:
    """Must match: gradients of the copy; must differ: its layers are its own."""
    network = net()
    sgbench.use(network, surrogate="atan", width_fwhm=0.5, reset_gradient="attached")
    before = gradients(network)
    for layer in (network.lif1, network.lif2):
        layer.reset_mem()  # a potential with a graph is not copied, whoever made it
    other = copied(network)
    assert equal(gradients(other), before)
    assert other.lif1.mem_reset.neuron is other.lif1
    assert other.lif1.spike_grad is not network.lif1.spike_grad
    with torch.no_grad():
        other.lif1.threshold.fill_(2.0)
    assert not equal(gradients(other), before)
    assert equal(gradients(network), before)


def test_weights_go_between_networks_with_and_without() -> None:
    """Must match: names of the state dict, and outputs of a plain network that loads it."""
    network, plain = net(), net(seed=1)
    names = list(network.state_dict())
    sgbench.use(network, surrogate="atan", width_fwhm=0.5, reset_gradient="attached")
    assert list(network.state_dict()) == names
    stored = io.BytesIO()
    torch.save(network.state_dict(), stored)
    stored.seek(0)
    plain.load_state_dict(torch.load(stored, weights_only=True))
    assert torch.equal(plain(X), network(X))


@pytest.mark.parametrize("mechanism", ["subtract", "zero"])
def test_the_engine_follows(mechanism: str) -> None:
    """Must match: gradients of the accelerated network, set before or after it was accelerated; and set back."""
    plain: Any
    fast: Any
    plain, fast = (
        nn.Sequential(nn.Linear(INPUTS, HIDDEN), snn.Leaky(beta=0.8, reset_mechanism=mechanism)) for _ in range(2)
    )
    found: Any = {}
    nn.init.constant_(plain[0].weight, 0.6)
    fast.load_state_dict(plain.state_dict())
    quick = sgbench.accelerate(sgbench.unroll(fast))
    resets: Any = ("attached", "detached")
    for reset in resets:
        used = [
            sgbench.use(network, surrogate="triangle", width_fwhm=1.5, reset_gradient=reset)
            for network in (plain, fast)
        ]
        mem, loss = plain[1].reset_mem(), torch.zeros(())
        for step, now in enumerate(X):
            spikes, mem = plain[1](plain[0](now), mem)
            loss = loss + (1 + step) * spikes.sum()
        plain.zero_grad(), fast.zero_grad()
        loss.backward()
        (quick(X)[0] * torch.arange(1, STEPS + 1)[:, None, None]).sum().backward()
        ours, theirs_ = [weight.grad.clone() for weight in fast.parameters()], plain.parameters()
        assert equal(ours, [weight.grad for weight in theirs_])
        found[reset] = ours
        for change in used:
            change.restore()
    assert not equal(found["attached"], found["detached"])


def test_a_high_peak_warns_where_the_reset_is_attached() -> None:
    """Must match: snnTorch's sigmoid has a slope of 25 / 4 at its peak; must differ: peaks of 1, detached ones."""
    network = net(spike_grad=theirs.sigmoid(slope=25))
    with pytest.warns(UserWarning, match=r"'lif1', 'lif2' is attached to a slope that is 6.25 at its peak"):
        sgbench.use(network, reset_gradient="attached")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sgbench.use(net(spike_grad=theirs.sigmoid(slope=25)), reset_gradient="detached")
        sgbench.use(net(spike_grad=theirs.fast_sigmoid(slope=25)), reset_gradient="attached")
    with pytest.warns(UserWarning, match="a slope that is 6 at its peak"):  # of a threshold of 6
        sgbench.use(net(threshold=6.0), surrogate="atan", reset_gradient="attached")


def test_a_width_alone_keeps_the_shape() -> None:
    """Must match: the width of snnTorch's atan, whose slope is half of its peak at 1 / pi."""
    network = net(spike_grad=theirs.atan(alpha=2.0))
    used = sgbench.use(network, width_fwhm=0.2)
    u: Any = torch.tensor([0.0, 0.1, -0.1], requires_grad=True)
    network.lif1.spike_grad(u).sum().backward()
    torch.testing.assert_close(u.grad / u.grad[0], torch.tensor([1.0, 0.5, 0.5]))
    assert repr(used).endswith("\nlif1, lif2  atan (width 0.2, peak 1)  detached")


def test_each_layer_has_a_surrogate_of_its_own() -> None:
    """Must differ: the objects of two layers; must refuse: a slope of a whole batch, pulled back twice."""
    network = net()
    sgbench.use(network, surrogate="a2sg")
    assert network.lif1.spike_grad is not network.lif2.spike_grad
    assert all(grad.isfinite().all() for grad in gradients(network))
    with pytest.raises(InputError, match=r"a2sg .* would pull back twice; use reset_gradient='detached'"):
        sgbench.use(net(), surrogate="a2sg", reset_gradient="attached")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"surrogate": "attan"}, "did you mean 'atan'"),
        ({"surrogate": "atan", "width_fwhm": -1}, "width_fwhm=-1"),
        ({"surrogate": "atan", "reset_gradient": "atached"}, "one of attached, detached is needed"),
        ({}, "nothing to set"),
        ({"surrogate": 3}, "surrogate=3: a name such as 'atan'"),
        ({"surrogate": lambda u: u, "width_fwhm": 0.5}, "'lif1' has no width"),
    ],
)
def test_what_cannot_be_set_is_refused_in_one_line(options: dict[str, Any], message: str) -> None:
    """Must refuse, and change nothing."""
    network = net()
    before = gradients(network)
    with pytest.raises(InputError) as raised:
        sgbench.use(network, **options)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert equal(gradients(network), before)


def test_networks_without_such_layers_are_refused() -> None:
    """Must refuse: no spiking layer, and a layer that was made to have no surrogate."""
    with pytest.raises(InputError, match="Linear has no spiking layer of snnTorch"):
        sgbench.use(nn.Linear(2, 2), surrogate="atan")
    with pytest.raises(InputError, match="'lif1' was made with surrogate_disable=True"):
        sgbench.use(net(surrogate_disable=True), surrogate="atan")


def test_a_subclass_of_a_neuron_is_one() -> None:
    """Must match: a user's own class derived from Leaky is set, and its own attached reset can be detached."""
    layer = free(snn.Leaky)(beta=0.9)
    assert reset_gradient_of(layer) == "attached"
    sgbench.use(layer, reset_gradient="detached")
    assert reset_gradient_of(layer) == "detached"


def test_a_layer_without_a_reset_is_left_alone_by_name() -> None:
    """Must differ: LeakyParallel has no reset, so none is attached; its surrogate is set as any other."""
    network: Any = nn.Sequential(snn.LeakyParallel(INPUTS, HIDDEN), nn.Linear(HIDDEN, 2), snn.Leaky(beta=0.8))
    used = sgbench.use(network, surrogate="sigmoid", width_fwhm=0.5, reset_gradient="attached")
    rows = {line.split()[0]: " ".join(line.split()[-3:]) for line in str(used).splitlines()[1:]}
    assert rows["0"] == "none, left alone"
    assert rows["2"].endswith("attached")
    assert not hasattr(network[0], "mem_reset")
    assert reset_gradient_of(network[2]) == "attached"
    used.restore()
    with pytest.raises(InputError, match="no spiking layer of LeakyParallel has a reset"):
        sgbench.use(network[0], reset_gradient="attached")
