"""Validation of energy targets: published measurements compared with the energy that prices predict.

A prediction that needs a fit is fitted to the other measurements, never to the one that it is compared with.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from sgbench.composition import catalogue
from sgbench.energy.interval import BoundedValue
from sgbench.energy.price import price
from sgbench.errors import InputError
from sgbench.records.counts import Count, LayerCounts, OpCounts, SynapseCounts
from sgbench.records.energy import CaseLayer, CasePoint, EnergyCase, EnergyTarget, FitPoint, Range
from sgbench.records.files import first_problem

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sgbench.plots.energy_terms import Prediction

ENDS = ("value", "low", "high")
NJ_PER_MJ = 1e6


@dataclass(frozen=True)
class EnergyVerdict:
    """Compares one published measurement with its prediction."""

    case: str  # the publication's name in the catalogue
    label: str  # of the measurement
    target: str
    per: str  # what the energy is of, e.g. "inference"
    predicted_nj: BoundedValue
    measured_nj: BoundedValue
    why: str | None  # likely reason for the difference; None if the intervals overlap
    is_fitted: bool  # whether a fixed energy, or a line, was fitted to other measurements of the chip

    @property
    def ratio(self) -> float:
        return self.predicted_nj.value / self.measured_nj.value

    @property
    def inside(self) -> bool:
        return self.predicted_nj.low <= self.measured_nj.high and self.measured_nj.low <= self.predicted_nj.high


def load_cases(config_dirs: Iterable[Path] = ()) -> dict[str, EnergyCase]:
    """Map names to the cases (published measurements) of the catalogue and of the user's own folders."""
    cases = {}
    for name, entry in catalogue.entries("energy_case", config_dirs).items():
        try:
            cases[name] = EnergyCase.model_validate(entry.parameters)
        except ValidationError as error:
            raise InputError(f"{entry.path}: {first_problem(error)}") from error
    return cases


def validate(cases: Mapping[str, EnergyCase], targets: Mapping[str, EnergyTarget]) -> list[EnergyVerdict]:
    """Compare the energy predicted for each published measurement with the measured one."""
    verdicts = []
    for name, case in cases.items():
        for target in case.targets:
            if target not in targets:
                raise InputError(f"energy case '{name}': no target '{target}'")
            predicted = _predictions(name, case, targets[target])
            for point, energy in zip(case.points, predicted, strict=True):
                verdicts.append(_verdict(name, case, point, target, energy))
    return verdicts


def _verdict(name: str, case: EnergyCase, point: CasePoint, target: str, energy: BoundedValue) -> EnergyVerdict:
    """Compare one prediction with its measurement; the case's explanation is added if it lies outside."""
    verdict = EnergyVerdict(
        case=name,
        label=point.label,
        target=target,
        per=case.per,
        predicted_nj=energy,
        measured_nj=BoundedValue(point.measured_nj.value, point.measured_nj.low, point.measured_nj.high),
        why=None,
        is_fitted=case.compare != "prices",
    )
    return verdict if verdict.inside else replace(verdict, why=point.why or case.why)


def _predictions(name: str, case: EnergyCase, target: EnergyTarget) -> list[BoundedValue]:
    """Predict the energy of each measured point; what is fitted for a point is fitted to the other points alone."""
    if case.compare == "left_out_line":
        if len(target.fitted_to) != len(case.points):
            raise InputError(f"energy case '{name}': {target.name} was fitted to other points")
        return [left_out_line(target.fitted_to, index) for index in range(len(case.points))]
    priced = [_price_point(name, case, point, target) for point in case.points]
    if case.compare == "prices":
        return priced
    offsets = [point.measured_nj.value - energy.value for point, energy in zip(case.points, priced, strict=True)]
    return [_add_offset(energy, offsets, index) for index, energy in enumerate(priced)]


def verdicts_figure(verdicts: Sequence[EnergyVerdict]) -> Figure:
    """Draw every predicted energy as a multiple of the measured one, grouped by target."""
    from sgbench.plots.energy_terms import measured_charts
    from sgbench.plots.figure import charts_figure

    return charts_figure(measured_charts(predictions_of(verdicts), ""), panel=(11.0, 0.0))


def predictions_of(verdicts: Sequence[EnergyVerdict]) -> list[Prediction]:
    """Convert verdicts to points of the picture of predicted against measured energies."""
    from sgbench.plots.chart import Estimate
    from sgbench.plots.energy_terms import Prediction

    return [
        Prediction(
            target=verdict.target,
            label=f"{verdict.case}: {verdict.label}",
            predicted=Estimate(*astuple(verdict.predicted_nj)),
            measured=Estimate(*astuple(verdict.measured_nj)),
            holds=verdict.inside,
        )
        for verdict in verdicts
    ]


def left_out_line(points: Sequence[FitPoint], index: int) -> BoundedValue:
    r"""Predict the energy of one second [nJ] at `points[index]` from a least-squares line through the others.

    .. math:: \hat P_i = \sum_{j \ne i} w_j P_j, \qquad w_j = \frac1n + \frac{(x_i - \bar x)(x_j - \bar x)}
              {\sum_k (x_k - \bar x)^2}, \qquad \pm \sum_{j \ne i} |w_j| \, h_j

    with the event rates x_j [1/s], powers P_j [mW] and their rounding errors h_j [mW] of n other points. The
    scatter of points around the line does not widen the bounds, since the test is whether there is such a line.

    >>> line = [FitPoint(events_per_s=x, power_mw=1 + 2 * x, half_mw=0.5) for x in (1.0, 2.0, 4.0)]
    >>> left_out_line(line, 2)
    BoundedValue(value=9000000.0, low=6500000.0, high=11500000.0)
    """
    others = [point for other, point in enumerate(points) if other != index]
    mean = math.fsum(point.events_per_s for point in others) / len(others)
    squares = math.fsum((point.events_per_s - mean) ** 2 for point in others)
    distance = points[index].events_per_s - mean
    weights = [1 / len(others) + distance * (point.events_per_s - mean) / squares for point in others]
    power = math.fsum(weight * point.power_mw for weight, point in zip(weights, others, strict=True))
    half = math.fsum(abs(weight) * point.half_mw for weight, point in zip(weights, others, strict=True))
    return BoundedValue(power, power - half, power + half).times(NJ_PER_MJ)


def _add_offset(priced: BoundedValue, offsets: Sequence[float], index: int) -> BoundedValue:
    """Add to the energy of measurement `index` a fixed energy: mean, least and largest offset of the others.

    The offset (measured minus priced energy) falls as prices rise, so the bounds of prices do not count.
    """
    others = [offset for other, offset in enumerate(offsets) if other != index]
    mean = math.fsum(others) / len(others)
    return BoundedValue(priced.value + mean, priced.value + min(others), priced.value + max(others))


def _price_point(name: str, case: EnergyCase, point: CasePoint, target: EnergyTarget) -> BoundedValue:
    """Predict the energy [nJ] of one measurement from prices.

    The low bound has the fewest events at low prices, the high bound the most events at high prices.
    """
    energies: list[BoundedValue] = []
    for bound in ENDS:
        counts = counts_of(point, bound)
        estimate = price(counts, target=target, dt_s=point.duration_s / point.steps)
        parts = {"dynamic": estimate.dynamic_nj, "static": estimate.static_nj, "whole": estimate.whole_nj}
        energy = parts[case.part]
        if energy is None:
            raise InputError(f"energy case '{name}': no total on {target.name}: {'; '.join(estimate.reasons)}")
        energies.append(energy)
    return BoundedValue(energies[0].value, energies[1].low, energies[2].high)


def counts_of(point: CasePoint, bound: str) -> OpCounts:
    """Convert a published network to operation counts of one inference.

    A measurement without neurons gets one layer without events, since `OpCounts` needs a layer.

    `point`: the measurement, with its network; `bound`: the published numbers of events and spikes to count: "value"
    (the best estimate), "low" or "high".
    """
    layers = tuple(_layer(layer, point.steps, bound) for layer in point.layers if layer.neurons)
    idle = CaseLayer(name="nothing", neurons=1, inputs=0, events=_NONE, spikes=_NONE)
    return OpCounts(
        samples=1,
        steps=point.steps,
        input_events=Count(total=round(getattr(point.layers[0].events, bound)) if point.layers else 0),
        layers=layers or (_layer(idle, point.steps, bound),),
    )


_NONE = Range(value=0, low=0, high=0)


def _layer(layer: CaseLayer, steps: int, bound: str) -> LayerCounts:
    """Return the operation counts of one layer of a published network, over all steps of one inference.

    `bound` says which value of a published range is used: "value", "low" or "high".
    """
    effective = Count(total=round(getattr(layer.events, bound) * layer.neurons * layer.copies))
    neurons = layer.neurons * layer.copies
    synapses = SynapseCounts(
        source="the layer before",
        wiring="all_to_all",
        operation="accumulate",
        weight_bits=8,
        effective=effective,
        dense=Count(total=layer.neurons * layer.inputs * layer.copies * steps),
    )
    updates, zero = Count(total=neurons * steps if layer.updated else 0), Count(total=0)
    return LayerCounts(
        name=layer.name,
        neuron="as published",
        neurons=neurons,
        state_bits=16,
        synapses=(synapses,),
        neuron_updates=updates,
        neuron_updates_with_input=updates,
        neuron_multiplications=zero,
        neuron_additions=zero,
        neuron_comparisons=zero,
        spikes_sent=Count(total=round(getattr(layer.spikes, bound) * layer.copies)),
        bias_additions=zero,
        weight_reads=effective,
        state_reads=updates,
        state_writes=updates,
        normalisation_operations=zero,
        pooling_operations=zero,
        residual_additions=zero,
        delay_operations=zero,
    )
