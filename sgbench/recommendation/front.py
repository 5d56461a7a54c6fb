"""The recommendations for each kind of network on the front page of the boards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from statistics import fmean

from sgbench.errors import InputError
from sgbench.leaderboard.site.beside import Advice
from sgbench.recommendation.advice import Recommendation, advise, loss_text, range_text
from sgbench.recommendation.fit import LONG_STEPS
from sgbench.recommendation.summary import Shape, StudySummary, read_summary, shipped_summary
from sgbench.recommendation.tries import Ways, shipped_ways
from sgbench.records.files import read_model

SEVERAL = 4  # hidden layers of the network that represents those with several
ALONE = "not known: the only task of the kind chose it"
KINDS = (
    ("one hidden layer", 1, False, False),
    ("several hidden layers", SEVERAL, False, False),
    ("recurrence", 1, True, False),
    ("recurrence over a thousand steps", 1, True, True),
)
"""Title, count of hidden layers, whether they are recurrent, and whether sequences are long."""


def shipped_advice() -> tuple[Advice, ...]:
    """List the recommendation of the shipped study for each kind of network; empty without a study.

    Raises:
        InputError: the summary is damaged.
    """
    path = shipped_summary()
    if not path.is_file():
        return ()
    ways = read_model(shipped_ways(), Ways) if shipped_ways().is_file() else None
    return tuple(advice_by_kind(read_summary(path), ways))


def advice_by_kind(summary: StudySummary, ways: Ways | None = None) -> Iterator[Advice]:
    """Yield the recommendation of a study for each kind of network, or why there is none.

    Args:
        summary: results of the study.
        ways: settings of recurrent networks. If they have a published rule, its setting replaces the recommendation
            for recurrent networks over short sequences.
    """
    for network, layers, recurrent, is_long in KINDS:
        steps = _steps(summary, layers, recurrent=recurrent, is_long=is_long)
        if steps is None and is_long:
            continue  # the study has no task of this kind
        shape = Shape(layers=layers, recurrent=recurrent, steps=steps or 100)
        command = (
            f"sgbench recommend --layers {layers}{' --recurrent' if recurrent else ''} --steps {shape.steps}"
        )
        try:
            advice = _advice(network, advise(summary, shape), command)
            has_rule = recurrent and not is_long and ways is not None and ways.rule is not None
            yield _with_rule(advice, ways) if has_rule and ways is not None else advice
        except InputError as error:
            yield Advice(network, command, why_not=str(error).partition(": ")[2])


def _with_rule(advice: Advice, ways: Ways) -> Advice:
    """Replace the advice of the first study by the published rule of the study of passing steps."""
    rule = ways.ways[0]
    settings = dict(override.split("=", 1) for override in rule.words)
    width = settings["width_fwhm"]
    losses = rule.later.values()
    worst = max(rule.later, key=rule.later.__getitem__)
    return replace(
        advice,
        surrogate=settings["surrogate"],
        width_fwhm=None if width == "auto" else float(width),
        attached=settings.get("neuron.reset_gradient") == "attached",
        widths="",
        learning_rates="",
        loss=f"{fmean(losses):.1f} points",
        rests_on=f"{len(losses)} tasks that nobody had run",
        out_of_sample=f"{min(losses):.1f} to {max(losses):.1f}, most on {worst}",
    )


def _steps(summary: StudySummary, layers: int, *, recurrent: bool, is_long: bool) -> int | None:
    """Return the time steps of the study's first task with such a network; None without one.

    All counts of hidden layers above 1 are one kind. Long sequences have a thousand steps or more.
    """
    steps = [
        task.shape.steps
        for task in summary.tasks.values()
        if task.shape.recurrent == recurrent
        and (task.shape.layers > 1) == (layers > 1)
        and (task.shape.steps >= LONG_STEPS) == is_long
    ]
    return steps[0] if steps else None


def _advice(network: str, recommendation: Recommendation, command: str) -> Advice:
    """Convert a recommendation for a kind of network, and the command that gives it, to texts of the front page."""
    out_of_sample = (*recommendation.held_out, *recommendation.later)
    return Advice(
        network,
        command,
        surrogate=recommendation.surrogate,
        width_fwhm=recommendation.width_fwhm,
        widths=range_text(*recommendation.widths),
        learning_rates=range_text(*recommendation.learning_rates),
        loss=ALONE if recommendation.is_alone else loss_text(recommendation.loss),
        rests_on=f"{'; '.join(recommendation.titles)} ({recommendation.loss.seeds} seeds)",
        out_of_sample="; ".join(f"{task.title} {task.regret:.1f}" for task in out_of_sample),
        unknown=recommendation.unknown,
    )
