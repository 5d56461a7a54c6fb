"""The recommendation from Python: for the words of a run, or for a network of one's own."""

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
from sgbench.recommendation.start import module_start, passing_start, start_of_module, start_of_words
from sgbench.recommendation.summary import Shape, read_summary, shipped_summary
from sgbench.recommendation.tries import OwnStart, first_tries, shipped_ways
from sgbench.records.counts import OpCounts
from sgbench.records.files import read_model
from sgbench.records.record import RunRecord


@overload
def recommend(
    *words: str,
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
    *words: str,
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
    """Recommend a surrogate, its width and what goes with it, from what was measured on similar networks.

    With a target the advice is for a budget of energy: width, cost on activity and bits of weights. Of a
    recurrent network, where accuracy counts, the answer has at most three settings to try first (`tries`), and
    names what it extrapolates.

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
        target: name of a price list of energy, e.g. "loihi1", in place of words and network.
        max_nj: most dynamic energy of an inference on it [nJ].
        min_accuracy: least accuracy [%].
        bits: most bits of a weight.
        run: folder of a finished run of your own, of real weights and without a cost on activity.

    Raises:
        InputError: neither or both of words and network are given, the study says nothing of such networks, or
            nothing that was measured keeps the budget.
    """
    asked = (max_nj, min_accuracy, bits)
    if target is not None:
        if words or network is not None or summary is not None:
            raise InputError(
                "recommend: target answers from measured runs; give run=..., no words or network"
            )
        return _under_budget(Budget(target, *asked), run, config_dirs)
    if any(one is not None for one in (*asked, run)):
        raise InputError("recommend: a budget needs a target, e.g. target='loihi1'")
    if bool(words) == (network is not None) or (network is None) != (batch is None):
        raise InputError("recommend: give the words of a run, or a network with a batch that it takes")
    if network is None:
        shape = start_of_words(words, config_dirs, allow_targets)
    else:
        shape = start_of_module(network, batch)
    found = advise(read_summary(summary or shipped_summary()), shape, goal=goal, budget=budget)
    if not _has_tries(found, summary):
        return found
    if network is None:
        return _with_tries(found, passing_start(words, shape, config_dirs, allow_targets), budget)
    return _with_tries(found, module_start(network, batch, shape), budget)


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
    found = advise(read_summary(summary or shipped_summary()), shape, goal=goal, budget=budget)
    if not _has_tries(found, summary):
        return found
    return _with_tries(found, OwnStart(shape.steps, layers=shape.layers), budget)


def _has_tries(found: Recommendation, summary: Path | None) -> bool:
    """Return whether first settings are known: of a recurrent network, by accuracy, in shipped studies."""
    return found.shape.recurrent and found.goal == "accuracy" and summary is None


def _with_tries(found: Recommendation, start: OwnStart, budget: int) -> Recommendation:
    """Add what to try first in a recurrent network, as many settings as may be tried."""
    known = first_tries(shipped_ways(), start)
    return replace(found, tries=replace(known, ways=known.ways[:budget]))


def _under_budget(asked: Budget, run: Path | str | None, config_dirs: Sequence[Path]) -> BudgetAdvice:
    """Recommend from the shipped runs, and for a run of the user's own where there is one."""
    own = None if run is None else _counts_of(Path(run))
    known = read_summary(shipped_summary())
    return advise_budget(read_block(shipped_block()), asked, own=own, summary=known, config_dirs=config_dirs)


def _counts_of(folder: Path) -> tuple[OpCounts, float]:
    """Read the operation counts and the time step of a finished run."""
    record = read_model(folder / RECORD if folder.is_dir() else folder, RunRecord)
    if record.counts is None:
        raise InputError(f"{folder}: a {record.status} run without operation counts; name one that finished")
    return record.counts, record.method.protocol.dt_s
