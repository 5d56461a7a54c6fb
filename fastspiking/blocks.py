"""Passes of a chain of layers by blocks of samples: each block runs through all layers and steps before the next.

States, spikes and adjoints of a block stay in a core's caches, and gradients of weights are summed row by row on
the way, without sorting events. Blocks, and the parts of the batch that sum gradients separately, follow from the
sizes alone: any number of threads gives the same bits.
"""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from fastspiking import matmul
from fastspiking.arrays import NOTHING, bits_of, in_threads
from fastspiking.block_layer import BlockLayer, in_pieces
from fastspiking.event_product import EventProduct, Fired, GivenEvents
from fastspiking.kernels.arguments import Sums
from fastspiking.matmul import multiply
from fastspiking.numba_events import Rows, no_readout
from fastspiking.plan import Carry, SavedActivations
from fastspiking.recursion import OUTCOMES, Chunks, LayerOutcome, Link, Stage
from fastspiking.signals.spikes import SparseSpikes
from fastspiking.warm_up import compile_loops

BLOCK = 32  # samples of a block: states of 256 neurons then stay in the nearest cache
WIDE = 64  # neurons of a layer from which a library multiplies its adjoints with weights
PARTS = 4  # most parts of a batch, each with its own sums of gradients, for as many threads
PART = 64  # fewest samples of a part, since summing the gradients of parts costs time


def covers(stages: Sequence[Stage]) -> bool:
    """Return whether a chain can run by blocks: its input is sparse events, and only weights and biases learn."""
    product = stages[0].product
    if not isinstance(product, EventProduct) or not isinstance(product.origin, GivenEvents):
        return False
    plans = [stage.plan for stage in stages]
    if any(plan.learnt or plan.surrogate_parameters for plan in plans):
        return False
    return plans[0].fires and product.origin.rows().count <= matmul.WEIGHT_DENSE * product.entries


class BlockPasses:
    """Runs a chain forward and backward by blocks of samples; see `recursion.Passes`.

    Backward goes by chunks of time instead if hidden layers fired so much that dense products are faster.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        products: list[EventProduct] = [stage.product for stage in stages]  # type: ignore[misc]
        self.input: GivenEvents = products[0].origin  # type: ignore[assignment]
        input_events_a_row = self.input.rows().count / max(1, self.input.steps * self.input.batch)
        events_a_row = [input_events_a_row] + [0.0] * (len(stages) - 1)
        self.layers = [
            BlockLayer(stage.plan, product.weight, product.bias, product.back, own_events)
            for stage, product, own_events in zip(stages, products, events_a_row, strict=True)
        ]
        for layer in self.layers[:-1] if ends_in_joined_readout(self.layers) else self.layers:
            compile_loops(layer.layer)
        self.learns_bias = [product.learns_bias for product in products]
        self.arrived: list[int] = []  # number of events that each layer after the first received

    def forward(self, stages: Sequence[Stage]) -> list[Carry]:
        """Run all layers over all steps; return their last states, and put what backward needs into `stages`."""
        carries = [layer.initial_state() for layer in self.layers]
        activations = [stage.saved for stage in stages]
        self.arrived = unroll_blocks(self.layers, self.input.rows(), activations, carries)[1:]
        return [layer.without_padding(carry) for layer, carry in zip(self.layers, carries, strict=True)]

    def backward(self, links: Sequence[Link]) -> list[Tensor | None]:
        """Compute gradients by blocks; by chunks of time if other results than the outputs have gradients."""
        layers, gradients = list(self.layers), [link.gradients for link in links]
        last, readout = gradients[-1], layers[-1].as_readout()
        if last.x is not None and last.output is None and readout is not None:  # potentials alone get a gradient
            layers[-1], gradients[-1] = readout, last._replace(output=last.x, x=None)
        others = [gradient for each in gradients for gradient in (each.x, each.u, each.w, each.s)]
        if any(gradient is not None for gradient in others) or self._is_dense():
            return Chunks().backward(links)
        activations, grad_outputs = [link.saved for link in links], [each.output for each in gradients]
        return self._in_shape(pull_back_blocks(layers, self.input.rows(), activations, grad_outputs))

    def _in_shape(self, sums: Sequence[Sums]) -> list[Tensor | None]:
        """Return the gradients of each layer's weight, bias and recurrent weights in a row, without padding."""
        weight_gradients: list[Tensor | None] = []
        for layer, own, learns_bias in zip(self.layers, sums, self.learns_bias, strict=True):
            bias, wires = (torch.from_numpy(field)[..., : layer.plan.shape[2]] for field in (own.bias, own.wires))
            matrix = layer.plan.layer.recurrent
            d_matrix = None if matrix is None else wires[0] if matrix.dim() == 1 else wires.T
            weight_gradients += [layer.weight_gradient(own.columns), bias if learns_bias else None, d_matrix]
        return weight_gradients

    def _is_dense(self) -> bool:
        """Return whether a hidden layer fired so often that dense products are faster."""
        limits = [matmul.WEIGHT_DENSE * math.prod(layer.plan.shape) for layer in self.layers]
        return any(count > limit for count, limit in zip(self.arrived, limits[:-1], strict=True))


class RepeatedChain:
    """Runs a chain on batch after batch in the same memory, with the weights that its layers have at each call.

    `stages`: the chain, from `fused.stages_of`.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.blocks = BlockPasses(stages)
        self.stages = stages
        self.fired: list[Fired] = [stage.product.origin for stage in stages[1:]]  # type: ignore[attr-defined]
        self.states: list[Carry] = []  # of each layer after the last step

    def forward(self, events: SparseSpikes) -> Tensor:
        """Run the chain forward on events [T, B, K], of one shape in all calls.

        Returns the last layer's output [T, B, M], which the next call overwrites.
        """
        self.blocks.input.take(events)
        for origin in self.fired:
            origin.forget()
        for layer in self.blocks.layers:
            layer.refresh()
        self.states = self.blocks.forward(self.stages)
        saved = self.stages[-1].saved
        return saved.spikes if self.stages[-1].plan.fires else saved.x

    def backward(self, gradient: Tensor) -> list[Tensor | None]:
        """Return the gradients of each layer's weight, bias and recurrent weights in a row.

        `gradient` [T, B, M] is that of the output of the last forward pass.
        """
        none = LayerOutcome(*[None] * OUTCOMES)  # type: ignore[arg-type]
        gradients = [none] * (len(self.stages) - 1) + [none._replace(output=gradient)]
        pairs = zip(self.stages, gradients, strict=True)
        return self.blocks.backward([Link(stage.plan, stage.product, stage.saved, own) for stage, own in pairs])


def ends_in_joined_readout(layers: Sequence[BlockLayer]) -> bool:
    return len(layers) > 1 and layers[-1].can_join_loop


def sample_blocks(layers: Sequence[BlockLayer]) -> list[tuple[int, int]]:
    batch = layers[0].plan.shape[1]
    return [(low, min(low + BLOCK, batch)) for low in range(0, batch, BLOCK)]


def unroll_blocks(
    layers: Sequence[BlockLayer], rows: Rows, activations: Sequence[SavedActivations], carries: Sequence[Carry]
) -> list[int]:
    """Run all layers of a chain forward; return how many packed spikes each received.

    `rows`: events of all steps that the first layer receives. `activations`: written with the saved values of each
    layer. `carries`: state of each layer before the first step; afterwards that of the last step.
    """
    looped = layers[:-1] if ends_in_joined_readout(layers) else layers  # the others are computed by these' loops
    readout, _ = no_readout(layers[0].number)
    calls: list[Callable[[int, int], tuple[int, int]]] = []
    arrived: list[list[int]] = []
    arriving = NOTHING[np.uint64]
    for layer, saved, carry in zip(looped, activations, carries, strict=False):
        if layer is looped[-1] and looped is not layers:
            readout = layers[-1].readout_arguments(activations[-1].x, carries[-1])
        calls.append(layer.forward_loop(rows, arriving, saved, carry, readout))
        arriving = bits_of(saved.words)

    def forward(low: int, high: int) -> None:
        counts = [call(low, high) for call in calls]  # packed spikes that the layer, and its readout, received
        to_layers, (_, to_readout) = [to_layer for to_layer, _ in counts], counts[-1]
        arrived.append([*to_layers, to_readout][: len(layers)])

    in_threads(forward, sample_blocks(layers), sum(saved.x.numel() for saved in activations))
    return [sum(counts) for counts in zip(*arrived, strict=True)]


def pull_back_blocks(
    layers: Sequence[BlockLayer],
    rows: Rows,
    activations: Sequence[SavedActivations],
    grad_outputs: Sequence[Tensor | None],
) -> list[Sums]:
    """Compute the gradients of all layers' weights, biases and recurrent weights.

    `rows`: events of all steps that the first layer received; `activations`: values that the forward pass saved of each
    layer; `grad_outputs`: gradient of each layer's output [T, B, M], or None.
    """
    blocks = sample_blocks(layers)
    count = max(1, min(PARTS, len(blocks), layers[0].plan.shape[1] // PART))
    borders = [len(blocks) * part // count for part in range(count + 1)]
    parts = [blocks[low:high] for low, high in itertools.pairwise(borders)]
    work = sum(saved.x.numel() for saved in activations)
    passes = _BackwardPass(layers, rows, activations, grad_outputs)
    sums: list[list[Sums]] = [[] for _ in parts]

    def backward(first: int, last: int) -> None:
        for part in range(first, last):
            sums[part] = [layer.zero_gradients() for layer in layers]
            for low, high in parts[part]:
                passes.pull_back(low, high, sums[part])

    in_threads(backward, [(part, part + 1) for part in range(count)], work)
    for part_sums in sums[1:]:  # in order, so that any number of threads rounds alike
        for total, summand in zip(itertools.chain(*sums[0]), itertools.chain(*part_sums), strict=True):
            np.add(total, summand, out=total)
    return sums[0]


class _BackwardPass:
    """Holds the arguments that all blocks of one backward pass through a chain share, and runs blocks."""

    def __init__(
        self,
        layers: Sequence[BlockLayer],
        rows: Rows,
        activations: Sequence[SavedActivations],
        grad_outputs: Sequence[Tensor | None],
    ) -> None:
        self.layers = layers
        _, self.no_readout = no_readout(layers[0].number)
        self.readout = self.no_readout
        looped = len(layers)  # layers with a loop of their own
        if ends_in_joined_readout(layers) and grad_outputs[-1] is not None:
            looped -= 1
            gradient, per_step = layers[-1].gradient_rows(grad_outputs[-1])
            words, weights = bits_of(activations[-2].words), layers[-1].padded_back_weights(layers[-2].width)
            self.readout = self.readout._replace(
                gradient=gradient, per_step=per_step, weights=weights, decay=layers[-1].decay, words=words
            )
        padded = [layer.padded_back_weights(sender.width) for sender, layer in itertools.pairwise(layers[:looped])]
        self.next_weights = [
            in_pieces(weights) if layer.plan.shape[2] < WIDE else weights
            for weights, layer in zip(padded, layers[1:looped], strict=True)
        ]
        arriving = [NOTHING[np.uint64], *(bits_of(saved.words) for saved in activations[:-1])]
        self.calls = [
            layer.backward_loop(rows, spikes, saved, gradient)
            for layer, spikes, saved, gradient in zip(
                layers[:looped], arriving, activations, grad_outputs, strict=False
            )
        ]

    def pull_back(self, low: int, high: int, sums: Sequence[Sums]) -> None:
        """Run samples [low, high) backward through all layers, the last first, and add their gradients to `sums`."""
        number = self.layers[0].number
        nowhere = next_adjoint = next_weights = NOTHING[number]
        readout = self.readout
        if readout is not self.no_readout:
            readout = readout._replace(d_columns=sums[-1].columns, d_begin=sums[-1].bias)
        for position in range(len(self.calls) - 1, -1, -1):
            layer, out = self.layers[position], nowhere
            sends = position > 0 and not layer.plan.apart
            if sends:
                out = np.empty((layer.plan.shape[0] * (high - low), layer.width), number)
            self.calls[position](next_adjoint, next_weights, readout, out, sums[position], low, high)
            readout = self.no_readout
            next_adjoint, next_weights = (
                _send_back(out, self.next_weights[position - 1], layer) if sends else (nowhere, nowhere)
            )


def _send_back(out: np.ndarray, next_weights: np.ndarray, layer: BlockLayer) -> tuple[np.ndarray, np.ndarray]:
    """Return what the loop of the layer before gets: a layer's adjoint `out`, and the weights to multiply it by.

    For a wide layer the product is computed here, and returned with weights of size 0.
    """
    if layer.plan.shape[2] < WIDE:
        return out, next_weights
    narrow = torch.from_numpy(out)[:, : len(next_weights)]
    return multiply(narrow, torch.from_numpy(next_weights)).numpy(), next_weights[:0]
