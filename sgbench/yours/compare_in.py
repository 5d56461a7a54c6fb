"""Surrogates compared in a user's own network, which is none of the catalogue's."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from sgbench.errors import InputError, NonFiniteError, require_count, require_number
from sgbench.notebook.html import data_frame, html_table
from sgbench.statistics.intervals import Summary, summarise
from sgbench.statistics.rank_places import Place, places
from sgbench.tables import aligned
from sgbench.training.creation import create

Data = tuple[Tensor, Tensor]
Loss = Callable[[Any, Tensor], Tensor]
OVER_TIME = 3  # axes of an output that has steps
SHARE, SPLIT_SEED = 0.2, 20260101
OUTSIDE = (
    "outside the catalogue: your own network and training, so no board ranks it; test accuracy in %, mean ± 95 % "
    "t-interval over seeds; alike: a letter in common is not told apart (paired tests, Holm)"
)


@dataclass(frozen=True)
class OwnRow:
    """What one surrogate reached in a user's network.

    Args:
        surrogate: its name.
        test: accuracies by seed; a run whose loss left the finite counts as guessing.
        validation: the same of the selected epochs.
        failed: seeds of such runs.
        place: ranks that it may have, None of a single seed.
    """

    surrogate: str
    test: dict[int, float]
    validation: dict[int, float]
    failed: tuple[int, ...]
    place: Place | None

    @property
    def score(self) -> Summary:
        """Mean test accuracy with its interval."""
        return summarise(list(self.test.values()))


class OwnTable:
    """A row for each surrogate, the best first, marked as outside the catalogue.

    Args:
        rows: in any order.
    """

    def __init__(self, rows: Sequence[OwnRow]) -> None:
        self.rows = tuple(sorted(rows, key=lambda row: -row.score.mean))

    def __repr__(self) -> str:
        return "\n".join([*aligned(self._cells(), words=3), "", OUTSIDE])

    def _repr_html_(self) -> str:
        return html_table(self._cells(), [OUTSIDE])

    def to_pandas(self) -> Any:
        """A DataFrame with a row for each run; accuracies are fractions.

        Raises:
            InputError: pandas is not installed.
        """
        runs = [
            (row.surrogate, seed, row.validation[seed], test, seed in row.failed)
            for row in self.rows
            for seed, test in row.test.items()
        ]
        return data_frame(("surrogate", "seed", "validation", "test", "failed"), runs)

    def _cells(self) -> list[list[str]]:
        found = [["rank", "alike", "surrogate", "test accuracy, %", "seeds", "failed"]]
        for row in self.rows:
            rank, letters = (
                ("-", "") if row.place is None else (f"{row.place.low} to {row.place.high}", row.place.groups)
            )
            half = row.score.half_width
            interval = "" if half is None else f" ± {100 * half:.2f}"
            score = f"{100 * row.score.mean:.2f}{interval}"
            found.append([rank, letters, row.surrogate, score, str(len(row.test)), str(len(row.failed))])
        return found


def compare_in(  # noqa: PLR0913 - each has a default
    make_module: Callable[[], nn.Module],
    train: Data,
    test: Data | None = None,
    *,
    surrogates: Sequence[str] | Mapping[str, Any],
    validation: Data | None = None,
    seeds: int = 5,
    epochs: int = 10,
    batch_size: int = 64,
    lr: float = 1e-3,
    loss: Loss | None = None,
    time_first: bool = False,
    progress: bool = True,
) -> OwnTable:
    """Train your own network once with each surrogate and seed, all with equal weights, batches and epochs.

    Each of snnTorch's neurons in the module gets the surrogate as its `spike_grad`; nothing else of it changes. A
    LightningModule trains by its own `training_step` and `configure_optimizers`. Validation selects the epoch; the
    test part is scored once.

    Args:
        make_module: makes a new, untrained module; it is called under the seed of each run.
        train: inputs [samples, ...] and classes [samples].
        test: the same, of what is reported; None takes a fifth of `train`.
        surrogates: names of the catalogue, or by name a surrogate or any function that snnTorch takes.
        validation: the same, of what selects; None takes a fifth of what is left of `train`.
        seeds: runs of each surrogate.
        epochs: of training.
        batch_size: samples of a batch.
        lr: learning rate of Adam, for a module without `configure_optimizers`.
        loss: from the module's output and the classes; None takes cross-entropy on outputs summed over time.
        time_first: whether the module takes [time, batch, ...] where samples are [samples, time, ...].
        progress: whether to show a bar.

    Returns:
        A table, marked as outside the catalogue, with rank intervals and letters as on boards.

    Raises:
        InputError: the module has no neurons of snnTorch, keeps state between batches, or data do not fit.
    """
    given = _surrogates(surrogates)
    for name, value in (("seeds", seeds), ("epochs", epochs), ("batch_size", batch_size)):
        require_count(name, value)
    course = _Course(
        make_module,
        *_parts(train, test, validation),
        epochs,
        batch_size,
        require_number("lr", lr, low=0, open_low=True),
        loss or _cross_entropy,
        time_first,
    )
    found: dict[str, dict[int, tuple[float, float, bool]]] = {name: {} for name in given}
    runs = [(name, seed) for name in given for seed in range(seeds)]
    for name, seed in tqdm(runs, disable=not progress, unit="run", leave=False):
        found[name][seed] = course.run(given[name], seed)
    ranked = places({name: {seed: run[1] for seed, run in each.items()} for name, each in found.items()})
    return OwnTable(
        [
            OwnRow(
                name,
                test={seed: run[1] for seed, run in each.items()},
                validation={seed: run[0] for seed, run in each.items()},
                failed=tuple(seed for seed, run in each.items() if run[2]),
                place=ranked[name],
            )
            for name, each in found.items()
        ]
    )


def _surrogates(given: Sequence[str] | Mapping[str, Any]) -> dict[str, Callable[[], Any]]:
    """A maker of each by name; one that learns or counts is new in every run."""
    if isinstance(given, str) or not given:
        raise InputError(
            "surrogates: names are needed, e.g. ['atan', 'triangle'], or a mapping of names to functions"
        )
    if isinstance(given, Mapping):
        wrong = next((name for name, each in given.items() if not callable(each)), None)
        if wrong is not None:
            raise InputError(f"surrogates: '{wrong}' is no function of the potential")
        return {name: (lambda each=each: copy.deepcopy(each)) for name, each in given.items()}
    made = {name: create(f"surrogate/{name}") for name in given}
    return {name: (lambda each=each: copy.deepcopy(each)) for name, each in made.items()}


def _parts(train: Data, test: Data | None, validation: Data | None) -> tuple[Data, Data, Data]:
    """Train, validation and test as tensors."""
    random = torch.Generator().manual_seed(SPLIT_SEED)
    kept = _tensors(train, "train")
    others = {}
    for name, part in (("test", test), ("validation", validation)):
        if part is not None:
            others[name] = _tensors(part, name)
            continue
        order = torch.randperm(len(kept[1]), generator=random)
        held = max(1, round(SHARE * len(order)))
        if held >= len(order):
            raise InputError(f"train: {len(order)} samples are too few to put some aside; give {name}=(x, y)")
        others[name] = (kept[0][order[:held]], kept[1][order[:held]])
        kept = (kept[0][order[held:]], kept[1][order[held:]])
    return kept, others["validation"], others["test"]


def _tensors(part: Any, name: str) -> Data:
    if not isinstance(part, tuple | list) or len(part) != 2:  # noqa: PLR2004 - inputs and classes
        raise InputError(f"{name}: (x, y) is needed, inputs and classes")
    x, y = (torch.as_tensor(each) for each in part)
    if len(x) != len(y) or not len(y) or y.dim() != 1 or y.is_floating_point():
        raise InputError(
            f"{name}: {tuple(x.shape)} inputs and {tuple(y.shape)} classes; one whole number a sample"
        )
    if x.is_floating_point() and not torch.isfinite(x).all():
        raise InputError(f"{name}: inputs hold NaN or infinity; leave those samples out or fill them in")
    return x, y.long()


def _cross_entropy(output: Any, target: Tensor) -> Tensor:
    return nn.functional.cross_entropy(_logits(output), target)


def _logits(output: Any) -> Tensor:
    """Scores of the classes [B, C]: of spikes and potentials the spikes, and of steps their sum."""
    first = output[0] if isinstance(output, tuple | list) else output
    return first.sum(0) if first.dim() == OVER_TIME else first


@dataclass(frozen=True)
class _Course:
    """What all runs have in common."""

    make_module: Callable[[], nn.Module]
    train: Data
    validation: Data
    test: Data
    epochs: int
    batch_size: int
    lr: float
    loss: Loss
    time_first: bool

    def run(self, make_surrogate: Callable[[], Any], seed: int) -> tuple[float, float, bool]:
        """Validation and test accuracy of one run, and whether its loss left the finite."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = self.make_module()
            _give(module, make_surrogate)
            self._require_stateless(module)
            try:
                self._fit(module, seed)
            except NonFiniteError:
                guess = 1 / max(2, int(self.train[1].max()) + 1)
                return guess, guess, True
            return self._accuracy(module, self.validation), self._accuracy(module, self.test), False

    def _fit(self, module: nn.Module, seed: int) -> None:
        """Train, and end with the weights of the epoch that validation selects."""
        optimizer = self._optimizer(module)
        own_step = _is_lightning(module)
        order = torch.Generator().manual_seed(seed)
        best, kept = float("inf"), module.state_dict()
        for _ in range(self.epochs):
            module.train()
            for number, (x, y) in enumerate(self._batches(self.train, order)):
                found = module.training_step((x, y), number) if own_step else self.loss(module(x), y)  # type: ignore[operator]
                value = found["loss"] if isinstance(found, Mapping) else found
                if not torch.isfinite(value):
                    raise NonFiniteError("the loss is not finite")
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
            now = self._validation_loss(module)
            if now < best:
                best, kept = now, copy.deepcopy(module.state_dict())
        module.load_state_dict(kept)

    def _optimizer(self, module: nn.Module) -> torch.optim.Optimizer:
        if not _is_lightning(module):
            return torch.optim.Adam(module.parameters(), lr=self.lr)
        found = module.configure_optimizers()  # type: ignore[operator]
        if not isinstance(found, torch.optim.Optimizer):
            raise InputError("compare_in: configure_optimizers() has to return one optimizer alone")
        return found

    def _batches(self, part: Data, order: torch.Generator | None) -> Iterator[Data]:
        x, y = part
        places = torch.arange(len(y)) if order is None else torch.randperm(len(y), generator=order)
        for chosen in places.split(self.batch_size):
            yield (x[chosen].transpose(0, 1) if self.time_first else x[chosen]), y[chosen]

    def _validation_loss(self, module: nn.Module) -> float:
        module.eval()
        with torch.no_grad():
            found = [float(self.loss(module(x), y)) * len(y) for x, y in self._batches(self.validation, None)]
        return sum(found) / len(self.validation[1])

    def _accuracy(self, module: nn.Module, part: Data) -> float:
        module.eval()
        with torch.no_grad():
            right = [int((_logits(module(x)).argmax(-1) == y).sum()) for x, y in self._batches(part, None)]
        return sum(right) / len(part[1])

    def _require_stateless(self, module: nn.Module) -> None:
        """A batch in another order has to give the same outputs in that order, whatever came before.

        Raises:
            InputError: it does not.
        """
        axis = 1 if self.time_first else 0
        (x, _), *_ = self._batches(self.train, None)
        order = torch.arange(x.shape[axis]).flip(0)
        was_training = module.training
        module.eval()
        with torch.no_grad():
            one = _logits(module(x))
            other = _logits(module(x.index_select(axis, order)))
        module.train(was_training)
        if one.shape[0] != len(order):
            raise InputError(
                f"compare_in: outputs have shape {tuple(one.shape)} for {len(order)} samples; "
                f"[batch, classes], or [time, batch, classes], is needed"
            )
        if not torch.allclose(one[order], other, rtol=1e-3, atol=1e-4):
            raise InputError(
                "compare_in: a batch in another order gives other outputs, so the module keeps state from one "
                "batch to the next; begin forward with snntorch.utils.reset(self), or reset_mem() of each neuron"
            )


def _give(module: nn.Module, make_surrogate: Callable[[], Any]) -> None:
    neurons = [
        each
        for each in module.modules()
        if type(each).__module__.startswith("snntorch.") and hasattr(each, "spike_grad")
    ]
    if not neurons:
        raise InputError("compare_in: the module has no neurons of snnTorch, whose spike_grad would be set")
    for neuron in neurons:
        neuron.spike_grad = make_surrogate()


def _is_lightning(module: nn.Module) -> bool:
    """Whether it trains by steps and an optimiser of its own."""
    return hasattr(module, "training_step") and hasattr(module, "configure_optimizers")
