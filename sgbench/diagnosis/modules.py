"""Diagnose any torch network of spiking layers of snnTorch or sgbench, by hooks."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sgbench.diagnosis.activity import activity
from sgbench.diagnosis.advice import advise_modules, outlook
from sgbench.diagnosis.flow import FLOW, flow, joined_gradient, log_slope, weights
from sgbench.diagnosis.jacobian import NAMES
from sgbench.diagnosis.panels import ACTIVITY, OF_WEIGHTS
from sgbench.diagnosis.traces import LayerTrace, leaf_like, recorded_step, shown_by
from sgbench.errors import InputError, NonFiniteError
from sgbench.networks.base import Network
from sgbench.neurons.base import Neuron
from sgbench.records.diagnosis import Diagnosis, LayerDiagnosis

FOREIGN = "not measured in networks of other libraries"  # reason of missing values
MakeLoss = Callable[[nn.Module, Any], Tensor]  # runs a network over a batch, and returns the loss as a scalar


def diagnose_module(net: nn.Module, batch: Any, loss: MakeLoss) -> Diagnosis:
    """Diagnose your own torch network of spiking layers of snnTorch or sgbench.

    Args:
        net: a network with its spiking layers as modules; a copy of it runs.
        batch: second argument of `loss`, or a list of such batches, which gives the gradient's signal-to-noise.
        loss: runs `net` over all steps of a batch, and returns the mean loss as a scalar tensor.

    Raises:
        InputError: no spiking layer is found or called, or one does not return its potential.
        NonFiniteError: weights are NaN or infinite.

    >>> import snntorch as snn
    >>> import torch
    >>> from torch import nn
    >>> _ = torch.manual_seed(0)
    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.dense, self.spiking = nn.Linear(4, 3), snn.Leaky(beta=0.9)
    ...     def forward(self, x):
    ...         membrane, total = self.spiking.reset_mem(), 0.0
    ...         for now in x:
    ...             spikes, membrane = self.spiking(self.dense(now), membrane)
    ...             total = total + membrane
    ...         return total
    >>> found = diagnose_module(Net(), torch.ones(5, 2, 4), lambda net, x: net(x).square().mean())
    >>> found.layers[0].name, found.layers[0].nonzero_points
    ('spiking', 1.0)
    """
    if isinstance(net, Network):
        raise InputError(
            "diagnose_module: a network of this package is diagnosed with its run, e.g. sgbench.diagnose(...)"
        )
    copied = copy.deepcopy(net)
    for name, weight in copied.named_parameters():
        if not bool(weight.isfinite().all()):
            raise NonFiniteError(
                f"'{name}' is not finite, so nothing can be diagnosed; begin from new weights"
            )
    layers = {name: module for name, module in copied.named_modules() if _is_spiking(module)}
    if not layers:
        raise InputError(
            f"diagnose_module: {type(net).__name__} has no layer of snnTorch's spiking neurons or ours; "
            f"keep modules such as snn.Leaky as its attributes"
        )
    batches = batch if isinstance(batch, list) else [batch]
    traces: dict[str, list[LayerTrace]] = {name: [] for name in layers}
    gradients: dict[str, list[Tensor]] = {name: [] for name in layers}
    weights_by_layer = _weights_by_layer(copied, list(layers))
    losses = []
    for single_batch in batches:
        new_traces, value = _run_recorded(copied, layers, single_batch, loss)
        losses.append(value)
        for name, trace in new_traces.items():
            traces[name].append(trace)
            gradients[name].append(joined_gradient(weights_by_layer[name]))
    measured = tuple(
        _layer(name, traces[name], gradients[name]) for name in layers if traces[name][0].currents
    )
    return _diagnosis(measured, traces, sum(losses) / len(losses))


def _is_spiking(module: nn.Module) -> bool:
    """Return whether a module is a layer of spiking neurons; snnTorch's are recognised without importing it."""
    names = {f"{base.__module__}.{base.__name__}" for base in type(module).__mro__}
    return "snntorch._neurons.neurons.SpikingNeuron" in names or isinstance(module, Neuron)


def _weights_by_layer(net: nn.Module, layers: Sequence[str]) -> dict[str, list[nn.Parameter]]:
    """Map each spiking layer to its own weights, and those of modules since the spiking layer before.

    Weights of modules after the last spiking layer are mapped to that layer.
    """
    weights_by_layer: dict[str, list[nn.Parameter]] = {name: [] for name in layers}
    within_layers: set[int] = set()
    for name, weight in net.named_parameters():
        layer = next((layer for layer in layers if name.startswith(f"{layer}.")), None)
        if layer is not None:
            weights_by_layer[layer].append(weight)
            within_layers.add(id(weight))
    pending: list[nn.Parameter] = []
    for name, module in net.named_modules():
        if name in weights_by_layer:
            weights_by_layer[name] += pending
            pending = []
        else:
            own = module.parameters(recurse=False)
            pending += [weight for weight in own if id(weight) not in within_layers]
    weights_by_layer[layers[-1]] += pending
    return weights_by_layer


def _run_recorded(
    net: nn.Module, layers: dict[str, nn.Module], batch: Any, loss: MakeLoss
) -> tuple[dict[str, LayerTrace], float]:
    """Run the loss of one batch forward and backward with recorders on every spiking layer.

    Returns:
        The trace of each layer by its name, and the loss.
    """
    traces: dict[str, LayerTrace] = {}
    handles = []
    for name, module in layers.items():
        surrogate = module.surrogate if isinstance(module, Neuron) else module.spike_grad
        traces[name] = LayerTrace(name, 1, functools.partial(_slope, surrogate), counts_spikes=True)
        if isinstance(module, Neuron):
            step = functools.partial(type(module).step, module)  # not that of the instance, which may record
            module.step = functools.partial(recorded_step, traces[name], module, step)  # type: ignore[method-assign]
        else:
            handles.append(module.register_forward_pre_hook(functools.partial(_record_current, traces[name])))
            handles.append(module.register_forward_hook(functools.partial(_record_output, traces[name])))
    try:
        net.zero_grad()
        value = loss(net, batch)
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise InputError("diagnose_module: loss(net, batch) has to return one number as a tensor")
        if value.requires_grad:
            value.backward()
    finally:
        for handle in handles:
            handle.remove()
    return traces, value.item()


def _slope(surrogate: Any, centred: Tensor) -> Tensor:
    """Compute the slope of a surrogate by its backward pass, at potentials minus threshold."""
    leaf = centred.detach().clone().requires_grad_()
    with torch.enable_grad():
        sent = surrogate(leaf)
    if not sent.requires_grad:
        return torch.zeros_like(leaf)
    (slope,) = torch.autograd.grad(sent.sum(), leaf)
    return slope


def _record_current(layer_trace: LayerTrace, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Store a step's input current, the first input of a layer of snnTorch, as a leaf that gets a gradient."""
    current = leaf_like(inputs[0])
    layer_trace.currents.append(current)
    return (current, *inputs[1:])


def _record_output(layer_trace: LayerTrace, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
    """Store the spikes and potentials of a step of a layer of snnTorch."""
    shown = shown_by(module, output)
    if shown is None:
        raise InputError(
            f"diagnose_module: '{layer_trace.name}' ({type(module).__name__}) does not show its membrane potential"
        )
    spikes, centred = shown
    layer_trace.spikes.append(spikes.detach())
    layer_trace.centred.append(centred.detach())


def _flat(trace: LayerTrace) -> LayerTrace:
    """Copy a trace with all axes after the batch joined, e.g. images [B, C, H, W] to [B, N]."""
    flat = LayerTrace(trace.name, trace.spikes[0][0].numel(), trace.slope_at, trace.counts_spikes)
    flat.spikes = [spikes.flatten(1) for spikes in trace.spikes]
    flat.centred = [potential.flatten(1) for potential in trace.centred]
    for current in trace.currents:
        flat_current = current.detach().flatten(1)
        flat_current.grad = None if current.grad is None else current.grad.flatten(1)
        flat.currents.append(flat_current)
    return flat


def _layer(name: str, traces: Sequence[LayerTrace], gradients: Sequence[Tensor]) -> LayerDiagnosis:
    """Diagnose one layer from its trace and weight gradient [P] of each batch."""
    flat = [_flat(trace) for trace in traces]
    lengths = [torch.full((len(trace.spikes[0]),), len(trace.spikes)) for trace in flat]
    values: dict[str, Any] = {}
    reasons = dict.fromkeys((*NAMES, "recurrent"), FOREIGN)
    for panel, missing in (flow(flat, lengths), weights(gradients), activity(flat, lengths)):
        values |= panel
        reasons |= missing
    return LayerDiagnosis(
        name=name,
        neurons=flat[0].neurons,
        recurrent=None,
        reasons=reasons,
        **{field: values.get(field) for field in (*FLOW, *OF_WEIGHTS, *NAMES, *ACTIVITY)},
    )


def _diagnosis(
    layers: tuple[LayerDiagnosis, ...], traces: dict[str, list[LayerTrace]], loss: float
) -> Diagnosis:
    """Join the diagnoses of layers, their mean loss and advice.

    Raises:
        InputError: there is no layer.
    """
    if not layers:
        raise InputError(
            "diagnose_module: no spiking layer was called; loss(net, batch) has to run the network"
        )
    slope = log_slope([layer.grad_norm or 0.0 for layer in layers])
    first = next(iter(traces.values()))
    reasons: dict[str, str] = dict.fromkeys(("agreements", "falling_steps", "loop", "line"), FOREIGN)
    if slope is None:
        reasons["log_slope_per_layer"] = "fewer than two layers have a gradient"
    if not math.isfinite(loss):
        reasons["loss"] = "the loss is not finite"
    diagnosis = Diagnosis(
        weights="given",
        split=None,
        samples=sum(len(trace.spikes[0]) for trace in first),
        panels=("flow", "activity"),
        loss=loss if math.isfinite(loss) else None,
        log_slope_per_layer=slope,
        layers=layers,
        agreements=None,
        falling_steps=None,
        loop=None,
        line=None,
        outlook=outlook(layers, all_hidden=True),
        advice=(),
        reasons=reasons,
    )
    return diagnosis.model_copy(update={"advice": tuple(advise_modules(diagnosis))})
