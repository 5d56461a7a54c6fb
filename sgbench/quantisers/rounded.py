"""Weights that are rounded once training is over."""

from torch import Tensor

from sgbench.quantisers.uniform import Uniform


class Rounded(Uniform):
    r"""Leaves weights as they are in training, and rounds them to b bits in evaluation (post-training rounding).

    .. math:: q = w \text{ in training}, \qquad q = s \, \mathrm{round}(w / s) \text{ otherwise}

    for real weights w, used weights q and the unit s of `Uniform`. Gradients are those of the network with real
    weights. Each epoch is validated with rounded weights, so the best epoch of the rounded network is selected.

    Raises:
        InputError: a value out of range.

    >>> import torch
    >>> two = Rounded(bits=2, scale="layer", power_of_two=True)
    >>> weight = torch.tensor([0.9, 0.3])
    >>> torch.equal(two.train()(weight), weight), two.eval()(weight).tolist()
    (True, [1.0, 0.0])

    Source: Krishnamoorthi 2018, arXiv:1806.08342, section 2.
    """

    def __init__(self, *, bits: int, scale: str, power_of_two: bool) -> None:
        super().__init__(bits=bits, scale=scale, power_of_two=power_of_two, gradient="straight_through", sharpness=1.0)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the real weights in training, rounded ones otherwise."""
        return weight if self.training else super().forward(weight)
