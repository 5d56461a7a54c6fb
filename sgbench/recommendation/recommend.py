"""Recommend a surrogate and its settings for a run or for a user's own network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, overload

from sgbench.errors import InputError
from sgbench.paths import RECORD
from sgbench.recommendation.advice import Recommendation, advise
from sgbench.recommendation.block import read_block, shipped_block
from sgbench.recommendation.budget import advise_budget
from sgbench.recommendation.budget_advice import Budget, BudgetAdvice
from sgbench.recommendation.start import module_start, passing_start, start_of_module, start_of_overrides
from sgbench.recommendation.summary import Shape, read_summary, shipped_summary
from sgbench.recommendation.tries import OwnStart, first_tries, shipped_ways
from sgbench.records.counts import OpCounts
from sgbench.records.files import read_model
from sgbench.records.record import RunRecord


@overload
def recommend(
    *overrides: str,
    network: Any = None,
    batch: Any = None,
    goal: Literal["accuracy", "spikes", "safety"] = "accuracy",
    budget: int = 3,
    config_dirs: Sequence[Path] = (),
    allow_targets: Sequence[str] = (),
    summary: Path | None = None,
) -> Recommendation: ...


@overload
def recommend(
    *,
    target: str,
    max_nj: float | None = None,
    min_accuracy: float | None = None,
    bits: int | None = None,
    run: Path | str | None = None,
    config_dirs: Sequence[Path] = (),
) -> BudgetAdvice: ...


def recommend(  # noqa: PLR0913 - its keywords are those of the command
    *overrides: str,
    network: Any = None,
    batch: Any = None,
    goal: Literal["accuracy", "spikes", "safety"] = "accuracy",
    budget: int = 3,
    config_dirs: Sequence[Path] = (),
    allow_targets: Sequence[str] = (),
    summary: Path | None = None,
    target: str | None = None,
    max_nj: float | None = None,
    min_accuracy: float | None = None,
    bits: int | None = None,
    run: Path | str | None = None,
) -> Recommendation | BudgetAdvice:
    """Recommend a surrogate, its width and learning rate, from measurements on similar networks.

    With a target the advice is for a budget of energy: width, cost on activity and bits of weights. For a
    recurrent network and the goal accuracy, the answer has at most three settings to try first (`tries`), and
    names the properties of the network that it extrapolates.

    Args:
        overrides: Hydra overrides of a run, e.g. "experiment=digits", whose network is built and measured.
        network: in place of overrides, your own module of snnTorch's neurons.
        batch: input of `network`.
        goal: "accuracy", "spikes" (fewest within 2 points of the best accuracy) or "safety" (least worst case).
        budget: count of settings that may be tried.
        config_dirs: folders with your own entries.
        allow_targets: exact names of classes outside the catalogue that may be imported.
        summary: file of another study than the shipped one.
        target: name of an energy target, e.g. "loihi1", in place of overrides and network.
        max_nj: most dynamic energy of an inference on the target [nJ].
        min_accuracy: least accuracy [%].
        bits: most bits of a weight.
        run: folder of your own finished run, with real weights and without a cost on activity.

    Raises:
        InputError: not exactly one of overrides, network and target, no such network in the study, or no setting
            that keeps the budget.
    """
    limits = (max_nj, min_accuracy, bits)
    if target is not None:
        if overrides or network is not None or summary is not None:
            raise InputError(
                "recommend: target answers from measured runs; give run=..., no overrides or network"
            )
        return _recommend_budget(Budget(target, *limits), run, config_dirs)
    if any(limit is not None for limit in (*limits, run)):
        raise InputError("recommend: a budget needs a target, e.g. target='loihi1'")
    if bool(overrides) == (network is not None) or (network is None) != (batch is None):
        raise InputError("recommend: give the overrides of a run, or a network with a batch that it takes")
    if network is None:
        shape = start_of_overrides(overrides, config_dirs, allow_targets)
    else:
        shape = start_of_module(network, batch)
    recommendation = advise(read_summary(summary or shipped_summary()), shape, goal=goal, budget=budget)
    if not _has_tries(recommendation, summary):
        return recommendation
    if network is not None:
        return _with_tries(recommendation, module_start(network, batch, shape), budget)
    return _with_tries(recommendation, passing_start(overrides, shape, config_dirs, allow_targets), budget)


def recommend_shape(
    shape: Shape,
    *,
    goal: Literal["accuracy", "spikes", "safety"] = "accuracy",
    budget: int = 3,
    summary: Path | None = None,
) -> Recommendation:
    """Recommend settings for a network of which only the shape is known; see `recommend`.

    Args:
        shape: of the network.
        goal: "accuracy", "spikes" or "safety".
        budget: count of settings that may be tried.
        summary: file of another study than the shipped one.

    Raises:
        InputError: the study has no such network.
    """
    recommendation = advise(read_summary(summary or shipped_summary()), shape, goal=goal, budget=budget)
    if not _has_tries(recommendation, summary):
        return recommendation
    return _with_tries(recommendation, OwnStart(shape.steps, layers=shape.layers), budget)


def _has_tries(recommendation: Recommendation, summary: Path | None) -> bool:
    """Return whether first settings are known: for recurrent networks and accuracy, by the shipped study alone."""
    return recommendation.shape.recurrent and recommendation.goal == "accuracy" and summary is None


def _with_tries(recommendation: Recommendation, start: OwnStart, budget: int) -> Recommendation:
    """Add the settings to try first in a recurrent network, at most `budget` of them."""
    tries = first_tries(shipped_ways(), start)
    return replace(recommendation, tries=replace(tries, ways=tries.ways[:budget]))


def _recommend_budget(budget: Budget, run: Path | str | None, config_dirs: Sequence[Path]) -> BudgetAdvice:
    """Recommend under a budget of energy from the shipped runs, and for a user's own run if its folder is given."""
    own = None if run is None else _counts_of(Path(run))
    summary = read_summary(shipped_summary())
    return advise_budget(
        read_block(shipped_block()), budget, own=own, summary=summary, config_dirs=config_dirs
    )


def _counts_of(folder: Path) -> tuple[OpCounts, float]:
    """Read the operation counts and the duration of a time step [s] of a finished run."""
    record = read_model(folder / RECORD if folder.is_dir() else folder, RunRecord)
    if record.counts is None:
        raise InputError(f"{folder}: a {record.status} run without operation counts; name one that finished")
    return record.counts, record.method.protocol.dt_s
