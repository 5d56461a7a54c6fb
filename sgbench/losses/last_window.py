"""The cross-entropy of the mean output in a window at each sample's end."""

from sgbench.losses.base import WindowLoss


class LastWindow(WindowLoss):
    r"""Computes the cross-entropy of the mean output, :math:`\frac{1}{W_b} \sum_{t = T_b - W_b}^{T_b - 1} y[t]`.

    y[t] is the output in step t, T_b the number of valid steps of sample b, and W_b the window in steps, at most
    T_b. It is for tasks whose answer is due at the end; earlier outputs do not count.

    Args:
        window_s: duration of the window [s].

    Source: Bellec et al. 2020, Nature Communications 11:3625 (evidence accumulation, loss during recall).

    >>> import torch
    >>> from fastspiking.signals.trajectory import Trajectory
    >>> output = torch.tensor([[[9.0, 9.0]], [[1.0, 2.0]], [[3.0, 4.0]], [[7.0, 7.0]]])
    >>> LastWindow(window_s=0.002, dt_s=0.001).logits(Trajectory(output, torch.tensor([3]))).tolist()
    [[2.0, 3.0]]
    """
