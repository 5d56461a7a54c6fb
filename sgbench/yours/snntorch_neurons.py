"""Lets the engine run snnTorch's neurons: the equations of each kind, with the module's own numbers."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from fastspiking.spec import LinearSpec
from sgbench.errors import InputError
from sgbench.networks.watching import SpikeReset, reset_gradient_of
from sgbench.neurons.base import Neuron, Operations
from sgbench.surrogates.atan import Atan
from sgbench.surrogates.base import Surrogate
from sgbench.surrogates.fast_sigmoid import FastSigmoid
from sgbench.surrogates.sigmoid import Sigmoid
from sgbench.yours.custom import CustomSurrogate

STATES = {
    "Leaky": {"mem": "u"},
    "Lapicque": {"mem": "u"},
    "Synaptic": {"syn": "i", "mem": "u"},
    "Alpha": {"syn_exc": "exc", "syn_inh": "inh", "mem": "u"},
    "RLeaky": {"spk": "s", "mem": "u"},
    "RSynaptic": {"spk": "s", "syn": "i", "mem": "u"},
    "SLSTM": {"syn": "i", "mem": "u"},
    "SConv2dLSTM": {"syn": "i", "mem": "u"},
}
"""Maps kinds of neurons to the attributes that hold their state, in the order of arguments, with ours of each."""
RECURRENT = ("RLeaky", "RSynaptic")
WITH_CURRENT = ("Synaptic", "RSynaptic")
RESETS = {"_base_sub": "subtract", "_base_zero": "zero", "_base_int": "none"}
"""Maps the functions that advance snnTorch's neurons to the reset that they apply."""
FAR = 32.0
"""Largest threshold beside which rounding spares a potential of the order of 1 [float32]."""
KNOWN_SURROGATES: dict[str, Callable[[dict[str, Any]], Surrogate]] = {
    "atan": lambda given: Atan(alpha=given["alpha"], width_fwhm=None, normalisation="raw", scale=1.0),
    "fast_sigmoid": lambda given: FastSigmoid(slope=given["slope"], width_fwhm=None, normalisation="raw", scale=1.0),
    "sigmoid": lambda given: Sigmoid(slope=given["slope"], width_fwhm=None, normalisation="raw", scale=1.0),
}
"""Maps snnTorch's surrogates that the catalogue also has to functions that make ours from their parameters."""


def state_fields(module: nn.Module) -> dict[str, str]:
    """Map the attributes that hold the state of snnTorch's neurons to the engine's; empty for any other module.

    A subclass may do anything in its `forward`, so it is none of these neurons.
    """
    kind = type(module)
    return STATES.get(kind.__name__, {}) if kind.__module__.startswith("snntorch.") else {}


class LeakyState(NamedTuple):
    """Holds the state of neurons with a potential alone."""

    u: Tensor  # membrane potential [B, ...], as snnTorch returns it
    s: Tensor  # spikes of the last step [B, ...]


class GivenSynapticState(NamedTuple):
    """Holds the state of neurons with a synaptic current."""

    i: Tensor  # synaptic current [B, ...]
    u: Tensor
    s: Tensor


class GivenAlphaState(NamedTuple):
    """Holds the state of neurons with an excitatory and an inhibitory current."""

    exc: Tensor
    inh: Tensor
    u: Tensor
    s: Tensor


class SnnTorchNeuron(Neuron):
    """Computes what a module of snnTorch's neurons computes, with the numbers that the module has now.

    Spikes are ones; graded ones are these times the module's factor.

    Raises:
        InputError: the module has an option that only its own forward knows; one line that names it.
    """

    output: ClassVar[Literal["binary", "real"]] = "binary"

    def __init__(self, module: Any, name: str) -> None:
        super().__init__()
        self.kind = type(module).__name__
        reason = why_not(module)
        if reason:
            raise InputError(f"module '{name}' has {reason}")
        self.surrogate = proven_surrogate(module, name)
        self.detached = reset_gradient_of(module) == "detached"
        self.reset = RESETS[module.state_function.__name__]
        self.at_once = not getattr(module, "reset_delay", True) and self.reset != "none"
        self.numbers: dict[str, Any] = {}
        self.refresh(module)

    def refresh(self, module: Any) -> None:
        """Read decays and threshold from the module, in case training has changed them."""
        threshold = number(module.threshold)
        if self.kind == "Lapicque":
            rate = module.time_step / (module.R * module.C)
            gain = module.R * (1 / (module.R * module.C)) * module.time_step
            numbers = {"beta": number(1 - rate), "gain": number(gain), "threshold": threshold}
        else:
            numbers = {"beta": number(module.beta.clamp(0, 1)), "threshold": threshold}
        if hasattr(module, "alpha"):
            numbers["alpha"] = number(module.alpha.clamp(0, 1))
        if self.kind == "Alpha":
            alpha, beta = (torch.as_tensor(each) for each in (module.alpha, module.beta))
            alpha, beta = alpha.clamp(0, 1), beta.clamp(0, 1)
            numbers["tau"] = number(alpha.log() / (beta.log() - alpha.log()) + 1)
        self.numbers = numbers

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Return the tensors that learn, of the module and of its surrogate."""
        yield from self.surrogate.parameters()
        for value in self.numbers.values():
            if isinstance(value, Tensor):
                yield value  # type: ignore[misc]

    def initial_state(self, like: Tensor) -> Any:
        types = {"Synaptic": GivenSynapticState, "RSynaptic": GivenSynapticState, "Alpha": GivenAlphaState}
        state_type: Any = types.get(self.kind, LeakyState)
        return state_type(*(torch.zeros_like(like) for _ in state_type._fields))

    def state(self, given: tuple[Tensor, ...]) -> Any:
        """Return the engine's state from snnTorch's tensors, in the order of `STATES`; missing spikes are computed."""
        potential = given[-1]
        computed = (potential - self.numbers["threshold"] > 0).to(potential.dtype)
        spikes, *states = given if self.kind in RECURRENT else (computed, *given)
        return type(self.initial_state(potential))(*states, spikes)

    def step(self, current: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Compute one step in the order of snnTorch's own operations, so that the numbers are the same to the bit."""
        numbers = self.numbers
        threshold = numbers["threshold"]
        reset = self._reset(state.u, threshold)
        if self.kind == "Alpha":
            return self._alpha_step(current, state, reset)
        if self.kind in WITH_CURRENT:
            current = numbers["alpha"] * state.i + current
        elif "gain" in numbers:
            current = numbers["gain"] * current
        if self.reset == "zero" and self.kind == "Leaky":
            u = numbers["beta"] * ((1 - reset) * state.u) + current
        else:
            u = numbers["beta"] * state.u + current
            if self.reset != "none":
                u = u - reset * (threshold if self.reset == "subtract" else u)
        spikes = self.surrogate(u - threshold)
        if self.at_once:  # without reset_delay the new spikes reset too, unless the last ones did
            undone = spikes - reset
            u = u - undone * (threshold if self.reset == "subtract" else u)
        states = (current, u, spikes) if self.kind in WITH_CURRENT else (u, spikes)
        return spikes, type(state)(*states)

    def _reset(self, u: Tensor, threshold: Any) -> Tensor:
        """Return the spikes that reset potentials u, with a gradient if the reset passes one."""
        if not self.detached and self.reset != "none":
            return self.surrogate(u - threshold)  # type: ignore[no-any-return]
        fixed = threshold.detach() if isinstance(threshold, Tensor) else threshold
        return (u.detach() - fixed > 0).to(u.dtype)

    def _alpha_step(self, current: Tensor, state: GivenAlphaState, reset: Tensor) -> tuple[Tensor, GivenAlphaState]:
        """Compute one step of snnTorch's Alpha neuron; `reset` is 1 where it fired the step before."""
        numbers = self.numbers
        exc = numbers["alpha"] * state.exc + current
        inh = numbers["beta"] * state.inh - current
        u = numbers["tau"] * (exc + inh)
        if self.reset == "subtract":
            u = u + state.inh * reset
            exc, inh = exc - numbers["threshold"] * reset, inh - inh * reset
        elif self.reset == "zero":
            exc, inh, u = exc - exc * reset, inh - inh * reset, u - u * reset
        spikes = self.surrogate(u - numbers["threshold"])
        return spikes, GivenAlphaState(exc, inh, u, spikes)

    def centred(self, state: Any) -> Tensor:
        return state.u - self.numbers["threshold"]  # type: ignore[no-any-return]

    def recurrence_spec(self) -> LinearSpec | None:
        resets = ("subtract", "zero", "none") if self.kind == "Leaky" else ("subtract", "none")
        if self.kind == "Alpha" or self.at_once or self.reset not in resets:
            return None
        return self._spec(self.surrogate)

    def _spec(self, surrogate: Surrogate | None) -> LinearSpec:
        """Return the neuron's linear equations; one without a surrogate never fires."""
        numbers = self.numbers
        more: dict[str, Any] = {"threshold": numbers["threshold"]} if surrogate is not None else {}
        if self.kind in WITH_CURRENT:
            more |= {"second": "i", "input": 0.0, "coupling": 1.0, "second_input": 1.0}
            more["second_decay"] = numbers["alpha"]
        elif "gain" in numbers:
            more["input"] = numbers["gain"]
        return LinearSpec(surrogate, self.reset, self.detached, numbers["beta"], **more)

    @property
    def operations(self) -> Operations:
        return Operations(multiplications=1, additions=2, comparisons=1, state_words=1)


class Integrator(SnnTorchNeuron):
    """Computes the potential of snnTorch's neurons as long as no spike resets it."""

    output: ClassVar[Literal["binary", "real"]] = "real"

    def step(self, current: Tensor, state: Any) -> tuple[Tensor, Any]:
        _, state = super().step(current, state)
        return state.u, state

    def centred(self, state: Any) -> Tensor:
        return state.u  # type: ignore[no-any-return]

    def recurrence_spec(self) -> LinearSpec:
        return self._spec(None)


def can_integrate(module: Any) -> bool:
    """Return whether neurons are integrators: their potential does not depend on their spikes, or they send none.

    A threshold that is never reached is an author's way to a readout without reset. Whether it is must be checked.
    """
    if type(module).__name__ not in ("Leaky", "Lapicque", "Synaptic"):
        return False
    silent = getattr(module, "reset_delay", True) and reset_gradient_of(module) == "detached" and is_far(module)
    return RESETS[module.state_function.__name__] == "none" or silent


def is_far(module: Any) -> bool:
    """Return whether a threshold is so large that a potential minus it, rounded, no longer tells the potential."""
    return module.threshold.numel() > 0 and float(module.threshold.detach().abs().max()) > FAR


def number(value: Tensor) -> Tensor | float:
    return float(value) if value.numel() == 1 and not value.requires_grad else value


def why_not(module: Any) -> str:
    """Name the first option of a snnTorch neuron that the engine does not know; empty if it can run it."""
    state_function = getattr(module, "state_function", None)
    reset = RESETS.get(getattr(state_function, "__name__", ""))
    by_number = {0: "subtract", 1: "zero", 2: "none"}[int(module.reset_mechanism_val)]
    by_use = {"mem_reset", "reset_mem"} if isinstance(vars(module).get("mem_reset"), SpikeReset) else set()
    replaced = {name for name in vars(module) if callable(getattr(type(module), name, None))} - by_use
    delayed = getattr(module, "reset_delay", True)
    recurrent = getattr(module, "recurrent", None)
    known = recurrent is None or type(recurrent).__name__ in ("Linear", "Conv2d", "RecurrentOneToOne")
    options = {
        "inhibition": bool(getattr(module, "inhibition", False)),
        "state_quant": bool(getattr(module, "state_quant", False)),
        "a state function of its own": reset is None or getattr(state_function, "__self__", None) is not module,
        "a reset mechanism that was changed after it was made": not delayed and reset != by_number,
        "a replaced method": bool(replaced),
        "reset_delay=False, which snnTorch cannot run": not delayed and type(module).__name__ == "RSynaptic",
        "graded spikes that it feeds back": recurrent is not None and bool((module.graded_spikes_factor != 1).any()),
        "recurrence by a module of another kind": not known,
        f"neurons of the kind {type(module).__name__}": type(module).__name__ in ("SLSTM", "SConv2dLSTM"),
    }
    return next((option for option, is_set in options.items() if is_set), "")


def proven_surrogate(module: Any, name: str) -> Surrogate:
    """Return a module's surrogate for the engine."""
    spike_grad, surrogate = module.spike_grad, surrogate_of(module)
    if surrogate is spike_grad:
        plain = type(surrogate).fire is Surrogate.fire and type(surrogate).forward is Surrogate.forward
        if surrogate.stochastic or surrogate.firing is not None or surrogate.output != "binary" or not plain:
            raise InputError(f"module '{name}' has a surrogate that fires in its own way")
        if not surrogate.elementwise:
            raise InputError(f"module '{name}' has a surrogate whose slope depends on other neurons or steps")
    elif isinstance(surrogate, CustomSurrogate):
        _require_slope(spike_grad, name)
    return surrogate


def surrogate_of(neuron: Any) -> Surrogate:
    """Return a neuron's surrogate as one of the catalogue, or as one with the slope of its backward pass."""
    spike_grad = neuron.spike_grad
    if isinstance(spike_grad, Surrogate):
        return spike_grad
    known = getattr(spike_grad, "__qualname__", "").partition(".")[0]
    cells = getattr(spike_grad, "__closure__", None) or ()
    if getattr(spike_grad, "__module__", "") == "snntorch.surrogate" and known in KNOWN_SURROGATES:
        names = spike_grad.__code__.co_freevars
        return KNOWN_SURROGATES[known]({key: cell.cell_contents for key, cell in zip(names, cells, strict=True)})

    def slope(u: Tensor) -> Tensor:  # the gradient of spike_grad's backward pass
        with torch.enable_grad():
            free = u.detach().requires_grad_()
            spikes = spike_grad(free)
            if not spikes.requires_grad:
                return torch.zeros_like(u)
            (gradient,) = torch.autograd.grad(spikes.sum(), free)
        return gradient

    return CustomSurrogate(slope)


PROBES = (0.0, 1e-7, -1e-7, 1e-3, -1e-3, 0.1, -0.1, 0.37, -0.63, 1.0, -1.0, 1.9, -2.3, 7.0, -11.0, 0.5)
"""Potentials minus threshold at which a surrogate is tried out."""


def _require_slope(spike_grad: Any, name: str) -> None:
    """Raise an InputError unless a function of ours can replace it, as far as trying it out can tell.

    It has to send 1 above 0 and 0 elsewhere, and its gradient has to be the incoming one times a slope of each
    element alone: that holds if other incoming gradients, in another order and shape, are scaled by the same slopes.
    """
    before = torch.default_generator.get_state()

    def forward_and_backward(u: Tensor, pull: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            free = u.clone().requires_grad_()
            spikes = spike_grad(free)
            if not spikes.requires_grad:
                return spikes, torch.zeros_like(u)
            _require_no_parameters(spikes, name)
            (gradient,) = torch.autograd.grad(spikes, free, pull)
        return spikes.detach(), gradient

    u = torch.tensor(PROBES)
    spikes, slope = forward_and_backward(u, torch.ones_like(u))
    pull = torch.linspace(-2.0, 3.0, len(u))
    reverse = torch.arange(len(u)).flip(0)
    gradient = forward_and_backward(u[reverse].view(2, -1), pull[reverse].view(2, -1))[1].flatten()[reverse]
    if not torch.equal(torch.default_generator.get_state(), before):
        torch.default_generator.set_state(before)
        raise InputError(f"module '{name}' has a surrogate that draws random numbers")
    if spikes.shape != u.shape or not torch.equal(spikes.to(u.dtype), (u > 0).to(u.dtype)):
        raise InputError(f"module '{name}' has a surrogate that fires otherwise than above the threshold")
    if not torch.allclose(gradient, slope * pull, rtol=1e-5, atol=1e-7, equal_nan=True):
        raise InputError(f"module '{name}' has a surrogate whose gradient is no slope of each neuron's potential")


def _require_no_parameters(spikes: Tensor, name: str) -> None:
    """Raise an InputError if spikes depend on more tensors that learn than the potential."""
    waiting, leaves = [spikes.grad_fn], set()
    while waiting:
        node: Any = waiting.pop()
        if hasattr(node, "variable"):
            leaves.add(id(node.variable))
        waiting += [each for each, _ in getattr(node, "next_functions", ()) if each is not None]
    if len(leaves) > 1:
        raise InputError(f"module '{name}' has a surrogate with parameters of its own")
