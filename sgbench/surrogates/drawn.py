"""Random numbers that go on from the state of a generator, also inside a compiled graph."""

from __future__ import annotations

import torch
from torch import Tensor


def draw(state: Tensor, like: Tensor) -> Tensor:
    """Draw uniform numbers in [0, 1) of the shape, precision and device of `like`; the state moves on.

    Args:
        state: of a CPU generator, as `torch.Generator.get_state` gives it.
        like: what the numbers are for.

    >>> state = torch.Generator().manual_seed(0).get_state()
    >>> draw(state, torch.zeros(1)), draw(state, torch.zeros(1))
    (tensor([0.4963]), tensor([0.7682]))
    """
    # A compiler takes no generator into its graph, and a tensor that an operator writes to it does. A tensor of
    # another kind may hold no numbers; it sees the operator and does what it takes.
    if torch.compiler.is_compiling() or type(like) is not Tensor:
        return _draw_in_graph(state, like.detach())
    generator = torch.Generator()
    generator.set_state(state)
    numbers = torch.rand(like.shape, generator=generator, dtype=like.dtype)
    state.copy_(generator.get_state())
    return numbers.to(like.device)


@torch.library.custom_op("sgbench::draw", mutates_args=("state",))
def _draw_in_graph(state: Tensor, like: Tensor) -> Tensor:
    return draw(state, like)


@_draw_in_graph.register_fake
def _(state: Tensor, like: Tensor) -> Tensor:
    return torch.empty_like(like)
