"""What adaptive surrogates set their widths by: the spread of potentials, and how gradients vary and agree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from sgbench.diagnosis.activity import IN_WINDOW
from sgbench.diagnosis.traces import LayerTrace, TracedBatch
from sgbench.signals.trajectory import valid_steps

Steps = tuple[float | None, ...]


class WidthMeasures(NamedTuple):
    r"""Holds what adaptive widths go by in one layer, each by step; None where it is not defined.

    With :math:`\delta[t]` for dL/dI of all samples and neurons, which is dL/du where a current is added to u:

    .. math:: \mathrm{variation}[t] = \frac{\mathrm{Var}(\delta[t])}{\mathrm{Mean}|\delta[t]|}, \quad
              \mathrm{consistency}[t] = \cos(\delta[t], \delta[t+1])

    Args:
        layer: its name.
        spread: standard deviation of potentials [threshold units].
        in_window: share of potentials at which the surrogate passes on more than 1 % of its largest slope; one
            whose width follows gradients is asked with equal ones.
        variation: spatial variation of gradients; A2SG lessens it in the last step [gradient].
        consistency: temporal consistency of gradients, one step fewer; A2SG raises it [1].

    Source: spread and share: Jiang et al. 2025 (MPD-AGL), arXiv:2505.11863, theorem 2 and its gradient-available
    interval; variation and consistency: Kang et al. 2026 (A2SG), arXiv:2606.11236, as public notes restate them.
    """

    layer: str
    spread: Steps
    in_window: Steps
    variation: Steps
    consistency: Steps


def width_measures(traced: Sequence[TracedBatch]) -> list[WidthMeasures]:
    """Measure each spiking layer, a mean over batches; steps behind a sample's end do not count.

    Args:
        traced: one network run forward and backward over each batch.
    """
    places = [place for place, layer in enumerate(traced[0].layers) if layer.slope_at is not None]
    return [_of_layer([batch.layers[place] for batch in traced], traced) for place in places]


def _of_layer(layer: Sequence[LayerTrace], traced: Sequence[TracedBatch]) -> WidthMeasures:
    found = [_of_batch(seen, batch.lengths) for seen, batch in zip(layer, traced, strict=True)]
    return WidthMeasures(layer[0].name, *(_mean([batch[place] for batch in found]) for place in range(4)))


def _of_batch(seen: LayerTrace, lengths: Tensor) -> tuple[list[float], ...]:
    """Measure one batch; NaN where something is not defined."""
    potentials, gradient = seen.potentials().double(), seen.gradient()
    valid = valid_steps(lengths, len(potentials))
    kept = [now[there] for now, there in zip(potentials, valid, strict=True)]
    spread = [now.std(correction=0).item() for now in kept]
    in_window = _shares_in_window(seen, kept)
    if gradient is None:
        return spread, in_window, [math.nan] * len(kept), [math.nan] * (len(kept) - 1)
    deltas = gradient.double() * valid[..., None]
    variation = [variation_of(delta[there]) for delta, there in zip(deltas, valid, strict=True)]
    pairs = zip(deltas[:-1].flatten(1), deltas[1:].flatten(1), strict=True)
    return spread, in_window, variation, [consistency_of(now, behind) for now, behind in pairs]


def variation_of(delta: Tensor) -> float:
    """Compute the variance of gradients by the mean of their sizes; NaN where all are 0.

    >>> import torch
    >>> variation_of(torch.tensor([1.0, -1.0, 3.0, 1.0]))  # variance 2, mean size 1.5
    1.3333333730697632
    """
    return (delta.var(correction=0) / delta.abs().mean()).item()


def consistency_of(delta: Tensor, behind: Tensor) -> float:
    """Compute the cosine between the gradients of two steps; NaN where one is 0.

    >>> import torch
    >>> consistency_of(torch.tensor([3.0, 4.0]), torch.tensor([4.0, 3.0]))
    0.9599999785423279
    """
    return (delta @ behind / (delta.norm() * behind.norm())).item()


def _shares_in_window(seen: LayerTrace, potentials: Sequence[Tensor]) -> list[float]:
    """Compute the share of potentials whose neurons pass a gradient on, by step; NaN where no sample runs."""
    if seen.passed_at is None:
        return [math.nan] * len(potentials)
    passed = seen.passed_at([now.to(seen.centred[0].dtype) for now in potentials])
    return [
        (of_step.abs() > IN_WINDOW * of_step.abs().max()).double().mean().item()
        if of_step.numel()
        else math.nan
        for of_step in passed
    ]


def _mean(batches: Sequence[Sequence[float]]) -> Steps:
    """Average each step over the batches in which it is defined."""
    steps = max(len(batch) for batch in batches)
    means: list[float | None] = []
    for step in range(steps):
        known = [batch[step] for batch in batches if step < len(batch) and math.isfinite(batch[step])]
        means.append(sum(known) / len(known) if known else None)
    return tuple(means)
