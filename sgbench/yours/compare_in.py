"""Compares surrogates in a user's own torch module with snnTorch's neurons."""

import copy
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from torch import nn
from tqdm.auto import tqdm

from sgbench.errors import InputError, require_choice, require_count, require_number, shortened
from sgbench.networks.watching import ResetGradient
from sgbench.records.calibration import AUTO
from sgbench.statistics.rank_places import places
from sgbench.surrogates.base import Surrogate
from sgbench.training.creation import create
from sgbench.yours.own_training import (
    ENGINE,
    OWN_OPTIMISER,
    Loss,
    OwnRow,
    OwnTable,
    RunScores,
    TrainingSetup,
    cross_entropy,
    read_own_data,
)

OWN = "own"
"""Name of the surrogates that a module has."""


def compare_in(  # noqa: PLR0913 - each has a default
    make_module: Callable[[], nn.Module],
    train: Any,
    test: Any | None = None,
    *,
    surrogates: Sequence[str] | Mapping[str, Any],
    width_fwhm: float | Literal["auto"] | None = None,
    validation: Any | None = None,
    groups: Any | None = None,
    seeds: int = 5,
    epochs: int = 10,
    batch_size: int = 64,
    lr: float = 1e-3,
    loss: Loss | None = None,
    time_first: bool = False,
    reset_gradient: ResetGradient | None = None,
    progress: bool = True,
) -> OwnTable:
    """Train your own network once with each surrogate and seed, all with equal weights, batches and epochs.

    Each of snnTorch's neurons in the module gets a surrogate of its own as its `spike_grad`; nothing else changes.
    A module whose outputs the engine gives, too, trains on it, see `accelerate`; any other as it is written. A
    LightningModule trains by its own `training_step` and `configure_optimizers`. Validation selects the epoch; the
    test part is scored once.

    The example trains two networks:

    >>> import torch
    >>> from snntorch import Leaky
    >>> class Net(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.into, self.hidden, self.out = torch.nn.Linear(8, 16), Leaky(beta=0.9), torch.nn.Linear(16, 2)
    ...
    ...     def forward(self, x):
    ...         spikes, _ = self.hidden(self.into(x), self.hidden.reset_mem())
    ...         return self.out(spikes)
    >>> data = torch.rand(40, 8), torch.arange(40) % 2
    >>> table = compare_in(Net, data, surrogates=["own", "atan"], seeds=1, epochs=1)  # doctest: +SKIP
    >>> sorted(row.surrogate for row in table.rows)  # doctest: +SKIP
    ['atan', 'own']

    Args:
        make_module: makes a new, untrained module; it is called under the seed of each run.
        train: inputs [samples, ...] and classes [samples], or a torch `Dataset` or `DataLoader` of such pairs,
            whose samples are taken in the data set's own order.
        test: the data of the reported score, in the same form; None takes a fifth of each class of `train`.
        surrogates: names of the catalogue; or a mapping from names to surrogates or functions for `spike_grad`. The
            name "own" leaves those that the module has.
        width_fwhm: full width at half maximum of all surrogates of the catalogue [threshold units]; "auto" chooses
            one for each by `sgbench.calibrate`, before any run; None takes each surrogate's own.
        validation: the data that select the epoch, in the same form; None takes a fifth of the rest of `train`.
        groups: the group of each sample of `train` [samples], such as the recorded person; no group is divided.
        seeds: number of runs of each surrogate.
        epochs: epochs of training.
        batch_size: samples of a batch.
        lr: learning rate of Adam, for a module without `configure_optimizers`.
        loss: function of the module's output and the classes; None takes cross-entropy on outputs summed over time.
        time_first: whether the module takes [time, batch, ...] where samples are [samples, time, ...].
        reset_gradient: "attached" or "detached" for the reset of all neurons, see `use`; None keeps the module's.
        progress: whether to show a progress bar.

    Returns:
        A table, marked as outside the catalogue, with rank intervals and letters as on boards.

    Raises:
        InputError: the module has no neurons of snnTorch, keeps state between batches, is one that came back, or
            data do not fit.
    """
    if isinstance(make_module, nn.Module):
        raise InputError("make_module: each run needs a new module; give its class, or a function that makes one")
    if reset_gradient is not None:
        require_choice("reset_gradient", reset_gradient, ("attached", "detached"))
    surrogate_makers = _make_makers(surrogates, None if width_fwhm == AUTO else width_fwhm)
    for counted, value in (("seeds", seeds), ("epochs", epochs), ("batch_size", batch_size)):
        require_count(counted, value)
    require_number("lr", lr, low=0, open_low=True)
    data = read_own_data(train, test, validation, groups)
    setup = TrainingSetup(make_module, data, epochs, batch_size, lr, loss or cross_entropy, time_first, reset_gradient)
    notes = data.notes
    if width_fwhm == AUTO:
        chosen = {name: setup.calibration(make()) for name, make in surrogate_makers.items() if name != OWN}
        made = {name: create(f"surrogate/{name}", width_fwhm=width.width_fwhm) for name, width in chosen.items()}
        own = {name: make for name, make in surrogate_makers.items() if name == OWN}
        surrogate_makers = own | _make_makers(made)
        notes = [*notes, *(f"{name}: {width.word}, {width.about}" for name, width in chosen.items())]
    scores = _train_all(setup, surrogate_makers, seeds, progress)
    made_surrogates = {name: make() for name, make in surrogate_makers.items()}
    widths = {name: made.fwhm if isinstance(made, Surrogate) else None for name, made in made_surrogates.items()}
    return OwnTable(_rows(scores, widths), (*notes, _conditions(setup, scores)), guess=data.guess)


def _conditions(setup: TrainingSetup, scores: Mapping[str, Mapping[int, RunScores]]) -> str:
    """Write the note on how all runs trained; `scores` maps the names of surrogates and the seeds to runs."""
    ways = Counter(run.ran_on for runs in scores.values() for run in runs.values())
    on_engine = ways.pop(ENGINE, 0)
    parts = [f"{on_engine} runs on the engine"] if on_engine else []
    parts += [f"{count} as written ({shortened(why, 120)})" for why, count in ways.items()]
    rate = "the optimiser of the module" if OWN_OPTIMISER in ways else f"Adam, lr {setup.lr:g}"
    return f"{setup.epochs} epochs, batches of {setup.batch_size}, {rate}; {', '.join(parts)}"


def _train_all(
    setup: TrainingSetup, surrogate_makers: Mapping[str, Callable[[], Any]], seeds: int, progress: bool
) -> dict[str, dict[int, RunScores]]:
    scores: dict[str, dict[int, RunScores]] = {name: {} for name in surrogate_makers}
    runs = [(name, seed) for name in surrogate_makers for seed in range(seeds)]
    for name, seed in tqdm(runs, disable=not progress, unit="run", leave=False):
        scores[name][seed] = setup.run(surrogate_makers[name], seed)
    return scores


def _rows(scores: Mapping[str, Mapping[int, RunScores]], widths: Mapping[str, float | None]) -> list[OwnRow]:
    """Make the table's row of each surrogate from the scores by its name and seed, and its width by name."""
    ranked = places({name: {seed: run.test for seed, run in runs.items()} for name, runs in scores.items()})
    return [
        OwnRow(
            name,
            test={seed: run.test for seed, run in runs.items()},
            validation={seed: run.validation for seed, run in runs.items()},
            width_fwhm=widths[name],
            best_epoch={seed: run.best_epoch for seed, run in runs.items() if not run.failure},
            failures={seed: run.failure for seed, run in runs.items() if run.failure},
            at_chance=tuple(seed for seed, run in runs.items() if run.at_chance),
            rank=ranked[name],
        )
        for name, runs in scores.items()
    ]


def _make_makers(
    given: Sequence[str] | Mapping[str, Any], width_fwhm: float | None = None
) -> dict[str, Callable[[], Any]]:
    """Map names of surrogates to functions that make them, so that every run starts with a new surrogate.

    Arguments are those of `compare_in`; an InputError for no or unknown names, or what cannot be called.
    """
    if isinstance(given, str) or not given:
        raise InputError("surrogates: names are needed, e.g. ['atan', 'triangle'], or a mapping of names to functions")
    if isinstance(given, Mapping):
        wrong = next((name for name, surrogate in given.items() if not callable(surrogate)), None)
        if wrong is not None:
            raise InputError(f"surrogates: '{wrong}' is no function of the potential")
        return {name: partial(copy.deepcopy, surrogate) for name, surrogate in given.items()}
    parameters: dict[str, Any] = {} if width_fwhm is None else {"width_fwhm": width_fwhm}
    made = {name: None if name == OWN else create(f"surrogate/{name}", **parameters) for name in given}
    return {name: partial(copy.deepcopy, surrogate) for name, surrogate in made.items()}
