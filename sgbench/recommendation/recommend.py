"""Recommend a surrogate and its settings for a run or for a user's own network."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

from sgbench.errors import InputError
from sgbench.paths import RECORD
from sgbench.recommendation.advice import Recommendation, advise
from sgbench.recommendation.answer import GOALS, Goal, MeasuredNetwork, read_answer
from sgbench.recommendation.block import read_block, shipped_block
from sgbench.recommendation.budget import advise_budget
from sgbench.recommendation.budget_advice import Budget, BudgetAdvice
from sgbench.recommendation.start import measure_module, measure_overrides
from sgbench.recommendation.summary import Shape
from sgbench.records.counts import OpCounts
from sgbench.records.files import read_model
from sgbench.records.record import RunRecord


@overload
def recommend(
    *overrides: str,
    network: Any = None,
    batch: Any = None,
    goal: Goal = "accuracy",
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
    goal: Goal = "accuracy",
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
    """Recommend settings to try in a network, with what they lost on similar networks.

    The network is measured before training (spikes a neuron and step, passing steps), and the answer says where it
    lies outside of the networks that were run. With a target the advice is for a budget of energy: width, cost on
    activity and bits of weights.

    >>> import torch
    >>> from snntorch import Leaky
    >>> hidden, readout = (Leaky(beta=0.9, init_hidden=True) for _ in range(2))
    >>> network = torch.nn.Sequential(torch.nn.Linear(20, 16), hidden, torch.nn.Linear(16, 2), readout)
    >>> answer = recommend(network=network, batch=torch.ones(8, 20))
    >>> answer.to_try[0]
    'sgbench.use(net, surrogate="atan", width_fwhm=0.2)'

    Args:
        overrides: Hydra overrides of a run, e.g. "experiment=digits", whose network is built and measured.
        network: in place of overrides, your own module of snnTorch's neurons, to which the answer speaks.
        batch: input of `network`.
        goal: "accuracy", "spikes" (fewest within 2 points of the best accuracy) or "safety" (least worst case).
        budget: most settings; the answer has at most three.
        config_dirs: folders with your own entries.
        allow_targets: exact names of classes outside the catalogue that may be imported.
        summary: file with another answer than the shipped one.
        target: name of an energy target, e.g. "loihi1", in place of overrides and network.
        max_nj: most dynamic energy of an inference on the target [nJ].
        min_accuracy: least accuracy [%].
        bits: most bits of a weight.
        run: folder of your own finished run, with real weights and without a cost on activity.

    Returns:
        An answer that prints itself, with at most three settings; with a target, the advice for that budget.

    Raises:
        InputError: not exactly one of overrides, network and target, no such network in the study, or no setting
            that keeps the budget.
    """
    limits = (max_nj, min_accuracy, bits)
    if target is not None:
        if overrides or network is not None or summary is not None:
            raise InputError("recommend: target answers from measured runs; give run=..., no overrides or network")
        own = None if run is None else _counts_of(Path(run))
        return advise_budget(read_block(shipped_block()), Budget(target, *limits), own=own, config_dirs=config_dirs)
    if any(limit is not None for limit in (*limits, run)):
        raise InputError("recommend: a budget needs a target, e.g. target='loihi1'")
    if (
        bool(overrides) == (network is not None)
        or (network is None) != (batch is None)
        or not all(isinstance(word, str) for word in overrides)
    ):
        raise InputError("recommend: give the overrides of a run, or network=... and batch=..., input that it takes")
    measured = (
        measure_overrides(overrides, config_dirs, allow_targets) if network is None else measure_module(network, batch)
    )
    return _advise(measured, goal, budget, summary, in_snntorch=network is not None)


def recommend_shape(
    shape: Shape, *, goal: Goal = "accuracy", budget: int = 3, summary: Path | None = None
) -> Recommendation:
    """Recommend settings for a network of which only the shape is known; see `recommend`.

    `shape`: of the network. `goal`: "accuracy", "spikes" or "safety". `budget`: most settings; the answer has at most
    three. `summary`: file with another answer than the shipped one.
    """
    sent = None if shape.start_spikes is None else tuple(spikes / shape.steps for spikes in shape.start_spikes)
    return _advise(MeasuredNetwork(shape.layers, shape.recurrent, shape.steps, sent), goal, budget, summary)


def _advise(
    network: MeasuredNetwork, goal: Goal, budget: int, summary: Path | None, *, in_snntorch: bool = False
) -> Recommendation:
    if goal not in GOALS:
        raise InputError(f"--for {goal}: {', '.join(GOALS)} are known")
    if budget < 1:
        raise InputError(f"--budget {budget}: 1 or more is needed")
    return advise(read_answer(summary), network, goal=goal, budget=budget, in_snntorch=in_snntorch)


def _counts_of(folder: Path) -> tuple[OpCounts, float]:
    """Return the operation counts of a finished run, and the duration of its step [s]."""
    record = read_model(folder / RECORD if folder.is_dir() else folder, RunRecord)
    if record.counts is None:
        raise InputError(f"{folder}: a {record.status} run without operation counts; name one that finished")
    return record.counts, record.method.protocol.dt_s
