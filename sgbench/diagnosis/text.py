"""Writes diagnoses as text: tables in columns, then advice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sgbench.diagnosis.landscape import LoopSamples, Plane
from sgbench.diagnosis.robustness import RobustnessCurve
from sgbench.diagnosis.widths import WidthMeasures
from sgbench.plots.style import Drawn
from sgbench.records.diagnosis import Diagnosis, LayerDiagnosis, LinePoint
from sgbench.tables import aligned, number_text
from sgbench.tables.shown import ShownTable
from sgbench.tables.table import Table, plain_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LAYER_COLUMNS: dict[str, str] = {  # a narrow screen shows the first of them, of which the advice speaks
    "rate_per_step": "rate/step",
    "dead_fraction": "dead",
    "log_slope_per_step": "ln growth/step",
    "gradient_dead_fraction": "gradient-dead",
    "passing_steps": "steps passing",
    "signal_to_noise": "signal/noise",
    "grad_norm": "|dL/dI|",
    "nonzero_parameters": "weights reached",
    "jacobian_norm": "|J|",
    "jacobian_radius": "radius of J",
    "in_window_fraction": "in window",
    "mean_slope": "mean slope",
    "saturated_fraction": "saturated",
}
AGREEMENT_COLUMNS = ("cosine", "norm_ratio", "sign_agreement", "relative_bias")


def diagnosis_text(diagnosis: Diagnosis, width: int | None = None) -> str:
    """Write the measures of layers and the advice; columns for which `width` [characters] has no room are named."""
    loss = "not finite" if diagnosis.loss is None else f"{diagnosis.loss:.4g}"
    lines = [
        f"{diagnosis.weights} weights, {diagnosis.samples} samples of {diagnosis.split or 'yours'}, loss {loss}",
        "",
    ]
    names = [name for name in LAYER_COLUMNS if any(getattr(layer, name) is not None for layer in diagnosis.layers)]
    if names:
        head = ["layer", *(LAYER_COLUMNS[name] for name in names)]
        rows = [[layer.name, *(number_text(getattr(layer, name)) for name in names)] for layer in diagnosis.layers]
        lines += aligned([head, *rows], text_columns=1, width=width, rest="--json")
    if diagnosis.agreements:
        lines += ["", *_agreement_lines(diagnosis, width)]
    if diagnosis.falling_steps is not None:
        lines.append(f"the loss falls with {diagnosis.falling_steps:.0%} of short steps against the gradient")
    elif "agreement" in diagnosis.panels:
        lines.append(f"short steps: {diagnosis.reasons['falling_steps']}")
    if {"flow", "activity"} <= set(diagnosis.panels):
        lines += ["", f"outlook: {diagnosis.outlook or diagnosis.reasons['outlook']}"]
    return "\n".join([*lines, *(f"- {sentence}" for sentence in diagnosis.advice)])


def _agreement_lines(diagnosis: Diagnosis, width: int | None) -> list[str]:
    """Write a table of how gradients agree with references, and a line for each reason why others were not measured."""
    found = diagnosis.agreements or ()
    head = ["reference", "layer", *(name.replace("_", " ") for name in AGREEMENT_COLUMNS)]
    rows = [
        [line.reference, line.layer, *(number_text(getattr(line, name)) for name in AGREEMENT_COLUMNS)]
        for line in found
        if line.norm_ratio is not None
    ]
    told = {  # for each reason and reference the layers that it holds for
        (line.reasons["cosine"], line.reference): ", ".join(
            other.layer
            for other in found
            if other.reference == line.reference and other.reasons.get("cosine") == line.reasons["cosine"]
        )
        for line in found
        if line.cosine is None
    }
    missing = [
        f"{', '.join(name for (why, name), at in told.items() if (why, at) == (reason, layers))}"
        f"{'' if layers == 'all' else f' of {layers}'}: {reason}"
        for reason, layers in dict.fromkeys((reason, at) for (reason, _), at in told.items())
    ]
    return [*(aligned([head, *rows], text_columns=2, width=width, rest="--json") if rows else []), *missing]


def line_text(line: Sequence[LinePoint]) -> str:
    """Write a table of points on a line between two sets of weights, with the loss and two slopes at each.

    The surrogate slope is the surrogate gradient along the line; the macroscopic slope is that of the loss, by
    finite differences to the neighbouring points.
    """
    head = ["alpha", "loss", "surrogate slope", "macroscopic slope"]
    rows = [
        [number_text(value) for value in (point.alpha, point.loss, point.surrogate_slope, point.macroscopic_slope)]
        for point in line
    ]
    return "\n".join(aligned([head, *rows], text_columns=0))


def loops_text(loops: Sequence[LoopSamples]) -> str:
    """Write the integrals around closed loops as a table."""
    rows = []
    for index, samples in enumerate(loops):
        loop = samples.loop
        share = number_text(loop.integral / loop.path if loop.path else None)
        rows.append([str(index), f"{loop.integral:.4g}", f"{loop.path:.4g}", share])
    table = aligned([["plane", "integral", "path", "share"], *rows], text_columns=1)
    return "\n".join(
        [*table, "the integral of a gradient of any function is 0; path is the integral of its absolute value"]
    )


def plane_text(plane: Plane) -> str:
    """Write how many losses of a plane are finite, the least with its place, and the largest."""
    known = [
        (loss, a, b)
        for b, row in zip(plane.second, plane.losses, strict=True)
        for a, loss in zip(plane.first, row, strict=True)
        if loss is not None
    ]
    count = sum(map(len, plane.losses))
    if not known:
        return f"{count} losses, none of them finite"
    least, a, b = min(known)
    return (
        f"{count} losses, {count - len(known)} of them not finite\n"
        f"least {least:.4g} at ({a:.3g}, {b:.3g}), largest {max(known)[0]:.4g}"
    )


def widths_text(measures: Sequence[WidthMeasures]) -> str:
    """Write the measures of each layer by which adaptive surrogates choose their width, as a table."""
    head = ["layer", "spread", "in window", "variation, last step", "variation, mean", "consistency, mean"]
    rows = [
        [
            measure.layer,
            number_text(_mean(measure.spread)),
            number_text(_mean(measure.in_window)),
            number_text(measure.variation[-1]),
            number_text(_mean(measure.variation)),
            number_text(_mean(measure.consistency)),
        ]
        for measure in measures
    ]
    return "\n".join(
        [
            *aligned([head, *rows], text_columns=1),
            "spread of potentials in thresholds; variation and consistency are of dL/dI; --json has every step",
        ]
    )


def _mean(steps: Sequence[float | None]) -> float | None:
    known = [value for value in steps if value is not None]
    return sum(known) / len(known) if known else None


def robustness_text(curves: Sequence[RobustnessCurve]) -> str:
    """Write a table for each disturbance: the score at each severity, and the curve's mean over its first point."""
    lines = []
    for curve in curves:
        if curve.reason is not None:
            lines += [f"{curve.name}: not measured, {curve.reason}", ""]
            continue
        area_text = "" if curve.area is None else f"; mean of the curve {curve.area:.3f} of the undisturbed one"
        head = ["severity", curve.measure, "lowest", "highest"]
        rows = [[severity_text(point.severity), *(f"{number:.4g}" for number in point[1:])] for point in curve.points]
        lines += [f"{curve.name}: {curve.meaning}{area_text}", *aligned([head, *rows], text_columns=1), ""]
    return "\n".join(lines).rstrip()


def severity_text(severity: float | None) -> str:
    """Write a severity as a number, or "none" for None, which means no disturbance."""
    return "none" if severity is None else f"{severity:g}"


LONGEST_NAME = 24  # letters of a layer's name
HEAD = ("layer", "neurons", "spikes/step", "silent", "saturated", "near", "gradient")
ABOUT_COLUMNS = (
    "near: potentials at which the surrogate's slope is above 1 % of its peak; gradient: norm by the currents"
)


class ShownDiagnosis(Drawn, ShownTable, Diagnosis):
    """Shows its layers, outlook and advice; `plot()` draws gradients by step, shares by layer and agreements."""

    __hash__ = Diagnosis.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Diagnosis) and self.model_dump() == other.model_dump()

    def table(self) -> Table:
        return plain_table("Diagnosis", [HEAD, *map(_row, self.layers)], text_columns=1)

    def table_notes(self) -> tuple[str, ...]:
        outlook = self.outlook or self.reasons["outlook"]
        loss = "not finite" if self.loss is None else f"{self.loss:.4g}"
        measured = f"{self.weights} weights, {self.samples} samples, loss {loss}"
        return (measured, ABOUT_COLUMNS, f"outlook: {outlook}", *(f"- {sentence}" for sentence in self.advice))

    def figure(self) -> Figure:
        from sgbench.plots.diagnosis import diagnosis_figure

        return diagnosis_figure([self])


def _row(layer: LayerDiagnosis) -> list[str]:
    """Return a layer's row of the diagnosis; a long name keeps its end."""
    shares = (layer.dead_fraction, layer.saturated_fraction, layer.in_window_fraction)
    return [
        layer.name if len(layer.name) <= LONGEST_NAME else f"...{layer.name[3 - LONGEST_NAME :]}",
        str(layer.neurons),
        number_text(layer.rate_per_step),
        *("-" if share is None else f"{share:.0%}" for share in shares),
        number_text(layer.grad_norm),
    ]
