"""Gradients of a layer's coefficients and of its surrogate's parameters, summed chunk by chunk."""

from __future__ import annotations

import torch
from torch import Tensor

from sgbench.engine.plan import ChunkAdjoints, LayerPlan, SavedActivations
from sgbench.engine.spec import COEFFICIENTS


class CoefficientGradients:
    """Adds up products of adjoints with what they multiply in the recursion.

    Args:
        plan: whose coefficients may learn.
        saved: what the layer went through.
    """

    def __init__(self, plan: LayerPlan, saved: SavedActivations) -> None:
        self.plan = plan
        self.saved = saved
        self.values = dict(zip(COEFFICIENTS, plan.coefficients, strict=True))
        self.sums = {name: torch.zeros_like(self.values[name]) for name in plan.learnt}
        self.parameters = plan.surrogate_parameters
        self.of_surrogate = [torch.zeros_like(parameter) for parameter in self.parameters]

    def room(self, steps: int) -> ChunkAdjoints:
        """Create the buffers for a chunk's adjoints, empty where no gradient needs them."""
        learns = bool(self.sums)
        if not learns and not self.parameters:
            return ChunkAdjoints(*[self.plan.nothing] * len(ChunkAdjoints._fields))
        nothing, shape = self.plan.nothing, (steps, *self.plan.shape[1:])
        wanted = (learns, learns and self.plan.second, learns, bool(self.parameters))
        return ChunkAdjoints(*(nothing.new_empty(shape) if is_wanted else nothing for is_wanted in wanted))

    def add(self, first: int, last: int, adjoints: ChunkAdjoints) -> None:
        """Add a chunk's share to the gradients of coefficients and surrogate parameters."""
        if self.parameters and self.plan.spec.surrogate is not None:
            with torch.enable_grad():
                curve = self.plan.spec.surrogate.primitive(self.saved.x[first:last])
            shares = torch.autograd.grad(curve, self.parameters, adjoints.spikes, allow_unused=True)
            for total, share in zip(self.of_surrogate, shares, strict=True):
                if share is not None:
                    total.add_(share)
        if self.sums:
            products = self._products(first, last, adjoints)
            for name, total in self.sums.items():
                total.add_(products[name]().sum((0, 1)))

    def _products(self, first: int, last: int, adjoints: ChunkAdjoints) -> dict:  # type: ignore[type-arg]
        """Return for each coefficient a function that gives its gradient's summands [n, B, M]."""
        u, w, s = self._before(first, last)
        theta, beta, reset = self.values["threshold"], self.values["decay"], self.plan.spec.reset
        now, w_now = self.saved.now[first:last], self.saved.w[first:last]

        def decayed() -> Tensor:
            if reset == "subtract_decayed":
                return u - theta * s
            return (1 - s) * u if reset == "zero" else u

        def thresholded() -> Tensor:
            paid = {"subtract": s, "subtract_decayed": beta * s}.get(reset)
            crossed = adjoints.x if self.plan.fires else torch.zeros_like(adjoints.x)
            return -crossed if paid is None else -crossed - paid * adjoints.u

        return {
            "decay": lambda: adjoints.u * decayed(),
            "threshold": thresholded,
            "input": lambda: adjoints.u * now,
            "coupling": lambda: adjoints.u * w_now,
            "second_decay": lambda: adjoints.w * w,
            "second_potential": lambda: adjoints.w * u,
            "second_input": lambda: adjoints.w * now,
            "second_spike": lambda: adjoints.w * s,
            "threshold_slope": lambda: -adjoints.x * w_now,
        }

    def _before(self, first: int, last: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return u, w and s one step before each step of a chunk."""
        plan, x = self.plan, self.saved.x[max(0, first - 1) : last - 1]
        w = self.saved.w[max(0, first - 1) : last - 1] if plan.second else torch.zeros_like(x)
        threshold = self.values["threshold"] + self.values["threshold_slope"] * w
        u = x + threshold if plan.fires else x
        s = (x > 0).to(x.dtype) if plan.fires else torch.zeros_like(x)
        if first > 0:
            return u, w, s
        rest = torch.zeros(1, *plan.shape[1:], dtype=x.dtype, device=x.device)
        initial = (rest if field is None else field[None] for field in plan.state)
        return tuple(  # type: ignore[return-value]
            torch.cat([start, rest_of]) for start, rest_of in zip(initial, (u, w, s), strict=True)
        )

    def results(self) -> list[Tensor]:
        """Return the gradients in the order in which the function got its inputs, in the coefficients' shapes."""
        shaped = []
        for name, total in self.sums.items():
            coefficient = getattr(self.plan.spec, name)
            shaped.append(self.plan.layout.full(total).sum_to_size(coefficient.shape))
        return [*shaped, *self.of_surrogate]
