"""Runs the neurons of a user's own torch network on the fast engine."""

from typing import Any, NamedTuple

from torch import Tensor, nn

from fastspiking.choose import Engine
from fastspiking.replay.neurons import WeightedNeurons
from fastspiking.replay.recordable import has_hooks
from sgbench.errors import InputError
from sgbench.neurons.base import Neuron
from sgbench.tables.shown import ShownTable
from sgbench.tables.table import Table, plain_table
from sgbench.yours.snntorch_neurons import SnnTorchNeuron, state_fields
from sgbench.yours.unroll import FEWEST_AXES


class AllStates(NamedTuple):
    """Holds the outputs of neurons at all time steps, and their state after the last."""

    output: Tensor  # spikes, or potentials of neurons that do not fire [T, B, ...]
    # Relative to the threshold [T, B, ...]; None for neurons that compute all steps at once.
    potential: Tensor | None
    state: Any  # the neurons' state after the last step


class CompiledNeuron(nn.Module, ShownTable):
    """Runs neurons over all time steps of an input current."""

    def __init__(self, neuron: nn.Module) -> None:
        super().__init__()
        self.neuron = neuron

    def forward(self, current: Tensor, state: Any = None) -> AllStates:
        """Run all time steps.

        Raises:
            InputError: the current has too few axes, or the neuron has hooks.
        """
        if current.dim() <= FEWEST_AXES:
            raise InputError(
                f"compile: currents have shape {tuple(current.shape)}; [time, batch, ...] is needed, all time "
                f"steps at once"
            )
        layer = WeightedNeurons("neuron", self._neuron())
        run = Engine("auto", current.device).unroll([layer], current, [state], keep_u=True)[0]
        if run.output is None:
            raise AssertionError("the last layer's output is always there")
        return AllStates(run.output, run.u, run.state)

    __str__ = nn.Module.__repr__  # pyright: ignore[reportAssignmentType] - it is a module first

    def table(self) -> Table:
        rows = [("neuron", "runs on"), (type(self.neuron).__name__, self.runs_on)]
        return plain_table("Compiled", rows, text_columns=2)

    @property
    def runs_on(self) -> str:
        """Return the engine that runs the neurons, and the reason."""
        return ": ".join(Engine("auto").describe([WeightedNeurons("neuron", self._neuron())]))

    def _neuron(self) -> Neuron:
        """Return the neuron as one of ours; InputError if the engine cannot run it."""
        if has_hooks(self.neuron):
            raise InputError("compile: the neuron has hooks, which the engine does not call; remove them")
        if isinstance(self.neuron, Neuron):
            return self.neuron
        try:
            return SnnTorchNeuron(self.neuron, "neuron")
        except InputError as reason:
            raise InputError(f"compile: {reason}") from reason


def compile(neuron: nn.Module) -> CompiledNeuron:
    """Run neurons on the fast engine, from currents of all steps to their spikes and potentials.

    Use it in place of a loop over time that calls `step`: compute the currents of all steps [T, B, N] by one matrix
    product, and pass them. Gradients reach currents and parameters, and equal those of the loop.

    Args:
        neuron: a neuron of the catalogue, your own with a `step`, or snnTorch's that feed nothing back.

    Raises:
        InputError: the module is not such a neuron, or feeds its spikes back within a step.

    >>> import torch
    >>> from sgbench.neurons.leaky_readout import LeakyReadout
    >>> fast = compile(LeakyReadout(1, beta=0.5, learn_beta="none"))
    >>> fast(torch.ones(3, 1, 1)).output.flatten().tolist()
    [1.0, 1.5, 1.75]
    """
    if not isinstance(neuron, Neuron) and not state_fields(neuron):
        raise InputError(
            f"compile: a {type(neuron).__name__} is no neuron; give one of sgbench or snnTorch, or a class with "
            f"the methods of sgbench.neurons.base.Neuron"
        )
    if not isinstance(neuron, Neuron) and hasattr(neuron, "recurrent"):
        raise InputError(
            f"compile: a {type(neuron).__name__} feeds back within a step; use sgbench.accelerate on its network"
        )
    made = CompiledNeuron(neuron)
    _ = made.runs_on  # raises here what a call would raise
    return made
