"""What to try first in a recurrent network: three settings in order, with what each has lost elsewhere.

The losses were found after the runs of the study of surrogates, on its recurrent tasks. `sgbench study report
passing_steps` computes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sgbench.records.base import Number, Strict, Text
from sgbench.records.files import read_model
from sgbench.tables import number_text

WAYS = "ways.json"
TRIES = 3
AUTO = "width_fwhm=auto"


class KnownWay(Strict):
    """Holds a setting that needs no run to be chosen, and what it lost.

    Args:
        name: in words.
        words: of a run; none where it is not advised, as a library's default.
        losses: in points of test accuracy to the best known cell, by the title of a task.
    """

    name: Text
    words: tuple[Text, ...] = ()
    losses: dict[Text, Number]


class Ways(Strict):
    """Holds ways to a setting of a recurrent network, the best first.

    Args:
        ways: of which those without words are for comparison.
        passing_steps: the least and the largest that the first way had on these tasks.
        steps: the least and the largest length of a sequence of these tasks.
    """

    ways: tuple[KnownWay, ...]
    passing_steps: tuple[Number, Number]
    steps: tuple[int, int]


@dataclass(frozen=True)
class OwnStart:
    """Holds what one forward pass of the network in question gave.

    Args:
        steps: length of a sequence.
        passing_steps: at the setting that is tried first, mean over recurrent layers; None: not measured.
        width_fwhm: by passing steps with the reset attached; None: not measured.
    """

    steps: int
    passing_steps: float | None = None
    width_fwhm: float | None = None


def shipped_ways() -> Path:
    """Return where the losses lie: inside the wheel, or in the checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "study" / "passing_steps.json"
    return inside if inside.is_file() else package.parent / "study" / "passing_steps" / WAYS


def tries(path: Path, start: OwnStart) -> list[str]:
    """Write what to try, in order, with reason, cost and losses; then library defaults and what is extrapolated.

    Args:
        path: of the losses.
        start: of the network in question.

    Raises:
        InputError: the file is damaged or missing.
    """
    known = read_model(path, Ways)
    advised = [way for way in known.ways if way.words][:TRIES]
    said = [
        "Recurrent: three to try first, in order, a run each. Their losses to the best known cell were found after "
        "the study's runs and are not confirmed."
    ]
    for number, way in enumerate(advised, start=1):
        words = [_own_width(word, start) for word in way.words]
        said.append(f"First {number}: {' '.join(words)} ({way.name}): {_losses(way.losses)}.")
    said += [f"Beside them {way.name}: {_losses(way.losses)}." for way in known.ways if not way.words]
    return [*said, *_beyond(known, start)]


def _own_width(word: str, start: OwnStart) -> str:
    """Put the measured width in place of the word that would measure it."""
    measured = word == AUTO and start.width_fwhm is not None
    return f"width_fwhm={start.width_fwhm:g}" if measured else word


def _losses(losses: Mapping[str, float]) -> str:
    """Write the mean and the largest loss; a mean is of the way's own tasks."""
    worst = max(losses, key=lambda title: losses[title])
    mean = sum(losses.values()) / len(losses)
    return f"{mean:.1f} points lost on average over {len(losses)} tasks, most on {worst}: {losses[worst]:.1f}"


def _beyond(known: Ways, start: OwnStart) -> list[str]:
    """List in what the network lies outside of the tasks that the losses are of."""
    said = []
    checks: Sequence[tuple[str, float | None, tuple[float, float]]] = (
        ("steps a sequence", start.steps, known.steps),
        ("passing steps at the first try", start.passing_steps, known.passing_steps),
    )
    for what, value, (low, high) in checks:
        if value is not None and not low <= value <= high:
            ends = f"{number_text(low)} to {number_text(high)}"
            said.append(f"Extrapolated: {number_text(value)} {what}, where these tasks have {ends}.")
    return said
