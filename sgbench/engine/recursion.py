"""A layer over time as one autograd function: chunks of time forward, their adjoints backward.

`scan` and `fused` share it; they differ in who makes the steps of a chunk and where the current comes from. Forward
keeps x = u - threshold and little else. With psi the surrogate derivative, gs and gx what reaches s and x from outside
and ds the total gradient of the spikes, backward is

    ds[t] = gs[t] + V^T dI[t+1] + q dw[t+1] + r[t] du[t+1]    r = -theta, -beta theta or -beta u[t]; 0 if detached
    dx[t] = psi(x[t]) ds[t] + gx[t]
    du[t] = dx[t] + beta k[t] du[t+1] + p dw[t+1]             k = 1, or 1 - s[t] for the zero reset
    dw[t] = d_w dw[t+1] + k du[t] - m dx[t]
    dI[t] = c du[t] + c_w dw[t]

A gradient of a coefficient or of a parameter of the surrogate is a sum of products with these.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sgbench.engine.coefficients import CoefficientGradients
from sgbench.engine.plan import Carry, Course, Gradients, Kept, Plan, Source, part
from sgbench.spikes import stand_in


class Outcome:
    """What one run of a layer came to, flat; tensors carry gradient where there is any."""

    def __init__(self, plan: Plan, source: Source, *inputs: Tensor | None) -> None:
        self.course = plan.course()
        learnt = [getattr(plan.spec, name) for name in plan.learnt]
        self.output, self.x, self.u, self.w, self.s = Unrolled.apply(  # type: ignore[misc]
            plan, source, self.course, len(inputs), *inputs, plan.layer.recurrent, *learnt,
            *plan.surrogate_parameters,
        )  # fmt: skip


class Unrolled(torch.autograd.Function):
    """Differentiable inputs: those of the source, V, the coefficients that learn, the surrogate's parameters."""

    @staticmethod
    def forward(ctx: Any, plan: Plan, source: Source, course: Course, count: int, *inputs: Tensor) -> Any:
        ctx.set_materialize_grads(False)
        ctx.plan, ctx.source, ctx.count, ctx.inputs = plan, source, count, len(inputs)
        carry = _forward(plan, source, course)
        ctx.save_for_backward(*course)
        if not plan.fires:
            output = course.x
        else:
            output = stand_in(carry.u, plan.shape) if plan.packed else course.spikes
        x = course.x if plan.fires and plan.keep_x else None
        return output, x, carry.u, carry.w if plan.second else None, carry.last if plan.fires else None

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_out: Any, g_x: Any, g_u: Any, g_w: Any, g_s: Any) -> Any:
        course = Course(*ctx.saved_tensors)
        plan, empty = ctx.plan, course.words.new_empty(0, dtype=ctx.plan.coefficients[0].dtype)
        spikes, x = (g_out, g_x) if plan.fires else (None, g_out)
        if g_s is not None:
            spikes = course.x.new_zeros(plan.shape) if spikes is None else spikes.clone()
            spikes[-1] += g_s
        given = (empty if each is None else each for each in (spikes, x, g_u, g_w))
        work = _Backward(plan, ctx.source, course, Gradients(*given))
        return None, None, None, None, *work.gradients(ctx.inputs)


def _forward(plan: Plan, source: Source, course: Course) -> Carry:
    """All chunks; returns the state after the last step."""
    like = plan.like
    carry = Carry(*(torch.zeros_like(like) if each is None else each.detach().clone() for each in plan.state))
    chunks = plan.chunks()
    spare = like.new_empty(0 if course.x.numel() else (chunks[0][1], *plan.shape[1:]))
    for first, last in chunks:
        out = course.window(first, last)
        if spare.numel():  # nobody wants x: one chunk's worth will do
            out = out._replace(x=spare[: last - first])
        plan.steps.advance(plan, source.chunk(first, last), carry, out)
    return carry


class _Backward:
    """One backward pass, from the last chunk to the first."""

    def __init__(self, plan: Plan, source: Source, course: Course, given: Gradients) -> None:
        self.plan, self.source, self.course, self.given = plan, source, course, given
        self.empty = given.spikes.new_empty(0)
        self.sums = CoefficientGradients(plan, course)
        matrix = plan.layer.recurrent
        self.matrix = None if matrix is None else matrix.detach()
        self.d_matrix = None if matrix is None else torch.zeros_like(matrix)
        like = plan.like
        self.carry = Carry(*(torch.zeros_like(like) for _ in range(3)))

    def gradients(self, count: int) -> list[Tensor | None]:
        """Of all differentiable inputs."""
        for first, last in reversed(self.plan.chunks()):
            kept = self.sums.room(last - first)
            out = self.source.slot(first, last)
            self._adjoint(first, last, out, kept)
            self.source.filled(first, last)
            self.sums.add(first, last, kept)
            self._add_recurrent(first, last, out)
        found = [*self.source.gradients(), self.d_matrix, *self.sums.results()]
        if len(found) != count:
            raise AssertionError(f"{len(found)} gradients for {count} inputs")
        return found

    def _adjoint(self, first: int, last: int, out: Tensor, kept: Kept) -> None:
        """One chunk; step by step where each step's gradient waits for the product with V of the next."""
        alone = self.plan.layer.recurrence == "all_to_all" and not self.plan.layer.cut
        size = 1 if alone else last - first
        for begin in range(last - size, first - 1, -size):
            end = begin + size
            given = self._given(begin, end)
            if alone and end < self.plan.shape[0]:
                given = given._replace(spikes=self._fed_back(given.spikes))
            here = Kept(*(part(each, begin - first, end - first) for each in kept))
            course = self.course.window(begin, end)
            room = out[begin - first : end - first]
            self.plan.steps.adjoint(self.plan, given, course, self.carry, room, here)
            if alone:
                self.carry.last.copy_(room[0])

    def _given(self, begin: int, end: int) -> Gradients:
        final = end == self.plan.shape[0]
        return Gradients(
            part(self.given.spikes, begin, end).contiguous(),
            part(self.given.x, begin, end).contiguous(),
            self.given.u if final else self.empty,
            self.given.w if final else self.empty,
        )

    def _fed_back(self, spikes: Tensor) -> Tensor:
        """Gradient of one step's spikes with what the next step's current sends back through V."""
        if self.matrix is None:
            return spikes
        if not spikes.numel():
            return (self.carry.last @ self.matrix)[None]
        return torch.addmm(spikes[0], self.carry.last, self.matrix)[None]

    def _add_recurrent(self, first: int, last: int, out: Tensor) -> None:
        """Gradient of V: spikes of the step before, times the adjoint of the current."""
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
            self.d_matrix += (out * (self.course.x[first - 1 : last - 1] > 0)).sum((0, 1))
        else:
            self.plan.steps.add_matrix_gradient(self.plan, self.course, (first, last), out, self.d_matrix)
