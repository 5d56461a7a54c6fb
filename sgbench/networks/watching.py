"""Runs a user's network as its author wrote it, watches its spiking layers, and leaves it as it was."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from sgbench.errors import InputError, one_printable_line
from sgbench.neurons.base import Neuron
from sgbench.surrogates.base import Surrogate

ResetGradient = Literal["attached", "detached"]
RESET_METHODS = ("mem_reset", "reset_mem")
"""Methods of snnTorch's neurons that `set_reset_gradient` replaces on an instance."""


class SpikeReset:
    r"""Computes the spikes that reset a neuron of snnTorch, with or without their gradient.

    It stands in for the neuron's method `mem_reset`, which detaches: the reset of u' = beta u + I - theta s passes
    the surrogate's slope psi on, du'/du = beta - theta psi(u - theta), if `attached`, and else beta alone.

    `neuron`: whose threshold and `spike_grad` are read in each call. `attached`: whether the spikes carry their
    gradient.
    """

    def __init__(self, neuron: Any, *, attached: bool) -> None:
        self.neuron, self.attached = neuron, attached

    def __call__(self, mem: Tensor) -> Tensor:
        centred, spike = mem - self.neuron.threshold, self.neuron.spike_grad
        if self.attached:
            return spike(centred)  # type: ignore[no-any-return]
        with torch.no_grad():  # `fire` makes no step that a surrogate would count
            return spike.fire(centred) if isinstance(spike, Surrogate) else spike(centred)


def set_reset_gradient(neuron: Any, reset_gradient: ResetGradient) -> None:
    """Make the reset of a neuron of snnTorch pass a gradient on, or not."""
    neuron.mem_reset = SpikeReset(neuron, attached=reset_gradient == "attached")
    if hasattr(neuron, "reset_mem"):
        neuron.reset_mem = functools.partial(_reset_mem, neuron)


def _reset_mem(neuron: Any) -> Any:
    """Set a neuron to rest, and drop the graph of its last reset, so that it can be copied as before."""
    if isinstance(getattr(neuron, "reset", None), Tensor):
        neuron.reset = neuron.reset.detach()
    return type(neuron).reset_mem(neuron)


def is_snntorch(module: nn.Module) -> bool:
    """Return whether a module is a spiking layer of snnTorch, or of a class derived from one."""
    return hasattr(module, "spike_grad") and any(
        base.__module__.startswith("snntorch.") for base in type(module).__mro__
    )


def spiking_modules(network: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield the names and modules of a network's spiking layers, those of snnTorch and ours."""
    for name, module in network.named_modules():
        if is_snntorch(module) or (isinstance(module, Neuron) and module.output == "binary"):
            yield name, module


def reset_gradient_of(neuron: Any) -> ResetGradient:
    """Return whether gradient passes through the reset of a neuron of snnTorch or of ours.

    The `mem_reset` of somebody's subclass is called once to find out.
    """
    if isinstance(neuron, Neuron):
        potential = getattr(neuron, "next_potential", None)
        return "detached" if potential is None or potential.detached else "attached"
    reset = getattr(neuron, "mem_reset", None)
    if isinstance(reset, SpikeReset):
        return "attached" if reset.attached else "detached"
    if reset is None or str(getattr(reset, "__module__", "")).startswith("snntorch."):
        return "detached"
    with torch.enable_grad():
        potential = torch.zeros_like(neuron.threshold, requires_grad=True)
        return "attached" if reset(potential).requires_grad else "detached"


RECURRENT = frozenset({"RLeaky", "RSynaptic", "SLSTM", "SConv2dLSTM"})  # recurrent layers of snnTorch
ALL_STEPS = frozenset({"LeakyParallel", "LeakyKernel", "AssociativeLeaky", "StateLeaky", "LinearLeaky"})
"""Layers of snnTorch that take the currents of all steps [T, B, N] in one call."""
BeforeCall = Callable[[Any, Tensor], Tensor]  # from a layer and its current to the current that it gets
AfterCall = Callable[[Any, Tensor, Any], None]  # receives a layer, its current and what it returned


class Watcher(NamedTuple):
    """Holds what is done at each call of a layer."""

    after: AfterCall
    before: BeforeCall | None = None
    steps: bool = False  # whether a LeakyParallel runs step by step, which shows its currents and potentials


def is_recurrent(layer: nn.Module) -> bool:
    """Return whether a layer of snnTorch, or of a class derived from one, hears its own spikes."""
    return any(base.__name__ in RECURRENT for base in type(layer).__mro__)


def takes_all_steps(layer: nn.Module) -> bool:
    """Return whether a layer of snnTorch takes all time steps in one call."""
    return any(base.__name__ in ALL_STEPS for base in type(layer).__mro__)


def rest(network: nn.Module) -> None:
    """Set all spiking layers of snnTorch to rest, as at the begin of a sequence."""
    for _, layer in spiking_modules(network):
        if hasattr(layer, "reset_mem"):
            layer.reset_mem()


@contextlib.contextmanager
def undisturbed(network: nn.Module) -> Iterator[None]:
    """Let a network run from rest; afterwards its states, buffers, gradients, modes and random state are as before.

    Gradients are None inside. Weights are the network's own, and what it keeps in other attributes is not restored.
    """
    modes = [(module, module.training) for module in network.modules()]
    holders = [(module._buffers, dict(module._buffers)) for module in network.modules()]
    values = [(buffer, buffer.detach().clone(), buffer._version) for buffer in network.buffers()]
    gradients = [(weight, weight.grad) for weight in network.parameters()]
    for weight, _ in gradients:
        weight.grad = None
    try:
        with torch.random.fork_rng(list({weight.device for weight in network.parameters() if weight.is_cuda})):
            rest(network)
            yield
    finally:
        for holder, buffers in holders:
            holder.update(buffers)
        for buffer, value, version in values:
            if buffer._version != version:
                buffer.detach().copy_(value)
        for weight, gradient in gradients:
            weight.grad = gradient
        for module, training in modes:
            module.training = training


@contextlib.contextmanager
def watched(watchers: Mapping[nn.Module, Watcher]) -> Iterator[None]:
    """Watch calls of layers, whose first argument is the current, given by place or by name; of ours the steps."""
    with contextlib.ExitStack() as stack:
        for layer, watcher in watchers.items():
            if isinstance(layer, Neuron):
                stack.enter_context(replaced_step(layer, functools.partial(_watched_step, layer, watcher)))
                continue
            if watcher.steps and type(layer).__name__ == "LeakyParallel" and "forward" not in vars(layer):
                layer.forward = functools.partial(_parallel_by_steps, layer, watcher)
                stack.callback(delattr, layer, "forward")
                continue
            if watcher.before is not None:
                handle = layer.register_forward_pre_hook(functools.partial(_replace, watcher.before), with_kwargs=True)
                stack.callback(handle.remove)
            stack.callback(
                layer.register_forward_hook(functools.partial(_note, watcher.after), with_kwargs=True).remove
            )
        yield


@contextlib.contextmanager
def replaced_step(neuron: Neuron, step: Callable[..., Any]) -> Iterator[None]:
    """Let `step(former_step, current, state)` run in place of a neuron's step, which itself may be replaced."""
    former = vars(neuron).get("step")
    neuron.step = functools.partial(step, neuron.step)  # type: ignore[method-assign]
    try:
        yield
    finally:
        if former is None:
            del neuron.step
        else:
            neuron.step = former  # type: ignore[method-assign]


def _watched_step(neuron: Any, watcher: Watcher, step: Callable[..., Any], current: Tensor, state: Any) -> Any:
    """Make a step of one of our neurons, and tell the watcher its current and output."""
    current = current if watcher.before is None else watcher.before(neuron, current)
    output, after = step(current, state)
    watcher.after(neuron, current, output)
    return output, after


def _parallel_by_steps(layer: Any, watcher: Watcher, input_: Tensor) -> Tensor:
    """Run snnTorch's LeakyParallel step by step: a ReLU that decays, without a reset."""
    rnn, sent, potential = layer.rnn, [], layer.rnn.weight_hh_l0.new_zeros(layer.hidden_size)
    for now in nn.functional.linear(input_, rnn.weight_ih_l0, rnn.bias_ih_l0 + rnn.bias_hh_l0 if rnn.bias else None):
        current = now if watcher.before is None else watcher.before(layer, now)
        potential = torch.relu(current + potential @ rnn.weight_hh_l0.T)
        sent.append(layer.spike_grad(potential - layer.threshold) * layer.graded_spikes_factor)
        watcher.after(layer, current, (sent[-1], potential))
    return torch.stack(sent)


def _replace(
    before: BeforeCall, layer: Any, args: tuple[Any, ...], by_name: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """Return a call's arguments, by place and by name, with the first one replaced by what `before` makes of it."""
    if args:
        return (before(layer, args[0]), *args[1:]), by_name
    name = next(iter(by_name))
    return args, {**by_name, name: before(layer, by_name[name])}


def _note(after: AfterCall, layer: Any, args: tuple[Any, ...], by_name: dict[str, Any], output: Any) -> None:
    after(layer, args[0] if args else next(iter(by_name.values())), output)


def run(call: Callable[..., Any], batch: Any, name: str) -> Any:
    """Call a network, called `name`, with a batch, a tuple being several arguments; return what it returns."""
    try:
        return call(*batch) if isinstance(batch, tuple) else call(batch)
    except InputError:
        raise
    except Exception as error:  # a user's module may raise anything
        raise InputError(
            f"{name}: does not take the batch: {type(error).__name__}: {one_printable_line(error)}"
        ) from error


def run_watched(network: nn.Module, batch: Any, watchers: Mapping[nn.Module, Watcher]) -> Any:
    """Run a batch through a network from rest and in evaluation mode, and return what it returns; see `run`."""
    with undisturbed(network), watched(watchers):
        network.eval()
        return run(network, batch, type(network).__name__)


def shown_by(module: Any, output: Any) -> tuple[Tensor, Tensor] | None:
    """Return spikes and potential minus threshold after a call of a spiking layer, both in the shape of its output.

    `module`: a layer of snnTorch or sgbench; one that keeps its state itself has its potential in `mem`. `output`: the
    result of the call, spikes alone or a tuple from spikes to the potential.

    Returns:
        Both tensors, or None if the potential is not found.
    """
    spikes, potential = (output[0], output[-1]) if isinstance(output, tuple) else (output, getattr(module, "mem", None))
    if not isinstance(potential, Tensor) or potential.shape != spikes.shape:
        return None
    threshold = module.threshold if isinstance(module.threshold, Tensor) else torch.tensor(module.threshold)
    return spikes, potential - threshold


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield all tensors in nested lists, tuples and dictionaries, in their order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from tensors_in(part)
