"""Conditions of stability that weights, and the surrogates behind them, are to meet at the start."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from sgbench.engine.spec import LinearSpec
from sgbench.errors import InputError, require_number
from sgbench.inits.base import DrivenLayer, Init, by_row, linear_numbers
from sgbench.surrogates.base import Surrogate

POINTS = 801  # of an integral over potentials
WIDEST = 1e3  # times as wide, or as narrow, as given


class ConditionedInit(Init):
    r"""Draws recurrent weights under conditions I and II of Herranz-Celotti & Rouat; feed-forward ones are normal.

    Args:
        entry: its name.
        gain: standard deviation of the feed-forward current for inputs of unit power.
        input_power: E[x^2] of one input; 0.5 for spikes in every second step.
    """

    def __init__(self, entry: str, *, gain: float, input_power: float) -> None:
        self.entry = entry
        self.gain = require_number("init.gain", gain, low=0)
        self.input_power = require_number("init.input_power", input_power, low=0, open_low=True)

    @abstractmethod
    def finish(self, layer: DrivenLayer, neuron: LinearSpec) -> None:
        """Fit the surrogate to a layer whose weights have all been drawn."""

    @torch.no_grad()
    def fill(
        self, weight: Tensor, fan_in: int, generator: torch.Generator, *, recurrent: bool, layer: DrivenLayer
    ) -> None:
        """Overwrite weights in place: feed-forward ones normal, recurrent ones under conditions I and II."""
        neuron = linear_numbers(self.entry, layer)
        if neuron.surrogate is not None and (layer.recurrent is None or neuron.second is not None):
            remedy = "network.recurrence=all_to_all with neuron=leaky, or init=fluctuation"
            raise InputError(
                f"init={self.entry}: layer '{layer.name}' needs recurrent weights and neurons whose only state is "
                # A readout never recurs, so that one which fires has no other remedy.
                f"a potential; use {'init=fluctuation' if layer.name == 'readout' else remedy}"
            )
        normal = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        if not recurrent:
            weight.copy_(self.gain * fan_in**-0.5 * normal)
            return
        mean = _mean(neuron, fan_in)
        variance = 2 * self.gain**2 * self.input_power / fan_in - mean.square() / 2
        if bool((variance < 0).any()):
            raise InputError(
                f"init={self.entry}: {fan_in} recurrent inputs in layer '{layer.name}' cannot hold the potential "
                f"at threshold and vary as little as init.gain={self.gain:g} asks for; a larger gain is needed"
            )
        weight.copy_(by_row(mean, weight) + by_row(variance.sqrt(), weight) * normal)
        self.finish(layer, neuron)


def _mean(neuron: LinearSpec, fan_in: int) -> Tensor:
    """Compute the recurrent weights' mean, under which the mean potential stays at threshold, one or [N]."""
    beta, threshold, gain = (
        torch.as_tensor(coefficient, dtype=torch.float64)
        for coefficient in (neuron.decay, neuron.threshold, neuron.input)
    )
    return mean_factor(neuron.reset, beta) * threshold / (fan_in * gain)


def mean_factor(reset: str, beta: Tensor) -> Tensor:
    """Return the sum of recurrent weights, in thresholds, under which the mean potential stays at threshold."""
    paid = {"subtract": torch.ones_like(beta), "subtract_decayed": beta, "zero": beta, "none": 0 * beta}
    return 2 * (1 - beta) + paid[reset]


class PotentialStep(NamedTuple):
    r"""Says how the potentials of one step move with those of the step before, :math:`\beta + (V - \rho) \psi`."""

    decay: Tensor  # beta [N]
    weights: Tensor  # V, gain included [N, N]; the first axis receives
    reset: Tensor  # rho, what an attached reset takes for a spike [N]
    lowest: Tensor  # potential minus threshold that inputs of 0 and 1 can drive to [N]
    highest: Tensor

    @staticmethod
    def of(entry: str, layer: DrivenLayer, neuron: LinearSpec) -> PotentialStep:
        """Describe the step of a layer with recurrence among all neurons, whose gradient is not cut.

        Raises:
            InputError: another recurrence, a reset to zero whose gradient is attached, or no leak.
        """
        if layer.recurrent is None or layer.recurrent.dim() != 2 or getattr(layer, "cut", False):  # noqa: PLR2004
            raise InputError(
                f"init={entry}: is about gradients through recurrent weights; use network.recurrence=all_to_all "
                f"and network.recurrence_gradient=full"
            )
        if neuron.reset == "zero" and not neuron.detached:
            raise InputError(
                f"init={entry}: an attached reset to zero depends on the potential; use "
                f"neuron.reset_gradient=detached or neuron.reset=subtract"
            )
        room = torch.zeros(layer.neurons, dtype=torch.float64)
        beta, theta, gain = (
            torch.as_tensor(coefficient, dtype=torch.float64).detach() + room
            for coefficient in (neuron.decay, neuron.threshold, neuron.input)
        )
        if bool((beta >= 1).any()):
            raise InputError(
                f"init={entry}: potentials without a leak have no bounds; use neuron.beta below 1"
            )
        weights = gain[:, None] * layer.recurrent.detach()
        inputs = gain[:, None] * layer.weight.detach()
        paid = {"subtract": theta, "subtract_decayed": beta * theta}.get(neuron.reset, room)
        above, below = ((sign * weights).relu().sum(1) + (sign * inputs).relu().sum(1) for sign in (1, -1))
        return PotentialStep(
            beta,
            weights,
            room if neuron.detached else paid,
            (-below - paid) / (1 - beta) - theta,
            above / (1 - beta) - theta,
        )

    def largest(self, height: float) -> Tensor:
        r"""Compute by how much a gradient can grow in one step back, where slopes lie between 0 and a height.

        .. math:: \max_j \Big( |\beta_j + h (V_{jj} - \rho_j)| + h \sum_{i \ne j} |V_{ij}| \Big)
        """
        own, others = self._reach()
        return ((self.decay + height * own).abs() + height * others).max()

    def _reach(self) -> tuple[Tensor, Tensor]:
        """Return the gain of a neuron's slope to itself and, per size of weights, to all others [N]."""
        own = self.weights.diagonal()
        return own - self.reset, self.weights.abs().sum(0) - own.abs()

    def height_of_bound(self) -> float:
        """Find the height of the slope at which the neuron that reaches it first has a growth of 1."""
        own, others = self._reach()
        growing = (1 - self.decay) / (own + others).clamp(min=0)
        turned = self.decay + growing * own < 0  # the reset takes more than the leak keeps
        return torch.where(turned, (1 + self.decay) / (others - own), growing).min().item()

    def growth(self, surrogate: Surrogate, width: float) -> Tensor:
        r"""Compute a gradient's mean square one step back, over that of independent ones of mean 0 in this step.

        .. math:: \frac1n \sum_j \mathrm E \Big[ (\beta_j + (V_{jj} - \rho_j) \psi_j)^2
            + \psi_j^2 \sum_{i \ne j} V_{ij}^2 \Big]

        with potentials evenly distributed between the bounds, and a surrogate so many times as wide.
        """
        first, second = self._moments(surrogate, width)
        own = self.weights.diagonal() - self.reset
        others = self.weights.square().sum(0) - self.weights.diagonal().square()
        return (self.decay.square() + 2 * self.decay * own * first + (own.square() + others) * second).mean()

    def _moments(self, surrogate: Surrogate, width: float) -> tuple[Tensor, Tensor]:
        """Integrate E[psi] and E[psi^2] of each neuron [N], at points that lie close where the slope is steep."""
        scale = width * (surrogate.fwhm or 1.0)
        low, high = (torch.asinh(end / scale) for end in (self.lowest, self.highest))
        share = torch.linspace(0, 1, POINTS, dtype=torch.float64)[:, None]
        point = low + share * (high - low)
        slope = surrogate.derivative(scale * torch.sinh(point) / width)
        density = scale * torch.cosh(point) / (self.highest - self.lowest)
        return tuple(torch.trapezoid(slope**power * density, point, dim=0) for power in (1, 2))  # type: ignore[return-value]

    def width_of_balance(self, surrogate: Surrogate) -> float | None:
        """Find by bisection the surrogate's width at which gradients keep their size; None if they always fade."""
        low, high = 1 / WIDEST, WIDEST
        if self.growth(surrogate, high) < 1:
            return None
        for _ in range(60):
            middle = (low * high) ** 0.5
            low, high = (low, middle) if self.growth(surrogate, middle) > 1 else (middle, high)
        return high
