"""Random numbers from a generator's state that is kept as a tensor, also inside a compiled graph."""

import torch
from torch import Tensor


def draw(state: Tensor, like: Tensor) -> Tensor:
    """Draw uniform numbers in [0, 1) of the shape, precision and device of `like`, and advance the state in place.

    `state`: state of a CPU generator, as `torch.Generator.get_state` returns it; `like`: a tensor of the wanted shape.

    >>> state = torch.Generator().manual_seed(0).get_state()
    >>> draw(state, torch.zeros(1)), draw(state, torch.zeros(1))
    (tensor([0.4963]), tensor([0.7682]))
    """
    # A compiled graph cannot hold a generator, but it can hold an operator that writes to a tensor. Subclasses of
    # Tensor, which may hold no numbers, handle the operator themselves.
    if torch.compiler.is_compiling() or type(like) is not Tensor:
        return _draw_in_graph(state, like.detach())
    generator = torch.Generator()
    generator.set_state(state)
    numbers = torch.rand(like.shape, generator=generator, dtype=like.dtype)
    state.copy_(generator.get_state())
    return numbers.to(like.device)


@torch.library.custom_op("fastspiking::draw", mutates_args=("state",))
def _draw_in_graph(state: Tensor, like: Tensor) -> Tensor:
    return draw(state, like)


@_draw_in_graph.register_fake
def _(state: Tensor, like: Tensor) -> Tensor:
    return torch.empty_like(like)
