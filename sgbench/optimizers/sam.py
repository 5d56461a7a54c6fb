"""Sharpness-aware minimisation."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from sgbench.errors import InputError, require_choice, require_flag, require_number

BASES = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
OWN = {"adam": ("betas", "eps"), "adamw": ("betas", "eps"), "sgd": ("momentum",)}
"""Maps a base to the names of its settings, beside the learning rate and the weight decay."""
LEAST_NORM = 1e-12


class Sam(torch.optim.Optimizer):
    r"""Steps by the gradient at the weights of highest loss within a distance rho, which favours flat minima (SAM).

    .. math::
        \hat w = w + \rho \, \frac{|w|^{2a} \nabla L(w)}{\lVert |w|^a \nabla L(w) \rVert_2}, \qquad
        w \leftarrow \mathrm{base}\left(w, \nabla L(\hat w)\right)

    for weights w and the loss L of one batch, with the norm over all weights; a is 1 if adaptive, else 0. A step
    costs two passes over the batch.

    Args:
        params: parameters to optimise, or parameter groups, as in torch.
        base: optimiser that makes the step, "adam", "adamw" or "sgd".
        rho: distance to the weights at which the gradient is taken, above 0.
        adaptive: whether distances are relative to each weight's size (ASAM).
        lr: learning rate of the base.
        weight_decay: weight decay of the base.
        betas: setting of adam and adamw; None for torch's default.
        eps: setting of adam and adamw; None for torch's default.
        momentum: setting of sgd; None for torch's default.

    Raises:
        InputError: a number out of range, or a setting that the base does not have.

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
        settings: dict[str, Any] = {"betas": betas, "eps": eps, "momentum": momentum}
        settings = {name: value for name, value in settings.items() if value is not None}
        foreign = [name for name in settings if name not in OWN[base]]
        if foreign:
            raise InputError(
                f"optimizer.{foreign[0]}={settings[foreign[0]]}: base={base} has {' and '.join(OWN[base])}; "
                f"use optimizer.{foreign[0]}=null"
            )
        self.base = BASES[base](params, lr=lr, weight_decay=weight_decay, **settings)
        super().__init__(self.base.param_groups, self.base.defaults)
        self._share_state()

    def _share_state(self) -> None:
        """Make the base use this optimiser's parameter groups and state, which checkpoints hold."""
        self.base.param_groups, self.base.state = self.param_groups, self.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore this optimiser and its base from a checkpoint's state."""
        super().load_state_dict(state_dict)
        self._share_state()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any]) -> None:  # type: ignore[override]
        """Update the weights by the gradient at the weights of highest loss nearby.

        Args:
            closure: computes the gradients of the same batch at the current weights; the first ones, at w, must
                have been computed before.
        """
        weights = [w for group in self.param_groups for w in group["params"] if w.grad is not None]
        kept = [weight.clone() for weight in weights]
        self._ascend(weights)
        try:
            with torch.enable_grad():
                closure()
        finally:  # the weights return to w even if the closure raises an error
            for weight, before in zip(weights, kept, strict=True):
                weight.copy_(before)
        self.base.step()

    def _ascend(self, weights: list[torch.nn.Parameter]) -> None:
        """Move weights that have gradients, in place, by rho in the direction in which the loss rises."""
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        sizes = [weight.abs() if self.adaptive else torch.ones_like(weight) for weight in weights]
        scaled: list[Tensor] = [size * gradient for size, gradient in zip(sizes, gradients, strict=True)]
        factor = self.rho / (torch.nn.utils.get_total_norm(scaled) + LEAST_NORM)
        for weight, size, gradient in zip(weights, sizes, scaled, strict=True):
            weight.add_(size * gradient * factor)
