"""Three settings to try first in a recurrent network, with their reasons, costs and measured losses.

`python -m study report passing_steps` computes the losses and writes the answer, for README and pages as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from pydantic import Field

from sgbench.records.base import Number, Strict, Text
from sgbench.records.files import read_model
from sgbench.tables import number_text

WAYS = "ways.json"
TRIES = 3
AUTO = "width_fwhm=auto"
NO_COST = "no run to choose it"


class Reach(Strict):
    """Holds the ranges (least, largest) of the properties of measured networks."""

    steps: tuple[int, int]
    passing_steps: tuple[Number, Number]  # with the first way
    channels: tuple[int, int]
    neurons: tuple[int, int]  # of the largest hidden layer
    layers: tuple[int, int]  # hidden layers
    analogue: bool  # whether one has an input other than spikes


class KnownWay(Strict):
    """Holds a setting that is chosen without a run, and its measured losses.

    Args:
        name: title of the setting.
        words: Hydra overrides; empty if it is not advised, as a library's default.
        why: a reason to try it.
        cost: of choosing it.
        losses: points of test accuracy below the best known cell, by the title of a task; found after the runs, on
            the tasks that raised the question.
        later: the same on the new tasks of the second study.
        later_seeds: text that names the runs behind `later`.
    """

    name: Text
    words: tuple[Text, ...] = ()
    why: Text = ""
    cost: Text = NO_COST
    losses: dict[Text, Number]
    later: dict[Text, Number] = Field(default_factory=dict)
    later_seeds: Text | None = None


class Ways(Strict):
    """Holds settings of a recurrent network, the one to try first in front."""

    answer: Text  # of the study that tests two of them, in sentences
    rule: Text | None = None  # name of the way that its registration publishes; None: not decided
    ways: tuple[KnownWay, ...]  # those without overrides are for comparison
    reach: Reach  # of the tasks behind the losses


@dataclass(frozen=True)
class OwnStart:
    """Holds properties of a network, measured in one forward pass; None if unknown."""

    steps: int  # time steps of a sequence
    passing_steps: float | None = None  # with the first setting to try, mean over recurrent layers
    width_fwhm: float | None = None  # chosen by passing steps, with the reset attached to the gradient
    channels: int | None = None
    neurons: int | None = None  # of the largest hidden layer
    layers: int | None = None  # hidden layers
    analogue: bool | None = None  # whether the input is other than spikes


@dataclass(frozen=True)
class FirstTries:
    """Holds the settings to try first in a recurrent network."""

    answer: str  # of the study that tests two of them
    ways: tuple[KnownWay, ...]  # to try, in order, with the measured width
    defaults: tuple[KnownWay, ...]  # defaults of libraries, for comparison
    beyond: tuple[str, ...]  # properties of the network outside of `Reach`, as text

    @property
    def tree(self) -> dict[str, Any]:
        """Describe it under stable keys."""
        return {
            "answer": self.answer,
            "ways": [way.model_dump(mode="json") for way in self.ways],
            "defaults": [way.model_dump(mode="json") for way in self.defaults],
            "extrapolated": list(self.beyond),
        }

    @property
    def lines(self) -> list[str]:
        """Write the settings in order, then library defaults and extrapolated properties."""
        said = [f"Recurrent: {len(self.ways)} to try first, in order, a run each. {self.answer}"]
        for number, way in enumerate(self.ways, start=1):
            said.append(f"First {number}: {' '.join(way.words)}: {way.why}. Costs {way.cost}. {_lost(way)}")
        said += [f"Beside them {way.name}. {_lost(way)}" for way in self.defaults]
        return [*said, *(f"Extrapolated: {text}." for text in self.beyond)]


def shipped_ways() -> Path:
    """Return the path of the file of losses, inside the wheel or in the checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "study" / "passing_steps.json"
    return inside if inside.is_file() else package.parent / "study" / "passing_steps" / WAYS


def first_tries(path: Path, start: OwnStart) -> FirstTries:
    """Collect the settings to try in a recurrent network.

    Raises:
        InputError: the file is damaged or missing.
    """
    known = read_model(path, Ways)
    advised = [way for way in known.ways if way.words][:TRIES]
    return FirstTries(
        known.answer,
        tuple(
            way.model_copy(update={"words": tuple(_own_width(override, start) for override in way.words)})
            for way in advised
        ),
        tuple(way for way in known.ways if not way.words),
        tuple(_beyond(known.reach, start)),
    )


def _own_width(override: str, start: OwnStart) -> str:
    """Replace the override `width_fwhm=auto` by the measured width."""
    measured = override == AUTO and start.width_fwhm is not None
    return f"width_fwhm={start.width_fwhm:g}" if measured else override


def _lost(way: KnownWay) -> str:
    """Write the losses of a way: on new tasks if it was run there, and on the tasks that raised it."""
    seeds = "" if way.later_seeds is None else f" ({way.later_seeds})"
    said = [f"Lost on tasks that nobody had run{seeds}: {_losses(way.later)}."] if way.later else []
    return " ".join(
        [*said, f"Lost on the tasks that raised the question (not confirmed): {_losses(way.losses)}."]
    )


def _losses(losses: Mapping[str, float]) -> str:
    """Write the mean of losses over tasks, and the largest with its task."""
    worst = max(losses, key=lambda title: losses[title])
    mean = fmean(losses.values())
    return f'{mean:.1f} points on average over {len(losses)}, most on "{worst}": {losses[worst]:.1f}'


def _beyond(known: Reach, start: OwnStart) -> list[str]:
    """List the properties of a network that are outside the ranges of the measured ones."""
    checks = (
        ("steps a sequence", start.steps, known.steps),
        ("passing steps at an attached atan of width 0.5", start.passing_steps, known.passing_steps),
        ("input channels", start.channels, known.channels),
        ("neurons in a hidden layer", start.neurons, known.neurons),
        ("hidden layers", start.layers, known.layers),
    )
    said = []
    for what, value, (low, high) in checks:
        if value is not None and not low <= value <= high:
            ends = f"{number_text(low)} to {number_text(high)}" if low < high else number_text(low)
            said.append(f"{number_text(value)} {what}, where these tasks have {ends}")
    if start.analogue and not known.analogue:
        said.append("the input is analogue, where these tasks have spikes")
    return said
