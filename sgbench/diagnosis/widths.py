"""Measure the statistics by which adaptive surrogates choose their width: spread of potentials, and gradients."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from fastspiking.signals.trajectory import valid_steps
from sgbench.diagnosis.traces import IN_WINDOW, LayerTrace, TracedBatch

ValuesByStep = tuple[float | None, ...]


class WidthMeasures(NamedTuple):
    r"""Holds the statistics for adaptive widths of one layer by step; undefined values are None.

    With :math:`\delta[t]` for dL/dI of all samples and neurons, which is dL/du where a current is added to u:

    .. math:: \mathrm{variation}[t] = \frac{\mathrm{Var}(\delta[t])}{\mathrm{Mean}|\delta[t]|}, \quad
              \mathrm{consistency}[t] = \cos(\delta[t], \delta[t+1])

    Args:
        layer: name of the layer.
        spread: standard deviation of potentials [threshold units].
        in_window: share of potentials at which the slope is above 1 % of its peak; a surrogate whose width follows
            gradients gets equal ones.
        variation: spatial variation of gradients; A2SG lessens it in the last step [gradient].
        consistency: temporal consistency of gradients, one step fewer; A2SG raises it [1].

    Source: spread and share: Jiang et al. 2025 (MPD-AGL), arXiv:2505.11863, theorem 2 and its gradient-available
    interval; variation and consistency: Kang et al. 2026 (A2SG), arXiv:2606.11236, as public notes restate them.
    """

    layer: str
    spread: ValuesByStep
    in_window: ValuesByStep
    variation: ValuesByStep
    consistency: ValuesByStep


def width_measures(traced: Sequence[TracedBatch]) -> list[WidthMeasures]:
    """Measure each spiking layer, averaged over batches, without the steps after a sample's end."""
    indices = [index for index, layer in enumerate(traced[0].layers) if layer.slope_at is not None]
    return [_of_layer([batch.layers[index] for batch in traced], traced) for index in indices]


def _of_layer(layer: Sequence[LayerTrace], traced: Sequence[TracedBatch]) -> WidthMeasures:
    """Average a layer's measures over batches."""
    by_batch = [_of_batch(layer_trace, batch.lengths) for layer_trace, batch in zip(layer, traced, strict=True)]
    measures = [_mean(values) for values in zip(*by_batch, strict=True)]
    return WidthMeasures(layer[0].name, *measures)


def _of_batch(layer_trace: LayerTrace, lengths: Tensor) -> tuple[list[float], ...]:
    """Measure spread, share in the window, variation and consistency of one batch, each by step; undefined: NaN."""
    potentials, gradient = layer_trace.potentials().double(), layer_trace.gradient()
    valid = valid_steps(lengths, len(potentials))
    running = [potential[is_valid] for potential, is_valid in zip(potentials, valid, strict=True)]
    spread = [potential.std(correction=0).item() for potential in running]
    in_window = _shares_in_window(layer_trace, running)
    if gradient is None:
        return spread, in_window, [math.nan] * len(running), [math.nan] * (len(running) - 1)
    deltas = gradient.double() * valid[..., None]
    variation = [variation_of(delta[is_valid]) for delta, is_valid in zip(deltas, valid, strict=True)]
    pairs = zip(deltas[:-1].flatten(1), deltas[1:].flatten(1), strict=True)
    return spread, in_window, variation, [consistency_of(delta, following) for delta, following in pairs]


def variation_of(delta: Tensor) -> float:
    """Divide the variance of gradients by the mean of their absolute values; NaN if all are 0.

    >>> import torch
    >>> variation_of(torch.tensor([1.0, -1.0, 3.0, 1.0]))  # variance 2, mean size 1.5
    1.3333333730697632
    """
    return (delta.var(correction=0) / delta.abs().mean()).item()


def consistency_of(delta: Tensor, following: Tensor) -> float:
    """Compute the cosine between the gradients of two steps; NaN if one is 0.

    >>> import torch
    >>> consistency_of(torch.tensor([3.0, 4.0]), torch.tensor([4.0, 3.0]))
    0.9599999785423279
    """
    return (delta @ following / (delta.norm() * following.norm())).item()


def _shares_in_window(layer_trace: LayerTrace, potentials: Sequence[Tensor]) -> list[float]:
    """Compute for each step the share of potentials with a slope above 1 % of the largest of that step.

    `potentials` has one tensor for each step, with the potentials minus threshold of the samples that still run.
    The share is NaN without such a sample, or without a surrogate.
    """
    if layer_trace.passed_at is None:
        return [math.nan] * len(potentials)
    slopes = layer_trace.passed_at([potential.to(layer_trace.centred[0].dtype) for potential in potentials])
    return [
        (slope.abs() > IN_WINDOW * slope.abs().max()).double().mean().item() if slope.numel() else math.nan
        for slope in slopes
    ]


def _mean(batches: Sequence[Sequence[float]]) -> ValuesByStep:
    """Average each step over the batches that have it; None where no value is finite."""
    steps = max(len(batch) for batch in batches)
    means: list[float | None] = []
    for step in range(steps):
        known = [batch[step] for batch in batches if step < len(batch) and math.isfinite(batch[step])]
        means.append(sum(known) / len(known) if known else None)
    return tuple(means)
