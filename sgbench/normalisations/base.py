"""The interface of normalisations of hidden layers' currents, and of the modules that normalise one layer's."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from sgbench.errors import InputError, require_number


class CurrentLayer(Protocol):
    """Defines the attributes of a layer that a normalisation may use."""

    name: str

    @property
    def neuron(self) -> Any:
        """Return the layer's neurons, which may have a `threshold`."""
        ...

    @property
    def weight(self) -> Tensor:
        """Return the weights into the layer; each row is a channel with separate statistics."""
        ...

    @property
    def sums(self) -> int:
        """Return the number of currents per sample and step, channels times pixels."""
        ...


class Normaliser(nn.Module, ABC):
    r"""Normalises a layer's currents by statistics of the batch in training, by running statistics afterwards.

    .. math:: y = g \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + b

    with mean mu and variance sigma^2 of the currents x, learnt gain g and shift b. Only steps within a sample's
    length enter; after it the currents are 0. A single value has no variance and is normalised by the running
    statistics. These are buffers, so the weights file holds them.

    `sets`: leading sizes of the statistics, such as the number of steps; none for one set. `momentum`: weight of a new
    batch in the running statistics, above 0 and up to 1. `epsilon`: added to variances, above 0 [units of x squared].
    """

    folds: ClassVar[bool]  # whether it can be folded into weights and bias after training
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, layer: CurrentLayer, *sets: int, momentum: float, epsilon: float) -> None:
        super().__init__()
        self.layer_name = layer.name
        self.channels = layer.weight.shape[0]
        self.pixels = layer.sums // self.channels
        self.momentum = require_number("normalisation.momentum", momentum, low=0, high=1, open_low=True)
        self.epsilon = require_number("normalisation.epsilon", epsilon, low=0, open_low=True)
        shape = (*sets, self.channels)
        self.gain = nn.Parameter(torch.ones(shape, dtype=torch.float64))
        self.register_buffer("running_mean", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("running_var", torch.ones(shape, dtype=torch.float64))

    def forward(self, current: Tensor, valid: Tensor | None) -> Tensor:
        """Normalise the currents of all steps [T, B, channels x pixels].

        `valid`: [T, B], true for steps within a sample's length; None if all are.
        """
        if current.dim() < 3:  # noqa: PLR2004 - time, batch, currents
            raise InputError(f"layer '{self.layer_name}': normalisation needs the currents of all time steps at once")
        return self.over_time(current.unflatten(2, (self.channels, self.pixels)), valid).flatten(2)

    @abstractmethod
    def over_time(self, current: Tensor, valid: Tensor | None) -> Tensor:
        """Normalise the currents of all steps [T, B, channels, pixels]; `valid` as in `forward`."""

    def folded(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return weight and bias with the trained normalisation folded in, if `folds`; else both unchanged."""
        return weight, bias

    def batch(self, values: Tensor, mean: Tensor, variance: Tensor, gain: Tensor, shift: Tensor | None) -> Tensor:
        """Normalise values [M, channels, pixels] per channel; in training, update the running statistics in place.

        `values`: currents of M steps and samples. `mean`, `variance`: running statistics [channels]. `gain`: factor
        after normalisation [channels]. `shift`: added last [channels]; None for 0.
        """
        if not len(values):
            return values
        by_batch = self.training and len(values) * self.pixels > 1
        return nn.functional.batch_norm(values, mean, variance, gain, shift, by_batch, self.momentum, self.epsilon)


def normalise_valid(values: Tensor, valid: Tensor | None, normalise: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply `normalise` to the rows of values [M, ...] that `valid` [M] marks, and set the others to 0.

    With valid=None all rows are valid.
    """
    if valid is None:
        return normalise(values)
    out = torch.zeros_like(values)
    out[valid] = normalise(values[valid])
    return out


class ScaledBatchNorm(Normaliser):
    r"""Normalises all time steps, samples and pixels as one batch, times a scale; can be folded into the weights.

    .. math:: y = s \, g \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + b

    with currents x, their mean mu and variance sigma^2, learnt gain g and learnt shift b.

    `scale`: factor s; `momentum`: weight of a new batch in the running statistics, above 0 and up to 1; `epsilon`:
    added to variances, above 0 [units of x squared].
    """

    folds: ClassVar[bool] = True

    def __init__(self, layer: CurrentLayer, *, scale: float, momentum: float, epsilon: float) -> None:
        super().__init__(layer, momentum=momentum, epsilon=epsilon)
        self.scale = scale
        self.shift = nn.Parameter(torch.zeros(self.channels, dtype=torch.float64))

    def over_time(self, current: Tensor, valid: Tensor | None) -> Tensor:
        """Normalise currents [T, B, channels, pixels], all steps and samples as one batch."""
        rows = normalise_valid(
            current.flatten(0, 1),
            None if valid is None else valid.flatten(),
            lambda values: self.batch(values, self.running_mean, self.running_var, self.scale * self.gain, self.shift),
        )
        return rows.view_as(current)

    def folded(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return weights and bias that give the normalised currents at once, by the running statistics.

        The returned weights have the shape of `weight`, the bias is [channels].
        """
        slope = self.scale * self.gain * (self.running_var + self.epsilon).rsqrt()
        mean = self.running_mean if bias is None else self.running_mean - bias
        return weight * slope.view(-1, *[1] * (weight.dim() - 1)), self.shift - slope * mean


class Normalisation(ABC):
    """Normalises the feed-forward currents of each hidden layer; recurrent currents are added afterwards."""

    neutral: ClassVar[bool] = False  # whether it leaves all currents as they are

    @abstractmethod
    def of(self, layer: CurrentLayer) -> Normaliser | None:
        """Make the module that normalises one layer's currents; None if they stay as they are.

        Raises:
            InputError: the normalisation is not defined for this layer.
        """
