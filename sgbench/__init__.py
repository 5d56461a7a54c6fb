"""sgbench: which surrogate gradient, neuron and learning rule, for which task, at what cost.

`create` and `run` import torch when they are called; importing `sgbench` does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from sgbench.custom import CustomSurrogate
    from sgbench.recommendation.advice import Recommendation
    from sgbench.records.record import RunRecord

__version__ = "0.1.0"
__all__ = ["CustomSurrogate", "__version__", "create", "recommend", "run"]


def __getattr__(name: str) -> Any:
    """`CustomSurrogate` on demand: its base is torch's."""
    if name == "CustomSurrogate":
        from sgbench.custom import CustomSurrogate

        return CustomSurrogate
    raise AttributeError(f"module 'sgbench' has no attribute '{name}'")


def create(
    name: str, *, config_dirs: Sequence[Path] = (), allow_targets: Sequence[str] = (), **parameters: Any
) -> Any:
    """Make one object of the catalogue, with the defaults of its YAML file.

    Args:
        name: "GROUP/ENTRY", e.g. "surrogate/atan" or "neuron/leaky".
        config_dirs: folders with entries of your own.
        allow_targets: exact names of classes outside the catalogue that may be imported.
        parameters: values in place of defaults; objects (a neuron's `surrogate`) are passed on.

    Raises:
        InputError: an unknown name, or a value out of range.

    >>> surrogate = create("surrogate/atan", alpha=2.0)
    >>> neuron = create("neuron/leaky", beta=0.9, surrogate=surrogate)
    >>> neuron.beta()
    0.9
    """
    from sgbench.training.creation import create as create_entry

    return create_entry(name, config_dirs=config_dirs, allow_targets=allow_targets, **parameters)


def run(*overrides: str, config_dirs: Sequence[Path] = (), allow_targets: Sequence[str] = ()) -> RunRecord:
    """Run one point of the space and return its record; see `sgbench.training.runner.run`.

    Args:
        overrides: words as on the command line, e.g. "experiment=digits", "surrogate=atan", "seed=3".
        config_dirs: folders with entries of your own.
        allow_targets: exact names of classes outside the catalogue that may be imported.
    """
    from sgbench.training.runner import run as run_words

    return run_words(*overrides, config_dirs=config_dirs, allow_targets=allow_targets)


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
    from sgbench.errors import InputError
    from sgbench.recommendation.advice import advise
    from sgbench.recommendation.start import start_of_module, start_of_words
    from sgbench.recommendation.summary import read_summary, shipped_summary

    if bool(words) == (network is not None) or (network is None) != (batch is None):
        raise InputError("recommend: give the words of a run, or a network with a batch that it takes")
    shape = start_of_words(words, config_dirs) if network is None else start_of_module(network, batch)
    return advise(read_summary(summary or shipped_summary()), shape, goal=goal, budget=budget)
