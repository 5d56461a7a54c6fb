"""Batch normalisation over time and batch, scaled by the threshold."""

import torch

from sgbench.errors import InputError, require_number
from sgbench.normalisations.base import CurrentLayer, Normalisation, ScaledBatchNorm


class Tdbn(Normalisation):
    r"""Normalises each channel over all time steps, samples and pixels, and scales it to the threshold.

    .. math:: y = \lambda \, \alpha \theta \frac{x - \mathrm E[x]}{\sqrt{\mathrm{Var}[x] + \varepsilon}} + b

    for currents x, with lambda (initially 1) and b (initially 0) learnt for each channel. theta is the layer's
    initial threshold, averaged over its neurons. After training it is folded into the weights and a bias.

    Args:
        alpha: factor on the threshold, above 0; 1 in networks without parallel branches.
        momentum: weight of a new batch in the running statistics, above 0 and up to 1.
        epsilon: added to variances, above 0 [units of x squared].

    Raises:
        InputError: a value out of range, or neurons without a threshold.

    Source: Zheng, Wu, Deng, Hu & Li 2021, AAAI 35(12). With alpha theta = 1 it is
    `torch.nn.BatchNorm1d` or 2d over steps and samples (tested). SpikingJelly starts lambda at alpha theta
    instead: the currents are equal, the learning speed differs.

    >>> from types import SimpleNamespace as Made
    >>> layer = Made(name="hidden0", weight=torch.zeros(1, 2), sums=1, neuron=Made(threshold=lambda: 0.5))
    >>> normaliser = Tdbn(alpha=1.0, momentum=0.1, epsilon=1e-5).of(layer).double()
    >>> y = normaliser(torch.tensor([[[1.0]], [[3.0]]], dtype=torch.float64), None)  # two steps of one sample
    >>> [round(each, 4) for each in y.flatten().tolist()]
    [-0.5, 0.5]
    """

    def __init__(self, *, alpha: float, momentum: float, epsilon: float) -> None:
        self.alpha = require_number("normalisation.alpha", alpha, low=0, open_low=True)
        self.momentum, self.epsilon = momentum, epsilon

    def of(self, layer: CurrentLayer) -> ScaledBatchNorm:
        """Make the module that normalises one layer's currents, with the scale alpha theta."""
        threshold = getattr(layer.neuron, "threshold", None)
        if threshold is None:
            raise InputError(
                f"normalisation=tdbn: the neurons of layer '{layer.name}' have no threshold to scale to; "
                f"use normalisation=bntt"
            )
        value = torch.as_tensor(threshold() if callable(threshold) else threshold, dtype=torch.float64)
        scale = self.alpha * value.mean().item()
        return ScaledBatchNorm(layer, scale=scale, momentum=self.momentum, epsilon=self.epsilon)
