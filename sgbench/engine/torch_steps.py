"""The steps of a chunk in plain torch; each line is an equation of `recursion` or `spec`."""

from __future__ import annotations

import torch
from torch import Tensor

from sgbench.engine.plan import Carry, Course, Gradients, Kept, Plan


class TorchSteps:
    """Elementwise operations on one step [B, M] at a time."""

    uses_words = False

    def forget(self) -> None:
        """Nothing is held."""

    def advance(
        self, plan: Plan, current: Tensor, carry: Carry, course: Course, first: int, last: int
    ) -> None:
        """Steps [first, last) forward, in place of `carry` and `course`."""
        theta, slope = plan.coefficients[1], plan.coefficients[-1]
        feedback = None if plan.layer.recurrent is None else plan.layer.feedback
        for t in range(first, last):
            given = current[t - first]
            now = given if feedback is None else given + feedback(carry.last)
            if course.now.numel():
                course.now[t] = now
            drive, threshold = now, theta
            if plan.second:
                drive = _second(plan, now, carry)
                threshold = theta + slope * carry.w
                if course.w.numel():
                    course.w[t] = carry.w
            _potential(plan, drive, carry)
            torch.sub(carry.u, threshold, out=course.x[t])
            if plan.fires:
                torch.gt(course.x[t], 0, out=carry.last)
                if course.spikes.numel():
                    course.spikes[t] = carry.last

    def adjoint(
        self, plan: Plan, given: Gradients, course: Course, first: int, last: int, carry: Carry, out: Tensor, kept: Kept
    ) -> None:  # fmt: skip
        """Steps [first, last) backward, into `out`, `carry` and `kept`."""
        beta, _, gain, coupling, second_decay, potential, second_input, _, slope = plan.coefficients
        x = course.x[first:last]
        psi = plan.spec.surrogate.derivative(x) if plan.spec.surrogate is not None else None
        for t in range(len(out) - 1, -1, -1):
            into_x = torch.zeros_like(carry.u)
            keeps = beta
            if psi is not None:
                total = _total_of_spikes(
                    plan, given.spikes[t] if given.spikes.numel() else None, course, first + t, carry
                )
                into_x = psi[t] * total
                if kept.spikes.numel():
                    kept.spikes[t] = total
                if plan.spec.reset == "zero":
                    keeps = beta * (x[t] <= 0)
            if given.x.numel():
                into_x = into_x + given.x[t]
            du = into_x + keeps * carry.u
            if plan.second:
                du = du + potential * carry.w
            if given.u.numel() and t == len(out) - 1:
                du = du + given.u
            carry.u.copy_(du)
            if plan.second:
                dw = second_decay * carry.w + coupling * du - slope * into_x
                if given.w.numel() and t == len(out) - 1:
                    dw = dw + given.w
                carry.w.copy_(dw)
                out[t] = gain * du + second_input * dw
            else:
                out[t] = du
            carry.last.copy_(out[t])
            for room, value in zip(kept[:3], (carry.u, carry.w, into_x), strict=True):
                if room.numel():
                    room[t] = value

    def add_matrix_gradient(
        self, plan: Plan, course: Course, first: int, last: int, out: Tensor, total: Tensor
    ) -> None:
        """Add to `total` [M, M] what `out`, the adjoint of these steps, makes of the spikes one step earlier."""
        spikes = course.spikes[first - 1 : last - 1]
        total.addmm_(out.flatten(0, 1).T, spikes.flatten(0, 1))


def _second(plan: Plan, now: Tensor, carry: Carry) -> Tensor:
    """Move w; what drives u."""
    _, _, gain, coupling, decay, potential, second_input, spike, _ = plan.coefficients
    carry.w.copy_(decay * carry.w + potential * carry.u + second_input * now + spike * carry.last)
    return gain * now + coupling * carry.w


def _potential(plan: Plan, drive: Tensor, carry: Carry) -> None:
    """Move u by one of the four resets."""
    beta, theta = plan.coefficients[:2]
    u, s, reset = carry.u, carry.last, plan.spec.reset
    if reset == "subtract":
        u.mul_(beta).add_(drive).sub_(theta * s)
    elif reset == "subtract_decayed":
        u.sub_(theta * s).mul_(beta).add_(drive)
    elif reset == "zero":
        u.mul_(1 - s).mul_(beta).add_(drive)
    else:
        u.mul_(beta).add_(drive)


def _total_of_spikes(plan: Plan, given: Tensor | None, course: Course, t: int, carry: Carry) -> Tensor:
    """ds[t]; `carry` holds the adjoints of the step after."""
    beta, theta, *_, spike, slope = plan.coefficients
    total = torch.zeros_like(carry.u) if given is None else given
    if plan.layer.recurrent is not None and not plan.layer.cut:
        wires = plan.layer.recurrent.detach()
        total = total + (carry.last @ wires if wires.dim() > 1 else wires * carry.last)
    if plan.second:
        total = total + spike * carry.w
    if plan.spec.detached or plan.spec.reset == "none":
        return total
    if plan.spec.reset == "subtract":
        return total - theta * carry.u
    if plan.spec.reset == "subtract_decayed":
        return total - beta * theta * carry.u
    threshold = theta + slope * course.w[t] if plan.second else theta
    return total - beta * (course.x[t] + threshold) * carry.u
