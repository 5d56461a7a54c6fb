"""The recommendation from Python: for the words of a run, or for a network of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from sgbench.errors import InputError
from sgbench.recommendation.advice import Recommendation, advise
from sgbench.recommendation.start import start_of_module, start_of_words
from sgbench.recommendation.summary import read_summary, shipped_summary


def recommend(
    *words: str,
    network: Any = None,
    batch: Any = None,
    goal: Literal["accuracy", "spikes", "safety"] = "accuracy",
    budget: int = 3,
    config_dirs: Sequence[Path] = (),
    summary: Path | None = None,
) -> Recommendation:
    """Recommend a surrogate, its width and what goes with it, from what the study measured on similar networks.

    Args:
        words: of a run, e.g. "experiment=digits"; its network is built, and measured on one batch before training.
        network: in place of words, a module of one's own made of snnTorch's neurons.
        batch: what `network` takes.
        goal: what counts: accuracy, spikes (the fewest within 2 points of the best), or safety (the least worst
            case).
        budget: how many settings may be tried.
        config_dirs: folders with entries of your own.
        summary: of another study than the shipped one.

    Raises:
        InputError: neither or both of words and network are given, or the study says nothing of such networks.
    """
    if bool(words) == (network is not None) or (network is None) != (batch is None):
        raise InputError("recommend: give the words of a run, or a network with a batch that it takes")
    shape = start_of_words(words, config_dirs) if network is None else start_of_module(network, batch)
    return advise(read_summary(summary or shipped_summary()), shape, goal=goal, budget=budget)
