"""Stacked passes of replicas in lockstep: forward, loss and backward of all members at once."""

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fastspiking import matmul
from fastspiking.blocks import RepeatedChain
from fastspiking.choose import Engine
from fastspiking.fused import stages_of
from fastspiking.signals.spikes import SparseSpikes
from fastspiking.signals.trajectory import Batch, Trajectory
from sgbench.losses.base import Loss
from sgbench.networks.base import Chain
from sgbench.replicas.batched_optimizer import BatchedOptimizer
from sgbench.replicas.replica import Replica
from sgbench.rules.bptt import Bptt

ALIGNED = 16  # a parameter begins at a multiple of this many entries, so that vectors are loaded aligned


class Stack:
    """Holds the parameters of many networks as rows of a matrix, and updates them together.

    The parameters remain those of their networks; their storage becomes a part of a row. Rows do not affect each
    other.
    """

    def __init__(self, networks: Sequence[nn.Module], optimizer: BatchedOptimizer) -> None:
        self.parameters = [list(network.parameters()) for network in networks]
        self.optimizer = optimizer
        parameters_of_first, *_ = self.parameters  # all networks have the same shapes
        self.layout: list[tuple[int, tuple[int, ...], tuple[int, ...]]] = []  # offset, shape and strides
        width = 0
        for parameter in parameters_of_first:
            self.layout.append((width, tuple(parameter.shape), _strides(parameter)))
            width += math.ceil(parameter.numel() / ALIGNED) * ALIGNED
        self.values = parameters_of_first[0].new_zeros(len(networks), width).detach()
        self.gradients = torch.zeros_like(self.values)
        self.absent: Tensor | None = None  # which entries have no gradient, so that they do not decay
        optimizer.begin(self.values)
        self.slots = [self._views(self.gradients[row]) for row in range(len(networks))]
        for row, parameters in enumerate(self.parameters):
            for parameter, view in zip(parameters, self._views(self.values[row]), strict=True):
                view.copy_(parameter.detach())
                parameter.data = view

    def _views(self, row: Tensor) -> list[Tensor]:
        """Return a view of each parameter, in its own shape, into a row of a matrix like `values`."""
        begin = row.storage_offset()
        return [torch.as_strided(row, shape, strides, begin + offset) for offset, shape, strides in self.layout]

    def collect(self, row: int) -> None:
        """Move the gradients of the network of a row into the stack, and clear them in the network."""
        for position, (parameter, slot) in enumerate(zip(self.parameters[row], self.slots[row], strict=True)):
            if parameter.grad is None:  # which is not 0: an optimiser leaves such a weight as it is, without decay
                slot.zero_()
                if self.absent is None:
                    self.absent = torch.zeros_like(self.values, dtype=torch.bool)
                self._views(self.absent[row])[position].fill_(True)
            else:
                slot.copy_(parameter.grad)
                parameter.grad = None

    @contextlib.contextmanager
    def gradients_in_network(self, row: int) -> Iterator[None]:
        """Set the gradients of the network of a row to those in the stack, during the body."""
        for parameter, slot in zip(self.parameters[row], self.slots[row], strict=True):
            parameter.grad = slot
        try:
            yield
        finally:
            for parameter in self.parameters[row]:
                parameter.grad = None

    def gradients_of(self, row: int) -> list[Tensor | None]:
        """Return the gradients of the network of a row, in the order of its parameters; None for absent ones."""
        absent = None if self.absent is None else self._views(self.absent[row])
        return [
            None if absent is not None and bool(absent[position].any()) else slot
            for position, slot in enumerate(self.slots[row])
        ]

    def clip(self, norms: Sequence[float], limits: Sequence[float]) -> None:
        """Scale each row's gradients so that their norm is at most its limit, as `torch.nn.utils.clip_grad_norm_`."""
        factors = [min(1.0, limit / (norm + 1e-6)) for norm, limit in zip(norms, limits, strict=True)]
        if any(factor < 1 for factor in factors):
            self.gradients.mul_(self.gradients.new_tensor(factors)[:, None])

    def step(self, rows: Sequence[int]) -> None:
        """Make the optimiser step of these rows; all others keep their values and state."""
        other_rows = sorted(set(range(len(self.values))) - set(rows))
        tensors = [self.values, *self.optimizer.state.values()]  # [rows, entries]
        before = [tensor[other_rows] for tensor in tensors] if other_rows else []
        self.optimizer.step(self.values, self.gradients, self.absent, rows)
        for tensor, previous in zip(tensors, before, strict=False):  # `before` is empty if all rows step
            tensor[other_rows] = previous

    def are_finite(self) -> list[bool]:
        """Return whether all weights of each row are finite, by a sum whose overflow is a false alarm."""
        return torch.isfinite(self.values.sum(1)).tolist()

    def snapshot(self) -> dict[str, Tensor]:
        """Copy all weights and the optimiser's state and number of steps, each with a row for each network."""
        tensors = {"values": self.values, **self.optimizer.state}
        saved = {name: tensor.clone() for name, tensor in tensors.items()}
        return saved | {"steps": torch.tensor(self.optimizer.steps)}

    @staticmethod
    def row_of(snapshot: dict[str, Tensor], row: int) -> dict[str, Tensor]:
        return {name: tensor[row].clone() for name, tensor in snapshot.items()}

    def load_row(self, row: int, saved: dict[str, Any]) -> None:
        """Set a row's weights, optimiser state and number of steps to those that `row_of` has returned."""
        self.values[row] = saved["values"]
        self.optimizer.steps[row] = int(saved["steps"])
        for name, tensor in self.optimizer.state.items():
            tensor[row] = saved[name]


def _strides(parameter: Tensor) -> tuple[int, ...]:
    """Return a parameter's strides if it has no gaps in memory, else those of a contiguous one."""
    span = 1 + sum((size - 1) * stride for size, stride in zip(parameter.shape, parameter.stride(), strict=True))
    if span == parameter.numel():
        return tuple(parameter.stride())
    return tuple(math.prod(parameter.shape[axis + 1 :]) for axis in range(parameter.dim()))


def why_not_stacked(members: Sequence[Replica]) -> str | None:
    """Return why replicas cannot share a stacked pass, or None if they can."""
    reason = next(filter(None, map(_refusal, members)), None)
    if reason is not None:
        return reason
    losses = [(member.spec.method.choices["loss"], member.spec.method.parameters["loss"]) for member in members]
    return "their losses differ" if any(loss != losses[0] for loss in losses) else None


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
    if any([*layer.neuron.parameters()] for layer in network.layers):  # type: ignore[union-attr, operator]
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
        rounding = "" if layer.weight_bits is None else f": weights={weights} rounds them"
        return f"layer '{layer.name}' is more than weights and neurons{rounding}"
    return None


class StackedPasses:
    """Runs forward, loss and backward of all replicas of a lockstep, into the gradients of their stack."""

    def __init__(self, members: Sequence[Replica], stack: Stack) -> None:
        self.members, self.stack = members, stack
        self.prepared_for: tuple[object, ...] = ()  # shapes and epochs for which memory is prepared
        self.chains: list[RepeatedChain] = []  # of each member
        self.slots = [_gradient_slots(member, stack, row) for row, member in enumerate(members)]

    def prepare(self, batches: Sequence[Batch]) -> bool:
        """Prepare the layers' memory for batches of this size; return whether these batches can be stacked.

        They can if they are packed, sparse and of one shape. Neurons and surrogates may change between epochs, so
        memory is prepared again in each.
        """
        shapes = {tuple(batch.x.shape) for batch in batches}
        are_sparse = all(isinstance(b.x, SparseSpikes) and b.x.density <= matmul.WEIGHT_DENSE for b in batches)
        if len(shapes) > 1 or not are_sparse:  # gradients are summed over events, of which there must be few
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
        trajectories = [
            Trajectory(output, batch.lengths, spikes=(), u=(), state=())
            for output, batch in zip(outputs, batches, strict=True)
        ]
        logits = torch.cat([loss.logits(trajectory) for trajectory in trajectories])  # [R B, C]
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
