"""Stacked passes of replicas in lockstep: forward, loss and backward of all members at once."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastspiking import density
from fastspiking.blocks import RepeatedChain
from fastspiking.choose import Engine
from fastspiking.fused import stages_of
from fastspiking.signals.spikes import SparseSpikes
from fastspiking.signals.trajectory import Batch, Trajectory
from sgbench.losses.base import Loss
from sgbench.networks.base import Chain
from sgbench.replicas.replica import Replica
from sgbench.replicas.stack import Stack
from sgbench.rules.bptt import Bptt


def why_not_stacked(members: Sequence[Replica]) -> str | None:
    """Return why replicas cannot share a stacked pass, or None if they can."""
    reason = next(filter(None, map(_refusal, members)), None)
    if reason is not None:
        return reason
    first = members[0].spec.method
    for member in members[1:]:
        other = member.spec.method
        if (first.choices["loss"], first.parameters["loss"]) != (other.choices["loss"], other.parameters["loss"]):
            return "their losses differ"
    return None


def _refusal(member: Replica) -> str | None:
    """Return the property of a replica that prevents stacked passes, or None."""
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
    refusals = (_layer_refusal(layer, network.engine, choices["weights"]) for layer in network.layers)
    return next((refusal for refusal in refusals if refusal is not None), None)


def _layer_refusal(layer: Any, engine: Engine, weights: str) -> str | None:
    """Return the property of a layer that prevents stacked passes, or None."""
    name, reason = engine.pick(layer)
    if name != "fused":
        return f"layer '{layer.name}' runs on {name} ({reason})"
    has_more = layer.dropout is not None or layer.normaliser is not None or layer.weight_bits is not None
    if has_more or layer.synapses() is None:
        more = "" if layer.weight_bits is None else f": weights={weights} rounds them"
        return f"layer '{layer.name}' is more than weights and neurons{more}"
    return None


class StackedPasses:
    """Runs forward, loss and backward of all replicas of a lockstep, into the gradients of their stack."""

    def __init__(self, members: Sequence[Replica], stack: Stack) -> None:
        self.members = members
        self.stack = stack
        self.prepared_for: tuple[object, ...] = ()  # shapes and epochs for which memory is prepared
        self.chains: list[RepeatedChain] = []  # of each member
        self.slots = [_gradient_slots(member, stack, row) for row, member in enumerate(members)]

    def prepare(self, batches: Sequence[Batch]) -> bool:
        """Prepare the layers' memory for batches of this size; return whether these batches can be stacked.

        They can if they are packed, sparse and of one shape. Neurons and surrogates may change between epochs, so
        memory is prepared again in each.
        """
        shapes = {tuple(batch.x.shape) for batch in batches}
        sparse = (isinstance(each.x, SparseSpikes) and each.x.density <= density.WEIGHT_DENSE for each in batches)
        if len(shapes) > 1 or not all(sparse):  # gradients are summed over events, of which there must be few
            return False
        key = (*shapes, *(member.training.epoch for member in self.members))
        if key == self.prepared_for:
            return True
        self.prepared_for, self.chains = (), []
        for member, batch in zip(self.members, batches, strict=True):
            stages = stages_of(list(member.parts.network.layers), batch.x)  # type: ignore[arg-type]
            if stages is None:
                return False
            self.chains.append(RepeatedChain(stages))
        self.prepared_for = key
        return True

    def run(self, batches: Sequence[Batch]) -> tuple[Tensor, Tensor]:
        """Compute all replicas' gradients into their rows of the stack.

        Returns the mean loss of each replica [R], and the sum of its last states [R], to check that they are finite.
        """
        pairs = list(zip(self.chains, batches, strict=True))
        outputs = [chain.forward(batch.x).detach().requires_grad_() for chain, batch in pairs]  # type: ignore[arg-type]
        losses = self._losses(outputs, batches)
        gradients = torch.autograd.grad(losses.sum(), outputs)
        for chain, gradient, slots in zip(self.chains, gradients, self.slots, strict=True):
            for slot, input_gradient in zip(slots, chain.backward(gradient), strict=True):
                if slot is not None and input_gradient is not None:
                    slot.copy_(input_gradient)
        state_sums = [
            torch.stack([layer.u.sum() + layer.w.sum() for layer in chain.states]).sum() for chain in self.chains
        ]
        return losses.detach(), torch.stack(state_sums)

    def _losses(self, outputs: Sequence[Tensor], batches: Sequence[Batch]) -> Tensor:
        """Return the mean loss of each replica [R], from its outputs [T, B, C] and its batch."""
        loss = self.members[0].training.loop.objective.loss
        logits = torch.cat(
            [
                loss.logits(Trajectory(output, batch.lengths, spikes=(), u=(), state=()))
                for output, batch in zip(outputs, batches, strict=True)
            ]
        )
        targets = torch.cat([batch.target for batch in batches])
        return loss.cross_entropy(logits, targets, reduction="none").view(len(batches), -1).mean(1)


def _gradient_slots(member: Replica, stack: Stack, row: int) -> list[Tensor | None]:
    """Return the memory of a row's gradients for each layer's weight, bias and recurrent weights, None if absent.

    This is the order in which `RepeatedChain.backward` returns gradients.
    """
    slots = {id(weight): slot for weight, slot in zip(stack.parameters[row], stack.slots[row], strict=True)}
    layers = member.parts.network.layers
    weights = [weight for layer in layers for weight in (layer.weight, layer.bias, layer.recurrent)]
    return [None if weight is None else slots[id(weight)] for weight in weights]
