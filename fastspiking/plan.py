"""The plan of one layer's run with flat features, and the interfaces between its parts.

Legend: T steps, n steps of a chunk, B samples, M neurons (all features flattened), K inputs. An empty tensor stands
for one that is not needed.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from fastspiking.arrays import vacant
from fastspiking.layer import EngineLayer, ways_back
from fastspiking.spec import COEFFICIENTS, LinearSpec


@dataclass(frozen=True)
class Layout:
    """Defines how a layer's features are flattened without a copy; any order will do, since neurons do not mix.

    >>> images = torch.rand(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)[None]
    >>> layout = Layout.of(images, leading=2)
    >>> flat = layout.flat(images)
    >>> flat.data_ptr() == images.data_ptr(), torch.equal(layout.full(flat), images)
    (True, True)
    """

    features: torch.Size  # their shape
    channels_last: bool  # whether images [C, H, W] are stored as [H, W, C]

    @staticmethod
    def of(tensor: Tensor, leading: int) -> Layout:
        """Return how a tensor's features lie in memory behind `leading` axes: images may have their channels last."""
        features = tensor.shape[leading:]
        last = len(features) == 3 and features[0] > 1 and tensor.stride(leading) == 1  # noqa: PLR2004 - C, H, W
        return Layout(features, last)

    def flat(self, tensor: Tensor) -> Tensor:
        """Flatten `[..., *features]` to `[..., M]`."""
        if len(self.features) == 1:
            return tensor
        leading = tensor.shape[: tensor.dim() - len(self.features)]
        if self.channels_last:
            tensor = tensor.movedim(-3, -1)
        return tensor.reshape(*leading, self.features.numel())

    def full(self, tensor: Tensor) -> Tensor:
        """Restore `[..., M]` to `[..., *features]`."""
        if len(self.features) == 1:
            return tensor
        leading = tensor.shape[:-1]
        if not self.channels_last:
            return tensor.view((*leading, *self.features))
        channels, height, width = self.features
        return tensor.view(*leading, height, width, channels).movedim(-1, -3)


CHUNK_ENTRIES = 320 * 1024  # most entries of a chunk's buffer, 1.25 MiB in float32: two fit a core's cache
CHUNK_ROWS = 512  # fewest samples times steps of a chunk, since smaller dense products are slow
TO_THE_STEP_BEFORE = ("decay", "second_decay", "second_potential", "second_spike")
"""Coefficients that multiply the state of the step before."""


class Carry(NamedTuple):
    """Holds what one step passes to the next [B, M]: the state forward, its adjoint backward."""

    u: Tensor  # potential
    w: Tensor  # second variable
    last: Tensor  # spikes forward, adjoint of the current backward


class SavedActivations(NamedTuple):
    """Holds the values of a layer's steps that the forward pass saves [T, B, M]."""

    x: Tensor  # potential minus threshold
    w: Tensor  # second variable
    now: Tensor  # current with its recurrent part
    spikes: Tensor
    words: Tensor  # packed spikes, int64 [T, B, blocks of 64]


class IncomingGradients(NamedTuple):
    """Holds the gradients that reach a layer from outside, for n steps."""

    spikes: Tensor  # of the spikes [n, B, M]
    x: Tensor  # of the potential minus threshold [n, B, M]
    u: Tensor  # of the potential after the last step [B, M]
    w: Tensor  # of the second variable after the last step [B, M]


class ChunkAdjoints(NamedTuple):
    """Holds the adjoints of a chunk [n, B, M] that gradients of coefficients are computed from."""

    u: Tensor  # of the potential
    w: Tensor  # of the second variable
    x: Tensor  # of the potential minus threshold
    spikes: Tensor


class Keep(NamedTuple):
    """Holds which results of a layer's steps others need."""

    words: bool  # whether the next layer needs packed spikes
    spikes: bool  # whether the caller wants dense spikes
    x: bool  # whether the caller wants potentials minus threshold


class Drive(NamedTuple):
    """Holds a layer's input: the current of all steps, or the events and weights that it is summed from."""

    current: Tensor | None  # [T, B, M]; None where events are given
    rows: Any = None  # events of each row t B + b
    columns: Tensor | None = None  # weights [K, M]
    begin: Tensor | None = None  # bias [M]


Adjoint = Callable[[IncomingGradients, int, Tensor, ChunkAdjoints], None]
"""Function (incoming, first, out, adjoints) that runs the n steps from `first` on backward.

It writes the adjoint of their current to `out` [n, B, M] and others to `adjoints`, and carries the state's adjoint
on.
"""


class Steps(Protocol):
    """Defines how the steps of a layer are computed, forward and backward."""

    uses_words: bool  # whether the gradient of recurrent weights is computed from packed spikes

    def advance(self, plan: LayerPlan, saved: SavedActivations, carry: Carry, drive: Drive) -> None:
        """Run all steps forward, driven by `drive`, and write `saved` and `carry`."""
        ...

    def backward(self, plan: LayerPlan, saved: SavedActivations, carry: Carry) -> Adjoint:
        """Return the function that runs one backward pass chunk by chunk, the last chunk first."""
        ...

    def add_matrix_gradient(self, saved: SavedActivations, first: int, out: Tensor, total: Tensor) -> None:
        """Add to `total` [M, M] the product of the steps' adjoint `out` with the spikes one step earlier."""
        ...


class Product(Protocol):
    """Defines how a layer's current is computed from input and weights, and their gradients from its adjoint."""

    def drive(self, room: Tensor) -> Drive:
        """Return the layer's input; a current may be written into the memory `room` [T, B, M]."""
        ...

    def adjoint_memory(self, first: int, last: int, offered: Tensor | None) -> Tensor:
        """Return memory [n, B, M] into which the current's adjoint in steps [first, last) is written.

        `offered` is memory of that shape whose content is no longer needed, or None.
        """
        ...

    def add_gradients(self, first: int, last: int, out: Tensor) -> None:
        """Add the gradients of steps [first, last); `out` [n, B, M] holds the current's adjoint there."""
        ...

    def input_adjoint(self, first: int, last: int, out: Tensor) -> Tensor:
        """Return the adjoint of the input in steps [first, last), the previous layer's spikes [n, B, K], from `out`."""
        ...

    def gradients(self) -> tuple[Tensor | None, ...]:
        """Return the gradients of the product's inputs, in their order in `Stage.inputs`."""
        ...


@dataclass(frozen=True)
class LayerPlan:
    """Holds all that determines how one linear layer runs over time, and what its backward pass needs."""

    layer: EngineLayer
    spec: LinearSpec
    nothing: Tensor  # empty tensor of the run's type and device, in place of tensors that are not needed
    shape: tuple[int, int, int]  # T, B, M
    layout: Layout  # of the features that were flattened to M
    state: tuple[Tensor | None, Tensor | None, Tensor | None]  # u, w, s before the first step [B, M]
    steps: Steps
    keep: Keep
    learnt: tuple[str, ...]  # names of coefficients that need a gradient
    surrogate_parameters: list[Tensor]  # parameters of the surrogate that need a gradient
    window: int | None = None  # number of steps after which states are detached; None: never
    apart: bool = False  # whether the previous layer's output is received detached

    @property
    def fires(self) -> bool:
        """Return whether the layer's output is spikes rather than potentials."""
        return self.spec.surrogate is not None

    @property
    def second(self) -> bool:
        """Return whether the neurons have a second variable w."""
        return self.spec.second is not None

    @property
    def gained(self) -> bool:
        """Return whether neurons without a second variable multiply the current by a gain other than 1."""
        gain = self.spec.input
        return not self.second and (isinstance(gain, Tensor) or gain != 1.0)

    @property
    def forgets(self) -> bool:
        """Return whether no gradient goes from a step to the step before."""
        return self.window == 1

    @property
    def sends_back(self) -> bool:
        """Return whether gradient goes back through recurrent spikes."""
        return self.layer.recurrent is not None and not self.layer.cut and not self.forgets

    @property
    def recurrent_back(self) -> Tensor:
        """Return the weights that carry gradient back to recurrent spikes: V, or a rule's feedback weights."""
        given = ways_back(self.layer).recurrent
        matrix = self.layer.recurrent if given is None else given
        if matrix is None:
            raise TypeError(f"layer '{self.layer.name}' has no recurrence")
        return matrix.detach()

    @functools.cached_property
    def coefficients(self) -> tuple[Tensor, ...]:
        """Return each coefficient expanded to the neurons [M], in the order of `COEFFICIENTS`."""
        return flat_coefficients(self.spec, self.layout, self.nothing)

    @functools.cached_property
    def adjoint_coefficients(self) -> tuple[Tensor, ...]:
        """Return the coefficients of the backward pass: 0 for those to the step before if it gets no gradient."""
        if not self.forgets:
            return self.coefficients
        none = torch.zeros_like(self.coefficients[0])
        return tuple(
            none if name in TO_THE_STEP_BEFORE else coefficient
            for name, coefficient in zip(COEFFICIENTS, self.coefficients, strict=True)
        )

    def zeros(self) -> Tensor:
        """Return zeros of one step [B, M]."""
        return self.nothing.new_zeros(self.shape[1:])

    def start(self) -> Carry:
        """Return a copy of the state before the first step, for steps to update in place.

        A missing potential or missing spikes are zeros [B, M]; a missing second variable is an empty tensor.
        """
        potential, second, spikes = (None if field is None else field.clone() for field in self.state)
        return Carry(
            u=self.zeros() if potential is None else potential,
            w=self.nothing if second is None else second,
            last=self.zeros() if spikes is None else spikes,
        )

    def end(self) -> Carry:
        """Return the zero adjoint of the state after the last step, for steps to update in place."""
        return Carry(u=self.zeros(), w=self.zeros() if self.second else self.nothing, last=self.zeros())

    def saved(self) -> SavedActivations:
        """Create uninitialised arrays for the values of all steps, empty for those that are not needed."""
        steps, batch, neurons = self.shape
        attached_zero = self.spec.reset == "zero" and not self.spec.detached

        def room(*, wanted: bool = True) -> Tensor:
            return vacant(self.nothing, self.shape) if wanted else self.nothing

        blocks = (neurons + 63) // 64
        needs_words = self.keep.words or (self.steps.uses_words and self.layer.recurrence == "all_to_all")
        words = (steps, batch, blocks) if self.fires and needs_words else (0,)
        return SavedActivations(
            x=room(),
            w=room(wanted=self.second and (bool(self.learnt) or attached_zero)),
            now=room(wanted="input" in self.learnt or "second_input" in self.learnt),
            spikes=room(wanted=self.fires and self.keep.spikes),
            words=self.nothing.new_empty(words, dtype=torch.int64),
        )


def part(tensor: Tensor, first: int, last: int) -> Tensor:
    """Return steps [first, last) of a tensor, or the tensor itself if it is empty."""
    return tensor[first:last] if tensor.numel() else tensor


def flat_coefficients(spec: LinearSpec, layout: Layout, like: Tensor) -> tuple[Tensor, ...]:
    """Return each coefficient of a spec expanded to the neurons [M], detached; equal numbers share one tensor."""
    neurons = layout.features.numel()
    numbers: dict[float, Tensor] = {}
    flat = []
    for value in spec.coefficients():
        if isinstance(value, Tensor):
            flat.append(layout.flat(value.detach().to(like).expand(layout.features)).contiguous())
            continue
        if value not in numbers:
            numbers[value] = torch.full((neurons,), value, dtype=torch.float64).to(like)
        flat.append(numbers[value])
    return tuple(flat)


def chunks(plans: Sequence[LayerPlan]) -> list[tuple[int, int]]:
    """Return consecutive ranges [first, last) of steps for the backward pass of a chain.

    They are about equally long, no longer than fits the cache (but `CHUNK_ROWS` rows at least), and none crosses the
    border of a window.
    """
    steps, batch, _ = plans[0].shape
    widest = max(plan.shape[2] for plan in plans)
    longest = max(1, CHUNK_ENTRIES // max(1, batch * widest), math.ceil(CHUNK_ROWS / max(1, batch)))
    window = plans[0].window
    span = steps if window is None or plans[0].forgets else min(window, steps)
    size = math.ceil(span / math.ceil(span / longest))  # all about equally long
    return [
        (first, min(first + size, begin + span, steps))
        for begin in range(0, steps, span)
        for first in range(begin, min(begin + span, steps), size)
    ]
