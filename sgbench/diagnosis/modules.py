"""Diagnose any torch network of spiking layers of snnTorch or sgbench, as its author wrote it."""

import contextlib
import functools
import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from sgbench.diagnosis.advice import ModuleFacts, advise_modules, outlook, why_not_fine
from sgbench.diagnosis.flow import FLOW, NAMES, flow, joined_gradient, log_slope, weights
from sgbench.diagnosis.panels import ACTIVITY, OF_WEIGHTS
from sgbench.diagnosis.text import ShownDiagnosis
from sgbench.diagnosis.traces import LayerTrace, activity, leaf_like, recorded_step
from sgbench.errors import InputError, NonFiniteError
from sgbench.networks.base import Network
from sgbench.networks.watching import (
    Watcher,
    is_recurrent,
    replaced_step,
    reset_gradient_of,
    rest,
    shown_by,
    spiking_modules,
    undisturbed,
    watched,
)
from sgbench.neurons.base import Neuron
from sgbench.records.diagnosis import LayerDiagnosis, Outlook

FOREIGN = "not measured in networks of other libraries"  # reason of missing values
STEPS_OF_A_LOOP = 2
MakeLoss = Callable[[nn.Module, Any], Tensor]  # runs a network over a batch, and returns the loss as a scalar


def diagnose_module(net: nn.Module, batch: Any, loss: MakeLoss) -> ShownDiagnosis:
    """Diagnose your own torch network of spiking layers of snnTorch or sgbench.

    The network runs from rest, with its own `forward`; its weights, gradients and states are afterwards as before.
    Layers that do not show their membrane potential are left out and named in the advice.

    Args:
        net: a network with its spiking layers as modules.
        batch: second argument of `loss`, or a list of such batches, which gives the gradient's signal-to-noise.
        loss: runs `net` over all steps of a batch, and returns the mean loss as a scalar tensor.

    Raises:
        InputError: no spiking layer is found or called, none shows its potential, or `loss` does not take (net, batch).
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
    for name, weight in net.named_parameters():
        if not bool(weight.isfinite().all()):
            raise NonFiniteError(f"'{name}' is not finite, so nothing can be diagnosed; begin from new weights")
    try:
        if getattr(loss, "__module__", "").startswith("torch.nn."):
            raise TypeError("it takes an output and a target")
        inspect.signature(loss).bind(net, batch)
    except (TypeError, ValueError) as reason:
        raise InputError(
            f"diagnose_module: loss is called as loss(net, batch), which this one cannot be ({reason}); give e.g. "
            "lambda net, batch: net(batch).square().mean()"
        ) from reason
    recorded = ModuleRecorder(net)
    losses = []
    with undisturbed(net), torch.enable_grad():
        for single in batch if isinstance(batch, list) else [batch]:
            net.zero_grad()
            rest(net)
            with recorded.one_batch():
                value = loss(net, single)
                if not isinstance(value, Tensor) or value.numel() != 1:
                    raise InputError("diagnose_module: loss(net, batch) has to return one number as a tensor")
                recorded.before_backward()
                if value.requires_grad:
                    value.backward()
            losses.append(value.item())
    return recorded.diagnosis(sum(losses) / len(losses))


class ModuleRecorder:
    """Records what each spiking layer receives, holds and sends; InputError if `net` has none."""

    def __init__(self, net: nn.Module) -> None:
        self.layers = {name: _Recorder(name, module) for name, module in spiking_modules(net)}
        if not self.layers:
            raise InputError(
                f"{type(net).__name__} has no layer of snnTorch's spiking neurons or ours; keep modules such as "
                f"snn.Leaky as its attributes"
            )
        self.owners = _Owners(net, self.layers)
        self.traces: dict[str, LayerTrace] = {}

    @contextlib.contextmanager
    def one_batch(self) -> Iterator[None]:
        """Record one forward and backward pass; between them the caller calls `before_backward`."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.owners.watching())
            self.traces = {
                name: stack.enter_context(recorder.recording(functools.partial(self.owners.claim, name)))
                for name, recorder in self.layers.items()
            }
            yield
        for name, recorder in self.layers.items():
            recorder.note(self.traces[name], self.owners.of(name))

    def before_backward(self) -> None:
        """Note which layers hear their own spikes, while the graph is there."""
        for name, recorder in self.layers.items():
            recorder.note_recurrence(self.traces[name])

    def facts(self) -> ModuleFacts:
        """Return what was seen besides the values of layers."""
        return _facts(self.layers, self.owners)

    def passing_steps(self) -> dict[str, float]:
        """Return the passing steps of each measured layer: slopes of its surrogate, summed over a sample's steps."""
        measured = {name: recorder for name, recorder in self.layers.items() if recorder.traces}
        found = {name: activity(*_flat_traces(recorder))[0] for name, recorder in measured.items()}
        return {name: values["passing_steps"] for name, values in found.items() if "passing_steps" in values}

    def alike(self) -> list[str]:
        """Return the layers that fired, and sent all samples' spikes in the same steps."""
        return [
            name
            for name, recorder in self.layers.items()
            if recorder.traces
            and len(recorder.traces[0].spikes[0]) > 1
            and bool(torch.stack([spikes.any() for trace in recorder.traces for spikes in trace.spikes]).any())
            and all(bool((spikes == spikes[:1]).all()) for trace in recorder.traces for spikes in trace.spikes)
        ]

    def diagnosis(self, loss: float) -> ShownDiagnosis:
        """Return the diagnosis of what was recorded, at this mean loss; an InputError if no layer was called."""
        measured = [recorder for recorder in self.layers.values() if recorder.traces]
        return _diagnosis(measured, self.facts(), loss)


@dataclass
class _Recorder:
    """Records what one spiking layer receives, holds and sends, batch by batch."""

    name: str
    layer: Any
    traces: list[LayerTrace] = field(default_factory=list)  # of each batch in which the layer was called
    gradients: list[Tensor] = field(default_factory=list)  # of its weights, in each batch
    sent: list[Tensor] = field(default_factory=list)  # its spikes, whose gradients tell who hears them
    is_heard: bool = False  # whether the loss depends on its spikes
    is_recurrent: bool = False  # whether its spikes reach it again
    left_out: str = ""  # why it is not measured

    def new_trace(self) -> LayerTrace:
        slope_at = functools.partial(
            _slope, self.layer.surrogate if isinstance(self.layer, Neuron) else self.layer.spike_grad
        )
        return LayerTrace(self.name, 1, slope_at, counts_spikes=True)

    @contextlib.contextmanager
    def recording(self, called: Callable[[], None]) -> Iterator[LayerTrace]:
        """Record the layer's calls in a new trace while the context lasts."""
        trace = self.new_trace()
        if isinstance(self.layer, Neuron):
            with replaced_step(self.layer, functools.partial(recorded_step, trace, self.layer)):
                yield trace
        else:
            with watched({self.layer: Watcher(self.after(trace), self.before(trace, called), steps=True)}):
                yield trace

    def before(self, trace: LayerTrace, called: Callable[[], None]) -> Callable[[Any, Tensor], Tensor]:
        """Make a hook that records a layer's current before each step, as a leaf whose gradient can be read."""

        def keep(_: Any, current: Tensor) -> Tensor:
            called()
            if trace.currents and current.shape != trace.currents[0].shape:
                self.left_out = (
                    f"one module for several layers, it receives currents of shapes "
                    f"{tuple(trace.currents[0].shape)} and {tuple(current.shape)}; give each layer neurons of its own"
                )
            trace.currents.append(leaf_like(current))
            return trace.currents[-1]

        return keep

    def after(self, trace: LayerTrace) -> Callable[[Any, Tensor, Any], None]:
        """Make a hook that records a layer's spikes and its potential minus the threshold after each step."""

        def keep(layer: Any, _: Tensor, output: Any) -> None:
            shown = shown_by(layer, output)
            if shown is None:
                self.left_out = f"{type(layer).__name__} does not show its membrane potential; set output=True"
                return
            if shown[0].requires_grad:
                shown[0].retain_grad()
            self.sent.append(shown[0])
            trace.spikes.append(shown[0].detach())
            trace.centred.append(shown[1].detach())

        return keep

    def note_recurrence(self, trace: LayerTrace) -> None:
        """Note whether the second step's current depends on the first step's spikes; before the backward pass."""
        self.is_recurrent |= is_recurrent(self.layer)
        if self.is_recurrent or len(trace.currents) < STEPS_OF_A_LOOP or not self.sent:
            return
        sent, current = self.sent[0], trace.currents[1]
        if sent.requires_grad and current.grad_fn is not None:
            (passed,) = torch.autograd.grad(current.sum(), sent, retain_graph=True, allow_unused=True)
            self.is_recurrent = passed is not None

    def note(self, trace: LayerTrace, weights: Sequence[nn.Parameter]) -> None:
        """Keep what a batch has shown, after its backward pass."""
        if self.left_out or not trace.currents:
            return
        self.traces.append(trace)
        self.gradients.append(joined_gradient(weights))
        self.is_heard |= isinstance(self.layer, Neuron) or any(
            spikes.grad is not None and bool(spikes.grad.any()) for spikes in self.sent
        )
        self.sent.clear()


class _Owners:
    """Finds out which weights belong to which spiking layer: its own, and those used since a spiking layer before.

    Weights that no called module holds belong to the next spiking layer in the order of modules, or to the last.
    """

    def __init__(self, net: nn.Module, recorders: dict[str, _Recorder]) -> None:
        self.weights = list(net.parameters())
        self.owners: dict[nn.Parameter, str] = {}
        self.pending: list[nn.Parameter] = []
        self.within = {module for recorder in recorders.values() for module in recorder.layer.modules()}
        self.holders = [
            module
            for module in net.modules()
            if module not in self.within and next(module.parameters(recurse=False), None) is not None
        ]
        names = {recorder.layer: name for name, recorder in recorders.items()}
        for module in net.modules():
            if module not in self.within:
                self.pending += module.parameters(recurse=False)
            elif module in names:
                self.owners |= dict.fromkeys(module.parameters(), names[module])
                self.claim(names[module])
        self.claim(next(reversed(recorders)))

    def claim(self, layer: str) -> None:
        """Give the weights that were used since the last claim to a layer."""
        self.owners |= dict.fromkeys(self.pending, layer)
        self.pending.clear()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Note which modules are called before which layer."""

        def use(module: nn.Module, *_: object) -> None:
            self.pending.extend(module.parameters(recurse=False))

        handles = [module.register_forward_hook(use) for module in self.holders]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            self.pending.clear()

    def of(self, layer: str) -> list[nn.Parameter]:
        return [weight for weight in self.weights if self.owners[weight] == layer]


def _slope(surrogate: Any, centred: Tensor) -> Tensor:
    """Compute the slope of a surrogate by its backward pass, at potentials minus threshold."""
    leaf = centred.detach().clone().requires_grad_()
    with torch.enable_grad():
        sent = surrogate(leaf)
    if not sent.requires_grad:
        return torch.zeros_like(leaf)
    (slope,) = torch.autograd.grad(sent.sum(), leaf)
    return slope.nan_to_num(0.0)  # snnTorch's sigmoid is NaN far below threshold


def _facts(recorders: dict[str, _Recorder], owners: _Owners) -> ModuleFacts:
    """Collect what the advice for a module needs besides measured values."""
    names = [name for name, recorder in recorders.items() if recorder.traces]
    return ModuleFacts(
        equal_input=frozenset(name for name in names[:1] if _has_equal_currents(recorders[name].traces)),
        unheard=frozenset(name for name in names if not recorders[name].is_heard),
        frozen=frozenset(
            name for name in names if owners.of(name) and not any(weight.requires_grad for weight in owners.of(name))
        ),
        attached=frozenset(name for name in names if reset_gradient_of(recorders[name].layer) == "attached"),
        left_out={name: recorder.left_out for name, recorder in recorders.items() if recorder.left_out},
    )


def _has_equal_currents(traces: Sequence[LayerTrace]) -> bool:
    """Whether all samples of a batch cause the same currents, so that the network cannot tell them apart."""
    return all(
        len(current) > 1 and bool((current == current[:1]).all()) for trace in traces for current in trace.currents
    )


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


def _flat_traces(recorder: _Recorder) -> tuple[list[LayerTrace], list[Tensor]]:
    """Return a layer's trace of each batch with one axis of neurons, and the count of steps of each sample."""
    flat = [_flat(trace) for trace in recorder.traces]
    return flat, [torch.full((len(trace.spikes[0]),), len(trace.spikes)) for trace in flat]


def _layer(recorder: _Recorder) -> LayerDiagnosis:
    """Diagnose one layer from its trace and weight gradient [P] of each batch."""
    flat, lengths = _flat_traces(recorder)
    values: dict[str, Any] = {}
    reasons: dict[str, str] = dict.fromkeys(NAMES, FOREIGN)
    recurrent: bool | None = recorder.is_recurrent
    if not recurrent and (isinstance(recorder.layer, Neuron) or reset_gradient_of(recorder.layer) == "attached"):
        recurrent, reasons["recurrent"] = None, "its reset may pass a gradient from step to step as well"
    for panel, missing in (flow(flat, lengths), weights(recorder.gradients), activity(flat, lengths)):
        values |= panel
        reasons |= missing
    return LayerDiagnosis(
        name=recorder.name or type(recorder.layer).__name__,
        neurons=flat[0].neurons,
        recurrent=recurrent,
        reasons=reasons,
        **{field: values.get(field) for field in (*FLOW, *OF_WEIGHTS, *NAMES, *ACTIVITY)},
    )


def _diagnosis(measured: Sequence[_Recorder], facts: ModuleFacts, loss: float) -> ShownDiagnosis:
    """Join the diagnoses of layers, their mean loss and advice; an InputError if there is no layer."""
    if not measured:
        why = "; ".join(f"'{name}': {reason}" for name, reason in facts.left_out.items())
        raise InputError(
            f"diagnose_module: {why or 'no spiking layer was called; loss(net, batch) has to run the network'}"
        )
    layers = tuple(map(_layer, measured))
    slope = log_slope([layer.grad_norm or 0.0 for layer in layers])
    reasons: dict[str, str] = dict.fromkeys(("agreements", "falling_steps", "loop", "line"), FOREIGN)
    if slope is None:
        reasons["log_slope_per_layer"] = "fewer than two layers have a gradient"
    if not math.isfinite(loss):
        reasons["loss"] = "the loss is not finite"
    prediction: Outlook | None = outlook(layers, all_hidden=True, attached=facts.attached)
    if prediction == "fine" and (why := why_not_fine(layers, facts.unheard)):
        prediction, reasons["outlook"] = None, why
    diagnosis = ShownDiagnosis(
        weights="given",
        split=None,
        samples=sum(len(trace.spikes[0]) for trace in measured[0].traces),
        panels=("flow", "activity"),
        loss=loss if math.isfinite(loss) else None,
        log_slope_per_layer=slope,
        layers=layers,
        agreements=None,
        falling_steps=None,
        loop=None,
        line=None,
        outlook=prediction,
        advice=(),
        reasons=reasons,
    )
    return diagnosis.model_copy(update={"advice": tuple(advise_modules(diagnosis, facts))})
