"""Diagnose any torch network of spiking layers of snnTorch or sgbench, by hooks."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sgbench.diagnosis.activity import activity
from sgbench.diagnosis.advice import advise_modules, outlook
from sgbench.diagnosis.flow import FLOW, flow, log_slope, weights
from sgbench.diagnosis.jacobian import NAMES
from sgbench.diagnosis.panels import ACTIVITY, OF_WEIGHTS
from sgbench.diagnosis.traces import LayerTrace, leaf_like, shown_by
from sgbench.errors import InputError, NonFiniteError
from sgbench.networks.base import Network
from sgbench.neurons.base import Neuron
from sgbench.records.diagnosis import Diagnosis, LayerDiagnosis

FOREIGN = "not measured in networks of other libraries"
"""Why a value is missing."""
MakeLoss = Callable[[nn.Module, Any], Tensor]


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
    owners = _owners(copied, list(layers))
    losses = []
    for part in batches:
        seen = _seen(copied, layers, part, loss, losses)
        for name, trace in seen.items():
            traces[name].append(trace)
            gradients[name].append(_gradient(owners[name]))
    measured = tuple(
        _layer(name, traces[name], gradients[name]) for name in layers if traces[name][0].currents
    )
    return _diagnosis(measured, traces, sum(losses) / len(losses))


def _is_spiking(module: nn.Module) -> bool:
    """Return whether a module is a layer of spiking neurons; snnTorch's are recognised without importing it."""
    names = {f"{base.__module__}.{base.__name__}" for base in type(module).__mro__}
    return "snntorch._neurons.neurons.SpikingNeuron" in names or isinstance(module, Neuron)


def _owners(net: nn.Module, layers: Sequence[str]) -> dict[str, list[nn.Parameter]]:
    """Assign to each layer its own weights and those of modules since the spiking layer before."""
    owned: dict[str, list[nn.Parameter]] = {name: [] for name in layers}
    waiting: list[nn.Parameter] = []
    for name, weight in net.named_parameters():
        within = next((layer for layer in layers if name.startswith(f"{layer}.")), None)
        if within is None:
            waiting.append(weight)
        else:
            owned[within].append(weight)
    order = [name for name, module in net.named_modules() if name in owned or _has_own_weights(module)]
    position = {id(weight): index for index, weight in enumerate(waiting)}
    current: list[nn.Parameter] = []
    for name in order:
        module = net.get_submodule(name)
        if name in owned:
            owned[name] += current
            current = []
        else:
            current += [
                parameter for parameter in module.parameters(recurse=False) if id(parameter) in position
            ]
    if current:
        owned[layers[-1]] += current
    return owned


def _has_own_weights(module: nn.Module) -> bool:
    return next(module.parameters(recurse=False), None) is not None


def _gradient(parameters: Sequence[nn.Parameter]) -> Tensor:
    parts = [
        (torch.zeros_like(parameter) if parameter.grad is None else parameter.grad)
        .detach()
        .double()
        .flatten()
        for parameter in parameters
    ]
    return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64)


def _seen(
    net: nn.Module, layers: dict[str, nn.Module], part: Any, loss: MakeLoss, losses: list[float]
) -> dict[str, LayerTrace]:
    """Run the loss of one batch forward and backward with recorders on every spiking layer."""
    traces: dict[str, LayerTrace] = {}
    handles = []
    for name, module in layers.items():
        traces[name] = LayerTrace(name, 1, functools.partial(_slope, _surrogate(module)), counts_spikes=True)
        if isinstance(module, Neuron):
            module.step = functools.partial(_own_step, traces[name], module, type(module).step)  # type: ignore[method-assign]
        else:
            handles.append(module.register_forward_pre_hook(functools.partial(_before, traces[name])))
            handles.append(module.register_forward_hook(functools.partial(_after, traces[name])))
    try:
        net.zero_grad()
        value = loss(net, part)
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise InputError("diagnose_module: loss(net, batch) has to return one number as a tensor")
        if value.requires_grad:
            value.backward()
        losses.append(value.item())
    finally:
        for handle in handles:
            handle.remove()
    return traces


def _surrogate(module: nn.Module) -> Any:
    return module.surrogate if isinstance(module, Neuron) else module.spike_grad


def _slope(surrogate: Any, centred: Tensor) -> Tensor:
    """Compute the slope of a surrogate by its backward pass, at potentials minus threshold."""
    probe = centred.detach().clone().requires_grad_()
    with torch.enable_grad():
        sent = surrogate(probe)
    if not sent.requires_grad:
        return torch.zeros_like(probe)
    (slope,) = torch.autograd.grad(sent.sum(), probe)
    return slope


def _before(seen: LayerTrace, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    current = leaf_like(inputs[0])
    seen.currents.append(current)
    return (current, *inputs[1:])


def _after(seen: LayerTrace, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
    shown = shown_by(module, output)
    if shown is None:
        raise InputError(
            f"diagnose_module: '{seen.name}' ({type(module).__name__}) does not show its membrane potential"
        )
    spikes, centred = shown
    seen.spikes.append(spikes.detach())
    seen.centred.append(centred.detach())


def _own_step(seen: LayerTrace, module: Any, step: Any, current: Tensor, state: Any) -> Any:
    current = leaf_like(current)
    output, after = step(module, current, state)
    seen.currents.append(current)
    seen.centred.append(module.centred(after).detach())
    seen.spikes.append(output.detach())
    return output, after


def _flat(trace: LayerTrace) -> LayerTrace:
    """Flatten the images [B, C, H, W] of a trace to [B, N]."""
    flat = LayerTrace(trace.name, trace.spikes[0][0].numel(), trace.slope_at, trace.counts_spikes)
    flat.spikes = [spikes.flatten(1) for spikes in trace.spikes]
    flat.centred = [potential.flatten(1) for potential in trace.centred]
    for current in trace.currents:
        row = current.detach().flatten(1)
        row.grad = None if current.grad is None else current.grad.flatten(1)
        flat.currents.append(row)
    return flat


def _layer(name: str, traces: Sequence[LayerTrace], gradients: Sequence[Tensor]) -> LayerDiagnosis:
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
    if not layers:
        raise InputError(
            "diagnose_module: no spiking layer was called; loss(net, batch) has to run the network"
        )
    slope = log_slope([layer.grad_norm or 0.0 for layer in layers])
    first = next(iter(traces.values()))
    reasons = {
        "agreements": FOREIGN,
        "falling_steps": FOREIGN,
        "loop": FOREIGN,
        "line": FOREIGN,
    }
    if slope is None:
        reasons["log_slope_per_layer"] = "fewer than two layers have a gradient"
    finite = loss == loss and abs(loss) != float("inf")  # noqa: PLR0124 - NaN differs from itself
    if not finite:
        reasons["loss"] = "the loss is not finite"
    diagnosis = Diagnosis(
        weights="given",
        split=None,
        samples=sum(len(trace.spikes[0]) for trace in first),
        panels=("flow", "activity"),
        loss=loss if finite else None,
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
