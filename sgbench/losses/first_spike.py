"""The first-spike loss: cross-entropy on the times of the outputs' first spikes."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from fastspiking.signals.trajectory import Trajectory, valid_steps
from sgbench.errors import require_number
from sgbench.losses.base import Loss


class FirstSpike(Loss):
    r"""Computes the cross-entropy on the times of first output spikes; the output that spikes first is predicted.

    .. math:: L = -\ln \frac{e^{-t_c / \tau}}{\sum_k e^{-t_k / \tau}} + \gamma \, (e^{t_c / \tau_\gamma} - 1)

    c is the right class and :math:`t_k` the time of output k's first spike: `Trajectory.times` if the network has
    them, else the number of steps before it, :math:`\sum_t \prod_{t' \le t} (1 - s_k[t'])`, through which surrogate
    gradients flow. An output without a spike counts as firing at the sample's end. The second term rewards an early
    spike of the right output.

    Args:
        tau_s: tau, the unit in which times are compared [s].
        early: gamma, weight of the second term.
        tau_early_s: tau_gamma, time constant of the second term [s].
        dt_s: duration of a step [s].

    Raises:
        InputError: a parameter is out of range.

    Source: Göltz et al. 2021, Nature Machine Intelligence 3, equation 6; Mostafa 2017, IEEE Transactions on Neural
    Networks and Learning Systems 29(7).

    >>> output = torch.tensor([[[0.0, 0.0]], [[0.0, 1.0]], [[1.0, 1.0]]])
    >>> loss = FirstSpike(tau_s=0.002, early=0.0, tau_early_s=0.01, dt_s=0.001)
    >>> loss.logits(Trajectory(output, torch.tensor([3]))).tolist()  # after 2 steps and after 1
    [[-1.0, -0.5]]
    """

    readout: ClassVar[Literal["binary", "real", "any"]] = "binary"
    on_times: ClassVar[bool] = True

    def __init__(
        self, *, tau_s: float, early: float, tau_early_s: float, dt_s: float, label_smoothing: float = 0.0
    ) -> None:
        super().__init__(label_smoothing=label_smoothing)
        self.dt_s = require_number("loss.dt_s", dt_s, low=0, open_low=True)
        self.tau_s = require_number("loss.tau_s", tau_s, low=0, open_low=True)
        self.early = require_number("loss.early", early, low=0)
        self.tau_early_s = require_number("loss.tau_early_s", tau_early_s, low=0, open_low=True)

    def logits(self, trajectory: Trajectory) -> Tensor:
        return first_times(trajectory) * (-self.dt_s / self.tau_s)

    def whole(self, trajectory: Trajectory, target: Tensor) -> Tensor:
        return self.each(trajectory, target).mean()

    def each(self, trajectory: Trajectory, target: Tensor) -> Tensor:
        """Compute the loss of each sample [B]."""
        times = first_times(trajectory)
        loss = self.cross_entropy(times * (-self.dt_s / self.tau_s), target, reduction="none")
        if not self.early:
            return loss
        right = times.gather(1, target[:, None])[:, 0]
        return loss + self.early * (right * (self.dt_s / self.tau_early_s)).expm1()


def first_times(trajectory: Trajectory) -> Tensor:
    """Return the time of each output's first spike in steps [B, C]; without a spike, the sample's valid steps.

    >>> times = torch.tensor([[0.25, torch.inf]])
    >>> first_times(Trajectory(torch.zeros(5, 1, 2), torch.tensor([4]), times=times)).tolist()
    [[0.25, 4.0]]
    """
    output, lengths = trajectory.output, trajectory.lengths
    if trajectory.times is not None:
        return torch.where(trajectory.times.isfinite(), trajectory.times, lengths[:, None].to(output.dtype))
    inside = valid_steps(lengths, len(output))[..., None]
    silent_so_far = (1 - output.masked_fill(~inside, 0.0)).cumprod(0)
    return silent_so_far.masked_fill(~inside, 0.0).sum(0)
