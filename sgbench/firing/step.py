"""The step of a spiking neuron."""

from torch import Tensor

from sgbench.firing.base import Firing
from sgbench.surrogates.base import Surrogate


class Step(Firing):
    """Sends one spike above threshold: leaves the surrogate's own forward pass as it is.

    >>> import torch
    >>> from sgbench.surrogates.constant import Constant
    >>> Step().fire(torch.tensor([-0.1, 0.0, 0.1]), Constant(normalisation="peak1", scale=1.0))
    tensor([0., 0., 1.])
    """

    def begin(self, surrogate: Surrogate) -> None:
        """Leave the surrogate as it is, since it fires by a step already."""

    def fire(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        return surrogate.fire(u)
