"""Measure how a network's score falls when its input or the network itself is disturbed, by severity.

Training is undisturbed: this is robustness at test time, measured on validation data.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import torch

from fastspiking.signals.streams import generator
from fastspiking.signals.trajectory import Batch
from sgbench.diagnosis import disturbances
from sgbench.errors import InputError, NonFiniteError, require_count, require_number, suggest
from sgbench.networks.base import Network
from sgbench.records.content import Scores

MakeChange = Callable[[float, torch.Generator, float], disturbances.BatchChange]
"""Makes a change of batches from a severity, a generator and the duration of a step [s]."""
Disturb = Callable[[Network, float, torch.Generator], Network]
"""Returns a disturbed copy of a network for a severity and a generator."""
Score = Callable[[Network, Iterable[Batch]], Scores]
MOST_LEVELS = 50


@dataclass(frozen=True)
class Disturbance:
    """Describes one way to disturb a network or its input at test time."""

    meaning: str  # of the severity, with its unit
    severities: tuple[float, ...]  # default ones, from mild to severe
    ends: tuple[float, float]  # least and largest severity
    clean: float | None = 0.0  # severity of no disturbance; None if no severity means that
    is_drawn: bool = True  # whether the disturbance is random; if not, severities are whole numbers
    needs_spikes: bool = False  # whether the input must be spikes
    on_input: MakeChange | None = None  # makes the change of batches, if any
    on_network: Disturb | None = None  # changes the network, if at all


DISTURBANCES: dict[str, Disturbance] = {
    "jitter_s": Disturbance(
        "standard deviation of each input spike's shift [s]",
        (0.001, 0.002, 0.005, 0.01, 0.02),
        (0.0, 1e3),
        needs_spikes=True,
        on_input=disturbances.make_jitter,
    ),
    "delete": Disturbance(
        "probability that an input spike is lost",
        (0.1, 0.2, 0.4, 0.6, 0.8),
        (0.0, 1.0),
        needs_spikes=True,
        on_input=disturbances.make_deletion,
    ),
    "insert": Disturbance(
        "added input spikes by the sample's own",
        (0.1, 0.2, 0.5, 1.0, 2.0),
        (0.0, 1e3),
        needs_spikes=True,
        on_input=disturbances.make_insertion,
    ),
    "dead_channels": Disturbance(
        "share of silent input channels",
        (0.1, 0.2, 0.4, 0.6, 0.8),
        (0.0, 1.0),
        on_input=disturbances.make_dead_channels,
    ),
    "reverse": Disturbance(
        "1: samples played backwards", (1.0,), (1.0, 1.0), is_drawn=False, on_input=disturbances.make_reversal
    ),
    "time_step": Disturbance(
        "length of a step by that of the training",
        (2.0, 3.0, 4.0, 6.0),
        (1.0, 100.0),
        clean=1.0,
        is_drawn=False,
        on_input=disturbances.make_longer_steps,
        on_network=disturbances.with_longer_steps,
    ),
    "weight_bits": Disturbance(
        "bits of a weight",
        (8.0, 6.0, 5.0, 4.0, 3.0, 2.0),
        (2.0, 32.0),
        clean=None,
        is_drawn=False,
        on_network=disturbances.with_bits,
    ),
    "weight_noise": Disturbance(
        "standard deviation of noise by the weights' root mean square",
        (0.05, 0.1, 0.2, 0.5, 1.0),
        (0.0, 1e3),
        on_network=disturbances.with_noise,
    ),
    "threshold": Disturbance(
        "standard deviation of the thresholds by their own value",
        (0.05, 0.1, 0.2, 0.3, 0.5),
        (0.0, 10.0),
        on_network=disturbances.with_mismatch,
    ),
}


class Point(NamedTuple):
    """Holds the mean, least and largest score at one severity, over draws of a random disturbance."""

    severity: float | None  # None: undisturbed, if no severity means that
    mean: float
    lowest: float
    highest: float


class RobustnessCurve(NamedTuple):
    """Holds the scores of one disturbance, undisturbed first, or the reason why there are none."""

    name: str  # of the disturbance
    meaning: str  # of the severity, with its unit
    measure: Literal["accuracy", "loss"]
    points: tuple[Point, ...]  # empty with a reason
    area: float | None  # see `area`; None without points
    reason: str | None


@dataclass(frozen=True)
class Disturbed:
    """Scores one network under disturbances."""

    network: Network  # is not modified
    batches: Callable[[], Iterable[Batch]]  # returns the batches of the split
    score: Score  # scores a network on batches
    seed: int  # of the random disturbances
    dt_s: float  # duration of a step [s]
    input_is_spikes: bool  # whether the input is spikes
    draws: int  # count of draws of each random disturbance

    def curves(self, names: Sequence[str], levels: Sequence[float] | None = None) -> list[RobustnessCurve]:
        require_count("--draws", self.draws)
        severities = {name: checked_levels(name, levels) for name in names}
        undisturbed = value_of(self.score(self.network, self.batches()))
        return [self.curve(name, severities[name], undisturbed) for name in names]

    def curve(
        self, name: str, severities: Sequence[float], undisturbed: tuple[Literal["accuracy", "loss"], float]
    ) -> RobustnessCurve:
        """Score one disturbance at its severities, or state why it does not apply to this network.

        `undisturbed` is the name and value of the undisturbed score, the curve's first point.
        """
        disturbance = DISTURBANCES[name]
        measure, start = undisturbed
        points = [Point(disturbance.clean, start, start, start)]
        try:
            if disturbance.needs_spikes and not self.input_is_spikes:
                raise InputError("the input is values, not spikes")
            for severity in severities:
                draws = range(self.draws if disturbance.is_drawn else 1)
                scores = [self.at(name, severity, draw) for draw in draws]
                points.append(Point(severity, sum(scores) / len(scores), min(scores), max(scores)))
        except NonFiniteError as error:
            raise NonFiniteError(f"robustness, {name}: {error}") from error
        except InputError as error:
            return RobustnessCurve(name, disturbance.meaning, measure, (), None, str(error))
        return RobustnessCurve(name, disturbance.meaning, measure, tuple(points), area(points), None)

    def at(self, name: str, severity: float, draw: int) -> float:
        """Score the network under one disturbance at one severity.

        The random numbers follow from the name and the number `draw` alone, so that all severities share them.
        """
        disturbance = DISTURBANCES[name]
        network, batches = self.network, self.batches()
        if disturbance.on_network is not None:
            numbers = generator(self.seed, "robustness", name, draw, "network")
            network = disturbance.on_network(network, severity, numbers)
        if disturbance.on_input is not None:
            numbers = generator(self.seed, "robustness", name, draw, "input")
            batches = map(disturbance.on_input(severity, numbers, self.dt_s), batches)
        return value_of(self.score(network, batches))[1]


def value_of(scores: Scores) -> tuple[Literal["accuracy", "loss"], float]:
    return ("loss", scores.loss) if scores.accuracy is None else ("accuracy", scores.accuracy)


def area(points: Sequence[Point]) -> float | None:
    """Average the score over severities relative to the undisturbed score, which is the first point.

    Between two neighbouring severities the score is their mean, and all such intervals count alike. None if the
    undisturbed score is 0 or there is no other.

    >>> round(area([Point(0.0, 0.8, 0.8, 0.8), Point(0.1, 0.8, 0.8, 0.8), Point(0.2, 0.4, 0.4, 0.4)]), 3)
    0.875
    """
    clean = points[0].mean
    if clean == 0 or len(points) == 1:
        return None
    return sum((left.mean + right.mean) / 2 for left, right in pairwise(points)) / (len(points) - 1) / clean


def checked_names(names: Sequence[str]) -> tuple[str, ...]:
    for name in names:
        if name not in DISTURBANCES:
            raise InputError(f"--what {name}: {suggest(name, tuple(DISTURBANCES))}")
    return tuple(dict.fromkeys(names))


def checked_levels(name: str, levels: Sequence[float] | None) -> tuple[float, ...]:
    """Check the severities of a disturbance, and return them; None stands for its default ones."""
    disturbance = DISTURBANCES[name]
    if levels is None:
        return disturbance.severities
    if not 0 < len(levels) <= MOST_LEVELS:
        raise InputError(f"--levels: 1 to {MOST_LEVELS} numbers are needed, not {len(levels)}")
    for level in levels:
        low, high = disturbance.ends
        require_number(f"--levels of {name}", level, low=low, high=high)
        if not disturbance.is_drawn and level != int(level):
            raise InputError(f"--levels {level:g}: {name} takes whole numbers")
    return tuple(levels)
