"""Measure the firing of a layer, and its potentials relative to the surrogate."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fastspiking.signals.trajectory import valid_steps
from sgbench.diagnosis.traces import LayerTrace
from sgbench.records.content import SATURATED_RATE

IN_WINDOW = 0.01  # share of a surrogate's peak above which its slope counts as non-zero
SILENT_BY_DESIGN = "the neurons of this layer do not fire"


def activity(layer: Sequence[LayerTrace], lengths: Sequence[Tensor]) -> tuple[dict[str, float], dict[str, str]]:
    """Measure how often one layer fires, and how its potentials lie to the surrogate, over several batches.

    Steps after a sample's end do not count. Slopes are relative to the surrogate's peak. `lengths`: count of valid time
    steps of each sample [B], one tensor for each batch. Returns measured values, and reasons for missing ones; both map
    field names of `LayerDiagnosis`. Layers that do not fire have reasons alone, and neurons without a surrogate have
    rates alone.
    """
    first = layer[0]
    names = ("rate_per_step", "dead_fraction", "saturated_fraction", "in_window_fraction", "mean_slope")
    if not first.counts_spikes:
        return {}, dict.fromkeys(names, SILENT_BY_DESIGN)
    spikes, steps = torch.zeros(first.neurons, dtype=torch.float64), 0
    inside, potential_count, slope_sum = 0, 0, 0.0
    peak = first.peak()
    for trace, length in zip(layer, lengths, strict=True):
        potentials = trace.potentials()
        valid = valid_steps(length, len(potentials))
        spikes += (trace.fired() & valid[..., None]).sum((0, 1)).double().cpu()
        steps += int(length.sum())
        if trace.slope_at is not None:
            slopes = trace.slope_at(potentials)[valid]
            inside += int((slopes.abs() > IN_WINDOW * peak).sum())
            potential_count += slopes.numel()
            slope_sum += slopes.abs().double().sum().item()
    rates = spikes / max(1, steps)
    values = {
        "rate_per_step": rates.mean().item(),
        "dead_fraction": (rates == 0).double().mean().item(),
        "saturated_fraction": (rates > SATURATED_RATE).double().mean().item(),
    }
    if first.slope_at is None:
        return values, dict.fromkeys(names[3:], "the neurons of this layer have no surrogate")
    potential_count = max(1, potential_count)
    mean = slope_sum / potential_count / peak if peak else 0.0
    values["passing_steps"] = slope_sum / max(1, first.neurons * sum(len(length) for length in lengths))
    return values | {"in_window_fraction": inside / potential_count, "mean_slope": min(1.0, mean)}, {}
