"""The passes of a whole group in lockstep at once: one output, one loss and one backward over [replica, ...]."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sgbench.engine import density
from sgbench.engine.blocks import RepeatedChain
from sgbench.engine.fused import stages_of
from sgbench.engine.plan import Carry
from sgbench.losses.base import Loss
from sgbench.networks.base import Chain
from sgbench.replicas.replica import Replica
from sgbench.replicas.stack import Stack
from sgbench.rules.bptt import Bptt
from sgbench.signals.spikes import SparseSpikes
from sgbench.signals.trajectory import Batch, Trajectory


def why_not_stacked(members: Sequence[Replica]) -> str | None:
    """Explain why each of these replicas passes over its batch alone; None where all are passed together."""
    for member in members:
        reason = _why_not(member)
        if reason is not None:
            return reason
    first = members[0].spec.method
    for member in members[1:]:
        other = member.spec.method
        if (first.choices["loss"], first.parameters["loss"]) != (
            other.choices["loss"],
            other.parameters["loss"],
        ):
            return "their losses differ"
    return None


def _why_not(member: Replica) -> str | None:
    loop, network, choices = member.training.loop, member.parts.network, member.spec.method.choices
    if not isinstance(loop.rule, Bptt) or loop.rule.window is not None:
        return f"rule={choices['rule']} goes step by step or in windows"
    if loop.objective.keep or choices["regulariser"] != "none":
        return f"regulariser={choices['regulariser']} looks at each network's own spikes"
    if type(loop.objective.loss).whole is not Loss.whole:
        return f"loss={choices['loss']} is no cross-entropy of logits"
    if type(network).unroll is not Chain.unroll:
        return f"network={choices['network']} is no chain of layers"
    if any(True for layer in network.layers for _ in layer.neuron.parameters()):  # type: ignore[union-attr, operator]
        return "numbers of its neurons learn"
    for layer in network.layers:
        engine, reason = network.engine.pick(layer)  # type: ignore[arg-type]
        if engine != "fused":
            return f"layer '{layer.name}' runs on {engine} ({reason})"
        shaped = layer.dropout is not None or layer.normaliser is not None or layer.weight_bits is not None
        if shaped or layer.synapses() is None:  # type: ignore[operator]
            more = "" if layer.weight_bits is None else f": weights={choices['weights']} rounds them"
            return f"layer '{layer.name}' is more than weights and neurons{more}"
    return None


class StackedPasses:
    """Runs forward, loss and backward of all replicas of a lockstep."""

    def __init__(self, members: Sequence[Replica], stack: Stack) -> None:
        self.members = members
        self.stack = stack
        self.made_for: tuple[object, ...] = ()
        self.chains: list[RepeatedChain] = []
        self.output = torch.empty(0)
        positions = [
            {id(weight): position for position, weight in enumerate(own)} for own in stack.parameters
        ]
        self.slots = [
            [
                None if weight is None else stack.slots[row][positions[row][id(weight)]]
                for layer in member.parts.network.layers
                for weight in (layer.weight, layer.bias, layer.recurrent)
            ]
            for row, member in enumerate(members)
        ]

    def take(self, batches: Sequence[Batch]) -> bool:
        """Return whether these batches can be passed together, and create arrays of their size.

        Neurons and surrogates may change from epoch to epoch, so everything is made again in each.
        """
        shapes = {tuple(batch.x.shape) for batch in batches}
        if len(shapes) > 1 or not all(_is_sparse(batch) for batch in batches):
            return False
        key = (*shapes, *(member.training.epoch for member in self.members))
        if key == self.made_for:
            return True
        self.made_for, self.chains = (), []
        for member, batch in zip(self.members, batches, strict=True):
            stages = stages_of(list(member.parts.network.layers), batch.x)  # type: ignore[arg-type]
            if stages is None:
                return False
            self.chains.append(RepeatedChain(stages))
        self.made_for = key
        return True

    def run(self, batches: Sequence[Batch]) -> tuple[Tensor, Tensor]:
        """Compute all replicas' gradients into their rows of the stack.

        Returns:
            loss of each [R], and for each a number that is finite if its last states are.
        """
        pairs = list(zip(self.chains, batches, strict=True))
        outputs = [chain.forward(batch.x).detach().requires_grad_() for chain, batch in pairs]  # type: ignore[arg-type]
        losses = self._losses(outputs, batches)
        gradients = torch.autograd.grad(losses.sum(), outputs)
        for chain, gradient, slots in zip(self.chains, gradients, self.slots, strict=True):
            for slot, input_gradient in zip(slots, chain.backward(gradient), strict=True):
                if slot is not None and input_gradient is not None:
                    slot.copy_(input_gradient)
        centres = torch.stack([_sum_of_potentials(chain.states) for chain in self.chains])
        return losses.detach(), centres

    def _losses(self, outputs: Sequence[Tensor], batches: Sequence[Batch]) -> Tensor:
        """Compute the mean loss of each replica [R] from the outputs [T, B, C] of each."""
        loss = self.members[0].training.loop.objective.loss
        logits = torch.cat(
            [
                loss.logits(Trajectory(output, batch.lengths, (), (), ()))
                for output, batch in zip(outputs, batches, strict=True)
            ]
        )
        targets = torch.cat([batch.target for batch in batches])
        return loss.cross_entropy(logits, targets, reduction="none").view(len(batches), -1).mean(1)


def _is_sparse(batch: Batch) -> bool:
    return isinstance(batch.x, SparseSpikes) and batch.x.density <= density.WEIGHT_DENSE


def _sum_of_potentials(states: Sequence[Carry]) -> Tensor:
    """Sum the last membrane potentials: not finite if one is not, or if a sum of finite ones overflows."""
    return torch.stack([state.u.sum() + state.w.sum() for state in states]).sum()
