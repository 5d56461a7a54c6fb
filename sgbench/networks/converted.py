"""A network trained on rates, whose answers are given by integrate-and-fire neurons of the same weights."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from sgbench.dropouts.base import Dropout
from sgbench.errors import InputError, require_count
from sgbench.networks.base import Network, Provided, hidden_sizes
from sgbench.networks.layers import DenseLayer
from sgbench.neurons.base import SpikingState
from sgbench.neurons.leaky import Leaky
from sgbench.neurons.leaky_readout import LeakyReadout, ReadoutState
from sgbench.normalisations.base import Normalisation
from sgbench.signals.spikes import Signal, dense
from sgbench.signals.trajectory import NOTHING, SPIKES, Keep, Trajectory, valid_steps
from sgbench.surrogates.zero import Zero


class Converted(Network):
    r"""Trains dense layers of clip-floor-shift units that answer as integrate-and-fire neurons.

    Training sees what comes in as a rate, the mean over a sample's own steps. A unit sends one of L + 1 levels,

    .. math:: a = \mathrm{clip}\Big(\frac1L \left\lfloor \frac{z L}{\theta} + \tfrac12 \right\rfloor, 0, 1\Big),
        \qquad z = W a_\mathrm{before} + b,

    with the floor's slope taken as 1. To score validation and test, the same weights run over the steps: neurons
    without a leak start at :math:`\theta / 2`, fire above theta and pay theta for it. Under a constant current z a
    neuron then fires :math:`\mathrm{clip}(\lfloor z T/\theta + \tfrac12 \rfloor, 0, T)` times in T steps, which is
    the unit at L = T (one less where the floor is met exactly); currents that come unevenly, as those of deeper
    layers do, move its count. The readout answers once, with the mean of its currents over the sample's steps.
    Operations and rates are those of the spikes.

    No surrogate gradient is taken, so neuron, readout and surrogate are not chosen, and boards show it without a
    rank. Rates alone are learnt: information in the timing of input spikes is lost.

    Args:
        provided: what the builder gives.
        hidden: neurons per hidden layer.
        levels: L, at least 1.
        bias: whether layers have biases.

    Raises:
        InputError: an empty chain, or a value out of range.

    Source: Bu, Fang, Ding, Dai, Yu & Huang 2022, ICLR, arXiv:2303.04347 (clip-floor-shift units);
    Rueckauer, Lungu, Hu, Pfeiffer & Liu 2017, Frontiers in Neuroscience 11 (rates of integrate-and-fire neurons).
    """

    spiking: ClassVar[bool] = False
    needs_all_steps: ClassVar[str] = "a converted network is trained on the mean of all time steps"  # type: ignore[assignment]

    def __init__(
        self,
        provided: Provided,
        *,
        hidden: Sequence[int],
        levels: int,
        bias: bool,
    ) -> None:
        super().__init__()
        self.levels = require_count("network.levels", levels)
        sizes = [provided.n_inputs, *hidden_sizes(hidden, bias)]
        layers = [
            DenseLayer(f"hidden{number}", n_in, n_out, _integrate_and_fire(), bias=bias)
            for number, (n_in, n_out) in enumerate(itertools.pairwise(sizes))
        ]
        integrator = LeakyReadout(beta=1.0, learn_beta="none")
        layers.append(DenseLayer("readout", sizes[-1], provided.n_outputs, integrator, bias=bias))
        self.set_up(layers, provided)

    def trained_steps(self, steps: int) -> int:
        """Return 1, since in training a rate stands for all steps."""
        return 1

    def normalise(self, normalisation: Normalisation) -> None:
        """Refuse every normalisation but none."""
        _refuse("normalisation", neutral=normalisation.neutral)

    def drop(self, dropout: Dropout) -> None:
        """Refuse every dropout but none."""
        _refuse("dropout", neutral=dropout.neutral)

    def unroll(
        self,
        x: Signal,
        lengths: Tensor,
        state: tuple[Any, ...] | None = None,
        keep: Keep = NOTHING,
        *,
        window: int | None = None,
    ) -> Trajectory:
        """Run over all time steps (see `Network.unroll`); an answer given once is repeated in every step."""
        if self.training:
            return self._rates(x, lengths)
        runs = self.engine.unroll(
            list(self.layers),  # type: ignore[arg-type]
            x,
            self._initial_states(x),
            keep_spikes=SPIKES in keep,
        )
        summed = runs[-1].output
        last = (lengths - 1).view(1, -1, 1).expand(1, -1, summed.shape[2])  # type: ignore[union-attr]
        answer = summed.gather(0, last) / lengths.view(1, -1, 1).to(summed.dtype)  # type: ignore[union-attr]
        spikes = tuple(run.output for run in runs[:-1] if SPIKES in keep and run.output is not None)
        return Trajectory(
            answer.expand(x.shape[0], -1, -1), lengths, spikes, (), tuple(run.state for run in runs)
        )

    def _rates(self, x: Signal, lengths: Tensor) -> Trajectory:
        """Run one pass on rates; its trajectory holds no spikes."""
        steps = dense(x)
        inside = valid_steps(lengths, len(steps))[..., None]
        sent = steps.masked_fill(~inside, 0.0).sum(0) / lengths[:, None].to(steps.dtype)
        states: list[Any] = []
        for layer in self.hidden_layers:
            current = layer.current(sent)
            sent = clip_floor_shift(current / layer.neuron.threshold(), self.levels)  # type: ignore[operator]
            states.append(SpikingState(u=current, s=sent))
        answer = self.readout.current(sent)
        states.append(ReadoutState(u=answer))
        return Trajectory(answer.expand(x.shape[0], -1, -1), lengths, (), (), tuple(states))

    def _initial_states(self, x: Signal) -> tuple[Any, ...]:
        """Return the states before the first step: half a threshold in every neuron, which rounds its count."""
        states: list[Any] = []
        weight = self.readout.weight
        for layer in self.hidden_layers:
            silent = weight.new_zeros(x.shape[1], layer.neurons)
            half = 0.5 * layer.neuron.threshold().detach()  # type: ignore[operator]
            states.append(SpikingState(u=silent + half, s=silent))
        states.append(ReadoutState(u=weight.new_zeros(x.shape[1], self.readout.neurons)))
        return tuple(states)


def clip_floor_shift(rate: Tensor, levels: int) -> Tensor:
    """Round to the nearest of so many levels from 0 to 1; the slope is 1 between them and 0 beyond.

    Args:
        rate: current over threshold.
        levels: L.

    >>> rate = torch.tensor([-0.2, 0.1, 0.13, 0.9, 1.4], requires_grad=True)
    >>> sent = clip_floor_shift(rate, 4)
    >>> sent.tolist()
    [0.0, 0.0, 0.25, 1.0, 1.0]
    >>> sent.sum().backward()
    >>> rate.grad.tolist()
    [0.0, 1.0, 1.0, 1.0, 0.0]
    """
    rounded = torch.floor(rate * levels + 0.5) / levels
    return (rate + (rounded - rate).detach()).clamp(0.0, 1.0)


def _integrate_and_fire() -> Leaky:
    """Build neurons without a leak whose one threshold is learnt."""
    return Leaky(
        Zero(normalisation="raw", scale=1.0),  # no gradient goes through its spikes
        beta=1.0,
        threshold=1.0,
        reset="subtract",
        reset_gradient="detached",
        learn_beta="none",
        learn_threshold="shared",
    )


def _refuse(group: str, *, neutral: bool) -> None:
    if not neutral:
        raise InputError(
            f"{group}: network=converted is trained on rates, not step by step; use {group}=none"
        )
