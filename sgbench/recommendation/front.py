"""The recommendations for each kind of network on the front page of the boards."""

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
"""Hidden layers of the network that represents those with several."""
ALONE = "not known: the only task of the kind chose it"
LONG_STEPS = 1000
"""Time steps from which a sequence is long."""
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
    path: Path = shipped_summary()
    if not path.is_file():
        return ()
    ways = shipped_ways()
    known = read_model(ways, Ways) if ways.is_file() else None
    return tuple(advice_by_kind(read_summary(path), known))


def advice_by_kind(summary: StudySummary, ways: Ways | None = None) -> Iterator[Advice]:
    """Yield the recommendation of a study for each kind of network, or why there is none.

    Args:
        summary: of the study.
        ways: settings of recurrent networks; a rule decided by the study of passing steps replaces the advice.
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
            found = _advice(network, advise(summary, shape), command)
            is_decided = recurrent and not is_long and ways is not None and ways.rule is not None
            yield _decided(found, ways) if is_decided and ways is not None else found
        except InputError as error:
            yield Advice(network, command, why_not=str(error).partition(": ")[2])


def _decided(advice: Advice, ways: Ways) -> Advice:
    """Replace the advice of the first study by the published rule of the study of passing steps."""
    rule = ways.ways[0]
    chosen = dict(override.split("=", 1) for override in rule.words)
    width = chosen["width_fwhm"]
    lost = rule.later.values()
    return replace(
        advice,
        surrogate=chosen["surrogate"],
        width_fwhm=None if width == "auto" else float(width),
        attached=chosen.get("neuron.reset_gradient") == "attached",
        widths="",
        learning_rates="",
        loss=f"{fmean(lost):.1f} points",
        rests_on=f"{len(lost)} tasks that nobody had run",
        out_of_sample=f"{min(lost):.1f} to {max(lost):.1f}, most on {max(rule.later, key=rule.later.__getitem__)}",
    )


def _steps(summary: StudySummary, layers: int, *, recurrent: bool, is_long: bool) -> int | None:
    """Return the time steps of a measured task of the kind; None without one."""
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
