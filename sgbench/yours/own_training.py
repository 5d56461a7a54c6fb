"""Trains a user's own network on their own data, with equal weights, batches and epochs for each surrogate."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from sgbench.datasets.base import Split
from sgbench.errors import InputError, NonFiniteError
from sgbench.leaderboard.score import Measure
from sgbench.networks.watching import ResetGradient, is_snntorch, tensors_in, undisturbed
from sgbench.plots.style import Drawn
from sgbench.plots.sweep_numbers import TEST, SweepPicture, SweepRow, SweptAxis
from sgbench.records.calibration import Calibration
from sgbench.records.consistency import reach_of_guessing
from sgbench.statistics.intervals import Summary, summarise
from sgbench.statistics.rank_places import ABOUT_LETTERS, RankPlace
from sgbench.surrogates.base import Surrogate
from sgbench.sweeps.outcome import Guessing, chance_warning
from sgbench.tables import number_text
from sgbench.tables.shown import ShownTable, data_frame
from sgbench.tables.table import Table, plain_table
from sgbench.training.calibration import FIRST_SEED
from sgbench.yours.accelerate import Accelerated
from sgbench.yours.arrays import PAIR, Part, iterate_pairs, to_array
from sgbench.yours.calibrate import calibrate_module
from sgbench.yours.samples import Divided, commonest_share, divide
from sgbench.yours.scratch import SpilledArrays, stack_arrays
from sgbench.yours.use import use

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Loss = Callable[[Any, Tensor], Tensor]  # from the module's output and classes [B] to a number
Forward = Callable[[Tensor], Any]  # from a batch to what the module returns
ENGINE = "engine"
OWN_OPTIMISER = "a LightningModule trains itself"
AXES_WITH_TIME = 3  # number of axes of an output [T, B, C]


@dataclass(frozen=True)
class OwnData:
    """Holds inputs and classes of train, validation and test."""

    parts: Divided  # maps each split to its samples and class indices
    notes: list[str]  # lines on how the data were read and divided

    @property
    def guess(self) -> float:
        return commonest_share(self.parts["test"][1])

    def count(self, split: Split) -> int:
        return len(self.parts[split][0])

    def batch(self, split: Split, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Return inputs [B, ...] (real ones as float32) and class indices [B] of the samples `chosen` [B]."""
        part, class_indices = self.parts[split]
        x = torch.from_numpy(np.asarray(part.values)[part.order[chosen.numpy()]])
        return x.float() if x.is_floating_point() else x, torch.from_numpy(class_indices[chosen.numpy()])


def read_own_data(train: Any, test: Any | None, validation: Any | None, groups: Any | None) -> OwnData:
    """Read a user's data and divide them into train, validation and test."""
    notes: list[str] = []
    others = (
        None if part is None else _read_part(part, name) for name, part in (("test", test), ("validation", validation))
    )
    divided, _ = divide(_read_part(train, "train"), *others, groups=groups, notes=notes)
    return OwnData(divided, notes)


def _read_part(given: Any, name: str) -> Part:
    """Read inputs and classes of one part; InputError names what cannot be trained on."""
    if isinstance(given, tuple | list) and len(given) == PAIR:
        x, y = to_array(given[0]), to_array(given[1])
    else:
        x, y = _read_one_by_one(given, name)
    if not x.ndim or len(x) != len(y) or not len(y) or y.ndim != 1 or y.dtype.kind == "f":
        raise InputError(f"{name}: {x.shape} inputs and {y.shape} classes; one whole number or word a sample")
    if x.dtype.kind not in "buif":
        raise InputError(f"{name}: inputs are of type {x.dtype}, numbers are needed; give frames of events")
    if x.dtype.kind == "f":
        bad = next((index for index, sample in enumerate(x) if not np.isfinite(sample).all()), None)
        if bad is not None:
            raise InputError(f"{name}: sample {bad} holds NaN or infinity; leave it out or fill it in")
    return Part(x, y)


def _read_one_by_one(given: Any, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Read the inputs and classes of a data set sample by sample; inputs above 64 MB in all go to a file."""
    samples, labels = SpilledArrays(), []
    for sample, label in iterate_pairs(given, name):
        samples.add(to_array(sample))
        labels.append(label)
    arrays = samples.arrays()
    if not arrays:
        raise InputError(f"{name}: has no samples")
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise InputError(f"{name}: samples have shapes such as {sorted(shapes)[:2]}; your network needs equal shapes")
    return stack_arrays(arrays), np.asarray(labels)


class RunScores(NamedTuple):
    """Holds the scores of one run; accuracies are in 0..1."""

    validation: float  # accuracy of the selected epoch
    test: float  # accuracy
    failure: str  # why the run stopped before its end; empty if it did not
    at_chance: bool  # whether validation is no better than guessing
    best_epoch: int  # whose weights were scored, from 1; 0 of a failed run
    ran_on: str  # "engine", or why the module ran as it is written


def cross_entropy(output: Any, target: Tensor) -> Tensor:
    """Compute the mean cross-entropy of a network's output with the classes [B].

    An output [B, C] holds the logits; one with time, [T, B, C], is summed over its T steps to get them. Of several
    outputs, such as (spikes, potentials), the first is taken.
    """
    return nn.functional.cross_entropy(_logits(output), target)


def _logits(output: Any) -> Tensor:
    """Return class scores [B, C]: the output, or the first of several outputs, summed over time steps if any."""
    if isinstance(output, list) and len(output) and all(isinstance(each, Tensor) for each in output):
        output = torch.stack(output)  # of each step
    first = output if isinstance(output, Tensor) else next(tensors_in(output), None)
    if first is None:
        raise InputError(
            f"compare_in: forward returns a {type(output).__name__}, of which no scores of classes can be read; "
            f"return the scores [batch, classes] or [time, batch, classes] first"
        )
    return first.sum(0) if first.dim() == AXES_WITH_TIME else first


def count_right(output: Any, target: Tensor) -> int:
    return int((_logits(output).argmax(-1) == target).sum())


@dataclass(frozen=True)
class TrainingSetup:
    """Holds the data and settings that all runs share; see `compare_in`."""

    make_module: Callable[[], nn.Module]
    data: OwnData
    epochs: int
    batch_size: int
    lr: float
    loss: Loss
    time_first: bool
    reset_gradient: ResetGradient | None = None
    trained: WeakTensorKeyDictionary = field(default_factory=WeakTensorKeyDictionary)
    """Weights of modules that were made before, by which a module that comes back is recognised."""

    def new_module(self) -> nn.Module:
        """Make a module; an InputError if it shares trained weights with an earlier one, or has no snnTorch neurons."""
        module = self.make_module()
        if not isinstance(module, nn.Module):
            raise InputError(
                f"compare_in: make_module returned a {type(module).__name__}; a new torch module is needed"
            )
        for name, weight in module.named_parameters():
            if weight.requires_grad and weight in self.trained:
                raise InputError(
                    f"compare_in: make_module returned '{name}' a second time, so that runs would train it on and "
                    f"on; make a new module in each call, e.g. compare_in(Net, ...)"
                )
        if not any(is_snntorch(item) for item in module.modules()):
            raise InputError("compare_in: the module has no neurons of snnTorch, whose spike_grad would be set")
        for weight in module.parameters():
            self.trained[weight] = True
        return module

    def run(self, make_surrogate: Callable[[], Any], seed: int) -> RunScores:
        """Train a new module with a new surrogate, or with the module's own where that is None, and score it."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = self.new_module()
            surrogate = make_surrogate()
            if surrogate is not None or self.reset_gradient is not None:
                use(module, surrogate=surrogate, reset_gradient=self.reset_gradient)
            self._require_stateless(module)
            call, ran_on = self._fastest(module)
            try:
                best_epoch = self._fit(module, call, seed)
            except NonFiniteError as error:
                return RunScores(self.data.guess, self.data.guess, str(error), False, 0, ran_on)
            validation = self._mean(module, call, "validation", count_right)
            chance_limit = reach_of_guessing(self.data.guess, self.data.count("validation"))
            test = self._mean(module, call, "test", count_right)
            return RunScores(validation, test, "", validation <= chance_limit, best_epoch, ran_on)

    def _fastest(self, module: nn.Module) -> tuple[Forward, str]:
        """Return the fastest way to run the module, on the engine if possible, and `RunScores.ran_on`."""
        if _is_lightning(module):
            return module, OWN_OPTIMISER
        fast = Accelerated(module).train()
        with undisturbed(module):
            fast(self._first_input())
        return fast, fast.as_written or ENGINE

    def _first_input(self) -> Tensor:
        return next(self._batches("train", None))[0]

    def calibration(self, surrogate: Surrogate) -> Calibration:
        """Choose a surrogate's width on the first training batch, with weights of a seed that no run uses."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(FIRST_SEED)
            module = self.new_module()
        return calibrate_module(module, self._first_input(), surrogate)

    def _fit(self, module: nn.Module, call: Forward, seed: int) -> int:
        """Train the module, load the weights of the epoch with the least validation loss, and return it, from 1."""
        optimizer = self._optimizer(module)
        is_lightning = _is_lightning(module)
        order = torch.Generator().manual_seed(seed)
        least_loss, best_epoch, best_state = float("inf"), 0, module.state_dict()
        for epoch in range(1, self.epochs + 1):
            module.train()
            for number, (x, y) in enumerate(self._batches("train", order)):
                output = module.training_step((x, y), number) if is_lightning else self.loss(call(x), y)  # type: ignore[operator]
                loss = output["loss"] if isinstance(output, Mapping) else output
                if not torch.isfinite(loss):
                    raise NonFiniteError(f"the loss was {loss.item()} in epoch {epoch}, batch {number + 1}")
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            # The loss of a batch is a mean, so it is weighted by the batch's size.
            validation_loss = self._mean(module, call, "validation", lambda out, y: float(self.loss(out, y)) * len(y))
            if validation_loss < least_loss:
                least_loss, best_epoch, best_state = validation_loss, epoch, copy.deepcopy(module.state_dict())
        if not best_epoch:
            raise NonFiniteError("the loss of validation was not finite after any epoch")
        module.load_state_dict(best_state)
        return best_epoch

    def _optimizer(self, module: nn.Module) -> torch.optim.Optimizer:
        """Return the module's own optimiser if it is a Lightning module, else Adam."""
        if not _is_lightning(module):
            return torch.optim.Adam(module.parameters(), lr=self.lr)
        optimizer = module.configure_optimizers()  # type: ignore[operator]
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise InputError("compare_in: configure_optimizers() has to return one optimizer alone")
        return optimizer

    def _batches(self, split: Split, order: torch.Generator | None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs and classes of each batch, in an order drawn from `order`; None takes samples as stored."""
        count = self.data.count(split)
        indices = torch.arange(count) if order is None else torch.randperm(count, generator=order)
        for chosen in indices.split(self.batch_size):
            x, y = self.data.batch(split, chosen)
            yield (x.transpose(0, 1) if self.time_first else x), y

    def _mean(self, module: nn.Module, call: Forward, split: Split, sum_of: Callable[[Any, Tensor], float]) -> float:
        """Return the mean of a quantity over a split; `sum_of` sums it over a batch, from outputs and classes."""
        module.eval()
        with torch.no_grad():
            return sum(sum_of(call(x), y) for x, y in self._batches(split, None)) / self.data.count(split)

    def _require_stateless(self, module: nn.Module) -> None:
        """Raise an InputError unless outputs depend on the batch alone: the same batch again gives the same again."""
        x, was_training = self._first_input(), module.training
        module.eval()
        outputs = []
        for _ in range(2):
            with torch.random.fork_rng(devices=[]), torch.no_grad():  # a network may draw, e.g. by rate coding
                outputs.append(_logits(module(x)))
        module.train(was_training)
        samples = x.shape[1 if self.time_first else 0]
        if outputs[0].shape[0] != samples:
            maybe = not self.time_first and x.dim() >= AXES_WITH_TIME
            raise InputError(
                f"compare_in: outputs have shape {tuple(outputs[0].shape)} for {samples} samples; "
                f"[batch, classes], or [time, batch, classes], is needed"
                f"{'; if forward takes the time first, set time_first=True' if maybe else ''}"
            )
        if not torch.allclose(*outputs, rtol=1e-3, atol=1e-4):
            raise InputError(
                "compare_in: the same batch gives other outputs a second time, so the module keeps state from one "
                "batch to the next; begin forward with snntorch.utils.reset(self), or reset_mem() of each neuron"
            )


def _is_lightning(module: nn.Module) -> bool:
    return hasattr(module, "training_step") and hasattr(module, "configure_optimizers")


OUTSIDE = (
    "outside the catalogue: your own network and training, so no board ranks it; test accuracy in %, mean (95 % "
    f"interval over seeds); alike: {ABOUT_LETTERS} (paired tests, Holm)"
)


@dataclass(frozen=True)
class OwnRow:
    """Holds the scores of one surrogate in a user's network."""

    surrogate: str  # name of the surrogate
    test: dict[int, float]  # maps seeds to accuracies in 0..1; of a failed run, that of guessing
    validation: dict[int, float]  # maps seeds to accuracies of the selected epoch
    width_fwhm: float | None  # of the surrogate [threshold units]; None where it is not known
    best_epoch: dict[int, int]  # maps seeds of finished runs to the epoch that validation selected, from 1
    failures: dict[int, str]  # maps seeds of failed runs to the reason
    at_chance: tuple[int, ...]  # seeds of finished runs whose validation is no better than guessing
    rank: RankPlace | None  # interval of its rank; None with a single seed

    @property
    def failed(self) -> tuple[int, ...]:
        return tuple(self.failures)

    @property
    def score(self) -> Summary:
        return summarise(list(self.test.values()), scale="share")


class OwnTable(Drawn, ShownTable):
    """Shows a row for each surrogate, the best first, marked as outside the catalogue.

    `rows`: one for each surrogate, in any order; `notes`: lines on how the data were read and divided; `guess`:
    accuracy of guessing, from 0 to 1.
    """

    def __init__(self, rows: Sequence[OwnRow], notes: Sequence[str] = (), *, guess: float) -> None:
        self.measure = Measure("accuracy", guess)
        self.rows = tuple(sorted(rows, key=lambda row: -row.score.mean))
        self.notes = tuple(notes)

    def table(self) -> Table:
        """Return the ranked surrogates as a table."""
        title = self.measure.title
        rows = [["rank", "alike", "surrogate", "width", title, "epoch", "seeds", "failed", "at chance"]]
        for row in self.rows:
            rank, letters = ("-", "") if row.rank is None else (f"{row.rank.low} to {row.rank.high}", row.rank.groups)
            counts = [str(len(seeds)) for seeds in (row.test, row.failed, row.at_chance)]
            epochs = sorted(set(row.best_epoch.values()))
            epoch = "-" if not epochs else "-".join(map(str, dict.fromkeys((epochs[0], epochs[-1]))))
            width, score = number_text(row.width_fwhm), self.measure.summary(row.score)
            rows.append([rank, letters, row.surrogate, width, score, epoch, *counts])
        return plain_table("Surrogates in a network of one's own", rows, text_columns=3)

    def figure(self) -> Figure:
        """Draw each surrogate's scores."""
        from sgbench.plots.sweep import sweep_figure

        axis = SweptAxis("surrogate", "surrogate", tuple(row.surrogate for row in self.rows), ())
        seeds = max(len(row.test) for row in self.rows)
        rows = []
        for row in self.rows:
            accuracies = [(100 * score, seed in row.failed) for seed, score in row.test.items()]
            done, failed = (tuple(score for score, bad in accuracies if bad == wanted) for wanted in (False, True))
            mean, guess = self.measure.estimate(row.score), 100 * self.measure.guess
            rows.append(SweepRow({"surrogate": row.surrogate}, row.surrogate, mean, done, failed, False, guess))
        return sweep_figure(SweepPicture("Your own network", (axis,), None, None, tuple(rows), seeds, what=TEST))

    def to_pandas(self) -> Any:
        """Build a DataFrame with a row for each run; accuracies are in 0..1."""
        runs = [
            (
                row.surrogate,
                seed,
                row.validation[seed],
                test,
                seed in row.failed,
                seed in row.at_chance,
                row.width_fwhm,
                row.best_epoch.get(seed),
                row.failures.get(seed, ""),
            )
            for row in self.rows
            for seed, test in row.test.items()
        ]
        names = ("surrogate", "seed", "validation", "test", "failed", "at_chance")
        return data_frame((*names, "width_fwhm", "best_epoch", "failure"), runs)

    def table_notes(self) -> tuple[str, ...]:
        """Return the lines below the table: notes, failed runs, runs at chance, and what was not checked."""
        failed = [
            f"{row.surrogate} seed {seed} failed and counts as guessing: {why}"
            for row in self.rows
            for seed, why in row.failures.items()
        ]
        guessing = [
            Guessing(f"{row.surrogate} seed {seed}", "sgbench.diagnose_module")
            for row in self.rows
            for seed in row.at_chance
        ]
        finished = sum(len(row.test) - len(row.failed) for row in self.rows)
        warning = chance_warning(guessing, count=finished)
        return (*self.notes, *failed, *([] if warning is None else [warning]), OUTSIDE)
