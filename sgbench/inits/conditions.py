"""Conditions of stability for initial weights and surrogates (Herranz-Celotti & Rouat 2022)."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from fastspiking.spec import LinearSpec
from sgbench.errors import InputError, require_number
from sgbench.inits.base import DrivenLayer, Init, by_row, linear_numbers
from sgbench.surrogates.base import Surrogate

POINTS = 801  # of the numerical integral over potentials
WIDEST = 1e3  # the surrogate's width is searched from 1 / WIDEST to WIDEST times the given one


class ConditionedInit(Init):
    r"""Draws recurrent weights that fulfil conditions I and II, defined in `Centred`; feed-forward ones are normal.

    `entry`: name of the initialisation, for messages. `gain`: standard deviation of the feed-forward current for inputs
    of unit power. `input_power`: mean square E[x^2] of one input; 0.5 for spikes in every second step.
    """

    def __init__(self, entry: str, *, gain: float, input_power: float) -> None:
        self.entry = entry
        self.gain = require_number("init.gain", gain, low=0)
        self.input_power = require_number("init.input_power", input_power, low=0, open_low=True)

    @abstractmethod
    def finish(self, layer: DrivenLayer, neuron: LinearSpec) -> None:
        """Change the surrogate of a layer as the initialisation needs, once all its weights are drawn."""

    @torch.no_grad()
    def fill(
        self, weight: Tensor, fan_in: int, generator: torch.Generator, *, recurrent: bool, layer: DrivenLayer
    ) -> None:
        """Overwrite weights in place: normal feed-forward ones, or recurrent ones that fulfil conditions I and II.

        After the recurrent weights, which come last, `finish` may change the surrogate. See `Init.fill`.
        """
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
        mean = _recurrent_mean(neuron, fan_in)
        variance = 2 * self.gain**2 * self.input_power / fan_in - mean.square() / 2
        if bool((variance < 0).any()):
            raise InputError(
                f"init={self.entry}: {fan_in} recurrent inputs in layer '{layer.name}' cannot hold the potential "
                f"at threshold and vary as little as init.gain={self.gain:g} asks for; a larger gain is needed"
            )
        weight.copy_(by_row(mean, weight) + by_row(variance.sqrt(), weight) * normal)
        self.finish(layer, neuron)


def _recurrent_mean(neuron: LinearSpec, fan_in: int) -> Tensor:
    """Compute the mean recurrent weight that keeps the mean potential at threshold, a scalar or [N]."""
    beta, threshold, gain = (
        torch.as_tensor(coefficient, dtype=torch.float64)
        for coefficient in (neuron.decay, neuron.threshold, neuron.input)
    )
    return mean_factor(neuron.reset, beta) * threshold / (fan_in * gain)


def mean_factor(reset: str, beta: Tensor) -> Tensor:
    """Return m, the sum of recurrent weights that keeps the mean potential at threshold [thresholds].

    `beta`: decay of the potential per step, of any shape, which m has too.
    """
    lost = {"subtract": torch.ones_like(beta), "subtract_decayed": beta, "zero": beta, "none": 0 * beta}
    return 2 * (1 - beta) + lost[reset]


class PotentialStep(NamedTuple):
    r"""Holds a layer's Jacobian of potentials over one step, :math:`\beta + (V - \rho) \psi`, and their range."""

    decay: Tensor  # beta [N]
    weights: Tensor  # recurrent weights V times the neurons' input gain [N, N]; the first axis receives
    reset: Tensor  # rho, what an attached reset subtracts per spike [N]
    lowest: Tensor  # potential minus threshold that inputs of 0 and 1 can reach at least [N]
    highest: Tensor  # the largest that they can reach [N]

    @staticmethod
    def of(entry: str, layer: DrivenLayer, neuron: LinearSpec) -> PotentialStep:
        """Compute the step of a recurrent layer; `entry` is the name of the initialisation, for messages.

        The range is that of a constant excitation, or inhibition, by all inputs and neurons at once.
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
        zeros = torch.zeros(layer.neurons, dtype=torch.float64)
        beta, theta, gain = (
            torch.as_tensor(coefficient, dtype=torch.float64).detach() + zeros
            for coefficient in (neuron.decay, neuron.threshold, neuron.input)
        )
        if bool((beta >= 1).any()):
            raise InputError(f"init={entry}: potentials without a leak have no bounds; use neuron.beta below 1")
        weights = gain[:, None] * layer.recurrent.detach()
        inputs = gain[:, None] * layer.weight.detach()
        lost_per_spike = {"subtract": theta, "subtract_decayed": beta * theta}.get(neuron.reset, zeros)
        excitation, inhibition = ((sign * weights).relu().sum(1) + (sign * inputs).relu().sum(1) for sign in (1, -1))
        return PotentialStep(
            decay=beta,
            weights=weights,
            reset=zeros if neuron.detached else lost_per_spike,
            lowest=(-inhibition - lost_per_spike) / (1 - beta) - theta,
            highest=excitation / (1 - beta) - theta,
        )

    def largest_growth(self, height: float) -> Tensor:
        r"""Compute the largest factor by which one step back can change a gradient, if all slopes are the height h.

        .. math:: \max_j \Big( |\beta_j + h (V_{jj} - \rho_j)| + h \sum_{i \ne j} |V_{ij}| \Big)
        """
        own, others = self._own_and_others()
        return ((self.decay + height * own).abs() + height * others).max()

    def _own_and_others(self) -> tuple[Tensor, Tensor]:
        """Return V_jj - rho_j, and the sum of |V_ij| over all other neurons i, for each neuron j; each [N]."""
        own = self.weights.diagonal()
        return own - self.reset, self.weights.abs().sum(0) - own.abs()

    def height_of_bound(self) -> float:
        """Compute the smallest slope h at which `largest_growth` is 1."""
        own, others = self._own_and_others()
        height = (1 - self.decay) / (own + others).clamp(min=0)
        turned = self.decay + height * own < 0  # the absolute value changes sign before this height
        return torch.where(turned, (1 + self.decay) / (others - own), height).min().item()

    def growth(self, surrogate: Surrogate, width: float) -> Tensor:
        r"""Compute the factor of gradients' mean square over one step back, for independent gradients of mean 0.

        .. math:: \frac1n \sum_j \mathrm E \Big[ (\beta_j + (V_{jj} - \rho_j) \psi_j)^2
            + \psi_j^2 \sum_{i \ne j} V_{ij}^2 \Big]

        with n neurons and potentials evenly distributed from `lowest` to `highest`.
        """
        first, second = self._moments(surrogate, width)
        own = self.weights.diagonal() - self.reset
        others = self.weights.square().sum(0) - self.weights.diagonal().square()
        return (self.decay.square() + 2 * self.decay * own * first + (own.square() + others) * second).mean()

    def _moments(self, surrogate: Surrogate, width: float) -> tuple[Tensor, Tensor]:
        """Integrate E[psi] and E[psi^2] of each neuron [N] numerically, over u = scale sinh(point).

        The substitution places most points near threshold, where the slope is steep.
        """
        scale = width * (surrogate.fwhm or 1.0)
        low, high = (torch.asinh(end / scale) for end in (self.lowest, self.highest))
        share = torch.linspace(0, 1, POINTS, dtype=torch.float64)[:, None]
        point = low + share * (high - low)
        slope = surrogate.derivative(scale * torch.sinh(point) / width)
        density = scale * torch.cosh(point) / (self.highest - self.lowest)
        return tuple(torch.trapezoid(slope**power * density, point, dim=0) for power in (1, 2))  # type: ignore[return-value]

    def width_of_balance(self, surrogate: Surrogate) -> float | None:
        """Find by bisection the factor on the surrogate's width at which `growth` is 1.

        None if gradients still shrink at the largest width, `WIDEST`.
        """
        low, high = 1 / WIDEST, WIDEST
        if self.growth(surrogate, high) < 1:
            return None
        for _ in range(60):
            middle = (low * high) ** 0.5
            low, high = (low, middle) if self.growth(surrogate, middle) > 1 else (middle, high)
        return high
