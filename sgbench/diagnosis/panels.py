"""Diagnose a network with one set of weights by the chosen panels."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from fastspiking.signals.trajectory import Batch
from sgbench.diagnosis import agreement as compared
from sgbench.diagnosis.advice import HIGH_PEAK, advise, outlook
from sgbench.diagnosis.enumeration import enumerated
from sgbench.diagnosis.flow import FLOW, NAMES, flow, jacobians, log_slope, weights, weights_gradient
from sgbench.diagnosis.score_function import estimated
from sgbench.diagnosis.text import ShownDiagnosis
from sgbench.diagnosis.traces import LayerTrace, TracedBatch, activity, trace
from sgbench.errors import InputError, NonFiniteError
from sgbench.networks.base import Network
from sgbench.neurons.gated import passes_reset
from sgbench.neurons.quantity import Threshold
from sgbench.records.diagnosis import PANELS, Agreement, LayerDiagnosis
from sgbench.rules.base import LearningRule, Objective
from sgbench.surrogates.base import Surrogate


def lost_classes(traced: Sequence[TracedBatch], batches: Sequence[Batch], objective: Objective) -> Iterator[str]:
    r"""Yield one sentence with all classes that learn nothing, if there are some but not all.

    Until a spike reaches a readout that does not fire, its outputs are 0 whatever its weights are. If
    :math:`\partial L / \partial y_c[t]` is 0 at every other step of every sample, no weight into class c changes.
    Readouts that fire and losses on spike times are not judged. `traced` is the network's pass over each batch.
    """
    if traced[0].layers[-1].counts_spikes or objective.loss.on_times:
        return
    learns = torch.stack(
        [_classes_that_learn(run, batch, objective) for run, batch in zip(traced, batches, strict=True)]
    ).any(0)
    lost = [str(index) for index in (~learns).nonzero().flatten().tolist()]
    if lost and len(lost) < len(learns):
        samples = sum(len(batch.target) for batch in batches)
        yield (
            f"class{'es' if len(lost) > 1 else ''} {', '.join(lost)}: of {samples} samples the loss looks at the "
            f"output only before the first spike arrives, where it is 0, so nothing is learnt of it: "
            f"loss=max_since_input, or a smaller optimizer.lr"
        )


def _classes_that_learn(run: TracedBatch, batch: Batch, objective: Objective) -> Tensor:
    """Return for each of C classes whether the loss has a gradient at a step where the output is not 0 [C]."""
    with torch.enable_grad():  # gradients are off between epochs, when a diagnosis may run
        output = run.trajectory.output.detach().requires_grad_()
        loss = objective.loss.whole(replace(run.trajectory, output=output), batch.target)
        (gradient,) = torch.autograd.grad(loss, output, materialize_grads=True)
    return ((gradient != 0) & (output.detach() != 0)).flatten(0, 1).any(0)


ACTIVITY = ("rate_per_step", "dead_fraction", "saturated_fraction", "in_window_fraction", "mean_slope")
OF_WEIGHTS = ("nonzero_parameters", "signal_to_noise")
NOISE_SLOPE = 5.0
"""Escape noise with which spikes are enumerated or drawn for an expected gradient [1/threshold]."""
SHORT_STEP = 0.01  # length of a step against a mini-batch's gradient, relative to the norm of all weights


def diagnose_network(  # noqa: PLR0913 - one for each part of a run
    network: Network,
    rule: LearningRule | None,
    batches: Sequence[Batch],
    objective: Objective,
    *,
    generator: torch.Generator,
    panels: Sequence[str] = PANELS,
    weights_name: str = "given",
    split: Literal["train", "validation"] | None = None,
    step_size: float = compared.STEP_SIZE,
) -> ShownDiagnosis:
    """Diagnose a network over some batches without changing it.

    `network`: already set to the epoch and training mode to diagnose. `rule`: the panel "agreement" compares its
    gradient with references; None for back-propagation. `batches`: at least one, on the network's device. `objective`:
    the loss with penalties. `generator`: draws the directions of finite differences, and spikes. `panels`: names from
    `PANELS`, the parts of the diagnosis to compute. `weights_name`: which weights these are, stored in the result:
    "initial", "selected", "given" or "epoch N". `split`: the split of the batches, stored in the result; None for other
    data. `step_size`: of finite differences, relative to the norm of a layer's weights.
    """
    panels = checked_panels(panels)
    if not batches:
        raise InputError("diagnose: no samples; at least one batch is needed")
    require_finite_weights(network)
    traced = [trace(network, batch, objective) for batch in batches]
    layers = tuple(_layer(traced, index, panels) for index in range(len(traced[0].layers)))
    attached = {str(layer.name) for layer in network.layers if passes_reset(layer.neuron)}
    loss = sum(traced_batch.loss.item() for traced_batch in traced) / len(traced)
    compares = "agreement" in panels
    agreements = _agreements(network, rule, traced, batches, objective, generator, step_size) if compares else ()
    fields: dict[str, Any] = {
        "weights": weights_name,
        "split": split,
        "samples": sum(len(batch.lengths) for batch in batches),
        "panels": panels,
        "layers": layers,
        "loss": loss if math.isfinite(loss) else None,
        "log_slope_per_layer": log_slope([layer.grad_norm or 0.0 for layer in layers]),
        "agreements": tuple(agreements) if compares else None,
        "falling_steps": falling_steps(network, traced, batches, objective) if compares else None,
        "loop": None,
        "line": None,
        "outlook": outlook(layers, attached=attached) if {"flow", "activity"} <= set(panels) else None,
        "advice": (),
    }
    diagnosis = ShownDiagnosis(**fields, reasons=_reasons(fields, panels))
    class_problems = lost_classes(traced, batches, objective) if "activity" in panels else ()
    problems = (*_steep_resets(network), *class_problems)
    return diagnosis.model_copy(update={"advice": tuple(advise(diagnosis, problems, attached=attached))})


def _steep_resets(network: Network) -> Iterator[str]:
    """Yield one line for the layers whose reset passes a gradient through a steep surrogate."""
    high = {}
    for layer in network.layers:
        surrogate, threshold = (getattr(layer.neuron, name, None) for name in ("surrogate", "threshold"))
        if passes_reset(layer.neuron) and isinstance(surrogate, Surrogate) and isinstance(threshold, Threshold):
            peak = (surrogate.peak or 0.0) * torch.as_tensor(threshold()).abs().max().item()
            if peak >= HIGH_PEAK:
                high[layer.name] = peak
    if high:
        yield (
            f"{', '.join(high)}: the reset is attached to a slope of {max(high.values()):.3g} at its peak, and "
            f"peaks of {HIGH_PEAK:g} and more lost accuracy that way: take a peak of 1 "
            "(surrogate.normalisation=peak1), or neuron.reset_gradient=detached"
        )


def checked_panels(panels: Sequence[str]) -> tuple[str, ...]:
    """Check the names of panels, and return them without repeats in the order of `PANELS`."""
    for panel in panels:
        if panel not in PANELS:
            raise InputError(f"panel '{panel}': one or more of {', '.join(PANELS)} are needed")
    if not panels:
        raise InputError(f"panels: one or more of {', '.join(PANELS)} are needed")
    return tuple(panel for panel in PANELS if panel in panels)


def require_finite_weights(network: Network) -> None:
    """Raise a NonFiniteError that names the layer if weights are NaN or infinite."""
    for layer in network.layers:
        for name, weight in layer.named_parameters():
            if not bool(weight.isfinite().all()):
                raise NonFiniteError(
                    f"layer '{layer.name}': '{name}' is not finite, so nothing can be diagnosed; diagnose the "
                    f"initial weights with --weights initial"
                )


def _reasons(fields: dict[str, Any], panels: Sequence[str]) -> dict[str, str]:
    """Map each field of a diagnosis that is None to the reason why."""
    reasons = {
        "loss": "the loss is not finite",
        "log_slope_per_layer": "fewer than two layers have a gradient",
        "agreements": "panel agreement was not asked for",
        "falling_steps": "panel agreement was not asked for"
        if "agreement" not in panels
        else "no short step against the gradient changes the loss",
        "loop": "not asked for; see: sgbench diagnose loop",
        "line": "not asked for; see: sgbench diagnose line",
        "outlook": "it takes the panels flow and activity",
    }
    return {name: reason for name, reason in reasons.items() if fields[name] is None}


def _layer(traced: Sequence[TracedBatch], index: int, panels: Sequence[str]) -> LayerDiagnosis:
    """Measure one layer over all batches; what was not measured is None and has a reason."""
    traces: list[LayerTrace] = [traced_batch.layers[index] for traced_batch in traced]
    lengths = [traced_batch.lengths for traced_batch in traced]
    values: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    if "flow" in panels:
        gradients = [weights_gradient(traced_batch.network.layers[index]) for traced_batch in traced]
        for panel, missing in (flow(traces, lengths), weights(gradients)):
            values |= panel
            reasons |= missing
        jacobian = jacobians(traced[0], index)
        if isinstance(jacobian, str):
            reasons |= dict.fromkeys(NAMES, jacobian)
        else:
            values |= dict(zip(NAMES, jacobian, strict=True))
    else:
        reasons |= dict.fromkeys((*FLOW, *OF_WEIGHTS, *NAMES), "panel flow was not asked for")
    if "activity" in panels:
        panel, missing = activity(traces, lengths)
        values |= panel
        reasons |= missing
    else:
        reasons |= dict.fromkeys(ACTIVITY, "panel activity was not asked for")
    layer: Any = traced[0].network.layers[index]
    recurrent = getattr(layer, "recurrent", None) is not None
    if "passing_steps" in values and (not recurrent or layer.cut):
        values["passing_steps"] = 0.0
    return LayerDiagnosis(
        name=traces[0].name,
        neurons=traces[0].neurons,
        recurrent=recurrent,
        reasons=reasons,
        passing_steps=values.get("passing_steps"),
        **{name: values.get(name) for name in (*FLOW, *OF_WEIGHTS, *NAMES, *ACTIVITY)},
    )


def _agreements(
    network: Network,
    rule: LearningRule | None,
    traced: Sequence[TracedBatch],
    batches: Sequence[Batch],
    objective: Objective,
    generator: torch.Generator,
    step_size: float,
) -> list[Agreement]:
    """Compare the gradient that trains the network with every reference gradient that exists.

    A reference that does not exist for this network has one line with the reason.
    """
    bptt = {
        layer_trace.name: torch.stack(
            [weights_gradient(traced_batch.network.layers[index]) for traced_batch in traced]
        ).mean(0)
        for index, layer_trace in enumerate(traced[0].layers)
    }
    trained = bptt if rule is None else compared.rule_gradients(network, rule, batches, objective)

    def probe() -> list[Agreement]:
        loss_at = compared.LossAt(network, batches[:1], objective)
        if rule is None:
            first = compared.bptt_gradients(network, batches[:1], objective)
        else:
            first = compared.rule_gradients(network, rule, batches[:1], objective)
        return compared.probe(loss_at, first, generator, step_size=step_size)

    noise: Any = {"noise_slope": NOISE_SLOPE}
    makers: dict[compared.Reference, Callable[[], list[Agreement]]] = {
        "relaxed": lambda: compared.agreements(
            "relaxed", trained, compared.relaxed_gradients(network, batches, objective)
        ),
        "finite_difference": probe,
        "enumeration": lambda: enumerated(network, batches[0], objective, **noise),
        "score_function": lambda: estimated(network, batches[0], objective, generator=generator, **noise),
    }
    agreements = compared.agreements("bptt", trained, bptt)
    for reference, make in makers.items():
        agreements += compared.or_missing(reference, make)
    return agreements


def falling_steps(
    network: Network, traced: Sequence[TracedBatch], batches: Sequence[Batch], objective: Objective
) -> float | None:
    """Compute the share of mini-batches whose loss falls with a short step against their own gradient.

    A batch is left out if its loss does not change, as when no neuron fires, or its gradient is 0 or not finite;
    None if all are. `traced` is the network's pass over each batch, with its gradients.
    """
    falls = []
    for traced_batch, batch in zip(traced, batches, strict=True):
        loss_at = compared.LossAt(network, [batch], objective)
        parameters = compared.layer_weights(loss_at.network)
        gradient = torch.cat([weights_gradient(layer) for layer in traced_batch.network.layers]).cpu()
        if not bool(gradient.isfinite().all()) or not bool(gradient.any()):
            continue
        start = compared.as_vector(parameters)
        before = loss_at()
        compared.put(parameters, start - SHORT_STEP * start.norm() * gradient / gradient.norm())
        after = loss_at()
        if after != before:
            falls.append(after < before)
    return sum(falls) / len(falls) if falls else None
