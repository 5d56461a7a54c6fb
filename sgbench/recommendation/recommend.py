"""The recommendation from Python: for the words of a run, or for a network of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from sgbench.errors import InputError
from sgbench.recommendation.advice import Recommendation, advise
from sgbench.recommendation.start import module_start, passing_start, start_of_module, start_of_words
from sgbench.recommendation.summary import Shape, read_summary, shipped_summary
from sgbench.recommendation.tries import OwnStart, first_tries, shipped_ways


def recommend(
    *words: str,
    network: Any = None,
    batch: Any = None,
    goal: Literal["accuracy", "spikes", "safety"] = "accuracy",
    budget: int = 3,
    config_dirs: Sequence[Path] = (),
    allow_targets: Sequence[str] = (),
    summary: Path | None = None,
) -> Recommendation:
    """Recommend a surrogate, its width and what goes with it, from what the study measured on similar networks.

    Of a recurrent network the answer has three settings to try first (`tries`), each with reason, cost and loss
    elsewhere, and names in what the network lies outside of the tasks that were run.

    Args:
        words: of a run, e.g. "experiment=digits"; its network is built, and measured on one batch before training.
        network: in place of words, a module of one's own made of snnTorch's neurons.
        batch: what `network` takes.
        goal: what counts: accuracy, spikes (the fewest within 2 points of the best), or safety (the least worst
            case).
        budget: how many settings may be tried.
        config_dirs: folders with entries of your own.
        allow_targets: exact names of classes outside the catalogue that may be imported.
        summary: of another study than the shipped one.

    Raises:
        InputError: neither or both of words and network are given, or the study says nothing of such networks.
    """
    if bool(words) == (network is not None) or (network is None) != (batch is None):
        raise InputError("recommend: give the words of a run, or a network with a batch that it takes")
    known = read_summary(summary or shipped_summary())
    if network is None:
        shape = start_of_words(words, config_dirs, allow_targets)
    else:
        shape = start_of_module(network, batch)
    recommendation = advise(known, shape, goal=goal, budget=budget)
    if not shape.recurrent or summary is not None:
        return recommendation
    if network is None:
        start = passing_start(words, shape, config_dirs, allow_targets)
    else:
        start = module_start(network, batch, shape)
    return replace(recommendation, tries=first_tries(shipped_ways(), start))


def recommend_shape(
    shape: Shape,
    *,
    goal: Literal["accuracy", "spikes", "safety"] = "accuracy",
    budget: int = 3,
    summary: Path | None = None,
) -> Recommendation:
    """Recommend as `recommend` does for a network of which no more than its shape is known.

    Args:
        shape: of the network.
        goal: what counts.
        budget: how many settings may be tried.
        summary: of another study than the shipped one.

    Raises:
        InputError: the study says nothing of such networks.
    """
    recommendation = advise(read_summary(summary or shipped_summary()), shape, goal=goal, budget=budget)
    if not shape.recurrent or summary is not None:
        return recommendation
    start = OwnStart(shape.steps, layers=shape.layers)
    return replace(recommendation, tries=first_tries(shipped_ways(), start))
