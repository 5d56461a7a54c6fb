"""What the front page of the boards says of each kind of network: the answers of `recommend`, in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from sgbench.errors import InputError
from sgbench.leaderboard.site.beside import Advice
from sgbench.recommendation.advice import Recommendation, advise, loss_text, range_text
from sgbench.recommendation.summary import Shape, StudySummary, read_summary, shipped_summary
from sgbench.recommendation.tries import Ways, shipped_ways
from sgbench.records.files import read_model

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
    if not path.is_file():
        return ()
    ways = shipped_ways()
    known = read_model(ways, Ways) if ways.is_file() else None
    return tuple(advice_by_kind(read_summary(path), known))


def advice_by_kind(summary: StudySummary, ways: Ways | None = None) -> Iterator[Advice]:
    """Yield what a study recommends for each kind of network, or why it cannot recommend anything yet.

    Args:
        summary: of the study.
        ways: of recurrent networks; where the study of passing steps has decided on a rule, it is the advice.
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
            found = _advice(network, advise(summary, shape), command)
            is_decided = recurrent and not is_long and ways is not None and ways.rule is not None
            yield _decided(found, ways) if is_decided and ways is not None else found
        except InputError as error:
            yield Advice(network, command, why_not=str(error).partition(": ")[2])


def _decided(advice: Advice, ways: Ways) -> Advice:
    """Put the rule that the study of passing steps published in place of the first study's advice."""
    rule = ways.ways[0]
    words = dict(word.split("=", 1) for word in rule.words)
    width = words["width_fwhm"]
    lost = rule.later.values()
    return replace(
        advice,
        surrogate=words["surrogate"],
        width_fwhm=None if width == "auto" else float(width),
        attached=words.get("neuron.reset_gradient") == "attached",
        widths="",
        learning_rates="",
        loss=f"{fmean(lost):.1f} points",
        rests_on=f"{len(lost)} tasks that nobody had run",
        out_of_sample=f"{min(lost):.1f} to {max(lost):.1f}, most on {max(rule.later, key=rule.later.__getitem__)}",
    )


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
