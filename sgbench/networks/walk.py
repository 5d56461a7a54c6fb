"""A layer gone through step by step with its states in the open, and the local Jacobians of its neurons.

Rules that go forward in time are made of these two; none has a loop over a network of its own.

Legend: n steps of a window of time, B batch, N neurons, K inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sgbench.networks.base import surrogates
from sgbench.networks.layers import Layer
from sgbench.neurons.base import Neuron
from sgbench.signals.spikes import Signal, dense


class Jacobians(NamedTuple):
    """Holds derivatives of each step of a neuron, diagonal since it is elementwise; None where there is none."""

    by_current: tuple[Tensor | None, ...]  # of each field of the state [n, B, N]
    by_state: tuple[
        tuple[Tensor | None, ...], ...
    ]  # of each field by each field of the step before [n, B, N]


class TimeWindow(NamedTuple):
    """Holds the states and outputs of a layer in a window of time steps, without gradient history."""

    arriving: Tensor  # [n, B, K]
    before: Any  # the state before each step, its fields [n, B, N]
    output: Tensor  # [n, B, N]
    state: Any  # after the last step, its fields [B, N]
    local: Jacobians | None  # where they are wanted


@torch.no_grad()
def walk(layer: Layer, signal: Signal, state: Any, *, jacobians: bool) -> TimeWindow:
    """Run a layer step by step over a window of time and record its states.

    Args:
        layer: that can go step by step.
        signal: what arrives [n, B, K], dense or packed; made dense for this window alone.
        state: to go on from; None is rest.
        jacobians: whether those of the neurons are wanted.
    """
    arriving, neuron = dense(signal), layer.neuron
    current = layer.current(arriving)
    state = neuron.initial_state(current[0]) if state is None else state
    # What draws its spikes cannot be asked for its Jacobian a second time.
    draws = jacobians and any(surrogate.stochastic for surrogate in surrogates(neuron))
    states, driven, outputs, drawn = [state], [], [], []
    for now in current.unbind(0):
        taken = now
        if layer.recurrent is not None:
            taken = neuron.driven(now, layer.feedback(neuron.fed_back(state)))
        if draws:
            output, state, local = differentiated(neuron, taken, state)
            drawn.append(local)
        else:
            output, state = neuron.step(taken, state)
        driven.append(taken)
        outputs.append(output)
        states.append(state)
    before = type(state)(*(torch.stack(field) for field in zip(*states[:-1], strict=True)))
    draws_by_step = _stack(drawn) if draws else None
    if jacobians and draws_by_step is None:
        draws_by_step = differentiated(neuron, torch.stack(driven), before)[2]
    return TimeWindow(arriving, before, torch.stack(outputs), state, draws_by_step)


def differentiated(neuron: Neuron, current: Tensor, state: Any) -> tuple[Tensor, Any, Jacobians]:
    """Compute one step's output and state, and their derivatives, which come from the neuron's own `step`.

    Several steps may lie side by side, each with the state before it.

    >>> from sgbench.neurons.leaky_readout import LeakyReadout
    >>> units = LeakyReadout(1, beta=0.5, learn_beta="none")
    >>> one = torch.ones(1, 1)
    >>> _, _, local = differentiated(units, one, units.initial_state(one))
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
    """Stack single steps [B, N] to those of a window [n, B, N]."""

    def stack(parts: Sequence[Tensor | None]) -> Tensor | None:
        there = [one for one in parts if one is not None]
        return torch.stack(there) if there else None

    return Jacobians(
        tuple(stack(draws) for draws in zip(*(step.by_current for step in steps), strict=True)),
        tuple(
            tuple(stack(draws) for draws in zip(*row, strict=True))
            for row in zip(*(step.by_state for step in steps), strict=True)
        ),
    )
