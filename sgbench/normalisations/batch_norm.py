"""Batch normalisation over time and batch."""

from sgbench.normalisations.base import CurrentLayer, Normalisation, ScaledBatchNorm


class BatchNorm(Normalisation):
    r"""Normalises each channel by one mean and variance over all time steps, samples and pixels.

    .. math:: y = \gamma \frac{x - \mathrm E[x]}{\sqrt{\mathrm{Var}[x] + \varepsilon}} + b

    for currents x, with gamma (initially 1) and b (initially 0) learnt for each channel. `tdbn` also scales to the
    threshold. After training it is folded into the weights and a bias.

    Args:
        momentum: weight of a new batch in the running statistics, above 0 and up to 1.
        epsilon: added to variances, above 0 [units of x squared].

    Raises:
        InputError: a number out of range.

    Source: Ioffe & Szegedy 2015, ICML, arXiv:1502.03167; it is `torch.nn.BatchNorm1d` or 2d over steps and samples
    (tested), as Fang et al. 2021, arXiv:2102.04159 and SpikingJelly use it.

    >>> import torch
    >>> from types import SimpleNamespace as Made
    >>> layer = Made(name="hidden0", weight=torch.zeros(1, 2), sums=1, neuron=None)
    >>> normaliser = BatchNorm(momentum=0.1, epsilon=1e-5).of(layer).double()
    >>> y = normaliser(torch.tensor([[[1.0]], [[3.0]]], dtype=torch.float64), None)  # two steps of one sample
    >>> [round(each, 4) for each in y.flatten().tolist()]
    [-1.0, 1.0]
    """

    def __init__(self, *, momentum: float, epsilon: float) -> None:
        self.momentum, self.epsilon = momentum, epsilon

    def of(self, layer: CurrentLayer) -> ScaledBatchNorm:
        """Make the module that normalises one layer's currents, with a scale of 1."""
        return ScaledBatchNorm(layer, scale=1.0, momentum=self.momentum, epsilon=self.epsilon)
