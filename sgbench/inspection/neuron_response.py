"""What neurons do under a step of current, under a train of spikes, and under constant currents.

Legend: T steps, B currents side by side, one neuron each.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from sgbench.neurons.base import Neuron
from sgbench.neurons.sequence import SequenceNeuron

STEPS = 120  # of a picture, where the neuron's weights do not fix their number
LONG = 300  # of a rate
ON, OFF = 0.12, 0.7  # share of the steps at which the current begins and ends
APART = 5  # steps between the spikes of a train
POINTS = 41  # of a rate
HIGHEST = 8.0  # times the least current that makes it fire, up to which a rate goes
FEW = 4  # spikes that a picture shows at least, where the neuron sends as many
NOT_DRAWN = ("u", "s")  # of a state: the potential has its own place, and so has what is sent


class Response(NamedTuple):
    """Describes one neuron over time, [T] each."""

    current: Tensor
    sent: Tensor
    potential: Tensor  # minus threshold where no state tells it
    threshold: Tensor | None  # in force
    others: dict[str, Tensor]  # of its state


class Rates(NamedTuple):
    """Holds what a neuron sends for each constant current that it receives [B]."""

    current: Tensor
    sent: Tensor  # per step, in the mean


def steps_of(neuron: Neuron, wanted: int) -> int:
    """Return how many steps to show: as wanted, or as the neuron's weights over time need."""
    fixed = getattr(neuron, "steps", None)
    return fixed if isinstance(neuron, SequenceNeuron) and isinstance(fixed, int) else wanted


@torch.no_grad()
def respond(neuron: Neuron, current: Tensor) -> tuple[Tensor, list[Any]]:
    """Run neurons and return their output [T, B] and states; of a sequence neuron u minus threshold alone."""
    given = current[..., None].repeat_interleave(neuron.currents, dim=-1)
    surrogate = getattr(neuron, "surrogate", None)
    if surrogate is not None:
        surrogate.generator = torch.Generator().manual_seed(0)
    if isinstance(neuron, SequenceNeuron):
        sent, x, last = neuron.unroll(given)
        return sent[..., 0], [
            last._replace(u=potential, s=now) for potential, now in zip(x, sent, strict=True)
        ]
    state, sent, states = neuron.initial_state(given[0]), [], []
    for now in given:
        out, state = neuron.step(now, state)
        sent.append(out[..., 0])
        states.append(state)
    return torch.stack(sent), states


def response(neuron: Neuron, current: Tensor) -> Response:
    """Compute the response of one neuron to a current [T]."""
    sent, states = respond(neuron, current[:, None])
    centred = torch.stack([neuron.centred(state).reshape(-1)[0] for state in states])
    named: dict[str, Tensor] = {}
    for field in states[0]._fields:
        values = torch.stack([getattr(state, field).flatten() for state in states])  # of each branch
        single = values.shape[1] == 1
        named |= {field if single else f"{field} {k + 1}": part for k, part in enumerate(values.unbind(1))}
    potential = centred if isinstance(neuron, SequenceNeuron) else named.get("u", centred)
    threshold = potential - centred
    known = neuron.output == "binary" and bool((threshold > 0).all())
    others = {field: values for field, values in named.items() if field not in NOT_DRAWN}
    return Response(current, sent[:, 0], potential, threshold if known else None, others)


def step_current(neuron: Neuron) -> Tensor:
    """Make a current [T] that is on for a while, high enough that the neuron fires several times."""
    on = _window(steps_of(neuron, STEPS))
    return on * smallest(neuron, on)


def spike_train(neuron: Neuron) -> Tensor:
    """Make spikes at equal distances for a while, weighted so that the neuron fires several times [T]."""
    on = _window(steps_of(neuron, STEPS))
    train = on * (torch.arange(len(on)) % APART == 0)
    return train * smallest(neuron, train)


def _window(steps: int) -> Tensor:
    time = torch.arange(steps)
    return ((time >= ON * steps) & (time < OFF * steps)).float()


def smallest(neuron: Neuron, shape: Tensor) -> float:
    """Find the least factor on a current [T] at which the neuron fires several times, or once; 1 if never."""
    if neuron.output == "real":
        return 1.0
    heights = torch.logspace(-3, 4, 176)
    counts = (respond(neuron, shape[:, None] * heights)[0] != 0).sum(0)
    for enough in (FEW, 1):
        reached = (counts >= enough).nonzero().flatten()
        if len(reached):
            return float(heights[reached[0]])
    return 1.0


def rates(neuron: Neuron) -> Rates:
    """Compute the mean output per step for each of several constant currents."""
    steps = steps_of(neuron, LONG)
    current = torch.linspace(0, HIGHEST * smallest(neuron, torch.ones(steps)), POINTS)
    sent, _ = respond(neuron, current.expand(steps, -1))
    return Rates(current, sent.mean(0))
