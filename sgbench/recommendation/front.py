"""What the front page of the boards says of each kind of network: the answers of `recommend`, in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sgbench.errors import InputError
from sgbench.leaderboard.site.beside import Advice
from sgbench.recommendation.advice import Recommendation, advise, loss_text, range_text
from sgbench.recommendation.summary import Shape, StudySummary, read_summary, shipped_summary

SEVERAL = 4
"""Hidden layers of the network that stands for those of several."""
ALONE = "not known: the only task of the kind chose it"
LONG_STEPS = 1000
"""Steps from which a sequence is long."""
KINDS = (
    ("one hidden layer", 1, False, False),
    ("several hidden layers", SEVERAL, False, False),
    ("recurrence", 1, True, False),
    ("recurrence over a thousand steps", 1, True, True),
)
"""Name, hidden layers, whether they are recurrent, and whether sequences are long."""


def shipped_advice() -> tuple[Advice, ...]:
    """List what the shipped study recommends, a line a kind of network; empty where no study was shipped.

    Raises:
        InputError: the summary is damaged.
    """
    path: Path = shipped_summary()
    return tuple(advice_by_kind(read_summary(path))) if path.is_file() else ()


def advice_by_kind(summary: StudySummary) -> Iterator[Advice]:
    """Yield what a study recommends for each kind of network, or why it cannot recommend anything yet.

    Args:
        summary: of the study.
    """
    for network, layers, recurrent, is_long in KINDS:
        steps = _steps(summary, layers, recurrent=recurrent, is_long=is_long)
        if steps is None and is_long:
            continue  # the study has no such task
        shape = Shape(layers=layers, recurrent=recurrent, steps=steps or 100)
        command = (
            f"sgbench recommend --layers {layers}{' --recurrent' if recurrent else ''} --steps {shape.steps}"
        )
        try:
            yield _advice(network, advise(summary, shape), command)
        except InputError as error:
            yield Advice(network, command, why_not=str(error).partition(": ")[2])


def _steps(summary: StudySummary, layers: int, *, recurrent: bool, is_long: bool) -> int | None:
    """Choose the time steps of a task of the kind, so that the number is one that was tried; None without one."""
    known = [
        task.shape.steps
        for task in summary.tasks.values()
        if task.shape.recurrent == recurrent
        and (task.shape.layers > 1) == (layers > 1)
        and (task.shape.steps >= LONG_STEPS) == is_long
    ]
    return known[0] if known else None


def _advice(network: str, recommendation: Recommendation, command: str) -> Advice:
    return Advice(
        network,
        command,
        surrogate=recommendation.surrogate,
        width_fwhm=recommendation.width_fwhm,
        widths=range_text(*recommendation.widths),
        learning_rates=range_text(*recommendation.learning_rates),
        loss=ALONE if recommendation.is_alone else loss_text(recommendation.loss),
        rests_on=f"{'; '.join(recommendation.titles)} ({recommendation.loss.seeds} seeds)",
        out_of_sample="; ".join(
            [
                *(f"{check.title} {check.regret:.1f}" for check in recommendation.held_out),
                *(f"{task.title} {task.regret:.1f}" for task in recommendation.later),
            ]
        ),
        unknown=recommendation.unknown,
    )
