"""Weights for a target mean and fluctuation of the membrane potential."""

from __future__ import annotations

import torch
from torch import Tensor

from sgbench.engine.spec import LinearSpec
from sgbench.errors import InputError, require_number
from sgbench.inits.base import DrivenLayer, Init, by_row, linear_numbers


class Fluctuation(Init):
    r"""Draws normal weights under which Poisson input gives the potential a chosen mean and standard deviation.

    .. math::
        \mu_W = \frac{\mu_U}{n_\mathrm{all} \, \nu dt \, \bar\epsilon}, \qquad
        \sigma_W^2 = \frac{a \, \sigma_U^2}{n \, \nu dt \, \hat\epsilon} - \mu_W^2, \qquad
        \bar\epsilon = \sum_k \epsilon[k], \quad \hat\epsilon = \sum_k \epsilon[k]^2

    with the response :math:`\epsilon[k]` of the potential, k steps after a unit of current, without reset. It is
    taken from the neurons' own numbers, per neuron where they differ. n counts the inputs of one kind,
    :math:`n_\mathrm{all}` those of both; a is `feedforward_share`, or 1 minus it for recurrent weights, or 1 where
    there are none. The means of single neurons scatter about mu_U, as their weights are drawn; sigma_U is the
    deviation over time. Spikes of at most one a step have 1 - nu dt of the variance of Poisson input.

    Args:
        mu_u: mean of the potential that never fires [units of u].
        sigma_u: its standard deviation; a third to all of the distance from the mean to threshold is recommended.
        rate_hz: nu, rate of one input [Hz]; the same for all layers.
        dt_s: duration of a step [s].
        feedforward_share: of the variance, where a layer is recurrent as well.

    Raises:
        InputError: neurons whose potential is not linear in one current or does not decay, or a mean that the
            variance leaves no room for.

    Source: Rossbroich, Gygax & Zenke 2022, Neuromorphic Computing and Engineering 2(4) 044016, equations for mu_W
    and sigma_W; the division among recurrent layers as in their library stork.

    >>> kernel = responses(LinearSpec(surrogate=None, reset="none", detached=True, decay=0.5))
    >>> [round(total.item(), 6) for total in kernel]  # sum of 0.5^k, sum of 0.25^k
    [2.0, 1.333333]
    """

    def __init__(
        self, *, mu_u: float, sigma_u: float, rate_hz: float, dt_s: float, feedforward_share: float
    ) -> None:
        self.mu_u = require_number("init.mu_u", mu_u)
        self.sigma_u = require_number("init.sigma_u", sigma_u, low=0, open_low=True)
        self.rate_hz = require_number("init.rate_hz", rate_hz, low=0, open_low=True)
        self.dt_s = require_number("init.dt_s", dt_s, low=0, open_low=True)
        self.share = require_number("init.feedforward_share", feedforward_share, low=0, high=1)

    @torch.no_grad()
    def fill(
        self, weight: Tensor, fan_in: int, generator: torch.Generator, *, recurrent: bool, layer: DrivenLayer
    ) -> None:
        """Overwrite weights in place by normal ones that give the potential its mean and standard deviation."""
        total, power = responses(linear_numbers("fluctuation", layer))
        spikes = self.rate_hz * self.dt_s
        kinds = [weight for weight in (layer.weight, layer.recurrent) if weight is not None]
        share = 1.0 if len(kinds) == 1 else 1 - self.share if recurrent else self.share
        mean = self.mu_u / (sum(kind[0].numel() for kind in kinds) * spikes * total)
        variance = share * self.sigma_u**2 / (fan_in * spikes * power) - mean.square()
        if bool((variance < 0).any()):
            raise InputError(
                f"init.mu_u={self.mu_u:g}: weights of that mean alone exceed init.sigma_u={self.sigma_u:g} in "
                f"layer '{layer.name}'; a larger sigma_u or rate_hz is needed"
            )
        normal = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        weight.copy_(by_row(mean, weight) + by_row(variance.sqrt(), weight) * normal)


def responses(neuron: LinearSpec) -> tuple[Tensor, Tensor]:
    r"""Add up the potential's response to a unit of current, and its squares; numbers or [N], float64.

    With (w, u) as state, one step is x' = A x + b I; the response is the last entry of :math:`A^k b`.

    Raises:
        InputError: the response does not decay.
    """
    decay, put, couple, keep, leak, feed = torch.broadcast_tensors(
        *(
            torch.as_tensor(coefficient, dtype=torch.float64).detach()
            for coefficient in (
                neuron.decay,
                neuron.input,
                neuron.coupling,
                neuron.second_decay,
                neuron.second_potential,
                neuron.second_input,
            )
        )
    )
    step = torch.stack([keep, leak, couple * keep, decay + couple * leak], -1).unflatten(-1, (2, 2))
    kick = torch.stack([feed, put + couple * feed], -1)[..., None]
    if bool((torch.linalg.eigvals(step).abs() >= 1).any()):
        raise InputError(
            "init=fluctuation: a potential that does not decay has no variance; use a decay below 1"
        )
    total = torch.linalg.solve(torch.eye(2, dtype=step.dtype) - step, kick)[..., 1, 0]
    # The covariance X under white input of unit variance solves X = A X A' + b b'; stacked, 4 linear equations.
    twice = torch.einsum("...ij,...kl->...ikjl", step, step).flatten(-4, -3).flatten(-2)
    covariance = torch.linalg.solve(
        torch.eye(4, dtype=step.dtype) - twice, (kick @ kick.mT).flatten(-2)[..., None]
    )
    return total, covariance[..., 3, 0]
