"""Train a user's own network with equal weights, batches and epochs for each surrogate."""

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
from sgbench.yours.calibrate import calibrated_module
from sgbench.yours.own_data import OwnData

Loss = Callable[[Any, Tensor], Tensor]
OVER_TIME = 3  # axes of an output with time steps


class RunScores(NamedTuple):
    """Holds the scores of one run."""

    validation: float  # accuracy of the selected epoch
    test: float  # accuracy
    failed: bool  # whether the loss was not finite
    at_chance: bool  # whether validation is no better than guessing


def cross_entropy(output: Any, target: Tensor) -> Tensor:
    """Compute the cross-entropy of outputs summed over time; of (spikes, potentials), the spikes are taken."""
    return nn.functional.cross_entropy(_logits(output), target)


def _logits(output: Any) -> Tensor:
    """Compute class scores [B, C]: the output summed over time steps; of (spikes, potentials), the spikes."""
    first = output[0] if isinstance(output, tuple | list) else output
    return first.sum(0) if first.dim() == OVER_TIME else first


@dataclass(frozen=True)
class TrainingSetup:
    """Holds the data and settings that all runs share."""

    make_module: Callable[[], nn.Module]
    data: OwnData
    epochs: int
    batch_size: int
    lr: float
    loss: Loss
    time_first: bool

    def run(self, make_surrogate: Callable[[], Any], seed: int) -> RunScores:
        """Train a new module with a new surrogate under a seed, and score it."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = self.make_module()
            _give(module, make_surrogate)
            self._require_stateless(module)
            try:
                self._fit(module, seed)
            except NonFiniteError:
                return RunScores(self.data.guess, self.data.guess, failed=True, at_chance=False)
            validation = self._accuracy(module, "validation")
            most = reach_of_guessing(self.data.guess, self.data.count("validation"))
            test = self._accuracy(module, "test")
            return RunScores(validation, test, failed=False, at_chance=validation <= most)

    def calibration(self, surrogate: Surrogate) -> Calibration:
        """Choose a surrogate's width on the first training batch, with weights of a seed that no run uses.

        Raises:
            InputError: as `sgbench.calibrate`.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(FIRST_SEED)
            module = self.make_module()
        (x, _), *_ = self._batches("train", None)
        return calibrated_module(module, x, surrogate)

    def _fit(self, module: nn.Module, seed: int) -> None:
        """Train a module, and load the weights of the epoch that validation selects."""
        optimizer = self._optimizer(module)
        own_step = _is_lightning(module)
        order = torch.Generator().manual_seed(seed)
        best, best_state = float("inf"), module.state_dict()
        for _ in range(self.epochs):
            module.train()
            for number, (x, y) in enumerate(self._batches("train", order)):
                output = module.training_step((x, y), number) if own_step else self.loss(module(x), y)  # type: ignore[operator]
                value = output["loss"] if isinstance(output, Mapping) else output
                if not torch.isfinite(value):
                    raise NonFiniteError("the loss is not finite")
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
            now = self._validation_loss(module)
            if now < best:
                best, best_state = now, copy.deepcopy(module.state_dict())
        module.load_state_dict(best_state)

    def _optimizer(self, module: nn.Module) -> torch.optim.Optimizer:
        if not _is_lightning(module):
            return torch.optim.Adam(module.parameters(), lr=self.lr)
        optimizer = module.configure_optimizers()  # type: ignore[operator]
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise InputError("compare_in: configure_optimizers() has to return one optimizer alone")
        return optimizer

    def _batches(self, split: Split, order: torch.Generator | None) -> Iterator[tuple[Tensor, Tensor]]:
        count = self.data.count(split)
        indices = torch.arange(count) if order is None else torch.randperm(count, generator=order)
        for chosen in indices.split(self.batch_size):
            x, y = self.data.batch(split, chosen)
            yield (x.transpose(0, 1) if self.time_first else x), y

    def _validation_loss(self, module: nn.Module) -> float:
        module.eval()
        with torch.no_grad():
            losses = [float(self.loss(module(x), y)) * len(y) for x, y in self._batches("validation", None)]
        return sum(losses) / self.data.count("validation")

    def _accuracy(self, module: nn.Module, split: Split) -> float:
        module.eval()
        with torch.no_grad():
            right = [int((_logits(module(x)).argmax(-1) == y).sum()) for x, y in self._batches(split, None)]
        return sum(right) / self.data.count(split)

    def _require_stateless(self, module: nn.Module) -> None:
        """Require that outputs depend on the batch alone: a permuted batch gives the permuted outputs.

        Raises:
            InputError: the module keeps state between batches or mixes samples.
        """
        axis = 1 if self.time_first else 0
        (x, _), *_ = self._batches("train", None)
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
