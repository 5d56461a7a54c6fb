"""Random numbers: independent generators for each purpose from a run's seed, and draws inside compiled graphs."""

import hashlib
from typing import Literal

import torch
from torch import Tensor

Stream = Literal[
    "data_order", "encoding", "initialisation", "noise", "dropout", "augmentation", "diagnosis", "robustness"
]


def generator(seed: int, stream: Stream, *parts: int | str) -> torch.Generator:
    """Make a random generator for one purpose, seeded by a hash of all arguments.

    Other arguments give independent numbers, so that adding a stream changes no other, and a resumed run draws what an
    uninterrupted one would. `seed`: of the run. `parts`: what the numbers are for within the stream, e.g. a split and
    an epoch.

    >>> first = torch.rand(1, generator=generator(3, "noise", 0))
    >>> bool(first == torch.rand(1, generator=generator(3, "noise", 0)))
    True
    """
    text = "/".join(["sgbench", str(seed), stream, *(str(part) for part in parts)])
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
    return torch.Generator().manual_seed(number)


class NoiseSource:
    """Draws normal numbers from its own `generator`, which a run sets anew in each epoch.

    >>> source = NoiseSource()
    >>> source.generator = torch.Generator().manual_seed(3)
    >>> source.normal_like(torch.zeros(2)).shape
    torch.Size([2])
    """

    def __init__(self) -> None:
        self.generator = torch.Generator().manual_seed(0)

    def normal_like(self, values: Tensor) -> Tensor:
        """Draw independent numbers of mean 0 and variance 1, of the shape, dtype and device of `values`."""
        drawn = torch.randn(values.shape, generator=self.generator, dtype=values.dtype)
        return drawn.to(values.device)


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
