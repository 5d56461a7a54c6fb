"""Weights for a target mean and standard deviation of the membrane potential."""

import torch
from torch import Tensor

from fastspiking.spec import LinearSpec
from sgbench.errors import InputError, require_number
from sgbench.inits.base import DrivenLayer, Init, by_row, linear_numbers


class Fluctuation(Init):
    r"""Draws normal weights under which Poisson input gives the potential a chosen mean and standard deviation.

    .. math::
        \mu_W = \frac{\mu_U}{n_\mathrm{all} \, \nu dt \, \bar\epsilon}, \qquad
        \sigma_W^2 = \frac{a \, \sigma_U^2}{n \, \nu dt \, \hat\epsilon} - \mu_W^2, \qquad
        \bar\epsilon = \sum_k \epsilon[k], \quad \hat\epsilon = \sum_k \epsilon[k]^2

    with the response :math:`\epsilon[k]` of the potential, k steps after a unit of current, without reset, computed
    for each neuron. n counts the inputs of one kind, feed-forward or recurrent, and :math:`n_\mathrm{all}` those of
    both. a is `feedforward_share`, 1 minus it for recurrent weights, or 1 in layers without recurrence. The mean
    potentials of single neurons scatter about mu_U, as their weights are random; sigma_U is the deviation over
    time. Inputs with at most one spike per step have 1 - nu dt of the variance of Poisson input.

    Args:
        mu_u: mu_U, mean potential without spikes [units of u].
        sigma_u: sigma_U, standard deviation of the potential over time [units of u]; a third to all of the distance
            from mean to threshold is recommended.
        rate_hz: nu, firing rate of one input [Hz]; the same for all layers.
        dt_s: duration of a step [s].
        feedforward_share: share of the variance that feed-forward inputs cause in a recurrent layer.

    Raises:
        InputError: neurons whose potential is not linear in one current or does not decay, or a mean so large that
            the variance of the weights would be negative.

    Source: Rossbroich, Gygax & Zenke 2022, Neuromorphic Computing and Engineering 2(4) 044016, equations for mu_W
    and sigma_W; the division among recurrent layers as in their library stork.

    >>> kernel = responses(LinearSpec(surrogate=None, reset="none", detached=True, decay=0.5))
    >>> [round(total.item(), 6) for total in kernel]  # sum of 0.5^k, sum of 0.25^k
    [2.0, 1.333333]
    """

    def __init__(self, *, mu_u: float, sigma_u: float, rate_hz: float, dt_s: float, feedforward_share: float) -> None:
        self.mu_u = require_number("init.mu_u", mu_u)
        self.sigma_u = require_number("init.sigma_u", sigma_u, low=0, open_low=True)
        self.rate_hz = require_number("init.rate_hz", rate_hz, low=0, open_low=True)
        self.dt_s = require_number("init.dt_s", dt_s, low=0, open_low=True)
        self.share = require_number("init.feedforward_share", feedforward_share, low=0, high=1)

    @torch.no_grad()
    def fill(
        self, weight: Tensor, fan_in: int, generator: torch.Generator, *, recurrent: bool, layer: DrivenLayer
    ) -> None:
        """Overwrite weights in place by normal ones with mean mu_W and deviation sigma_W; see `Init.fill`."""
        total, power = responses(linear_numbers("fluctuation", layer))
        spikes_per_step = self.rate_hz * self.dt_s
        weights = [layer.weight] if layer.recurrent is None else [layer.weight, layer.recurrent]
        share = 1.0 if len(weights) == 1 else 1 - self.share if recurrent else self.share
        all_inputs = sum(each[0].numel() for each in weights)
        mean = self.mu_u / (all_inputs * spikes_per_step * total)
        variance = share * self.sigma_u**2 / (fan_in * spikes_per_step * power) - mean.square()
        if bool((variance < 0).any()):
            raise InputError(
                f"init.mu_u={self.mu_u:g}: weights of that mean alone exceed init.sigma_u={self.sigma_u:g} in "
                f"layer '{layer.name}'; a larger sigma_u or rate_hz is needed"
            )
        normal = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        weight.copy_(by_row(mean, weight) + by_row(variance.sqrt(), weight) * normal)


def responses(neuron: LinearSpec) -> tuple[Tensor, Tensor]:
    r"""Compute the sums over time of the potential's response to a unit of current, and of its square.

    With (w, u) as state x, one step is x' = A x + b I; the response is the last entry of :math:`A^k b`.

    Returns:
        Both sums, scalars or [N], in float64.

    Raises:
        InputError: the response does not decay.
    """
    decay, gain, coupling, second_decay, second_potential, second_gain = torch.broadcast_tensors(
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
    rows = [second_decay, second_potential, coupling * second_decay, decay + coupling * second_potential]
    a = torch.stack(rows, -1).unflatten(-1, (2, 2))
    b = torch.stack([second_gain, gain + coupling * second_gain], -1)[..., None]
    if bool((torch.linalg.eigvals(a).abs() >= 1).any()):
        raise InputError("init=fluctuation: a potential that does not decay has no variance; use a decay below 1")
    total = torch.linalg.solve(torch.eye(2, dtype=a.dtype) - a, b)[..., 1, 0]
    # The covariance X under white input of unit variance solves X = A X A' + b b', here as 4 linear equations.
    kronecker = torch.einsum("...ij,...kl->...ikjl", a, a).flatten(-4, -3).flatten(-2)
    covariance = torch.linalg.solve(torch.eye(4, dtype=a.dtype) - kronecker, (b @ b.mT).flatten(-2)[..., None])
    return total, covariance[..., 3, 0]
