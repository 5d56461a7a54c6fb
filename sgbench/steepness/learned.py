"""A steepness that learns."""

from __future__ import annotations

from sgbench.steepness.base import Steepness
from sgbench.surrogates.base import Surrogate


class Learned(Steepness):
    r"""Learns each layer's stretch c as a parameter, whose logarithm the optimiser moves from 0 on.

    .. math:: \partial s/\partial\ln c := \partial\Psi/\partial\ln c

    with :math:`\Psi` the primitive of what is sent: the surrogate's for a step, the difference of both flanks for
    signed spikes, the probability for spikes that are drawn.

    Source: a learnable width of a rectangle is the idea of Lian et al. 2023, IJCAI (LSG); for any primitive, the
    learnable alpha of BrainCog's surrogates.

    >>> from sgbench.surrogates.triangle import Triangle
    >>> surrogate = Triangle(slope=1.0, width_fwhm=None, normalisation="peak1", scale=1.0)
    >>> Learned().begin(surrogate)
    >>> [name for name, _ in surrogate.named_parameters()]
    ['log_stretch']
    """

    def begin(self, surrogate: Surrogate) -> None:
        """Give the surrogate a stretch that is a parameter and starts from 1.

        Raises:
            InputError: what it sends has no primitive.
        """
        surrogate.learn_stretch()

    def factor(self, progress: float) -> float:
        """Return 1, as nothing but the parameter changes the steepness."""
        return 1.0
