"""Optimisers that update many networks at once, one network in each row, with settings for each row.

A row is updated operation by operation as torch's optimiser updates a single network (tested). Legend: R networks,
P weights of each.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

Numbers = dict[str, Any]


class BatchedOptimizer(ABC):
    """Updates all rows by the rule of one kind of optimiser.

    `numbers`: settings of each row's optimiser, such as lr.
    """

    buffers: ClassVar[tuple[str, ...]]  # names of the optimiser's state tensors

    def __init__(self, numbers: Sequence[Numbers]) -> None:
        self.numbers = list(numbers)
        self.steps = [0] * len(self.numbers)  # made by each row
        self.state: dict[str, Tensor] = {}  # by name [R, P]

    def begin(self, values: Tensor) -> None:
        """Create the zero optimiser state of weights [R, P]."""
        self.state = {name: torch.zeros_like(values) for name in self.buffers}

    def step(self, values: Tensor, gradients: Tensor, absent: Tensor | None, rows: Sequence[int]) -> None:
        """Update all rows, and count the step of some.

        The caller restores the rows that are not in `rows`.

        `values`: weights [R, P], updated in place; `gradients`: [R, P], may be overwritten; `absent`: entries that have
        no gradient and therefore do not decay [R, P], or None.
        """
        for row in rows:
            self.steps[row] += 1
        self._move(values, gradients, absent)

    @abstractmethod
    def _move(self, values: Tensor, gradients: Tensor, absent: Tensor | None) -> None:
        """Update all rows by the optimiser's rule; arguments are those of `step`."""

    def column(self, like: Tensor, numbers: Sequence[float]) -> Tensor | float:
        """Return one number for each row as a column [R, 1], or as a plain number, which is faster, if equal."""
        first = numbers[0]
        return first if all(number == first for number in numbers) else like.new_tensor(numbers)[:, None]

    def setting(self, like: Tensor, name: str) -> Tensor | float:
        """Return each row's number of a setting, e.g. "lr", in the form of `column`."""
        return self.column(like, [float(settings[name]) for settings in self.numbers])

    def add_decay(self, values: Tensor, gradients: Tensor, absent: Tensor | None, decay: Tensor | float) -> None:
        """Add the L2 penalty's gradient, decay times values, to the gradients of all entries that have one."""
        if _is_zero(decay):
            return
        penalty_gradients = values * decay
        gradients.add_(penalty_gradients if absent is None else penalty_gradients.masked_fill_(absent, 0))


class BatchedAdam(BatchedOptimizer):
    """Steps by Adam and AdamW (Kingma & Ba 2015; Loshchilov & Hutter 2019), as `torch.optim.Adam` rounds it."""

    buffers: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_avg_sq")

    def _move(self, values: Tensor, gradients: Tensor, absent: Tensor | None) -> None:
        if absent is None and values.device.type == "cpu":
            for row in range(len(values)):
                self._move_row(row, values[row], gradients[row])
        else:
            self._move_present(values, gradients, absent)

    def _move_row(self, row: int, values: Tensor, gradients: Tensor) -> None:
        """Update the weights [P] of one row by torch's fused step."""
        numbers = self.numbers[row]
        beta_1, beta_2 = numbers["betas"]
        name = "_fused_adamw_" if numbers["decoupled_weight_decay"] else "_fused_adam_"
        getattr(torch, name)(  # what torch's own optimiser calls
            [values],
            [gradients],
            [self.state["exp_avg"][row]],
            [self.state["exp_avg_sq"][row]],
            [],  # the state of amsgrad
            [torch.tensor(float(max(1, self.steps[row])))],
            lr=float(numbers["lr"]),
            beta1=beta_1,
            beta2=beta_2,
            weight_decay=numbers["weight_decay"],
            eps=numbers["eps"],
            amsgrad=False,
            maximize=False,
        )

    def _move_present(self, values: Tensor, gradients: Tensor, absent: Tensor | None) -> None:
        """Update all rows at once by tensor operations; entries without a gradient do not decay."""
        rate, decay = self.setting(values, "lr"), self.setting(values, "weight_decay")
        if self.numbers[0]["decoupled_weight_decay"]:
            if not _is_zero(decay):
                factors = torch.ones_like(values) * (1 - rate * decay)
                values.mul_(factors if absent is None else factors.masked_fill_(absent, 1))
        else:
            self.add_decay(values, gradients, absent, decay)
        betas_1, betas_2 = zip(*(settings["betas"] for settings in self.numbers), strict=True)  # one of each row
        mean, square = self.state["exp_avg"], self.state["exp_avg_sq"]
        beta_2 = self.column(values, betas_2)
        one_minus_beta_2 = self.column(values, [1 - beta for beta in betas_2])
        mean.lerp_(gradients, self.column(values, [1 - beta for beta in betas_1]))  # type: ignore[arg-type]
        square.mul_(beta_2).addcmul_(gradients * one_minus_beta_2, gradients)
        steps = [max(1, count) for count in self.steps]
        rates = [settings["lr"] for settings in self.numbers]
        step_sizes = [-rate / (1 - beta**count) for rate, beta, count in zip(rates, betas_1, steps, strict=True)]
        corrections = [(1 - beta**count) ** 0.5 for beta, count in zip(betas_2, steps, strict=True)]
        step_size, correction = self.column(values, step_sizes), self.column(values, corrections)
        denominator = square.sqrt().div_(correction).add_(self.setting(values, "eps"))
        values.add_((mean * step_size).div_(denominator))


class BatchedSgd(BatchedOptimizer):
    """Steps by stochastic gradient descent with momentum, as `torch.optim.SGD` rounds it."""

    buffers: ClassVar[tuple[str, ...]] = ("momentum_buffer",)

    def _move(self, values: Tensor, gradients: Tensor, absent: Tensor | None) -> None:
        self.add_decay(values, gradients, absent, self.setting(values, "weight_decay"))
        momentum = [float(settings["momentum"]) for settings in self.numbers]
        if any(momentum):
            gradients = self._with_momentum(values, gradients, momentum)
        rate = self.setting(values, "lr")
        values.sub_(gradients * rate)

    def _with_momentum(self, values: Tensor, gradients: Tensor, momentum: list[float]) -> Tensor:
        """Return the direction of each row's step [R, P]; the gradient itself for a row without momentum."""
        factor, buffer = self.column(values, momentum), self.state["momentum_buffer"]
        shares = [
            1.0 if steps <= 1 else 1 - settings["dampening"]
            for settings, steps in zip(self.numbers, self.steps, strict=True)
        ]
        buffer.mul_(factor).add_(gradients * self.column(values, shares))
        is_nesterov = [bool(settings["nesterov"]) for settings in self.numbers]
        direction = buffer
        if any(is_nesterov):
            direction = torch.where(_as_column(values, is_nesterov), gradients + buffer * factor, buffer)
        if not all(momentum):
            is_plain = [not momentum_of_row for momentum_of_row in momentum]
            direction = torch.where(_as_column(values, is_plain), gradients, direction)
        return direction


class BatchedAdamax(BatchedOptimizer):
    """Steps by Adamax (Kingma & Ba 2015, section 7.1), as `torch.optim.Adamax` rounds it."""

    buffers: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_inf")

    def _move(self, values: Tensor, gradients: Tensor, absent: Tensor | None) -> None:
        self.add_decay(values, gradients, absent, self.setting(values, "weight_decay"))
        mean, largest = self.state["exp_avg"], self.state["exp_inf"]
        for row, settings in enumerate(self.numbers):
            beta_1, beta_2 = settings["betas"]
            mean[row].lerp_(gradients[row], 1 - beta_1)
            size = gradients[row].abs().add_(settings["eps"])
            torch.maximum(largest[row].mul_(beta_2), size, out=largest[row])
            rate = float(settings["lr"]) / (1 - beta_1 ** max(1, self.steps[row]))
            values[row].addcdiv_(mean[row], largest[row], value=-rate)


KINDS: dict[str, type[BatchedOptimizer]] = {
    "torch.optim.Adam": BatchedAdam,
    "torch.optim.Adamax": BatchedAdamax,
    "torch.optim.AdamW": BatchedAdam,
    "torch.optim.SGD": BatchedSgd,
}
"""Maps optimisers of torch to their batched forms."""
LACKING = ("amsgrad", "maximize", "capturable", "differentiable")
"""Options of these optimisers that the batched forms do not have."""


def batched_optimizer_of(optimizers: Sequence[torch.optim.Optimizer]) -> BatchedOptimizer:
    """Return the batched form of some optimisers of one class, with one row for each."""
    name = type(optimizers[0]).__name__
    by_class = {"decoupled_weight_decay": name == "AdamW"}  # missing in torch 2.6's defaults
    return KINDS[f"torch.optim.{name}"]([{**by_class, **optimizer.defaults} for optimizer in optimizers])


def _is_zero(number: Tensor | float) -> bool:
    return not isinstance(number, Tensor) and number == 0


def _as_column(like: Tensor, flags: list[bool]) -> Tensor:
    """Return one flag for each row as a column [R, 1], on the device of `like`."""
    return torch.tensor(flags, device=like.device)[:, None]
