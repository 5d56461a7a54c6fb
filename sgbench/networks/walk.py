"""Runs of a layer step by step that record its states and its neurons' Jacobians, for online learning rules.

Legend: n steps of a window of time, B batch, N neurons, K inputs.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fastspiking.signals.spikes import Signal, dense
from sgbench.networks.base import surrogates
from sgbench.networks.layers import Layer
from sgbench.neurons.base import Neuron


class Jacobians(NamedTuple):
    """Holds the derivatives of a neuron's state after a step, elementwise; None for those that are always 0."""

    by_current: tuple[Tensor | None, ...]  # of each field by the current [n, B, N]
    by_state: tuple[tuple[Tensor | None, ...], ...]  # of each field by each field of the state before [n, B, N]


class TimeWindow(NamedTuple):
    """Holds the states and outputs of a layer in a window of time steps, without autograd graph."""

    arriving: Tensor  # input [n, B, K]
    before: Any  # state before each step, with fields [n, B, N]
    output: Tensor  # [n, B, N]
    state: Any  # state after the last step, with fields [B, N]
    local: Jacobians | None  # Jacobians of each step, if requested


@torch.no_grad()
def walk(layer: Layer, signal: Signal, state: Any, *, jacobians: bool) -> TimeWindow:
    """Run a layer step by step over a window of time and record its states.

    `signal`: its input [n, B, K], dense or packed. `state`: initial state; None for the state at rest.
    """
    arriving, neuron = dense(signal), layer.neuron
    current = layer.current(arriving)
    state = neuron.initial_state(current[0]) if state is None else state
    # Neurons that draw random spikes are differentiated step by step, in the same call that draws.
    stepwise = jacobians and any(surrogate.stochastic for surrogate in surrogates(neuron))
    states, currents, outputs, of_steps = [state], [], [], []
    for feedforward in current.unbind(0):
        step_current = feedforward
        if layer.recurrent is not None:
            step_current = neuron.driven(feedforward, layer.feedback(neuron.fed_back(state)))
        if stepwise:
            output, state, step_jacobians = differentiate(neuron, step_current, state)
            of_steps.append(step_jacobians)
        else:
            output, state = neuron.step(step_current, state)
        currents.append(step_current)
        outputs.append(output)
        states.append(state)
    before = type(state)(*(torch.stack(field) for field in zip(*states[:-1], strict=True)))
    local = _stack(of_steps) if stepwise else None
    if jacobians and local is None:
        local = differentiate(neuron, torch.stack(currents), before)[2]
    return TimeWindow(arriving=arriving, before=before, output=torch.stack(outputs), state=state, local=local)


def differentiate(neuron: Neuron, current: Tensor, state: Any) -> tuple[Tensor, Any, Jacobians]:
    """Compute a step's output and state, and the state's derivatives by autograd of the neuron's `step`.

    Several steps may be computed at once, along a leading axis, from the states before each of them.

    >>> from sgbench.neurons.leaky_readout import LeakyReadout
    >>> units = LeakyReadout(1, beta=0.5, learn_beta="none")
    >>> one = torch.ones(1, 1)
    >>> _, _, local = differentiate(units, one, units.initial_state(one))
    >>> local.by_current[0].item(), local.by_state[0][0].item()
    (1.0, 0.5)
    """
    with torch.enable_grad():
        leaf = current.detach().requires_grad_()
        before = type(state)(*(field.detach().requires_grad_() for field in state))
        output, after = neuron.step(leaf, before)
        rows = [
            torch.autograd.grad(field.sum(), (leaf, *before), retain_graph=True, allow_unused=True)
            if field.requires_grad
            else (None,) * (1 + len(before))
            for field in after
        ]
    local = Jacobians(tuple(row[0] for row in rows), tuple(tuple(row[1:]) for row in rows))
    return output.detach(), type(after)(*(field.detach() for field in after)), local


def _stack(steps: Sequence[Jacobians]) -> Jacobians:
    """Stack the Jacobians of single steps [B, N] to those of a window [n, B, N]."""

    def stack(slopes: Sequence[Tensor | None]) -> Tensor | None:
        existing = [slope for slope in slopes if slope is not None]
        return torch.stack(existing) if existing else None

    fields = range(len(steps[0].by_current))
    return Jacobians(
        by_current=tuple(stack([step.by_current[field] for step in steps]) for field in fields),
        by_state=tuple(
            tuple(stack([step.by_state[field][source] for step in steps]) for source in fields) for field in fields
        ),
    )
