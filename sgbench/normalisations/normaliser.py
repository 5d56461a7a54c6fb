"""What normalises the currents of one layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from sgbench.errors import InputError, require_number


class CurrentLayer(Protocol):
    """Defines what a normalisation may ask of a layer."""

    name: str

    @property
    def neuron(self) -> Any:
        """Return the layer's neurons, with their threshold where they have one."""
        ...

    @property
    def weight(self) -> Tensor:
        """Return the weights into the layer; each row has statistics of its own."""
        ...

    @property
    def sums(self) -> int:
        """Count the currents that the layer's weights sum up in one step."""
        ...


class Normaliser(nn.Module, ABC):
    r"""Normalises a layer's currents by the batch's own statistics in training, by running ones afterwards.

    .. math:: y = g \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + b

    Statistics are of the steps within each sample's length; after it the currents are 0. A single value has no
    variance and is normalised by the running statistics. These are buffers, and so a part of the weights file.

    Args:
        layer: whose currents they are.
        sets: sizes in front of the channels, of statistics that are kept apart.
        momentum: share of a new batch in the running statistics.
        epsilon: added to variances.
    """

    folds: ClassVar[bool]  # whether it can go into weights and bias once it is trained
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
        """Normalise currents of all steps [T, B, channels x pixels]; `valid` [T, B] marks those within samples.

        Raises:
            InputError: a single step is given.
        """
        if current.dim() < 3:  # noqa: PLR2004 - time, batch, currents
            raise InputError(
                f"layer '{self.layer_name}': normalisation needs the currents of all time steps at once"
            )
        return self.over_time(current.unflatten(2, (self.channels, self.pixels)), valid).flatten(2)

    @abstractmethod
    def over_time(self, current: Tensor, valid: Tensor | None) -> Tensor:
        """Normalise the currents of all steps [T, B, channels, pixels], channels and pixels apart."""

    def folded(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return weight and bias with the normalisation in them where that is possible; here both as they are."""
        return weight, bias

    def batch(
        self, values: Tensor, mean: Tensor, variance: Tensor, gain: Tensor, shift: Tensor | None
    ) -> Tensor:
        """Normalise values [M, channels, pixels] and, in training, move the running statistics in place."""
        if not len(values):
            return values
        single = len(values) * self.pixels == 1
        return nn.functional.batch_norm(
            values, mean, variance, gain, shift, self.training and not single, self.momentum, self.epsilon
        )


def within(values: Tensor, valid: Tensor | None, normalise: Any) -> Tensor:
    """Normalise the valid rows of values [M, ...] by a function, and set the others to 0."""
    if valid is None:
        return normalise(values)
    out = torch.zeros_like(values)
    out[valid] = normalise(values[valid])
    return out


class ScaledBatchNorm(Normaliser):
    r"""Normalises all time steps, samples and pixels as one batch, to a scale, and can go into the weights.

    .. math:: y = s \, g \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + b

    Args:
        layer: whose currents they are.
        scale: s.
        momentum: share of a new batch in the running statistics.
        epsilon: added to variances.
    """

    folds: ClassVar[bool] = True

    def __init__(self, layer: CurrentLayer, *, scale: float, momentum: float, epsilon: float) -> None:
        super().__init__(layer, momentum=momentum, epsilon=epsilon)
        self.scale = scale
        self.shift = nn.Parameter(torch.zeros(self.channels, dtype=torch.float64))

    def over_time(self, current: Tensor, valid: Tensor | None) -> Tensor:
        """Normalise all steps and samples as one batch, [T, B, channels, pixels]."""
        rows = within(
            current.flatten(0, 1),
            None if valid is None else valid.flatten(),
            lambda values: self.batch(
                values, self.running_mean, self.running_var, self.scale * self.gain, self.shift
            ),
        )
        return rows.view_as(current)

    def folded(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return weights scaled by the normalisation, and the bias that it comes to."""
        slope = self.scale * self.gain * (self.running_var + self.epsilon).rsqrt()
        start = self.running_mean if bias is None else self.running_mean - bias
        return weight * slope.view(-1, *[1] * (weight.dim() - 1)), self.shift - slope * start
