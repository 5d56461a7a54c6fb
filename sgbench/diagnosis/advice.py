"""From figures to plain sentences, each with a remedy that can be typed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from sgbench.records.diagnosis import Diagnosis, LayerDiagnosis, Outlook

REACHED = 0.05
"""Share of a layer's weights with a gradient below which the layer is cut off."""
GROWTH = 0.2
"""ln of the growth of the gradient in a step back in time above which it explodes."""
QUIET, SATURATED = 0.5, 0.5
"""Shares of dead or of saturated neurons that are worth a word."""
AGAINST = 0.5
"""Cosine with a reference below which a gradient points elsewhere."""


def outlook(layers: Sequence[LayerDiagnosis]) -> Outlook:
    """Say what a training that begins with these gradients is expected to come to.

    Args:
        layers: with the panel of the flow.
    """
    hidden = layers[:-1] or layers
    if any(
        layer.grad_norm is None and layer.grad_norm_by_step is None and _overflows(layer) for layer in layers
    ):
        return "explodes"
    if any((layer.log_slope_per_step or 0.0) > GROWTH for layer in hidden):
        return "explodes"
    if any((layer.nonzero_parameters or 0.0) < REACHED for layer in hidden):
        return "dead"
    return "fine"


def _overflows(layer: LayerDiagnosis) -> bool:
    return "not finite" in layer.reasons.get("grad_norm", "")


def advise(found: Diagnosis) -> Iterator[str]:
    """Write the advice of a diagnosis, one sentence for each thing that stands out.

    Args:
        found: without advice.
    """
    before = list(_of_layers(found))
    yield from before
    if "agreement" in found.panels:
        yield from _of_agreement(found)
    if not before:
        yield "nothing stands out: the gradient reaches every layer, and it does not grow over time"


def _of_layers(found: Diagnosis) -> Iterator[str]:
    for layer in found.layers:
        if "flow" in found.panels:
            yield from _of_flow(layer)
        if "activity" in found.panels:
            yield from _of_activity(layer)


def _of_flow(layer: LayerDiagnosis) -> Iterator[str]:
    if _overflows(layer):
        yield (
            f"{layer.name}: the gradient is not finite: narrow the surrogate (width_fwhm=0.1), or cut the "
            f"recurrent gradient (network.recurrence_gradient=cut)"
        )
    growth = layer.log_slope_per_step
    if growth is not None and growth > GROWTH:
        yield (
            f"{layer.name}: the gradient grows {math.exp(min(growth, 200.0)):.3g} times a step back in time: "
            f"narrow the surrogate (width_fwhm=0.1), or cut the recurrent gradient "
            f"(network.recurrence_gradient=cut)"
        )
    share = layer.nonzero_parameters
    if share is not None and share < REACHED:
        window = layer.in_window_fraction
        outside = (
            ""
            if window is None
            else f", {1 - window:.0%} of its potentials lie outside the surrogate's window"
        )
        yield (
            f"{layer.name}: {share:.1%} of its weights get a gradient{outside}: take a surrogate that reaches "
            f"further (surrogate=fast_sigmoid, or width_fwhm=4), or start louder (init.gain=1.5)"
        )


def _of_activity(layer: LayerDiagnosis) -> Iterator[str]:
    if layer.dead_fraction is not None and layer.dead_fraction > QUIET:
        yield (
            f"{layer.name}: {layer.dead_fraction:.0%} of its neurons never fire: start louder (init.gain=1.5), or "
            f"lower the threshold (neuron.threshold=0.5)"
        )
    if layer.saturated_fraction is not None and layer.saturated_fraction > SATURATED:
        yield (
            f"{layer.name}: {layer.saturated_fraction:.0%} of its neurons fire in more than 90 % of all steps: "
            f"start quieter (init.gain=0.5)"
        )


def _of_agreement(found: Diagnosis) -> Iterator[str]:
    for line in found.agreements or ():
        if line.cosine is not None and line.cosine < AGAINST and line.reference in ("bptt", "relaxed"):
            what = {"bptt": "full back-propagation through time", "relaxed": "the relaxed network"}
            remedy = {
                "bptt": "credit over time is lost: use rule=bptt, or a longer rule.window",
                "relaxed": "spikes and their smooth curve differ: widen the surrogate (width_fwhm=1)",
            }
            yield (
                f"{line.layer}: the gradient has a cosine of {line.cosine:.2f} with that of "
                f"{what[line.reference]}; {remedy[line.reference]}"
            )
    if found.falling_steps is not None and found.falling_steps < AGAINST:
        yield (
            f"the loss falls with {found.falling_steps:.0%} of short steps against the gradient: the "
            f"surrogate does not point downhill here; try another width, e.g. width_fwhm=1"
        )
