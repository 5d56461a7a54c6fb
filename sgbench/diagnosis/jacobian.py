r"""The Jacobian of one time step of a layer: derivatives of the next state by the state.

The state holds all variables of a neuron but its spikes, which follow from it: :math:`s = H(u)` with the surrogate
as its derivative. For a leaky layer with recurrent weights V and a detached reset

.. math:: J = \beta I + V \, \mathrm{diag}(\psi(u[t - 1]))
"""

from typing import Any

import torch
from torch import Tensor

from sgbench.diagnosis.traces import TracedBatch
from sgbench.neurons.base import Neuron

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
