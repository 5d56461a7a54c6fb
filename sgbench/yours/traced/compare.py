"""Compares what a network returned with what its replay returns, gradients included."""

from typing import Any

import torch
from torch import Tensor

from sgbench.yours.traced.trace import tensors_in, with_refs

# Largest relative differences, in norm, that count as rounding: of values, and of gradients, whose sums cancel.
ROUNDING = {torch.float32: (1e-5, 3e-4), torch.float64: (1e-11, 1e-9)}
COARSE = (1e-3, 1e-3)  # of float16 and bfloat16
GRADIENT_ALONE = "its replay has a gradient where the network has none, or none where it has one"
SMALL_SHARE = 1e-3  # gradients below this share of the largest are compared by that share


def difference(expected: Any, found: Any, sources: list[Tensor]) -> str:
    """Return how a replay's result differs from the network's own, or "" if results and gradients agree.

    `expected`: what the network returned and kept; `sources`: tensors whose gradients are compared.
    """
    ours, theirs = list(tensors_in(found)), list(tensors_in(expected))
    if with_refs(expected, lambda _: None) != with_refs(found, lambda _: None):
        return "its replay returns another form"
    for mine, its in zip(ours, theirs, strict=True):
        if mine.requires_grad != its.requires_grad:
            return GRADIENT_ALONE
        if mine.shape != its.shape or mine.dtype != its.dtype:
            return f"its replay returns a tensor of shape {tuple(mine.shape)}, not {tuple(its.shape)}"
        error = relative(mine.detach(), its.detach())
        if not error <= ROUNDING.get(its.dtype, COARSE)[0]:
            return f"its replay returns other values (by {error:.1g})"
    gradients = [gradients_of(each, sources) for each in (theirs, ours)]
    largest = max((float(each.double().norm()) for each in gradients[0] if each is not None), default=0.0)
    for its, mine in zip(*gradients, strict=True):
        alone = mine if its is None else its if mine is None else None
        if alone is not None and bool(alone.any()):
            return GRADIENT_ALONE
        if its is not None and mine is not None:
            error = relative(mine, its, floor=SMALL_SHARE * largest)
            if not error <= ROUNDING.get(its.dtype, COARSE)[1]:
                return f"its replay has other gradients (by {error:.1g})"
    return ""


def relative(one: Tensor, other: Tensor, floor: float = 0.0) -> float:
    if not one.numel():
        return 0.0
    if not (one.is_floating_point() or one.is_complex()):
        return float((one != other).double().mean())
    one, other = one.double(), other.double()
    both_nan = one.isnan() & other.isnan()
    gap = torch.where(both_nan | (one == other), 0.0, one - other)
    return float(gap.norm() / other.nan_to_num().norm().clamp_min(max(floor, 1e-12)))


def gradients_of(outs: list[Tensor], sources: list[Tensor]) -> list[Tensor | None]:
    """Return the gradients of sources for fixed random gradients of all outputs."""
    learnt = [out for out in outs if out.requires_grad]
    if not learnt or not sources:
        return []
    generator = torch.Generator().manual_seed(0)
    pulls = [torch.randn(out.shape, generator=generator, dtype=torch.float64).to(out) for out in learnt]
    return list(torch.autograd.grad(learnt, sources, pulls, retain_graph=True, allow_unused=True))
