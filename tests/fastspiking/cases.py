"""Layers, losses and comparisons that the engines' tests share.

Legend: T steps, B batch, K inputs, N neurons. Expected values are always those of the engine `reference`, which
calls a neuron's `step` under autograd; the neurons' tests hold it against other libraries and against NumPy.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fastspiking.choose import Engine
from fastspiking.layer import EngineLayer, LayerRun
from fastspiking.signals.spikes import Signal, SparseSpikes, dense
from sgbench.composition import catalogue
from sgbench.networks.base import DenseLayer
from sgbench.neurons.base import RESET_GRADIENTS, RESETS, Neuron
from sgbench.neurons.quantity import LEARN
from sgbench.surrogates.atan import Atan
from sgbench.surrogates.base import Surrogate
from sgbench.training.build import construct
from tests.entries import spec_with

NEURONS = ("adlif", "alif", "leaky", "leaky_readout", "synaptic")
"""Between them they use every coefficient of a spec; `tests/catalogue/test_neuron_contract.py` runs every entry."""
SHAPES = tuple(name for name in catalogue.entries("surrogate") if "/" not in name)  # a preset is a setting of one
BY_HAND = ("scan", "fused")
"""Engines whose adjoint is derived by hand, for neurons with a `LinearSpec`."""
FAST = (*BY_HAND, "generated")
WIRINGS = (
    ("none", "full"),
    ("one_to_one", "full"),
    ("one_to_one", "cut"),
    ("all_to_all", "full"),
    ("all_to_all", "cut"),
)
EXACT = 1e-12  # relative, in float64: sums are made in another order
SINGLE = 1e-5  # relative, float32 against float64


@functools.cache
def recipe(group: str, name: str) -> tuple[str, dict[str, Any]]:
    """Target and default values of a catalogue entry."""
    place = "readout" if (group, name) == ("neuron", "leaky_readout") else group
    spec = spec_with({place: name})
    return spec.targets[place], dict(spec.method.parameters[place])


def catalogued(name: str) -> Surrogate:
    """A surrogate with the values of its YAML."""
    target, values = recipe("surrogate", name)
    return construct("surrogate", target, values)


def atan() -> Surrogate:
    """Wide enough that no gradient is lost in the slope's tails."""
    return Atan(alpha=2.0, width_fwhm=None, normalisation="peak1", scale=1.0)


def options(kind: str) -> dict[str, tuple[Any, ...]]:
    """What can be chosen of a neuron: resets, their gradients, what is learnt."""
    _, values = recipe("neuron", kind)
    return {
        "reset": RESETS if "reset" in values else (None,),
        "reset_gradient": RESET_GRADIENTS if "reset_gradient" in values else (None,),
        "learn": LEARN if any(name.startswith("learn_") for name in values) else (None,),
    }


def neuron(
    kind: str,
    size: int,
    *,
    surrogate: Surrogate | None = None,
    learn: str | None = None,
    dyadic: bool = False,
    **changes: Any,
) -> Neuron:
    """A layer's neurons by the catalogue's name; what does not exist in an entry is left out.

    Learnt values differ from neuron to neuron. `dyadic` makes every number a half and the threshold 1, so that sums
    of multiples of 1/8 stay exact over some steps.
    """
    target, values = recipe("neuron", kind)
    changes |= {name: learn for name in values if name.startswith("learn_") and learn is not None}
    if dyadic:
        numbers = [name for name, value in values.items() if isinstance(value, float)]
        changes |= {name: 1.0 if name == "threshold" else 0.5 for name in numbers if name not in changes}
    given = values | {name: value for name, value in changes.items() if name in values and value is not None}
    made: Neuron = construct("neuron", target, given, surrogate=surrogate or atan(), features=size)
    if not dyadic:
        random = torch.Generator().manual_seed(size)
        for parameter in made.parameters(recurse=True):
            if parameter.dim():
                parameter.data += 0.2 * torch.rand(parameter.shape, generator=random, dtype=torch.float64) - 0.1
    return made.double()


def engines(part: str) -> tuple[str, ...]:
    """All of them where all cases are run; those of the generated engine have files of their own."""
    return FAST if part == "all" else BY_HAND


def fires(kind: str) -> bool:
    """Whether an entry sends spikes."""
    return neuron(kind, 1).output == "binary"


class Wired(DenseLayer):
    """A dense layer with random weights."""

    def __init__(
        self,
        n_in: int,
        neurons: Neuron,
        size: int,
        *,
        gain: float,
        wiring: tuple[str, str] = ("none", "full"),
        bias: bool = True,
        unit: float | None = None,
        name: str = "hidden0",
        seed: int = 0,
    ) -> None:
        """Args: gain, spread of the weights; unit, what all weights are multiples of, or None for any."""
        recurrence, recurrence_gradient = wiring
        super().__init__(
            name, n_in, size, neurons, recurrence=recurrence, recurrence_gradient=recurrence_gradient, bias=bias
        )
        random = torch.Generator().manual_seed(1000 * seed + 10 * n_in + size)
        for weight, spread in ((self.weight, gain), (self.recurrent, 0.3 * gain), (self.bias, 0.1 * gain)):
            if weight is not None:
                drawn = spread * torch.randn(weight.shape, generator=random, dtype=torch.float64)
                weight.data.copy_(drawn if unit is None else (drawn / unit).round() * unit)


class Given(nn.Module):
    """A layer whose product is the identity, so that neurons get exactly the current that is given.

    Args:
        neurons: of the layer.
        name: of the layer.
    """

    recurrence, cut, recurrent = "none", False, None

    def __init__(self, neurons: Neuron, name: str = "given") -> None:
        super().__init__()
        self.neuron, self.name = neurons, name

    def synapses(self) -> None:
        """None: there is no matrix."""

    def current(self, x: Tensor) -> Tensor:
        """x."""
        return x

    def feedback(self, s: Tensor) -> Tensor:
        """Nothing is fed back."""
        return torch.zeros_like(s)


@functools.cache
def gain_of(kind: str, size: int = 6) -> float:
    """Spread of weights at which a third of the neurons' steps fire on half-dense input, by trial."""
    gain = 0.25
    while fires(kind) and gain < 1000:
        run = Engine("reference").unroll([Wired(size, neuron(kind, size), size, gain=gain)], spikes(20, 4, size, 0.5))
        if run[0].output.mean() > 0.25:
            break
        gain *= 1.5
    return gain


def spikes(steps: int, batch: int, inputs: int, density: float = 0.3, seed: int = 1) -> Tensor:
    """Random zeros and ones [T, B, K] in float64."""
    random = torch.Generator().manual_seed(seed)
    return (torch.rand(steps, batch, inputs, generator=random) < density).double()


def functional(runs: Sequence[LayerRun], parts: Sequence[str] = ("spikes", "u", "state"), seed: int = 7) -> Tensor:
    """A random linear functional of what all layers hand out, as far as it is there and named in `parts`."""
    random = torch.Generator().manual_seed(seed)
    total = torch.zeros((), dtype=torch.float64)
    for run in runs:
        tensors = {"spikes": [run.output], "u": [run.u], "state": list(run.state)}
        for part, values in tensors.items():
            for value in values:
                if value is None:
                    continue
                weights = torch.randn(value.shape, generator=random, dtype=torch.float64).to(value.dtype)
                if part in parts:
                    total = total + (weights * value).sum()
    return total


def last_output(runs: Sequence[LayerRun]) -> Tensor:
    """The same without the spikes of hidden layers, which some engines then do not hand out."""
    return functional([*(run._replace(output=None) for run in runs[:-1]), runs[-1]])


class Result(NamedTuple):
    """Of one engine: spikes or potentials, u - theta, last states, gradients by name."""

    output: list[Tensor | None]
    u: list[Tensor | None]
    state: list[tuple[Tensor, ...]]
    gradients: dict[str, Tensor]


def result(
    engine: str,
    layers: Sequence[EngineLayer],
    signal: Signal,
    *,
    loss: Callable[[Sequence[LayerRun]], Tensor] = functional,
    states: Sequence[Any] | None = None,
    keep_u: bool = True,
    keep_spikes: bool = True,
    window: int | None = None,
) -> Result:
    """Run, differentiate the loss, collect; gradients that are not there count as 0."""
    for layer in layers:
        layer.zero_grad()
    if isinstance(signal, Tensor):
        signal = signal.detach().requires_grad_()
    runs = Engine(engine).unroll(layers, signal, states, keep_u=keep_u, keep_spikes=keep_spikes, window=window)
    loss(runs).backward()
    gradients = {
        f"{position}.{name}": torch.zeros_like(weight) if weight.grad is None else weight.grad.clone()
        for position, layer in enumerate(layers)
        for name, weight in layer.named_parameters()
    }
    if isinstance(signal, Tensor):
        gradients["input"] = signal.grad if signal.grad is not None else torch.zeros_like(signal)
    return Result(
        [None if run.output is None else dense(run.output).detach() for run in runs],
        [None if run.u is None else run.u.detach() for run in runs],
        [tuple(each.detach() for each in run.state) for run in runs],
        gradients,
    )


def error(found: Tensor, expected: Tensor) -> float:
    """Largest difference relative to the largest expected value; absolute where all of these are 0."""
    assert found.shape == expected.shape
    if not expected.numel():
        return 0.0
    expected = expected.double()
    largest = expected.abs().max().item()
    return (found.double() - expected).abs().max().item() / (largest or 1.0)


def assert_same(found: Result, expected: Result, where: object = "", rtol: float = EXACT) -> None:
    """Spikes equal; potentials, states and gradients within `rtol` of their largest value."""
    for position, (one, other) in enumerate(zip(found.output, expected.output, strict=True)):
        if one is not None and other is not None and set(other.unique().tolist()) <= {0.0, 1.0}:
            assert torch.equal(one.double(), other.double()), f"{where}: spikes of layer {position}"
        elif one is not None and other is not None:
            assert error(one, other) <= rtol, f"{where}: output of layer {position}"
    for position, (one, other) in enumerate(zip(found.u, expected.u, strict=True)):
        assert (one is None) == (other is None), f"{where}: u of layer {position}"
        assert one is None or error(one, other) <= rtol, f"{where}: u of layer {position}"
    for position, (one, other) in enumerate(zip(found.state, expected.state, strict=True)):
        for field, (ours, theirs) in enumerate(zip(one, other, strict=True)):
            assert error(ours, theirs) <= rtol, f"{where}: field {field} of the last state of layer {position}"
    assert found.gradients.keys() >= expected.gradients.keys() - {"input"}
    for name, gradient in found.gradients.items():
        off = error(gradient, expected.gradients[name])
        assert off <= rtol, f"{where}: gradient of {name} is off by {off:.1e}"


def assert_clear(run: Result, where: object = "") -> None:
    """No potential so near its threshold that rounding could decide, and some spikes but not only spikes."""
    for output, u in zip(run.output, run.u, strict=True):
        if output is u or output is None or u is None or torch.equal(output, u):
            continue
        assert u.abs().min() > 1e-11, f"{where}: a potential lies at its threshold; take another seed"
        assert 0 < output.mean() < 0.95, f"{where}: {output.mean():.2f} of the neurons fire"


def packed(x: Tensor) -> SparseSpikes:
    """The same input as events."""
    return SparseSpikes.of(x.detach())
