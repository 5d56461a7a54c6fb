"""Currents for elementwise neurons, what ours send of them, and the libraries that have to be there."""

from __future__ import annotations

import importlib
import importlib.util

import torch
from torch import Tensor

from sgbench.neurons.base import Neuron
from tests.catalogue.neuron_cases import BATCH, SIZE

LIBRARIES = ("spikingjelly", "norse", "sinabs", "spyx")
ABSENT = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
STEPS = 200
RTOL = 1e-9


def currents(spread: float, mean: float = 0.3) -> Tensor:
    """Random [T, B, N], in float64."""
    random = torch.Generator().manual_seed(6)
    drawn = torch.randn(STEPS, BATCH, SIZE, generator=random, dtype=torch.float64)
    return (spread * (mean + drawn)).requires_grad_()


def close(found: Tensor, expected: Tensor, what: str) -> None:
    largest = expected.abs().max().item()
    assert largest > 0, what
    off = (found - expected).abs().max().item()
    assert off <= RTOL * largest, f"{what}: off by {off:.1e} of {largest:.1e}"


def ours(neuron: Neuron, current: Tensor) -> tuple[Tensor, Tensor]:
    """What is sent, and u after its reset."""
    state = neuron.initial_state(current[0])
    sent, kept = [], []
    for now in current:
        out, state = neuron.step(now, state)
        threshold = neuron.threshold()
        if type(neuron).__name__ == "Clif":
            threshold = threshold + torch.sigmoid(state.m)
        fired = state.fired if "fired" in state._fields else state.s
        sent.append(out)
        kept.append(neuron.next_potential.before_step(state.u, fired, threshold))
    return torch.stack(sent), torch.stack(kept)


def tensor(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)
