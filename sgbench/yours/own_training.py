"""Trains a user's own network with equal weights, batches and epochs for each surrogate."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sgbench.datasets.base import Split
from sgbench.errors import InputError, NonFiniteError
from sgbench.records.calibration import Calibration
from sgbench.records.chance import reach_of_guessing
from sgbench.surrogates.base import Surrogate
from sgbench.training.calibration import FIRST_SEED
from sgbench.yours.calibrate import calibrate_module
from sgbench.yours.own_data import OwnData

Loss = Callable[[Any, Tensor], Tensor]  # from the module's output and classes [B] to a number
AXES_WITH_TIME = 3  # number of axes of an output [T, B, C]


class RunScores(NamedTuple):
    """Holds the scores of one run; accuracies are in 0..1."""

    validation: float  # accuracy of the selected epoch
    test: float  # accuracy
    failed: bool  # whether the loss was not finite
    at_chance: bool  # whether validation is no better than guessing


def cross_entropy(output: Any, target: Tensor) -> Tensor:
    """Compute the mean cross-entropy of a network's output with the classes [B].

    An output [B, C] holds the logits; one with time, [T, B, C], is summed over its T steps to get them. Of several
    outputs, such as (spikes, potentials), the first is taken.
    """
    return nn.functional.cross_entropy(_logits(output), target)


def _logits(output: Any) -> Tensor:
    """Return class scores [B, C]: the output, or the first of several outputs, summed over time steps if any."""
    first = output[0] if isinstance(output, tuple | list) else output
    return first.sum(0) if first.dim() == AXES_WITH_TIME else first


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

    def run(self, make_surrogate: Callable[[], Any], seed: int) -> RunScores:
        """Train a new module with a new surrogate under a seed, and score it.

        Raises:
            InputError: the module has no neurons of snnTorch, or keeps state between batches.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = self.make_module()
            _set_surrogates(module, make_surrogate)
            self._require_stateless(module)
            try:
                self._fit(module, seed)
            except NonFiniteError:
                return RunScores(self.data.guess, self.data.guess, failed=True, at_chance=False)
            validation = self._accuracy(module, "validation")
            chance_limit = reach_of_guessing(self.data.guess, self.data.count("validation"))
            test = self._accuracy(module, "test")
            return RunScores(validation, test, failed=False, at_chance=validation <= chance_limit)

    def calibration(self, surrogate: Surrogate) -> Calibration:
        """Choose a surrogate's width on the first training batch, with weights of a seed that no run uses.

        Raises:
            InputError: the module has no recurrent layers that fire; see `sgbench.calibrate`.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(FIRST_SEED)
            module = self.make_module()
        (x, _), *_ = self._batches("train", None)
        return calibrate_module(module, x, surrogate)

    def _fit(self, module: nn.Module, seed: int) -> None:
        """Train a module, load the best weights by validation loss; a NonFiniteError if a loss is not finite."""
        optimizer = self._optimizer(module)
        is_lightning = _is_lightning(module)
        order = torch.Generator().manual_seed(seed)
        best, best_state = float("inf"), module.state_dict()
        for _ in range(self.epochs):
            module.train()
            for number, (x, y) in enumerate(self._batches("train", order)):
                output = module.training_step((x, y), number) if is_lightning else self.loss(module(x), y)  # type: ignore[operator]
                value = output["loss"] if isinstance(output, Mapping) else output
                if not torch.isfinite(value):
                    raise NonFiniteError("the loss is not finite")
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
            loss = self._validation_loss(module)
            if loss < best:
                best, best_state = loss, copy.deepcopy(module.state_dict())
        module.load_state_dict(best_state)

    def _optimizer(self, module: nn.Module) -> torch.optim.Optimizer:
        """Return the optimiser of a LightningModule, or Adam for another module."""
        if not _is_lightning(module):
            return torch.optim.Adam(module.parameters(), lr=self.lr)
        optimizer = module.configure_optimizers()  # type: ignore[operator]
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise InputError("compare_in: configure_optimizers() has to return one optimizer alone")
        return optimizer

    def _batches(self, split: Split, order: torch.Generator | None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield batches of inputs and classes, shuffled by the generator `order`; None keeps their order."""
        count = self.data.count(split)
        indices = torch.arange(count) if order is None else torch.randperm(count, generator=order)
        for chosen in indices.split(self.batch_size):
            x, y = self.data.batch(split, chosen)
            yield (x.transpose(0, 1) if self.time_first else x), y

    def _validation_loss(self, module: nn.Module) -> float:
        """Compute the mean loss over the validation samples, in evaluation mode."""
        module.eval()
        with torch.no_grad():
            losses = [float(self.loss(module(x), y)) * len(y) for x, y in self._batches("validation", None)]
        return sum(losses) / self.data.count("validation")

    def _accuracy(self, module: nn.Module, split: Split) -> float:
        """Compute the share of a split's samples that are classified right, in evaluation mode."""
        module.eval()
        with torch.no_grad():
            right = [int((_logits(module(x)).argmax(-1) == y).sum()) for x, y in self._batches(split, None)]
        return sum(right) / self.data.count(split)

    def _require_stateless(self, module: nn.Module) -> None:
        """Raise an InputError unless outputs depend on the batch alone: a reversed batch gives reversed outputs."""
        axis = 1 if self.time_first else 0
        (x, _), *_ = self._batches("train", None)
        order = torch.arange(x.shape[axis]).flip(0)
        was_training = module.training
        module.eval()
        with torch.no_grad():
            outputs = _logits(module(x))
            reversed_outputs = _logits(module(x.index_select(axis, order)))
        module.train(was_training)
        if outputs.shape[0] != len(order):
            raise InputError(
                f"compare_in: outputs have shape {tuple(outputs.shape)} for {len(order)} samples; "
                f"[batch, classes], or [time, batch, classes], is needed"
            )
        if not torch.allclose(outputs[order], reversed_outputs, rtol=1e-3, atol=1e-4):
            raise InputError(
                "compare_in: a batch in another order gives other outputs, so the module keeps state from one "
                "batch to the next; begin forward with snntorch.utils.reset(self), or reset_mem() of each neuron"
            )


def _set_surrogates(module: nn.Module, make_surrogate: Callable[[], Any]) -> None:
    """Give each of snnTorch's neurons in a module a new surrogate; an InputError if there are none."""
    neurons = [
        item
        for item in module.modules()
        if type(item).__module__.startswith("snntorch.") and hasattr(item, "spike_grad")
    ]
    if not neurons:
        raise InputError("compare_in: the module has no neurons of snnTorch, whose spike_grad would be set")
    for neuron in neurons:
        neuron.spike_grad = make_surrogate()


def _is_lightning(module: nn.Module) -> bool:
    """Return whether a module has its own `training_step` and optimiser, as a LightningModule."""
    return hasattr(module, "training_step") and hasattr(module, "configure_optimizers")
