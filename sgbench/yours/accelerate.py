"""A network of spiking neurons in torch on sgbench's engine, with the weights that it has."""

from __future__ import annotations

import copy
import logging
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sgbench.engine.choose import Engine
from sgbench.errors import InputError
from sgbench.yours.all_steps import AllSteps
from sgbench.yours.step_graph import StepByStep, graph_of

log = logging.getLogger("sgbench")
LEAST = 2
"""Dimensions of an input: time and batch."""
PROBE_TOLERANCE = 1e-4
ROUNDS = 3
"""Of the measurement."""


class Pass(NamedTuple):
    """Holds what the last layer did over all steps."""

    spikes: Tensor  # [T, B, C]
    potential: Tensor  # membrane potential before its reset, as snnTorch returns it [T, B, C]


class Accelerated(nn.Module):
    """Runs a network of spiking neurons over all time steps at once.

    Its parameters are the network's own, so optimisers and `state_dict` of either serve both. Decays, thresholds
    and all else are read off the network in each pass.

    Args:
        network: whose modules are used.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        graph, self.traced = graph_of(network)
        self.all_steps, self.by_steps = AllSteps(graph, network), StepByStep(graph, network)
        self.times_faster: float | None = None

    def forward(self, x: Tensor) -> Pass:
        """Run all time steps from the resting state.

        Args:
            x: input [T, B, ...].

        Raises:
            InputError: another shape, or the network has become one that the engine does not run.
        """
        if x.dim() <= LEAST:
            raise InputError(
                f"accelerate: input has shape {tuple(x.shape)}; [time, batch, ...] is needed, all time steps at "
                f"once"
            )
        return Pass(*(self.by_steps if self.stays else self.all_steps)(x))

    @property
    def stays(self) -> bool:
        """Return whether the network was faster in torch, step by step, and so stays there."""
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

    Neurons are snnTorch's `Leaky`, `Synaptic`, `RLeaky` and `RSynaptic`, and any of sgbench or of one's own that
    has a `step`. Around them may be whatever torch computes of one step alone: matrices, convolutions, pooling,
    batch normalisation, dropout, sums of residual branches. A `forward` of one step is followed as it is written.
    One that has the loop over time in it is not called: its modules are passed in the order in which they were
    made.

    Args:
        network: of one step, such as an `nn.Sequential`. Weights are shared, not copied.
        batch: input [T, B, ...] on which both ways are compared and timed, in training or not as the network is;
            where the engine is slower the network stays in torch. The gain is `times_faster` of what is returned.
        example: the same without the timing.

    Returns:
        A module: x [T, B, ...] to spikes and potentials [T, B, C] of the last neurons. Potentials of sgbench's
        neurons are those above the threshold.

    Raises:
        InputError: a module that the engine cannot run, or another result on the batch; one line that says which.

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
    if batch is not None:
        fast.times_faster = _measured(Accelerated(copy.deepcopy(network)), batch)
        log.info("accelerate: runs on %s", fast.runs_on)
    return fast


def _compare(fast: Accelerated, x: Tensor) -> None:
    """Compare the network step by step, or its own forward of all steps, with the fast one; refuse a difference."""
    one, other = (Accelerated(copy.deepcopy(fast.network)) for _ in range(2))
    for network in (one, other):
        _silence(network.network)
    with torch.no_grad():
        ours = one.all_steps(x)
        theirs = other.by_steps(x) if fast.traced else other.network(x)
    theirs_by_kind = theirs if isinstance(theirs, tuple | list) else (theirs,)
    for name, slow, quick in zip(("spikes", "potentials"), theirs_by_kind, ours, strict=False):
        if getattr(slow, "shape", None) != quick.shape:
            raise InputError(
                f"accelerate: the network's forward gives {name} of shape {tuple(getattr(slow, 'shape', ()))} on "
                f"the example, not {tuple(quick.shape)}; let it take all time steps, or leave the example out"
            )
        apart = float((slow - quick).abs().max())
        if not apart <= PROBE_TOLERANCE:
            raise InputError(
                f"accelerate: the network's forward gives other {name} on the example (by {apart:.2g}): it does "
                f"more than pass its modules in turn"
            )


def _silence(network: nn.Module) -> None:
    """Let what draws numbers pass all on: a comparison is of what remains."""
    for module in network.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0


def _measured(fast: Accelerated, x: Tensor) -> float:
    """Measure how many times faster the engine is, forward and backward, in turn with the other way."""

    def time_of(run: Callable[[Tensor], tuple[Tensor, Tensor]]) -> float:
        begun_s = time.process_time()
        spikes, potential = run(x)
        total = (spikes + potential).sum()
        if total.requires_grad:
            total.backward()
        return time.process_time() - begun_s

    time_of(fast.all_steps)  # which may compile
    slow: Callable[[Tensor], tuple[Tensor, Tensor]] = fast.by_steps if fast.traced else fast.network
    pairs = [(time_of(slow), time_of(fast.all_steps)) for _ in range(ROUNDS)]
    return statistics.median(one / max(other, 1e-9) for one, other in pairs)
