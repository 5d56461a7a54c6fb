"""A steepness that is a learnt parameter."""

from sgbench.steepness.base import Steepness
from sgbench.surrogates.base import Surrogate


class Learned(Steepness):
    r"""Learns each layer's stretch c as a parameter, stored as its logarithm, initially 0.

    .. math:: \partial s/\partial\ln c := \partial\Psi/\partial\ln c

    for the sent value s, with :math:`\Psi` the primitive of the slope: the surrogate's for a step, that of both
    thresholds for signed spikes, the probability of a spike for drawn spikes.

    Source: a learnable width of a rectangle is the idea of Lian et al. 2023, IJCAI (LSG); for any primitive, the
    learnable alpha of BrainCog's surrogates.

    >>> from sgbench.surrogates.triangle import Triangle
    >>> surrogate = Triangle(slope=1.0, width_fwhm=None, normalisation="peak1", scale=1.0)
    >>> Learned().begin(surrogate)
    >>> [name for name, _ in surrogate.named_parameters()]
    ['log_stretch']
    """

    def begin(self, surrogate: Surrogate) -> None:
        """Give the surrogate a learnt stretch, initially 1.

        Raises:
            InputError: the slope of the surrogate, or of its firing, has no primitive.
        """
        surrogate.learn_stretch()

    def factor(self, progress: float) -> float:
        """Return 1: only the learnt parameter changes the steepness."""
        return 1.0
