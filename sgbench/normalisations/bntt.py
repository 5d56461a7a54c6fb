"""Batch normalisation with statistics of each time step."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from sgbench.errors import InputError, require_count
from sgbench.normalisations.base import CurrentLayer, Normalisation, Normaliser, normalise_valid


class Bntt(Normalisation):
    r"""Normalises batches through time: mean, variance and gain of each time step and channel, and no shift.

    .. math:: y[t] = \gamma[t] \frac{x[t] - \mu[t]}{\sqrt{\sigma^2[t] + \varepsilon}}

    for currents x with mean mu and variance sigma^2 over samples and pixels; gamma is learnt, initially 1. As gamma
    depends on the step, it cannot be folded into the weights after training: each current costs a multiplication
    and an addition.

    Args:
        steps: number of time steps of the longest sequence allowed.
        momentum: weight of a new batch in the running statistics, above 0 and up to 1.
        epsilon: added to variances, above 0 [units of x squared].

    Raises:
        InputError: a value out of range, or a longer sequence.

    Source: Kim & Panda 2021, Frontiers in Neuroscience 15:773954. Each step is
    `torch.nn.BatchNorm1d` or 2d without shift (tested).

    >>> from types import SimpleNamespace as Made
    >>> layer = Made(name="hidden0", weight=torch.zeros(1, 2), sums=1, neuron=None)
    >>> normaliser = Bntt(steps=2, momentum=0.1, epsilon=1e-5).of(layer)
    >>> current = torch.tensor([[[1.0], [3.0]], [[7.0], [5.0]]], dtype=torch.float64)  # two steps of two samples
    >>> normaliser(current, None).round(decimals=3).flatten().tolist()
    [-1.0, 1.0, 1.0, -1.0]
    """

    def __init__(self, *, steps: int, momentum: float, epsilon: float) -> None:
        self.steps = require_count("normalisation.steps", steps)
        self.momentum, self.epsilon = momentum, epsilon

    def of(self, layer: CurrentLayer) -> BnttLayer:
        return BnttLayer(layer, self.steps, momentum=self.momentum, epsilon=self.epsilon)


class BnttLayer(Normaliser):
    """Normalises the currents of one layer; see `Bntt`."""

    folds: ClassVar[bool] = False

    def over_time(self, current: Tensor, valid: Tensor | None) -> Tensor:
        """Normalise currents [T, B, channels, pixels], each step by its own statistics.

        Raises:
            InputError: more than `steps` time steps.
        """
        if len(current) > len(self.gain):
            raise InputError(
                f"normalisation.steps={len(self.gain)}: layer '{self.layer_name}' has statistics of so many time "
                f"steps, the sequence has {len(current)}; set normalisation.steps"
            )

        def of_step(values: Tensor, t: int) -> Tensor:
            return self.batch(values, self.running_mean[t], self.running_var[t], self.gain[t], None)

        return torch.stack(
            [
                normalise_valid(step, None if valid is None else valid[t], partial(of_step, t=t))
                for t, step in enumerate(current.unbind(0))
            ]
        )
