"""A chain of layers over time as one autograd function, with a hand-derived backward pass in chunks of time.

The engines `scan` and `fused` share it; they differ in how steps and currents are computed. Forward saves
x = u - threshold and little else; gradients of currents and spikes exist for a chunk only. psi is the surrogate
derivative, gs and gx are the gradients of s and x from outside, ds is the total gradient of the spikes. Backward is

    ds[t] = gs[t] + V^T dI[t+1] + q dw[t+1] + r[t] du[t+1]    r = -theta, -beta theta or -beta u[t]; 0 if detached
    dx[t] = psi(x[t]) ds[t] + gx[t]
    du[t] = dx[t] + beta z[t] du[t+1] + p dw[t+1]             z = 1, or 1 - s[t] for the zero reset
    dw[t] = d_w dw[t+1] + k du[t] - m dx[t]
    dI[t] = c du[t] + c_w dw[t]

in the letters of `spec`. W^T dI[t] is part of gs[t] of the layer before. The gradient of a coefficient, or of a
parameter of the surrogate, is a sum of products with these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fastspiking.plan import Carry, ChunkAdjoints, IncomingGradients, LayerPlan, Product, SavedActivations, chunks, part
from fastspiking.spec import COEFFICIENTS


class CoefficientGradients:
    """Sums the gradients of one layer's coefficients and surrogate parameters over chunks of time."""

    def __init__(self, plan: LayerPlan, saved: SavedActivations) -> None:
        self.plan = plan
        self.saved = saved
        self.values = dict(zip(COEFFICIENTS, plan.coefficients, strict=True))
        self.sums = {name: torch.zeros_like(self.values[name]) for name in plan.learnt}
        self.parameters = plan.surrogate_parameters
        self.of_surrogate = [torch.zeros_like(parameter) for parameter in self.parameters]

    def room(self, steps: int) -> ChunkAdjoints:
        """Create arrays for the adjoints of a chunk, empty where no gradient of a coefficient needs them."""
        learns = bool(self.sums)
        if not learns and not self.parameters:
            return ChunkAdjoints(*[self.plan.nothing] * len(ChunkAdjoints._fields))
        nothing, shape = self.plan.nothing, (steps, *self.plan.shape[1:])
        wanted = (learns, learns and self.plan.second, learns, bool(self.parameters))
        return ChunkAdjoints(*(nothing.new_empty(shape) if is_wanted else nothing for is_wanted in wanted))

    def add(self, first: int, last: int, adjoints: ChunkAdjoints) -> None:
        """Add the gradients of steps [first, last), given the adjoints of this chunk."""
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
        """Return a function for each coefficient name that computes its gradient's summands [n, B, M]."""
        rows = slice(max(0, first - 1), last - 1)  # one step before each of the chunk
        x, fires = self.saved.x[rows], self.plan.fires
        theta, beta, reset = self.values["threshold"], self.values["decay"], self.plan.spec.reset

        # Potential, second variable and spikes of the step before, made only for coefficients that learn.
        def u() -> Tensor:
            slope = self.values["threshold_slope"]
            threshold = theta + slope * self.saved.w[rows] if self.plan.second else theta
            return self._before(0, x + threshold if fires else x, first)

        def w() -> Tensor:
            return self._before(1, self.saved.w[rows], first)

        def s() -> Tensor:
            return self._before(2, (x > 0).to(x.dtype) if fires else torch.zeros_like(x), first)

        now, w_now = self.saved.now[first:last], self.saved.w[first:last]

        def decayed() -> Tensor:
            """Return what the decay multiplies."""
            if reset == "subtract_decayed":
                return u() - theta * s()
            return (1 - s()) * u() if reset == "zero" else u()

        def thresholded() -> Tensor:
            """Return the threshold's summands: from x = u - threshold, and from a reset that subtracts it."""
            crossed = adjoints.x if fires else torch.zeros_like(adjoints.x)
            if reset not in {"subtract", "subtract_decayed"}:
                return -crossed
            subtracted = s() if reset == "subtract" else beta * s()
            return -crossed - subtracted * adjoints.u

        return {
            "decay": lambda: adjoints.u * decayed(),
            "threshold": thresholded,
            "input": lambda: adjoints.u * now,
            "coupling": lambda: adjoints.u * w_now,
            "second_decay": lambda: adjoints.w * w(),
            "second_potential": lambda: adjoints.w * u(),
            "second_input": lambda: adjoints.w * now,
            "second_spike": lambda: adjoints.w * s(),
            "threshold_slope": lambda: -adjoints.x * w_now,
        }

    def _before(self, field: int, later: Tensor, first: int) -> Tensor:
        """Return u, w or s (field 0, 1 or 2) of the steps before those of a chunk, which starts at step `first`.

        `later` holds them, except for the state before step 0, which is prepended in the first chunk.
        """
        if first > 0:
            return later
        state = self.plan.state[field]
        return torch.cat([later.new_zeros(1, *later.shape[1:]) if state is None else state[None], later])

    def results(self) -> list[Tensor]:
        """Return the gradients of coefficients in their shapes, then of surrogate parameters, in input order."""
        shaped = []
        for name, total in self.sums.items():
            coefficient = getattr(self.plan.spec, name)
            shaped.append(self.plan.layout.full(total).sum_to_size(coefficient.shape))
        return [*shaped, *self.of_surrogate]


class LayerOutcome(NamedTuple):
    """Holds the results of one layer's run with flat features, or their gradients."""

    output: Tensor | None  # spikes, or potentials of a readout [T, B, M]; None if not wanted
    x: Tensor | None  # potential minus threshold [T, B, M]; None if not wanted, or if it is the output
    u: Tensor  # potential after the last step [B, M]
    w: Tensor | None  # second variable after the last step [B, M], if there is one
    s: Tensor | None  # spikes of the last step [B, M], if the layer spikes


OUTCOMES = len(LayerOutcome._fields)


@dataclass(frozen=True)
class Stage:
    """Holds a layer of the chain with all that its passes need."""

    plan: LayerPlan  # how it runs
    product: Product  # how its current is computed
    saved: SavedActivations  # memory for the values of all steps
    inputs: tuple[Tensor | None, ...]  # inputs of the product that may need a gradient

    @property
    def differentiable(self) -> list[Tensor | None]:
        learnt = [getattr(self.plan.spec, name) for name in self.plan.learnt]
        return [*self.inputs, self.plan.layer.recurrent, *learnt, *self.plan.surrogate_parameters]


class Passes(Protocol):
    """Defines how a chain runs forward and backward."""

    def forward(self, stages: Sequence[Stage]) -> list[Carry]:
        """Run all layers over all steps, write their `saved` values, and return each layer's last state."""
        ...

    def backward(self, links: Sequence[Link]) -> list[Tensor | None]:
        """Return the gradients of the differentiable inputs of all stages, in one list."""
        ...


def run(stages: Sequence[Stage], passes: Passes) -> list[LayerOutcome]:
    """Run a chain of layers over all steps as one autograd function; return the results of each layer."""
    inputs = [tensor for stage in stages for tensor in stage.differentiable]
    flat = Unrolled.apply(passes, tuple(stages), *inputs)
    return [LayerOutcome(*flat[first : first + OUTCOMES]) for first in range(0, len(flat), OUTCOMES)]  # type: ignore[index, arg-type]


class Link(NamedTuple):
    """Holds a layer in the backward pass: its saved values, and the gradients of its results."""

    plan: LayerPlan
    product: Product
    saved: SavedActivations
    gradients: LayerOutcome  # of each result, None without a gradient


class Unrolled(torch.autograd.Function):
    """Maps the differentiable inputs of all stages to the results of all layers."""

    @staticmethod
    def forward(ctx: Any, passes: Passes, stages: tuple[Stage, ...], *inputs: Tensor) -> Any:
        """Run all layers forward; return the five results of each layer in a row, None where one is not wanted."""
        ctx.set_materialize_grads(False)
        carries = passes.forward(stages)
        ctx.passes = passes
        ctx.links = [(stage.plan, stage.product) for stage in stages]
        activations = [tensor for stage in stages for tensor in stage.saved]
        ctx.save_for_backward(*activations, *inputs)  # inputs too: torch then notices weights that are changed
        outcomes: list[Tensor | None] = []
        for stage, carry in zip(stages, carries, strict=True):
            plan, saved = stage.plan, stage.saved
            spikes = saved.spikes if plan.keep.spikes else None
            outcomes += LayerOutcome(
                output=spikes if plan.fires else saved.x,
                x=saved.x if plan.fires and plan.keep.x else None,
                u=carry.u,
                w=carry.w if plan.second else None,
                s=carry.last if plan.fires else None,
            )
        return tuple(outcomes)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        """Compute the gradients of all inputs."""
        fields = len(SavedActivations._fields)
        # A saved output has this pass as its history, which gradients computed below must not enter.
        tensors = [tensor.detach() for tensor in ctx.saved_tensors[: fields * len(ctx.links)]]
        links = []
        for position, (plan, product) in enumerate(ctx.links):
            saved = SavedActivations(*tensors[position * fields : (position + 1) * fields])
            gradients = LayerOutcome(*grads[position * OUTCOMES : (position + 1) * OUTCOMES])  # type: ignore[arg-type]
            links.append(Link(plan, product, saved, gradients))
        return None, None, *ctx.passes.backward(links)


class Chunks:
    """Runs forward layer by layer over all steps, backward in chunks of time through all layers; see `Passes`."""

    def forward(self, stages: Sequence[Stage]) -> list[Carry]:
        """Run layer after layer over all steps; return the state of each after the last one."""
        carries = []
        for stage in stages:
            carries.append(stage.plan.start())
            drive = stage.product.drive(stage.saved.x)
            stage.plan.steps.advance(stage.plan, stage.saved, carries[-1], drive)
        return carries

    def backward(self, links: Sequence[Link]) -> list[Tensor | None]:
        """Compute gradients chunk by chunk from the last step, each chunk through all layers."""
        adjoints = [_Adjoint(*link) for link in links]
        for first, last in reversed(chunks([adjoint.plan for adjoint in adjoints])):
            sent_back = None
            for adjoint in adjoints:
                adjoint.start_chunk(last)
            for position in range(len(adjoints) - 1, -1, -1):
                adjoint = adjoints[position]
                out = adjoint.pull_back(first, last, sent_back)
                sends = position > 0 and not adjoint.plan.apart
                sent_back = adjoint.product.input_adjoint(first, last, out) if sends else None
        return [gradient for adjoint in adjoints for gradient in adjoint.gradients()]


class _Adjoint:
    """Runs one layer's part of one backward pass, chunk by chunk, and sums its gradients."""

    def __init__(self, plan: LayerPlan, product: Product, saved: SavedActivations, gradients: LayerOutcome) -> None:
        self.plan, self.product, self.saved = plan, product, saved
        self.incoming = self._incoming_gradients(gradients)
        self.sums = CoefficientGradients(plan, saved)
        matrix = plan.layer.recurrent
        self.d_matrix: Tensor | None = None
        if matrix is not None:  # by columns, as it is summed up: one input's weights side by side
            by_columns = matrix.new_zeros(matrix.shape[::-1])
            self.d_matrix = by_columns.T if matrix.dim() > 1 else by_columns
        self.carry = plan.end()
        self.adjoint = plan.steps.backward(plan, saved, self.carry)

    def _incoming_gradients(self, gradients: LayerOutcome) -> IncomingGradients:
        """Return the gradients of a layer's results by quantity; that of the last spikes is added to the others."""
        spikes, x = (gradients.output, gradients.x) if self.plan.fires else (None, gradients.output)
        if gradients.s is not None:
            spikes = self.plan.nothing.new_zeros(self.plan.shape) if spikes is None else spikes.clone()
            spikes[-1] += gradients.s
        nothing = self.plan.nothing
        by_quantity = (spikes, x, gradients.u, gradients.w)  # under `create_graph` they have a history
        return IncomingGradients(*(nothing if gradient is None else gradient.detach() for gradient in by_quantity))

    def gradients(self) -> list[Tensor | None]:
        return [*self.product.gradients(), self.d_matrix, *self.sums.results()]

    def start_chunk(self, last: int) -> None:
        """Prepare for the chunk that ends before step `last`.

        Where a window of truncated backpropagation ends there, no gradient comes from later steps: the state's adjoint
        becomes 0.
        """
        if self.plan.window is not None and last % self.plan.window == 0:
            for field in self.carry:
                if field.numel():
                    field.zero_()

    def pull_back(self, first: int, last: int, sent_back: Tensor | None) -> Tensor:
        """Run steps [first, last) backward; return the adjoint [n, B, M] of the layer's current.

        `sent_back` [n, B, M] is the gradient of its spikes from the next layer, or None.
        """
        adjoints = self.sums.room(last - first)
        incoming = self._incoming_of(first, last, sent_back)
        out = self.product.adjoint_memory(first, last, sent_back)
        self.adjoint(incoming, first, out, adjoints)
        self.product.add_gradients(first, last, out)
        self.sums.add(first, last, adjoints)
        self._add_recurrent(first, last, out)
        return out

    def _incoming_of(self, first: int, last: int, sent_back: Tensor | None) -> IncomingGradients:
        """Return the gradients that reach steps [first, last), those from the next layer among them."""
        final = last == self.plan.shape[0]
        spikes = part(self.incoming.spikes, first, last)
        if sent_back is not None:
            spikes = spikes + sent_back if spikes.numel() else sent_back
        return IncomingGradients(
            spikes.contiguous(),
            part(self.incoming.x, first, last).contiguous(),
            self.incoming.u.contiguous() if final else self.plan.nothing,
            self.incoming.w.contiguous() if final else self.plan.nothing,
        )

    def _add_recurrent(self, first: int, last: int, out: Tensor) -> None:
        """Add to the recurrent weights' gradient: the current's adjoint `out` times the spikes a step earlier."""
        if self.d_matrix is None:
            return
        one_to_one = self.plan.layer.recurrence == "one_to_one"
        if first == 0:
            before = self.plan.state[2]
            if before is not None:
                self.d_matrix += (out[0] * before).sum(0) if one_to_one else out[0].T @ before
            first, out = 1, out[1:]
        if last <= first:
            return
        if one_to_one:
            self.d_matrix += (out * (self.saved.x[first - 1 : last - 1] > 0)).sum((0, 1))
        else:
            self.plan.steps.add_matrix_gradient(self.saved, first, out, self.d_matrix)
