"""The optimiser SMORMS3: squared mean over root mean squared cubed."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from sgbench.errors import require_number


class Smorms3(torch.optim.Optimizer):
    r"""Steps by squared mean over root mean squared cubed: each weight has its own step size and memory (SMORMS3).

    .. math::
        r &= 1 / (m + 1), \qquad g \leftarrow (1 - r) g + r \nabla, \qquad v \leftarrow (1 - r) v + r \nabla^2 \\
        x &= g^2 / (v + \epsilon), \qquad
        w \leftarrow w - \nabla \min(\eta, x) / (\sqrt{v} + \epsilon), \qquad m \leftarrow 1 + m (1 - x)

    for weight w, gradient nabla, its running mean g and mean square v, and memory m, initially m = 1 and g = v = 0.
    If successive gradients agree, x is near 1 and the memory short; if they are noise, x is small and limits the
    step.

    Args:
        params: parameters to optimise, or parameter groups, as in torch.
        lr: eta, largest step relative to the root mean square gradient.
        eps: epsilon, above 0, which avoids divisions by 0.

    Raises:
        InputError: a number out of range.

    Source: Funk 2015, "RMSprop loses to SMORMS3", sifter.org/~simon/journal/20150420.html; the optimiser of
    Rossbroich, Gygax & Zenke 2022 (stork).

    >>> weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    >>> optimizer = Smorms3([weight], lr=0.1, eps=1e-16)
    >>> weight.grad = torch.tensor([1.0, -4.0])  # r = 1/2, g = d/2, v = d^2/2, x = 1/2: a step of 0.1 sqrt 2
    >>> optimizer.step()
    >>> [round(each, 4) for each in weight.tolist()]
    [0.8586, 2.1414]
    """

    def __init__(self, params: Iterable[Any], *, lr: float, eps: float) -> None:
        numbers = {
            "lr": require_number("optimizer.lr", lr, low=0),
            "eps": require_number("optimizer.eps", eps, low=0, open_low=True),
        }
        super().__init__(params, numbers)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override] - a closure is never given here
        """Update every weight that has a gradient, in place."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, weight.grad, group["lr"], group["eps"])

    def _move(self, weight: Tensor, gradient: Tensor, lr: float, eps: float) -> None:
        """Update one weight and its state (m, g and v of the class) in place."""
        state = self.state[weight]
        if not state:
            state["memory"] = torch.ones_like(weight)
            state["mean"], state["square"] = torch.zeros_like(weight), torch.zeros_like(weight)
        rate = 1 / (state["memory"] + 1)
        state["mean"].lerp_(gradient, rate)
        state["square"].lerp_(gradient.square(), rate)
        agreement = state["mean"].square() / (state["square"] + eps)
        weight.sub_(gradient * agreement.clamp(max=lr) / (state["square"].sqrt() + eps))
        state["memory"].mul_(1 - agreement).add_(1)
