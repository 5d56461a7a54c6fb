"""Sharpness-aware minimisation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from sgbench.errors import InputError, require_choice, require_flag, require_number

BASES = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
OWN = {"adam": ("betas", "eps"), "adamw": ("betas", "eps"), "sgd": ("momentum",)}
"""Numbers that a base has, beside the learning rate and the decay."""
LEAST_NORM = 1e-12


class Sam(torch.optim.Optimizer):
    r"""Steps by the gradient at the worst weights nearby, which leads to flat minima.

    .. math::
        \hat w = w + \rho \, \frac{|w|^{2a} \nabla L(w)}{\lVert |w|^a \nabla L(w) \rVert_2}, \qquad
        w \leftarrow \mathrm{base}\left(w, \nabla L(\hat w)\right)

    with the norm over all weights; a is 1 where it is adaptive and 0 where not. Both gradients are of the same
    batch, so a step costs two passes.

    Args:
        params: to move.
        base: "adam", "adamw" or "sgd", which makes the step.
        rho: distance to the worst weights.
        adaptive: whether the distance is measured in each weight's own size (ASAM).
        lr: learning rate of the base.
        weight_decay: of the base.
        betas: of adam and adamw; None is torch's default.
        eps: of adam and adamw; None is torch's default.
        momentum: of sgd; None is torch's default.

    Raises:
        InputError: a number out of range, or one that the base has not.

    Source: Foret, Kleiner, Mobahi & Neyshabur 2021, ICLR, arXiv:2010.01412; adaptive: Kwon, Kim, Park & Choi 2021,
    ICML, arXiv:2102.11600, who add a constant to |w| and leave biases unscaled; here all weights have |w| alone.

    >>> weight = torch.nn.Parameter(torch.tensor([1.0]))
    >>> numbers = {"weight_decay": 0.0, "betas": None, "eps": None, "momentum": None}
    >>> optimizer = Sam([weight], base="sgd", rho=0.5, adaptive=False, lr=0.1, **numbers)
    >>> def gradient():  # of w squared
    ...     weight.grad = 2 * weight.detach()
    >>> gradient()
    >>> optimizer.step(gradient)  # at 1.5 it is 3
    >>> round(weight.item(), 6)
    0.7
    """

    def __init__(  # noqa: PLR0913 - those of its bases
        self,
        params: Iterable[Any],
        *,
        base: str,
        rho: float,
        adaptive: bool,
        lr: float,
        weight_decay: float,
        betas: tuple[float, float] | None,
        eps: float | None,
        momentum: float | None,
    ) -> None:
        require_choice("optimizer.base", base, tuple(BASES))
        self.rho = require_number("optimizer.rho", rho, low=0, open_low=True)
        self.adaptive = require_flag("optimizer.adaptive", adaptive)
        numbers = {"betas": betas, "eps": eps, "momentum": momentum}
        given: dict[str, Any] = {name: number for name, number in numbers.items() if number is not None}
        foreign = [name for name in given if name not in OWN[base]]
        if foreign:
            raise InputError(
                f"optimizer.{foreign[0]}={given[foreign[0]]}: base={base} has {' and '.join(OWN[base])}; "
                f"use optimizer.{foreign[0]}=null"
            )
        self.base = BASES[base](params, lr=lr, weight_decay=weight_decay, **given)
        super().__init__(self.base.param_groups, self.base.defaults)
        self._share()

    def _share(self) -> None:
        """Let the base work on this optimiser's groups and state, which checkpoints keep."""
        self.base.param_groups, self.base.state = self.param_groups, self.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of the base from a checkpoint."""
        super().load_state_dict(state_dict)
        self._share()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any]) -> None:  # type: ignore[override]
        """Move to the worst weights, have the closure fill the gradient there, return, and step by it."""
        weights = [w for group in self.param_groups for w in group["params"] if w.grad is not None]
        kept = [weight.clone() for weight in weights]
        self._ascend(weights)
        try:
            with torch.enable_grad():
                closure()
        finally:  # a gradient that is not finite leaves the weights as they were
            for weight, before in zip(weights, kept, strict=True):
                weight.copy_(before)
        self.base.step()

    def _ascend(self, weights: list[torch.nn.Parameter]) -> None:
        """Move the weights by rho against the descent."""
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        sizes = [weight.abs() if self.adaptive else torch.ones_like(weight) for weight in weights]
        scaled: list[Tensor] = [size * each for size, each in zip(sizes, gradients, strict=True)]
        factor = self.rho / (torch.nn.utils.get_total_norm(scaled) + LEAST_NORM)
        for weight, size, each in zip(weights, sizes, scaled, strict=True):
            weight.add_(size * each * factor)
