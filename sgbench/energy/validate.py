"""Published measurements against what the prices predict; what was fitted to a point is not tested on it."""

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
from sgbench.records.energy import EnergyTarget, FitPoint
from sgbench.records.energy_case import CaseLayer, CasePoint, EnergyCase, Range
from sgbench.records.files import first_problem

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sgbench.plots.energy_measured import Prediction

ENDS = ("value", "low", "high")
NJ_PER_MJ = 1e6


@dataclass(frozen=True)
class EnergyVerdict:
    """Compares one measured number with its prediction [nJ]."""

    case: str
    label: str
    target: str
    per: str
    predicted_nj: BoundedValue
    measured_nj: BoundedValue
    why: str | None  # what is likely missing; None where the prediction holds
    is_fitted: bool  # whether a fixed energy, or a line, was fitted to other measurements of the chip

    @property
    def ratio(self) -> float:
        """Return predicted over measured energy."""
        return self.predicted_nj.value / self.measured_nj.value

    @property
    def inside(self) -> bool:
        """Return whether the predicted and the measured interval overlap."""
        return (
            self.predicted_nj.low <= self.measured_nj.high and self.measured_nj.low <= self.predicted_nj.high
        )


def load_cases(config_dirs: Iterable[Path] = ()) -> dict[str, EnergyCase]:
    """Load all cases of the catalogue and of the user's own folders, by name.

    Raises:
        InputError: a file is no case; one line.
    """
    cases = {}
    for name, entry in catalogue.entries("energy_case", config_dirs).items():
        try:
            cases[name] = EnergyCase.model_validate(entry.parameters)
        except ValidationError as error:
            raise InputError(f"{entry.path}: {first_problem(error)}") from error
    return cases


def validate(cases: Mapping[str, EnergyCase], targets: Mapping[str, EnergyTarget]) -> list[EnergyVerdict]:
    """Compare predicted with measured energy; return one verdict for each point of a case and each of its targets.

    Raises:
        InputError: a case names a target that does not exist, or whose prices give no total for it.
    """
    verdicts = []
    for name, case in cases.items():
        for target in case.targets:
            if target not in targets:
                raise InputError(f"energy case '{name}': no target '{target}'")
            predicted = _predictions(name, case, targets[target])
            for point, energy in zip(case.points, predicted, strict=True):
                verdicts.append(_verdict(name, case, point, target, energy))
    return verdicts


def _verdict(
    name: str, case: EnergyCase, point: CasePoint, target: str, energy: BoundedValue
) -> EnergyVerdict:
    """Hold a predicted energy against the measured one."""
    measured = BoundedValue(point.measured_nj.value, point.measured_nj.low, point.measured_nj.high)
    fitted = case.compare != "prices"
    verdict = EnergyVerdict(name, point.label, target, case.per, energy, measured, None, fitted)
    return verdict if verdict.inside else replace(verdict, why=point.why or case.why)


def _predictions(name: str, case: EnergyCase, target: EnergyTarget) -> list[BoundedValue]:
    """Return the energies that a case's prices predict, one for each point."""
    if case.compare == "left_out_line":
        if len(target.fitted_to) != len(case.points):
            raise InputError(f"energy case '{name}': {target.name} was fitted to other points")
        return [left_out_line(target.fitted_to, index) for index in range(len(case.points))]
    alone = [_price_point(name, case, point, target) for point in case.points]
    if case.compare == "prices":
        return alone
    offsets = [
        point.measured_nj.value - estimate.value for point, estimate in zip(case.points, alone, strict=True)
    ]
    return [_add_offset(estimate, offsets, index) for index, estimate in enumerate(alone)]


def verdicts_figure(verdicts: Sequence[EnergyVerdict]) -> Figure:
    """Draw every prediction as a multiple of what was measured, those of one target together."""
    from sgbench.plots.energy_measured import measured_figure

    return measured_figure(predictions_of(verdicts))


def predictions_of(verdicts: Sequence[EnergyVerdict]) -> list[Prediction]:
    """Turn verdicts into what their picture shows."""
    from sgbench.plots.energy_measured import Prediction
    from sgbench.plots.estimate import Estimate

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
    r"""Predict the energy of one second [nJ] at one point from a line of least squares through the other points.

    The prediction is a weighted sum of the other powers, so its ends follow from how they were rounded; how far
    points scatter around a line is not in them, because whether there is a line is what is tested:

    .. math:: \hat P_i = \sum_{j \ne i} w_j P_j, \qquad w_j = \frac1n + \frac{(x_i - \bar x)(x_j - \bar x)}
              {\sum_k (x_k - \bar x)^2}, \qquad \pm \sum_{j \ne i} |w_j| \, h_j

    >>> line = [FitPoint(events_per_s=x, power_mw=1 + 2 * x, half_mw=0.5) for x in (1.0, 2.0, 4.0)]
    >>> left_out_line(line, 2)
    BoundedValue(value=9000000.0, low=6500000.0, high=11500000.0)
    """
    others = [point for other, point in enumerate(points) if other != index]
    mean = math.fsum(point.events_per_s for point in others) / len(others)
    squares = math.fsum((point.events_per_s - mean) ** 2 for point in others)
    away = points[index].events_per_s - mean
    weights = [1 / len(others) + away * (point.events_per_s - mean) / squares for point in others]
    power = math.fsum(weight * point.power_mw for weight, point in zip(weights, others, strict=True))
    doubt = math.fsum(abs(weight) * point.half_mw for weight, point in zip(weights, others, strict=True))
    return BoundedValue(power, power - doubt, power + doubt).times(NJ_PER_MJ)


def _add_offset(alone: BoundedValue, offsets: Sequence[float], index: int) -> BoundedValue:
    """Add to prices a fixed energy: the mean of what the other points measure beyond their prices, with its range.

    Ends of the prices move the offset against them, as it was fitted with them: only its own range counts.
    """
    others = [offset for other, offset in enumerate(offsets) if other != index]
    mean = math.fsum(others) / len(others)
    return BoundedValue(alone.value + mean, alone.value + min(others), alone.value + max(others))


def _price_point(name: str, case: EnergyCase, point: CasePoint, target: EnergyTarget) -> BoundedValue:
    """Price a point, from the fewest events at the low ends to the most at the high ends."""
    energies: list[BoundedValue] = []
    for end in ENDS:
        counts = counts_of(point, end)
        estimate = price(counts, target=target, dt_s=point.duration_s / point.steps)
        parts = {"dynamic": estimate.dynamic_nj, "static": estimate.static_nj, "whole": estimate.whole_nj}
        energy = parts[case.part]
        if energy is None:
            raise InputError(
                f"energy case '{name}': no total on {target.name}: {'; '.join(estimate.reasons)}"
            )
        energies.append(energy)
    return BoundedValue(energies[0].value, energies[1].low, energies[2].high)


def counts_of(point: CasePoint, end: str) -> OpCounts:
    """Convert the published network to operation counts of one inference, at one end of its activity."""
    layers = tuple(_layer(layer, point.steps, end) for layer in point.layers if layer.neurons)
    nothing = CaseLayer(name="nothing", neurons=1, inputs=0, events=_NONE, spikes=_NONE)
    return OpCounts(
        samples=1,
        steps=point.steps,
        input_events=Count(total=round(getattr(point.layers[0].events, end)) if point.layers else 0),
        layers=layers or (_layer(nothing, point.steps, end),),
    )


_NONE = Range(value=0, low=0, high=0)


def _layer(layer: CaseLayer, steps: int, end: str) -> LayerCounts:
    """Return the counts of one layer of a published network."""
    effective = Count(total=round(getattr(layer.events, end) * layer.neurons * layer.copies))
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
        spikes_sent=Count(total=round(getattr(layer.spikes, end) * layer.copies)),
        bias_additions=zero,
        weight_reads=effective,
        state_reads=updates,
        state_writes=updates,
        normalisation_operations=zero,
        pooling_operations=zero,
        residual_additions=zero,
        delay_operations=zero,
    )
