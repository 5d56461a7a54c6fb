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

from sgbench.recommendation.summary import shipped_path
from sgbench.records.base import Number, Strict, Text
from sgbench.records.files import read_model
from sgbench.tables import number_text

WAYS = "ways.json"
TRIES = 3
AUTO = "width_fwhm=auto"
NO_COST = "no run to choose it"


class Reach(Strict):
    """Holds the range (least, largest) of each property of the measured networks."""

    steps: tuple[int, int]
    passing_steps: tuple[Number, Number]  # with the setting to try first
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
        losses: points of test accuracy below the best known cell, by the title of a task. These tasks raised the
            question, so the losses were found after their runs.
        later: points below the best known cell on the new tasks of the second study, by title.
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
    """Holds the file of settings of a recurrent network, the one to try first in front."""

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
        """Convert the settings to plain values for JSON, whose keys stay the same between releases."""
        return {
            "answer": self.answer,
            "ways": [way.model_dump(mode="json") for way in self.ways],
            "defaults": [way.model_dump(mode="json") for way in self.defaults],
            "extrapolated": list(self.beyond),
        }

    @property
    def lines(self) -> list[str]:
        """Write sentences on the settings in order, then on library defaults and extrapolated properties."""
        sentences = [f"Recurrent: {len(self.ways)} to try first, in order, a run each. {self.answer}"]
        for number, way in enumerate(self.ways, start=1):
            overrides = " ".join(way.words)
            sentences.append(f"First {number}: {overrides}: {way.why}. Costs {way.cost}. {_loss_text(way)}")
        sentences += [f"Beside them {way.name}. {_loss_text(way)}" for way in self.defaults]
        return [*sentences, *(f"Extrapolated: {text}." for text in self.beyond)]


def shipped_ways() -> Path:
    """Return the path of the file with `Ways`, inside the wheel or in the checkout."""
    return shipped_path("passing_steps.json", f"passing_steps/{WAYS}")


def first_tries(path: Path, start: OwnStart) -> FirstTries:
    """Choose the settings to try in a recurrent network, at most three, with its own width where it was measured.

    Args:
        path: file with `Ways`.
        start: properties of the network.

    Raises:
        InputError: the file is damaged or missing.
    """
    known = read_model(path, Ways)
    advised = [way for way in known.ways if way.words][:TRIES]
    overrides = [tuple(_own_width(override, start) for override in way.words) for way in advised]
    return FirstTries(
        answer=known.answer,
        ways=tuple(
            way.model_copy(update={"words": words}) for way, words in zip(advised, overrides, strict=True)
        ),
        defaults=tuple(way for way in known.ways if not way.words),
        beyond=tuple(_extrapolated(known.reach, start)),
    )


def _own_width(override: str, start: OwnStart) -> str:
    """Replace the override `width_fwhm=auto` by the measured width, if there is one; keep other overrides."""
    measured = override == AUTO and start.width_fwhm is not None
    return f"width_fwhm={start.width_fwhm:g}" if measured else override


def _loss_text(way: KnownWay) -> str:
    """Write sentences on a setting's losses: on new tasks, if any, and on those that raised the question."""
    seeds = "" if way.later_seeds is None else f" ({way.later_seeds})"
    new = f"Lost on tasks that nobody had run{seeds}: {_mean_and_worst(way.later)}. " if way.later else ""
    return f"{new}Lost on the tasks that raised the question (not confirmed): {_mean_and_worst(way.losses)}."


def _mean_and_worst(losses: Mapping[str, float]) -> str:
    """Write the mean of losses over tasks, and the largest with its task; `losses` maps titles to points."""
    worst = max(losses, key=lambda title: losses[title])
    mean = fmean(losses.values())
    return f'{mean:.1f} points on average over {len(losses)}, most on "{worst}": {losses[worst]:.1f}'


def _extrapolated(known: Reach, start: OwnStart) -> list[str]:
    """Describe each known property of a network that is outside the range of the measured networks."""
    checks = (
        ("steps a sequence", start.steps, known.steps),
        ("passing steps at an attached atan of width 0.5", start.passing_steps, known.passing_steps),
        ("input channels", start.channels, known.channels),
        ("neurons in a hidden layer", start.neurons, known.neurons),
        ("hidden layers", start.layers, known.layers),
    )
    texts = []
    for name, value, (low, high) in checks:
        if value is not None and not low <= value <= high:
            ends = f"{number_text(low)} to {number_text(high)}" if low < high else number_text(low)
            texts.append(f"{number_text(value)} {name}, where these tasks have {ends}")
    if start.analogue and not known.analogue:
        texts.append("the input is analogue, where these tasks have spikes")
    return texts
