"""What is compared: one framework's training step on one task."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from benchmarks.workloads import LEARNING_RATE, Task


class Contender(Protocol):
    """A network in training; `step` is what is timed."""

    same_model: bool  # whether losses and gradients have to equal snnTorch's

    def step(self) -> float:
        """Forward, loss, backward and, where the task has one, the optimiser; returns the loss."""
        ...

    def reset(self) -> None:
        """Go back to the weights and the optimiser of the beginning; not timed."""
        ...

    def gradients(self) -> dict[str, Tensor]:
        """Those of the last step by name of the weight; empty where they are not compared."""
        ...

    def rates(self) -> list[float]:
        """Spikes per neuron and step of each layer that fires, with the present weights."""
        ...


Build = Callable[[Task], Contender]


class TorchContender:
    """Any framework that trains through torch's autograd.

    `forward`: output of the last stage over time [T, B, C]. `weights`: what is trained, by the names that gradients are
    compared under. `fused`: whether Adam is torch's one loop, as `sgbench run` takes it; None is torch's default.
    """

    def __init__(
        self,
        task: Task,
        forward: Callable[[], Tensor],
        weights: Mapping[str, nn.Parameter],
        rates: Callable[[], list[float]],
        *,
        same_model: bool = True,
        fused: bool | None = None,
    ) -> None:
        self.task = task
        self.forward = forward
        self.weights = dict(weights)
        self.rates = rates
        self.same_model = same_model
        learns = task.target is not None
        adam = partial(torch.optim.Adam, lr=LEARNING_RATE, fused=fused)
        self.optimizer = adam(self.weights.values()) if learns else None
        self.beginning = [weight.detach().clone() for weight in self.weights.values()]

    def step(self) -> float:
        """One step of training."""
        for weight in self.weights.values():
            weight.grad = None
        loss = self.task.loss(self.forward())
        loss.backward()
        if self.optimizer is not None:
            self.optimizer.step()
        return loss.item()

    def reset(self) -> None:
        """The weights, and an optimiser that has made no step; its memory stays where it is."""
        with torch.no_grad():
            for weight, begun in zip(self.weights.values(), self.beginning, strict=True):
                weight.copy_(begun)
            for state in [] if self.optimizer is None else self.optimizer.state.values():
                for value in state.values():
                    value.zero_()

    def gradients(self) -> dict[str, Tensor]:
        """Of all weights, in the task's order."""
        return {
            name: torch.zeros_like(weight) if weight.grad is None else weight.grad.clone()
            for name, weight in self.weights.items()
        }


def copied(module: Any, weight: Tensor, bias: Tensor | None = None) -> Any:
    with torch.no_grad():
        module.weight.copy_(weight)
        if module.bias is not None:
            module.bias.zero_() if bias is None else module.bias.copy_(bias)
    return module


def rates_by_hooks(modules: Iterable[nn.Module], forward: Callable[[], Tensor]) -> list[float]:
    """Mean of what each module of neurons puts out during one forward pass; of a tuple, its first member."""
    modules = list(modules)
    means: list[list[float]] = [[] for _ in modules]

    def noting(sink: list[float]) -> Callable[..., None]:
        def note(_module: nn.Module, _inputs: Any, output: Any) -> None:
            spikes = output[0] if isinstance(output, tuple) else output
            sink.append(spikes.float().mean().item())

        return note

    handles = [module.register_forward_hook(noting(sink)) for module, sink in zip(modules, means, strict=True)]
    try:
        with torch.no_grad():
            forward()
    finally:
        for handle in handles:
            handle.remove()
    return [sum(rates) / len(rates) for rates in means]
