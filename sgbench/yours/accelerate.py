"""Run a user's own spiking network in torch on sgbench's engine, with its own weights."""

from __future__ import annotations

import copy
import logging
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sgbench.engine.choose import Engine
from sgbench.errors import InputError
from sgbench.neurons.base import Neuron
from sgbench.yours.all_steps import AllSteps
from sgbench.yours.step_graph import StepByStep, graph_of, is_snntorch

log = logging.getLogger("sgbench")
LEAST = 2
"""Dimensions of an input: time and batch."""
PROBE_TOLERANCE = 1e-4
ROUNDS = 3
"""Repeats of the timing."""


class Pass(NamedTuple):
    """Holds the spikes and potentials of the last layer at all time steps."""

    spikes: Tensor  # [T, B, C]
    potential: Tensor  # membrane potential before its reset, as snnTorch returns it [T, B, C]


class BothWays(NamedTuple):
    """Holds both ways to run a network: all time steps at once, or one by one."""

    all_steps: AllSteps
    by_steps: StepByStep
    why: str  # why its forward could not be traced; empty if it was


class Accelerated(nn.Module):
    """Runs a network of spiking neurons over all time steps at once.

    Its parameters are those of the network, so an optimiser of either updates both. Keys of its `state_dict` begin
    with `network.`; save the network's own to load it elsewhere. Decays, thresholds and other values are read from
    the network in each pass. Its `forward` is traced again when `self.training` changes.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.times_faster: float | None = None
        self._both: dict[tuple[bool, ...], BothWays] = {}
        _ = self.both_ways  # raises here what a call would raise

    def __deepcopy__(self, memo: dict[int, Any]) -> Accelerated:
        """Return an accelerated copy of the network."""
        made = memo[id(self)] = Accelerated(copy.deepcopy(self.network, memo))
        made.times_faster, made.training = self.times_faster, self.training
        return made

    @property
    def both_ways(self) -> BothWays:
        """Return both ways to run the network, with its modules in their current training mode."""
        modes = tuple(module.training for module in self.network.modules())
        if modes not in self._both:
            graph, why = graph_of(self.network)
            self._both[modes] = BothWays(AllSteps(graph, self.network), StepByStep(graph, self.network), why)
        return self._both[modes]

    @property
    def all_steps(self) -> AllSteps:
        """Return the runner of all time steps at once."""
        return self.both_ways.all_steps

    @property
    def by_steps(self) -> StepByStep:
        """Return the runner step by step."""
        return self.both_ways.by_steps

    @property
    def traced(self) -> bool:
        """Return whether the network's forward could be traced."""
        return not self.both_ways.why

    def forward(self, x: Tensor) -> Pass:
        """Run all time steps from the resting state.

        Args:
            x: input [T, B, ...].

        Raises:
            InputError: x has another shape, or the network was changed to one that the engine cannot run.
        """
        if x.dim() <= LEAST:
            raise InputError(
                f"accelerate: input has shape {tuple(x.shape)}; [time, batch, ...] is needed, all time steps at "
                f"once"
            )
        return Pass(*(self.by_steps if self.stays else self.all_steps)(x))

    @property
    def stays(self) -> bool:
        """Return whether the network runs in torch, step by step, since that was faster."""
        return self.times_faster is not None and self.times_faster < 1

    def extra_repr(self) -> str:
        """Return the engine that runs the network, for print."""
        return f"runs on {self.runs_on}"

    @property
    def runs_on(self) -> str:
        """Return the engine that runs the network, and the reason."""
        measured = (
            "" if self.times_faster is None else f"{self.times_faster:.1f} times as fast as step by step"
        )
        if self.stays:
            return f"torch, step by step: the engine was {measured}"
        layers = self.all_steps.layers()
        described = ": ".join(Engine("auto", network_device(self.network)).describe(layers))
        return f"{described}; {measured}" if measured else described


def network_device(network: nn.Module) -> torch.device:
    """Return the device of the network's first parameter."""
    return next((parameter.device for parameter in network.parameters()), torch.device("cpu"))


def accelerate(
    network: nn.Module, batch: Tensor | None = None, *, example: Tensor | None = None
) -> Accelerated:
    """Run a network of spiking neurons on the fast engine: equal spikes, potentials and gradients.

    Neurons are snnTorch's `Leaky`, `Synaptic`, `RLeaky` and `RSynaptic`, and any of sgbench or of your own with a
    `step`. Other modules may compute anything from the values of one time step: linear layers, convolutions,
    pooling, batch normalisation, dropout, sums of residual branches. A `forward` of one step is traced. A `forward`
    with a loop over time is not called: its modules run in the order of their creation, and an example checks that
    this gives the same spikes. No module may mix samples, such as a softmax or a mean over the batch, since all
    time steps are in the batch; an example finds this too.

    Args:
        network: a module of one step, such as an `nn.Sequential`. Weights are shared, not copied.
        batch: input [T, B, ...] on which both ways are compared and timed, in the network's training mode; if the
            engine is slower, the network stays in torch. The speed-up is the result's `times_faster`.
        example: the same as `batch`, without the timing.

    Returns:
        A module that maps x [T, B, ...] to spikes and potentials [T, B, C] of the last neurons. Potentials of
        sgbench's neurons are relative to the threshold.

    Raises:
        InputError: the engine cannot run a module, or its result on the batch differs; one line that names it.

    Source: snnTorch 1.0 (Eshraghian et al. 2023, Proceedings of the IEEE 111(9)).

    >>> import snntorch as snn
    >>> network = nn.Sequential(nn.Linear(2, 1, bias=False), snn.Leaky(beta=0.5))
    >>> _ = nn.init.constant_(network[0].weight, 0.75)
    >>> accelerate(network)(torch.ones(2, 1, 2)).spikes.flatten().tolist()
    [1.0, 1.0]
    """
    fast = Accelerated(network)
    tried = batch if batch is not None else example
    if tried is not None:
        _compare(fast, tried)
    elif not fast.traced:
        log.warning(
            "accelerate: modules are passed in the order in which they were made, since the network's forward "
            "cannot be followed (%s); give an input as batch= to compare both",
            fast.both_ways.why,
        )
    if batch is not None:
        fast.times_faster = _measured(Accelerated(copy.deepcopy(network)), batch)
        log.info("accelerate: runs on %s", fast.runs_on)
    return fast


def _compare(fast: Accelerated, x: Tensor) -> None:
    """Refuse a network whose results step by step, or by its own forward of all steps, differ from the engine's."""
    one, other = (Accelerated(copy.deepcopy(fast.network)) for _ in range(2))
    for network in (one, other):
        _silence(network.network)
    with torch.no_grad():
        ours = one.all_steps(x)
        theirs = other.by_steps(x) if fast.traced else other.network(x)
    if fast.traced:
        _compare_a_step(copy.deepcopy(fast.network), x[0], ours[0][0])
    for name, slow, quick in zip(("spikes", "potentials"), _by_kind(theirs), ours, strict=False):
        if getattr(slow, "shape", None) != quick.shape:
            raise InputError(
                f"accelerate: the network's forward gives {name} of shape {tuple(getattr(slow, 'shape', ()))} on "
                f"the example, not {tuple(quick.shape)}; let it take all time steps, or leave the example out"
            )
        error = float((slow - quick).abs().max())
        if not error <= PROBE_TOLERANCE:
            raise InputError(
                f"accelerate: the network's forward gives other {name} on the example (by {error:.2g}): it does "
                f"more than pass its modules in turn"
            )


def _compare_a_step(network: nn.Module, x: Tensor, ours: Tensor) -> None:
    """Compare the spikes of the first step with those of the network's own forward, if it can be called."""
    if any(isinstance(module, Neuron) for module in network.modules()):  # whose calls take all steps
        return
    _silence(network)
    for module in network.modules():
        if is_snntorch(module):
            module.reset_mem()  # type: ignore[operator]
    try:
        with torch.no_grad():
            theirs = _by_kind(network(x))[0]
    except Exception as error:  # e.g. neurons of an nn.Sequential return their states
        log.debug("accelerate: the network's forward was not compared: %s", error)
        return
    error = float((theirs - ours).abs().max()) if theirs.shape == ours.shape else float("inf")
    if not error <= PROBE_TOLERANCE:
        raise InputError(
            f"accelerate: the network's forward gives other spikes in its first step (by {error:.2g}) than what "
            f"was followed; write a forward of one step that decides nothing by values"
        )


def _by_kind(given: Any) -> tuple[Any, ...]:
    """Return the output of a forward as a tuple, whether spikes alone or more."""
    return tuple(given) if isinstance(given, tuple | list) else (given,)


def _silence(network: nn.Module) -> None:
    """Turn off the dropout of a network, so that two passes over it can be compared."""
    for module in network.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0


def _measured(fast: Accelerated, x: Tensor) -> float:
    """Measure the speed-up of the engine over torch, forward and backward, timed in alternation."""

    def time_of(run: Callable[[Tensor], Any]) -> float:
        begun_s = time.process_time()
        total: Any = sum(one.sum() for one in _by_kind(run(x))[:2])
        if total.requires_grad:
            total.backward()
        return time.process_time() - begun_s

    time_of(fast.all_steps)  # the first call may compile
    slow: Callable[[Tensor], Any] = fast.by_steps if fast.traced else fast.network
    pairs = [(time_of(slow), time_of(fast.all_steps)) for _ in range(ROUNDS)]
    return statistics.median(one / max(other, 1e-9) for one, other in pairs)
