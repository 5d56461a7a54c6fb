"""One layer's run resolved to flat features, and what its parts agree on.

Legend: T steps, n steps of a chunk, B batch, M neurons (all features flattened). An empty tensor stands for what
nobody needs.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from sgbench.engine.layer import EngineLayer, ways_back
from sgbench.engine.layout import Layout
from sgbench.engine.spec import COEFFICIENTS, LinearSpec

CHUNK_ENTRIES = 320 * 1024  # of a buffer, 1.25 MiB in float32: two of them stay in the cache of a core
CHUNK_ROWS = 512  # at least, samples times steps: smaller dense products are slow
TO_THE_STEP_BEFORE = ("decay", "second_decay", "second_potential", "second_spike")
"""Coefficients that multiply what the step before has left."""


class Carry(NamedTuple):
    """Holds what goes from step to step [B, M]: the state forward, adjoints backward."""

    u: Tensor
    w: Tensor
    last: Tensor  # spikes forward, adjoint of the current backward


class SavedActivations(NamedTuple):
    """Holds what a layer went through [T, B, M]."""

    x: Tensor  # u - threshold
    w: Tensor
    now: Tensor  # current with its recurrent part
    spikes: Tensor
    words: Tensor  # packed spikes, int64 [T, B, blocks of 64]


class IncomingGradients(NamedTuple):
    """Holds what reaches a layer from outside: of spikes and x [n, B, M], of the final u and w [B, M]."""

    spikes: Tensor
    x: Tensor
    u: Tensor
    w: Tensor


class ChunkAdjoints(NamedTuple):
    """Holds adjoints of a chunk [n, B, M] from which gradients of coefficients are made."""

    u: Tensor
    w: Tensor
    x: Tensor
    spikes: Tensor


class Keep(NamedTuple):
    """Holds what has to be remembered of a layer."""

    words: bool  # packed spikes, for the layer behind
    spikes: bool  # dense spikes, for the caller
    x: bool  # u - threshold, for the caller


class Drive(NamedTuple):
    """Holds what drives a layer: its current of all steps [T, B, M], or the events that it is the sum of."""

    current: Tensor | None
    rows: Any = None  # events
    columns: Tensor | None = None  # weights by input [K, M]
    begin: Tensor | None = None  # bias [M]


Adjoint = Callable[[IncomingGradients, int, Tensor, ChunkAdjoints], None]
"""Backward over the steps from a first one on, into the adjoint of their current, carry and kept."""


class Steps(Protocol):
    """Makes the steps of a layer."""

    uses_words: bool  # packed spikes, where a recurrent layer needs them for its own gradient

    def advance(self, plan: LayerPlan, saved: SavedActivations, carry: Carry, drive: Drive) -> None:
        """Run all steps forward, written into `saved` and `carry`."""
        ...

    def backward(self, plan: LayerPlan, saved: SavedActivations, carry: Carry) -> Adjoint:
        """Return the runner of one backward pass, chunk by chunk, the last first."""
        ...

    def add_matrix_gradient(self, saved: SavedActivations, first: int, out: Tensor, total: Tensor) -> None:
        """Add to `total` [M, M] the product of the steps' adjoint `out` with the spikes one step earlier."""
        ...


class Product(Protocol):
    """Defines where a layer's current comes from, and where its adjoint goes."""

    def drive(self, room: Tensor) -> Drive:
        """Compute what drives the layer; a current may be written into `room` [T, B, M]."""
        ...

    def slot(self, first: int, last: int, offered: Tensor | None) -> Tensor:
        """Return where the adjoint of these steps is to be written: in `offered` or elsewhere."""
        ...

    def filled(self, first: int, last: int, out: Tensor) -> None:
        """Use `out`, which now holds the adjoint of these steps, for the gradients."""
        ...

    def sent_back(self, first: int, last: int, out: Tensor) -> Tensor:
        """Compute what the adjoint `out` of these steps sends to the spikes of the layer before [n, B, K]."""
        ...

    def gradients(self) -> tuple[Tensor | None, ...]:
        """Return gradients of what the product was made from, in the order in which the function got it."""
        ...


@dataclass(frozen=True)
class LayerPlan:
    """Says which function runs a layer's time steps, and what is kept for the backward pass."""

    layer: EngineLayer
    spec: LinearSpec
    nothing: Tensor  # stands for what is not there, and has type and device; nobody writes into it
    shape: tuple[int, int, int]  # T, B, M
    layout: Layout  # what M was before it was flattened
    state: tuple[Tensor | None, Tensor | None, Tensor | None]  # u, w, s before the first step [B, M]
    steps: Steps
    keep: Keep
    learnt: tuple[str, ...]  # coefficients that gradient has to reach
    surrogate_parameters: list[Tensor]  # of the surrogate, those that gradient has to reach
    window: int | None = None  # steps over which gradient flows back through states; None: all of them
    apart: bool = False  # no gradient goes to what arrives from the layer before

    @property
    def fires(self) -> bool:
        """Return whether the layer sends spikes, not potentials."""
        return self.spec.surrogate is not None

    @property
    def second(self) -> bool:
        """Return whether there is a second variable."""
        return self.spec.second is not None

    @property
    def gained(self) -> bool:
        """Return whether the current has a gain of its own on its way into u alone; with w it always may."""
        gain = self.spec.input
        return not self.second and (isinstance(gain, Tensor) or gain != 1.0)

    @property
    def forgets(self) -> bool:
        """Return whether no step's adjoint reaches the step before."""
        return self.window == 1

    @property
    def sends_back(self) -> bool:
        """Return whether gradient goes back through the recurrent spikes."""
        return self.layer.recurrent is not None and not self.layer.cut and not self.forgets

    @property
    def recurrent_back(self) -> Tensor:
        """Return the weights that carry gradient back to the recurrent spikes: V, or a rule's feedback."""
        given = ways_back(self.layer).recurrent
        matrix = self.layer.recurrent if given is None else given
        if matrix is None:
            raise TypeError(f"layer '{self.layer.name}' has no recurrence")
        return matrix.detach()

    @functools.cached_property
    def coefficients(self) -> tuple[Tensor, ...]:
        """Expand the coefficients to the neurons [M] each, in the order of COEFFICIENTS."""
        return flat_coefficients(self.spec, self.layout, self.nothing)

    @functools.cached_property
    def adjoint_coefficients(self) -> tuple[Tensor, ...]:
        """Return the adjoint's coefficients: 0 for those to the step before where the layer forgets it."""
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
        """Return the state before the first step, to be moved in place."""
        u, w, s = (None if field is None else field.clone() for field in self.state)
        return Carry(
            self.zeros() if u is None else u,
            self.nothing if w is None else w,
            self.zeros() if s is None else s,
        )

    def end(self) -> Carry:
        """Return zero adjoints for the end of the last step, to be moved in place."""
        return Carry(self.zeros(), self.zeros() if self.second else self.nothing, self.zeros())

    def saved(self) -> SavedActivations:
        """Create the arrays for what has to be remembered of all steps."""
        steps, batch, neurons = self.shape
        attached_zero = self.spec.reset == "zero" and not self.spec.detached

        def room(*, wanted: bool = True) -> Tensor:
            return self.nothing.new_empty(self.shape) if wanted else self.nothing

        blocks = (neurons + 63) // 64
        follows = self.steps.uses_words and self.layer.recurrence == "all_to_all"
        words = (steps, batch, blocks) if self.fires and (self.keep.words or follows) else (0,)
        return SavedActivations(
            x=room(),
            w=room(wanted=self.second and (bool(self.learnt) or attached_zero)),
            now=room(wanted="input" in self.learnt or "second_input" in self.learnt),
            spikes=room(wanted=self.fires and self.keep.spikes),
            words=self.nothing.new_empty(words, dtype=torch.int64),
        )


def part(tensor: Tensor, first: int, last: int) -> Tensor:
    """Select steps [first, last) of a tensor, or return it as it is where it is empty."""
    return tensor[first:last] if tensor.numel() else tensor


def flat_coefficients(spec: LinearSpec, layout: Layout, like: Tensor) -> tuple[Tensor, ...]:
    """Expand all coefficients to the features [M], flat and without gradient; equal numbers share one tensor."""
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
    """Split time into consecutive ranges for the backward pass of a chain; none crosses a window's border."""
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
