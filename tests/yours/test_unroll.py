"""A network of one time step over all steps: snnTorch's neurons, the catalogue's, and a user's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import snntorch as snn
import torch
from snntorch import utils
from torch import Tensor, nn

import sgbench
from sgbench.errors import InputError
from sgbench.neurons.base import Neuron
from sgbench.yours.accelerate import accelerate
from sgbench.yours.unroll import unroll
from tests.messages import raises_naming
from tests.yours.test_accelerate import close

STEPS, BATCH = 5, 3
GRAD: Any = sgbench.create("surrogate/atan")


def hidden(**more: Any) -> snn.Leaky:
    """Neurons that keep their states."""
    return snn.Leaky(0.9, threshold=0.4, init_hidden=True, **more)


def chain() -> nn.Sequential:
    """As snnTorch's tutorials write it."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), hidden(), nn.Linear(5, 3), hidden(output=True))


def inputs() -> Tensor:
    """[T, B, N]."""
    return torch.rand(STEPS, BATCH, 6, generator=torch.Generator().manual_seed(1)) * 2


def test_it_is_the_loop_outside() -> None:
    """Expected: a loop by hand over the hidden states, from rest, whatever was there before."""
    network, x = chain(), inputs()
    for run in (unroll(network), accelerate(unroll(network), x)):
        utils.reset(network)
        steps = [network(now) for now in x]
        expected = tuple(torch.stack([step[at] for step in steps]) for at in range(2))
        close(run(x), expected)
        close(run(x), expected)
    assert not run.step_by_step


def test_the_same_input_at_each_step() -> None:
    network, x = chain(), inputs()
    many = unroll(network)(x[:1].expand(4, -1, -1))
    close(unroll(network, steps=4)(x[0]), many)
    close(accelerate(unroll(network, steps=4))(x[0]), many)


def test_outputs_of_any_form_are_stacked() -> None:
    class Net(nn.Module):
        """Returns a dictionary."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = chain()

        def forward(self, x: Tensor) -> dict[str, Any]:
            spikes, potential = self.inner(x)
            return {"spikes": spikes, "rest": [potential]}

    network, x = Net(), inputs()
    spikes, potential = unroll(network.inner)(x)
    close(unroll(network)(x), {"spikes": spikes, "rest": [potential]})


def test_a_wrong_shape_is_named() -> None:
    with raises_naming(InputError, "unroll", "[time, batch, ...]"):
        unroll(chain())(torch.zeros(3))


class Own(Neuron):
    """A user's own neurons, which only their `step` tells."""

    output = "binary"
    operations = None  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.inner = sgbench.create("neuron/leaky", surrogate=sgbench.create("surrogate/atan"))

    def initial_state(self, like: Tensor) -> Any:
        return self.inner.initial_state(like)

    def step(self, current: Tensor, state: Any) -> tuple[Tensor, Any]:
        return self.inner.step(torch.tanh(current), state)

    def centred(self, state: Any) -> Tensor:
        return self.inner.centred(state)


@pytest.mark.one_in(2)
@pytest.mark.parametrize(
    "make", [lambda: sgbench.create("neuron/alif"), lambda: sgbench.create("neuron/leaky"), Own],
    ids=["alif", "leaky", "own"],
)  # fmt: skip
def test_neurons_of_the_catalogue_run_on_the_engine(make: Callable[[], nn.Module]) -> None:
    """Expected: a loop over `step` by hand, gradients too."""
    torch.manual_seed(0)
    first, neuron, last, readout = (nn.Linear(6, 5), make(), nn.Linear(5, 3), sgbench.create("neuron/leaky_readout"))
    nn.init.uniform_(first.weight, 0, 0.6)
    network, x = nn.Sequential(first, neuron, last, readout), inputs()
    state, out_state, outs = (neuron.initial_state(first(x[0])), readout.initial_state(last(torch.zeros(3, 5))), [])
    for now in x:
        spikes, state = neuron.step(first(now), state)
        out, out_state = readout.step(last(spikes), out_state)
        outs.append((out, readout.centred(out_state)))
    expected = tuple(torch.stack([out[at] for out in outs]) for at in range(2))
    fast = accelerate(unroll(network), x)
    found = fast(x)
    close(found, expected)
    assert spikes.any()
    for one, other in zip(
        torch.autograd.grad(found[0].square().sum(), first.weight),
        torch.autograd.grad(expected[0].square().sum(), first.weight),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert len(fast.lines) == 2


def test_a_chain_of_one_step_keeps_its_old_form_with_a_warning() -> None:
    """The result has spikes and potentials, as it had."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 5), snn.Leaky(0.9), nn.Linear(5, 3), snn.Leaky(0.9, threshold=0.4))
    with pytest.warns(DeprecationWarning, match="unroll"):
        fast = accelerate(network, inputs())
    done = fast(inputs())
    close((done.spikes, done.potential), unroll(network)(inputs()))


@pytest.mark.parametrize("shape", [(6,), (2, 3, 3)])
@pytest.mark.parametrize("kind", ["leaky", "synaptic"])
def test_compiled_neurons_are_their_loop(kind: str, shape: tuple[int, ...]) -> None:
    """Spikes and the gradient of currents, for a row of neurons and for images of them."""
    options = {"threshold": 0.5, "spike_grad": GRAD}
    neuron = snn.Leaky(0.8, **options) if kind == "leaky" else snn.Synaptic(0.7, 0.8, **options)
    current = torch.randn(STEPS, BATCH, *shape, generator=torch.Generator().manual_seed(3)).mul(3).requires_grad_()
    states, outs, potentials = neuron.reset_mem(), [], []
    states = states if isinstance(states, tuple) else (states,)
    for now in current:
        spikes, *states = neuron(now, *states)
        outs.append(spikes)
        potentials.append(states[-1])
    found = sgbench.compile(neuron)(current)
    close((found.output, found.potential + 0.5), (torch.stack(outs), torch.stack(potentials)))
    gradients = [torch.autograd.grad(each.sum(), current)[0] for each in (found.output, torch.stack(outs))]
    close(*gradients)


@pytest.mark.parametrize("module", [nn.Linear(2, 2), snn.RLeaky(0.9, linear_features=2)])
def test_what_is_no_neuron_is_not_compiled(module: nn.Module) -> None:
    with raises_naming(InputError, "compile", f"{type(module).__name__}"):
        sgbench.compile(module)
