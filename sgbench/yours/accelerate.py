"""Runs a user's own spiking network in torch on sgbench's engine, with its own weights."""

from __future__ import annotations

import copy
import logging
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fastspiking.choose import Engine
from sgbench.errors import InputError
from sgbench.neurons.base import Neuron
from sgbench.yours.all_steps import AllSteps
from sgbench.yours.step_graph import StepByStep, is_snntorch, trace_step

log = logging.getLogger("sgbench")
FEWEST_AXES = 2
"""Axes that every input has, time and batch; features follow."""
PROBE_TOLERANCE = 1e-4
TIMING_ROUNDS = 3
"""Number of times that both ways to run a network are timed; the median counts."""


class Pass(NamedTuple):
    """Holds the spikes and potentials of the last layer in T time steps, for B samples and C neurons."""

    spikes: Tensor  # [T, B, C]
    potential: Tensor  # membrane potential before its reset, as snnTorch returns it [T, B, C]


class BothWays(NamedTuple):
    """Holds both ways to run a network: all time steps at once, or one by one."""

    all_steps: AllSteps
    by_steps: StepByStep
    why: str  # why the network's forward could not be traced; empty if it was


class Accelerated(nn.Module):
    """Runs a network of spiking neurons over all time steps at once.

    Its parameters are those of the network, so an optimiser of either updates both. Keys of its `state_dict` begin
    with `network.`; save the network's own to load it elsewhere. Decays, thresholds and other values are read from
    the network in each pass. The network's `forward` is traced again when the training mode of a module changes.

    Raises:
        InputError: the engine cannot run a module of the network.
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
            graph, why = trace_step(self.network)
            self._both[modes] = BothWays(AllSteps(graph, self.network), StepByStep(graph, self.network), why)
        return self._both[modes]

    @property
    def all_steps(self) -> AllSteps:
        """Return the object that runs all time steps at once."""
        return self.both_ways.all_steps

    @property
    def by_steps(self) -> StepByStep:
        """Return the object that runs one time step after another."""
        return self.both_ways.by_steps

    @property
    def traced(self) -> bool:
        """Return whether the network's forward could be traced."""
        return not self.both_ways.why

    def forward(self, x: Tensor) -> Pass:
        """Run all time steps from the resting state.

        Args:
            x: input [T, B, ...] of T time steps and B samples.

        Raises:
            InputError: x has another shape, or the network was changed to one that the engine cannot run.
        """
        if x.dim() <= FEWEST_AXES:
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
    input = batch if batch is not None else example
    if input is not None:
        _require_equal_results(fast, input)
    elif not fast.traced:
        log.warning(
            "accelerate: modules are passed in the order in which they were made, since the network's forward "
            "cannot be followed (%s); give an input as batch= to compare both",
            fast.both_ways.why,
        )
    if batch is not None:
        fast.times_faster = _measure_speed_up(Accelerated(copy.deepcopy(network)), batch)
        log.info("accelerate: runs on %s", fast.runs_on)
    return fast


def _require_equal_results(fast: Accelerated, x: Tensor) -> None:
    """Raise an InputError if the network's results in torch differ from the engine's on an input x [T, B, ...].

    In torch a traced network runs step by step; another one runs by its own forward, which takes all steps.
    """
    fast_copy, slow_copy = (Accelerated(copy.deepcopy(fast.network)) for _ in range(2))
    for network in (fast_copy, slow_copy):
        _disable_dropout(network.network)
    with torch.no_grad():
        ours = fast_copy.all_steps(x)
        theirs = slow_copy.by_steps(x) if fast.traced else slow_copy.network(x)
    if fast.traced:
        _require_equal_first_step(copy.deepcopy(fast.network), x[0], ours[0][0])
    for name, slow, quick in zip(("spikes", "potentials"), _as_tuple(theirs), ours, strict=False):
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


def _require_equal_first_step(network: nn.Module, x: Tensor, ours: Tensor) -> None:
    """Raise an InputError if the first step's spikes `ours` differ from those of the network's own forward.

    A forward that raises an error, or takes all steps at once, is not compared.
    """
    if any(isinstance(module, Neuron) for module in network.modules()):  # whose calls take all steps
        return
    _disable_dropout(network)
    for module in network.modules():
        if is_snntorch(module):
            module.reset_mem()  # type: ignore[operator]
    try:
        with torch.no_grad():
            theirs = _as_tuple(network(x))[0]
    except Exception as error:  # e.g. neurons of an nn.Sequential return their states
        log.debug("accelerate: the network's forward was not compared: %s", error)
        return
    error = float((theirs - ours).abs().max()) if theirs.shape == ours.shape else float("inf")
    if not error <= PROBE_TOLERANCE:
        raise InputError(
            f"accelerate: the network's forward gives other spikes in its first step (by {error:.2g}) than what "
            f"was followed; write a forward of one step that decides nothing by values"
        )


def _as_tuple(output: Any) -> tuple[Any, ...]:
    """Return the output of a forward as a tuple: spikes, and whatever it returns besides."""
    return tuple(output) if isinstance(output, tuple | list) else (output,)


def _disable_dropout(network: nn.Module) -> None:
    """Turn off the dropout of a network, so that two passes over it can be compared."""
    for module in network.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0


def _measure_speed_up(fast: Accelerated, x: Tensor) -> float:
    """Measure how many times as fast as torch the engine is, forward and backward, in CPU time."""

    def timed_s(run: Callable[[Tensor], Any]) -> float:
        begun_s = time.process_time()
        total: Any = sum(output.sum() for output in _as_tuple(run(x))[:2])
        if total.requires_grad:
            total.backward()
        return time.process_time() - begun_s

    timed_s(fast.all_steps)  # the first call may compile
    slow: Callable[[Tensor], Any] = fast.by_steps if fast.traced else fast.network
    pairs = [(timed_s(slow), timed_s(fast.all_steps)) for _ in range(TIMING_ROUNDS)]
    return statistics.median(slow_s / max(fast_s, 1e-9) for slow_s, fast_s in pairs)
