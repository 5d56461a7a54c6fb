"""A network that is trained on rates, and evaluated with integrate-and-fire neurons of the same weights."""

import itertools
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from fastspiking.signals.spikes import Signal, dense
from fastspiking.signals.trajectory import NOTHING, SPIKES, Keep, Trajectory, valid_steps
from sgbench.errors import require_count
from sgbench.networks.base import LayerStates, Network, Provided, hidden_sizes
from sgbench.networks.layers import DenseLayer
from sgbench.neurons.base import SpikingState
from sgbench.neurons.leaky import Leaky
from sgbench.neurons.leaky_readout import LeakyReadout, ReadoutState
from sgbench.surrogates.zero import Zero


class Converted(Network):
    r"""Trains dense layers of clip-floor-shift units on rates, and evaluates them as integrate-and-fire neurons.

    In training the input is a rate, its mean over a sample's own steps. A unit with current z sends a value a of L
    + 1 levels,

    .. math:: a = \mathrm{clip}\Big(\frac1L \left\lfloor \frac{z L}{\theta} + \tfrac12 \right\rfloor, 0, 1\Big),
        \qquad z = W a_\mathrm{before} + b,

    with weights W, biases b, thresholds theta, and 1 as the slope of the floor. For validation and test the same
    weights run over the steps: neurons without a leak start at :math:`\theta / 2`, fire above theta and subtract
    it. With a constant current z a neuron fires :math:`\mathrm{clip}(\lfloor z T/\theta + \tfrac12 \rfloor, 0, T)`
    times in T steps, as the unit with L = T does (one less if the floor's argument is a whole number). Uneven
    currents, as of deeper layers, change the count. The output is the mean of the readout's currents over the
    sample's steps. Operations and rates are counted from the spikes.

    The network uses no surrogate gradient, so neuron, readout and surrogate cannot be chosen, and boards show it
    without a rank. It learns from rates only: information in the timing of input spikes is lost.

    Args:
        provided: parts of the run to build from.
        hidden: number of neurons of each hidden layer.
        levels: L, 1 or more.
        bias: whether layers have biases.

    Raises:
        InputError: an empty chain, or a value out of range.

    Source: Bu, Fang, Ding, Dai, Yu & Huang 2022, ICLR, arXiv:2303.04347 (clip-floor-shift units);
    Rueckauer, Lungu, Hu, Pfeiffer & Liu 2017, Frontiers in Neuroscience 11 (rates of integrate-and-fire neurons).
    """

    spiking: ClassVar[bool] = False
    why_no_steps: ClassVar[str | None] = "network=converted is trained on rates"
    needs_all_steps: ClassVar[str] = "a converted network is trained on the mean of all time steps"  # type: ignore[assignment]

    def __init__(self, provided: Provided, *, hidden: Sequence[int], levels: int, bias: bool) -> None:
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
        """Return 1: training computes one pass on rates."""
        return 1

    def unroll(
        self, x: Signal, lengths: Tensor, state: LayerStates = None, keep: Keep = NOTHING, *, window: int | None = None
    ) -> Trajectory:
        """Run one pass on rates in training, else over all time steps; repeat the one output [B, C] in every step.

        Every sample begins at the neurons' initial state, so `state` is not used. Nor is `window`, since gradients
        pass through rates alone. The trajectory holds spikes if `keep` names them and the network is not in
        training; it never holds potentials.
        """
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
        output = summed.gather(0, last) / lengths.view(1, -1, 1).to(summed.dtype)  # type: ignore[union-attr]
        return Trajectory(
            output=output.expand(x.shape[0], -1, -1),
            lengths=lengths,
            spikes=tuple(run.output for run in runs[:-1] if SPIKES in keep and run.output is not None),
            u=(),
            state=tuple(run.state for run in runs),
        )

    def _rates(self, x: Signal, lengths: Tensor) -> Trajectory:
        """Run one pass on rates; its trajectory holds no spikes."""
        steps = dense(x)
        inside = valid_steps(lengths, len(steps))[..., None]
        rate = steps.masked_fill(~inside, 0.0).sum(0) / lengths[:, None].to(steps.dtype)
        states: list[Any] = []
        for layer in self.hidden_layers:
            current = layer.current(rate)
            rate = clip_floor_shift(current / layer.neuron.threshold(), self.levels)  # type: ignore[operator]
            states.append(SpikingState(u=current, s=rate))
        output = self.readout.current(rate)
        states.append(ReadoutState(u=output))
        return Trajectory(
            output=output.expand(x.shape[0], -1, -1), lengths=lengths, spikes=(), u=(), state=tuple(states)
        )

    def _initial_states(self, x: Signal) -> tuple[Any, ...]:
        """Return the states before the first step: half a threshold in every neuron, so that counts are rounded."""
        states: list[Any] = []
        weight = self.readout.weight
        for layer in self.hidden_layers:
            silent = weight.new_zeros(x.shape[1], layer.neurons)
            half = 0.5 * layer.neuron.threshold().detach()  # type: ignore[operator]
            states.append(SpikingState(u=silent + half, s=silent))
        states.append(ReadoutState(u=weight.new_zeros(x.shape[1], self.readout.neurons)))
        return tuple(states)


def clip_floor_shift(rate: Tensor, levels: int) -> Tensor:
    """Round rates to the nearest multiple of 1/levels and clip them to 0..1.

    The gradient is 1 where the rounded rate lies within 0..1, bounds included, and 0 elsewhere. So it is also 1 for
    rates that are below 0, or above 1, by less than half a level.

    `rate`: current over threshold, of any shape. `levels`: number of levels above 0, L.

    >>> rate = torch.tensor([-0.2, -0.1, 0.13, 0.9, 1.1, 1.4], requires_grad=True)
    >>> sent = clip_floor_shift(rate, 4)
    >>> sent.tolist()
    [0.0, 0.0, 0.25, 1.0, 1.0, 1.0]
    >>> sent.sum().backward()
    >>> rate.grad.tolist()
    [0.0, 1.0, 1.0, 1.0, 1.0, 0.0]
    """
    rounded = torch.floor(rate * levels + 0.5) / levels
    return (rate + (rounded - rate).detach()).clamp(0.0, 1.0)


def _integrate_and_fire() -> Leaky:
    """Build neurons without a leak, whose one threshold learns, and whose reset subtracts it."""
    return Leaky(
        Zero(normalisation="raw", scale=1.0),  # no gradient goes through its spikes
        beta=1.0,
        threshold=1.0,
        reset="subtract",
        reset_gradient="detached",
        learn_beta="none",
        learn_threshold="shared",
    )
