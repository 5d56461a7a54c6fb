"""Steps of one layer in plain torch, one line for each equation of `recursion` and `spec`."""

import functools

import torch
from torch import Tensor

from fastspiking.plan import Adjoint, Carry, ChunkAdjoints, Drive, IncomingGradients, LayerPlan, SavedActivations


class TorchSteps:
    """Runs the steps of a layer by elementwise torch operations on one step [B, M] at a time; see `plan.Steps`."""

    uses_words = False

    def advance(self, plan: LayerPlan, saved: SavedActivations, carry: Carry, drive: Drive) -> None:
        """Run all steps forward, driven by a given current; see `plan.Steps`."""
        if drive.current is None:
            raise TypeError("plain torch follows no events: the current has to be given")
        theta, slope = plan.coefficients[1], plan.coefficients[-1]  # threshold, and how w moves it
        feedback = None if plan.layer.recurrent is None else plan.layer.feedback
        for t, current in enumerate(drive.current.unbind(0)):
            now = current if feedback is None else current + feedback(carry.last)
            if saved.now.numel():
                saved.now[t] = now
            u_drive, threshold = plan.coefficients[2] * now if plan.gained else now, theta
            if plan.second:
                u_drive = _second(plan, now, carry)
                threshold = theta + slope * carry.w
                if saved.w.numel():
                    saved.w[t] = carry.w
            _potential(plan, u_drive, carry)
            torch.sub(carry.u, threshold, out=saved.x[t])
            if plan.fires:
                torch.gt(saved.x[t], 0, out=carry.last)
                if saved.spikes.numel():
                    saved.spikes[t] = carry.last

    def backward(self, plan: LayerPlan, saved: SavedActivations, carry: Carry) -> Adjoint:
        return functools.partial(_adjoint, plan, saved, carry)

    def add_matrix_gradient(self, saved: SavedActivations, first: int, out: Tensor, total: Tensor) -> None:
        """Add to `total` [M, M] the product of the steps' adjoint `out` with the spikes one step earlier."""
        spikes = saved.spikes[first - 1 : first - 1 + len(out)]
        total.addmm_(out.flatten(0, 1).T, spikes.flatten(0, 1))


def _adjoint(
    plan: LayerPlan,
    saved: SavedActivations,
    carry: Carry,
    incoming: IncomingGradients,
    first: int,
    out: Tensor,
    adjoints: ChunkAdjoints,
) -> None:
    """Run a chunk of n steps from `first` on backward, and write their current's adjoint to `out` [n, B, M].

    `carry` is the adjoint of the state, updated in place; `adjoints` is written where it has a size.
    """
    x = saved.x[first : first + len(out)]
    psi = plan.spec.surrogate.derivative(x) if plan.spec.surrogate is not None else None
    for t in range(len(out) - 1, -1, -1):
        into_x = torch.zeros_like(carry.u)
        if psi is not None:
            outside = incoming.spikes[t] if incoming.spikes.numel() else into_x
            total = _total_of_spikes(plan, outside, saved, first + t, carry)
            into_x = psi[t] * total
            if adjoints.spikes.numel():
                adjoints.spikes[t] = total
            if plan.spec.reset == "zero":
                carry.u.mul_(x[t] <= 0)
        if incoming.x.numel():
            into_x = into_x + incoming.x[t]
        _adjoint_states(plan, into_x, carry, incoming if t == len(out) - 1 else None)
        out[t] = carry.last
        for room, value in zip(adjoints[:3], (carry.u, carry.w, into_x), strict=True):
            if room.numel():
                room[t] = value


def _second(plan: LayerPlan, now: Tensor, carry: Carry) -> Tensor:
    """Advance the second variable w in `carry`; return the potential's drive [B, M] from w and the current `now`."""
    _, _, gain, coupling, decay, potential, second_input, spike, _ = plan.coefficients
    carry.w.copy_(decay * carry.w + potential * carry.u + second_input * now + spike * carry.last)
    return gain * now + coupling * carry.w


def _potential(plan: LayerPlan, drive: Tensor, carry: Carry) -> None:
    """Advance the potential u in `carry`, reset by the last spikes; see `kept` in `spec`."""
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


def _total_of_spikes(plan: LayerPlan, outside: Tensor, saved: SavedActivations, t: int, carry: Carry) -> Tensor:
    """Return the gradient of the spikes of step t [B, M]: `outside` plus what step t + 1 sends back.

    `carry` holds the adjoint of the state and the current in step t + 1.
    """
    beta, theta, *_, spike, slope = plan.coefficients
    if plan.forgets:
        return outside
    total = outside
    if plan.sends_back:
        wires = plan.recurrent_back
        total = total + (carry.last @ wires if wires.dim() > 1 else wires * carry.last)
    if plan.second:
        total = total + spike * carry.w
    if plan.spec.detached or plan.spec.reset == "none":
        return total
    if plan.spec.reset == "subtract":
        return total - theta * carry.u
    if plan.spec.reset == "subtract_decayed":
        return total - beta * theta * carry.u
    threshold = theta + slope * saved.w[t] if plan.second else theta
    return total - beta * (saved.x[t] + threshold) * carry.u


def _adjoint_states(plan: LayerPlan, into_x: Tensor, carry: Carry, final: IncomingGradients | None) -> None:
    """Move the adjoints of u, w and the current in `carry` one step back.

    `into_x` [B, M] is the gradient of the potential minus threshold; `final`, in the last step, holds the gradients
    of the last state.
    """
    beta, _, gain, coupling, second_decay, potential, second_input, _, slope = plan.adjoint_coefficients
    carry.u.mul_(beta).add_(into_x)
    if plan.second:
        carry.u.add_(potential * carry.w)
    if final is not None and final.u.numel():
        carry.u.add_(final.u)
    if not plan.second:
        carry.last.copy_(gain * carry.u if plan.gained else carry.u)
        return
    carry.w.mul_(second_decay).add_(coupling * carry.u).sub_(slope * into_x)
    if final is not None and final.w.numel():
        carry.w.add_(final.w)
    torch.mul(gain, carry.u, out=carry.last).add_(second_input * carry.w)
