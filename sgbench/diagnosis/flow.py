"""How large the gradient is in each layer and step, and where it is zero.

Legend: T steps, B samples, N neurons, C currents of a neuron, P weights of a layer.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fastspiking.signals.trajectory import valid_steps
from sgbench.diagnosis.traces import LayerTrace, TracedBatch
from sgbench.neurons.base import Neuron
from sgbench.records.diagnosis import MOST_STEPS

Values = dict[str, float | tuple[float, ...]]
Reasons = dict[str, str]
FLOW = ("grad_norm", "grad_norm_by_step", "log_slope_per_step", "nonzero_points", "gradient_dead_fraction")
NOT_FINITE = "the gradient is not finite"
NOWHERE = "the loss does not depend on this layer"
FEWEST = 2  # least count of norms for a slope, and of mini-batches for a scatter


def log_slope(norms: Sequence[float]) -> float | None:
    r"""Fit the growth b of a gradient's norm over steps back in time.

    .. math:: \ln |g[t]| \approx a + b (T - 1 - t)

    `norms`: :math:`|g[t]|` for t = 0 ... T - 1; zeros and non-finite ones are left out. Returns b [1/step], or None
    with fewer than two norms.

    >>> round(log_slope([0.25, 0.5, 1.0]), 6)  # halves with each step back
    -0.693147
    """
    back = np.arange(len(norms))[::-1]
    known = np.array([norm > 0 and math.isfinite(norm) for norm in norms], dtype=bool)
    if known.sum() < FEWEST:
        return None
    logs = np.log(np.asarray(norms, dtype=float)[known])
    return float(np.polyfit(back[known], logs, 1)[0])


def flow(layer: Sequence[LayerTrace], lengths: Sequence[Tensor]) -> tuple[Values, Reasons]:
    """Measure the gradient of the loss with respect to one layer's currents over several batches.

    Returns measured values, and reasons for missing ones; both map field names of `LayerDiagnosis`.

    Args:
        layer: the layer's trace of each batch, after the backward pass.
        lengths: count of valid time steps of each sample [B], one tensor for each batch.
    """
    gradients = [trace.gradient() for trace in layer]
    if all(gradient is None for gradient in gradients):
        return {}, dict.fromkeys(FLOW, NOWHERE)
    known = [gradient for gradient in gradients if gradient is not None]
    steps = max(len(gradient) for gradient in known)
    squares = torch.zeros(steps, dtype=torch.float64)
    nonzero, points = 0, 0
    alive = torch.zeros(layer[0].neurons, dtype=torch.bool)
    for gradient, length in zip(known, lengths, strict=False):
        squares[: len(gradient)] += gradient.double().square().sum((1, 2)).cpu() / len(known)
        by_neuron = gradient.unflatten(-1, (-1, layer[0].neurons)) != 0  # [T, B, C, N]
        nonzero += int((by_neuron.any(2) & valid_steps(length, len(gradient))[..., None]).sum())
        points += int(length.sum()) * layer[0].neurons
        alive |= by_neuron.flatten(0, -2).any(0).cpu()
    values: Values = {
        "nonzero_points": nonzero / max(1, points),
        "gradient_dead_fraction": 1 - alive.double().mean().item(),
    }
    if not bool(squares.isfinite().all()):
        return values, dict.fromkeys(FLOW[:3], NOT_FINITE)
    norms = squares.sqrt().tolist()
    values |= {"grad_norm": math.sqrt(squares.sum().item()), "grad_norm_by_step": _thinned(norms)}
    slope = log_slope(norms)
    if slope is None:
        few = "there is one time step" if steps == 1 else "fewer than two steps have a gradient"
        return values, {"log_slope_per_step": f"{few}, so nothing can grow over time"}
    return values | {"log_slope_per_step": slope}, {}


def _thinned(norms: Sequence[float]) -> tuple[float, ...]:
    """Keep at most MOST_STEPS norms, evenly spaced over time."""
    if len(norms) <= MOST_STEPS:
        return tuple(norms)
    indices = np.linspace(0, len(norms) - 1, MOST_STEPS).round().astype(int)
    return tuple(norms[index] for index in indices)


def weights_gradient(layer: nn.Module) -> Tensor:
    """Join the gradients of a layer's weights into one vector [P]; see `joined_gradient`."""
    return joined_gradient(layer.parameters())


def joined_gradient(parameters: Iterable[Tensor]) -> Tensor:
    """Join the gradients of parameters into one vector; a missing gradient is 0."""
    parts = [
        (torch.zeros_like(weight) if weight.grad is None else weight.grad).detach().double().flatten()
        for weight in parameters
    ]
    return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64)


def weights(gradients: Sequence[Tensor]) -> tuple[Values, Reasons]:
    """Measure one layer's weight gradients: the share of weights they reach, and their signal-to-noise ratio.

    `gradients`: one vector [P] for each mini-batch, at least one. Returns measured values, and reasons for missing
    ones; both map field names of `LayerDiagnosis`.
    """
    values: Values = {}
    reasons: Reasons = {}
    if gradients[0].numel() == 0:
        return {}, dict.fromkeys(("nonzero_parameters", "signal_to_noise"), "this layer has no weights")
    values["nonzero_parameters"] = float((torch.stack(list(gradients)) != 0).any(0).double().mean())
    ratio, reason = signal_to_noise(gradients)
    if ratio is None:
        reasons["signal_to_noise"] = reason
    else:
        values["signal_to_noise"] = ratio
    return values, reasons


def signal_to_noise(gradients: Sequence[Tensor]) -> tuple[float | None, str]:
    r"""Compare the mean gradient with its scatter over n mini-batches.

    .. math:: |\bar g|^2 \Big/ \frac{1}{n - 1} \sum_i |g_i - \bar g|^2

    `gradients`: g_i [P] of each mini-batch. Returns the ratio and "", or None and the reason why there is none.

    >>> signal_to_noise([torch.tensor([1.0]), torch.tensor([3.0])])[0]  # 2^2 over 2
    2.0
    """
    if len(gradients) < FEWEST:
        return None, "one mini-batch has no scatter; take at least two, e.g. with --batches 4"
    stacked = torch.stack(list(gradients))
    if not bool(stacked.isfinite().all()):
        return None, NOT_FINITE
    signal = stacked.mean(0).square().sum().item()
    noise = stacked.var(0, unbiased=True).sum().item()
    if noise == 0:
        return None, "infinite: all mini-batches give the same gradient" if signal else "there is no gradient"
    return signal / noise, ""


MOST_NUMBERS = 1024  # largest state of a layer for one sample [numbers] whose Jacobian is computed
SAMPLES, STEPS = 4, 8
"""Count of samples and of evenly spaced steps whose Jacobians are computed; fewer steps for large layers."""
SMALL = 128  # largest state [numbers] with a Jacobian at all eight steps; larger ones have two
NAMES = ("jacobian_norm", "jacobian_radius")


def jacobians(traced: TracedBatch, index: int) -> tuple[float, float] | str:
    """Average spectral norm and spectral radius of one layer's step Jacobians over a few samples and steps.

    Returns mean norm and mean radius, or the reason why they are missing.
    """
    layer: Any = traced.network.layers[index]
    layer_trace = traced.layers[index]
    neuron = layer.neuron
    if neuron.sees_all_steps:
        return "the neurons take all steps at once"
    if layer.recurrent is not None and type(neuron).driven is not Neuron.driven:
        return "the neurons do not simply add the recurrent current"
    if layer.recurrent is not None and layer.feeds_back_late:
        return "its recurrent synapses delay, so that a step does not follow from the one before alone"
    longest = int(traced.lengths.min())
    if longest < 2:  # noqa: PLR2004 - a step after another
        return "there is one time step"
    fields = [name for name in layer_trace.states[1]._fields if name != "s"]
    size = sum(getattr(layer_trace.states[1], name)[0].numel() for name in fields)
    if size > MOST_NUMBERS:
        return f"the state holds {size} numbers; up to {MOST_NUMBERS} are written out"
    count = STEPS if size <= SMALL else 2
    steps = sorted({int(t) for t in torch.linspace(1, longest - 1, count)})
    norms, radii = [], []
    for sample in range(min(SAMPLES, len(traced.lengths))):
        for step in steps:
            matrix = step_jacobian(layer, layer_trace.currents[step], layer_trace.states[step], fields, sample)
            if not bool(matrix.isfinite().all()):
                return "the Jacobian is not finite"
            norms.append(torch.linalg.matrix_norm(matrix, 2).item())
            radii.append(torch.linalg.eigvals(matrix).abs().max().item())
    return sum(norms) / len(norms), sum(radii) / len(radii)


def step_jacobian(layer: Any, current: Tensor, state: Any, fields: list[str], sample: int) -> Tensor:
    """Compute the derivatives of one sample's next state by its state [M, M], for a state of M numbers.

    `layer`: on the reference engine. `current`: input of the neurons in the step, recurrence included [B, N]. `state`:
    of the neurons before the step, a named tuple of tensors with B first. `fields`: names of the state's fields without
    spikes, in order of rows and columns. `sample`: index in the batch.
    """
    # The step is run on a batch of M equal samples, one for each row of the Jacobian.
    size = sum(getattr(state, name)[sample].numel() for name in fields)

    def repeated(values: Tensor) -> Tensor:
        return values[sample].detach().expand(size, *values[sample].shape).clone()

    inputs = {name: repeated(getattr(state, name)).requires_grad_() for name in fields}
    others = {name: repeated(getattr(state, name)) for name in state._fields if name not in inputs}
    before = type(state)(**inputs, **others)
    surrogate = getattr(layer.neuron, "surrogate", None)
    if "s" in state._fields and surrogate is not None:
        centred = layer.neuron.centred(before)
        slope = surrogate.sent_slope(centred.detach())
        before = before._replace(s=before.s + slope * (centred - centred.detach()))
    driven = repeated(current)
    if layer.recurrent is not None:  # the current holds the value of the recurrence; its derivative is added
        returning = layer.feedback(layer.neuron.fed_back(before))
        driven = driven + (returning - returning.detach())
    # The step of the class, since that of the layer is a recorder.
    _, after = type(layer.neuron).step(layer.neuron, driven, before)
    out = torch.cat([getattr(after, name).flatten(1) for name in fields], 1)
    one_hot = torch.eye(size, dtype=out.dtype, device=out.device)
    if not out.requires_grad:
        return torch.zeros_like(one_hot)
    slopes = torch.autograd.grad(out, list(inputs.values()), one_hot, materialize_grads=True)
    return torch.cat([slope.flatten(1) for slope in slopes], 1)
