"""The forward pass of one layer through its generated loops, with its input events and a readout that follows.

Legend: T steps, B samples, M neurons, K inputs, R rows with one parameter value of each neuron.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from fastspiking import scan
from fastspiking.arrays import FLOATS, NOTHING, bits_of, in_parts
from fastspiking.block_layer import BlockLayer
from fastspiking.codegen.build import Loops, loops
from fastspiking.codegen.source import WrittenSource, forward_arrays
from fastspiking.kernels.arguments import EventGradients, InputCurrent, ReadoutBack
from fastspiking.layer import EngineLayer, LayerRun, synapses_of, ways_back
from fastspiking.numba_events import Rows, Sent, absent_neighbours, no_readout
from fastspiking.numba_steps import NumbaSteps
from fastspiking.plan import Carry, Keep, Layout
from fastspiking.recursion import LayerOutcome
from fastspiking.signals.spikes import SparseSpikes


class ArrivingEvents:
    """Holds the events that arrive at a layer, and the weights by which the loops compute its current from them.

    `events`: [T, B, K]; `weight`: [M, K], from K inputs to M neurons; `bias`: [M] or None.
    """

    def __init__(self, events: SparseSpikes, weight: Tensor, bias: Tensor | None) -> None:
        self.number = FLOATS[weight.dtype]
        self.columns = weight.detach().T.contiguous()
        self.learns_bias = bias is not None
        self.bias = self.columns.new_zeros(self.columns.shape[1]) if bias is None else bias.detach()
        rows = Rows.of(events)
        self.events = (rows.indptr, rows.index, rows.value_as(self.number))

    def forward_argument(self) -> InputCurrent:
        """Return the events and weights as the forward loop takes them, as its argument `driven`."""
        nothing, words = NOTHING[self.number], NOTHING[np.uint64]
        return InputCurrent(nothing, *self.events, words, self.columns.numpy(), self.bias.contiguous().numpy())

    def backward_argument(self, sums: Tensor) -> EventGradients:
        """Return the events as the backward loop takes them; it adds gradients of weights to `sums` [K + 1, M].

        The last row of `sums` is the gradient of the bias.
        """
        gradients = sums.numpy()
        return EventGradients(*self.events, gradients[:-1], gradients[-1])

    def gradients(self, sums: Tensor) -> list[Tensor | None]:
        """Return the gradients of weight and bias (None without one) from `sums` [K + 1, M] over the batch."""
        return [sums[:-1].T, sums[-1] if self.learns_bias else None]

    def zeros(self) -> Tensor:
        """Create zeros [K + 1, M] to sum gradients in: K rows of weights, and a last one of the bias."""
        return self.columns.new_zeros(len(self.columns) + 1, self.columns.shape[1])


class JoinedReadout:
    """Runs a readout in the loops of the layer before it; see `kernels.readout`.

    `layer`: the readout, for which `generated.can_join_loop` is true; `room`: memory for its output [T, B, M];
    `keep_u`: whether its potentials are wanted.
    """

    def __init__(self, layer: EngineLayer, room: Tensor, *, keep_u: bool) -> None:
        steps, like = len(room), room[0]
        self.begin = layer.neuron.initial_state(like)
        self.keep_u = keep_u
        weight, bias = synapses_of(layer)
        self.learns_bias = bias is not None
        keep = Keep(words=False, spikes=True, x=keep_u)
        layout, spec = Layout.of(like, leading=1), scan.spec_of(layer)
        self.plan = scan.make_plan(layer, spec, layout, self.begin, like, NumbaSteps(), steps, keep)
        weight = weight.detach()
        bias = weight.new_zeros(len(weight)) if bias is None else bias.detach()
        back = ways_back(layer).weight
        self.block = BlockLayer(self.plan, weight, bias, weight if back is None else back.detach())
        self.carry: Carry = self.block.initial_state()
        self.output = room

    def forward_argument(self, words: Tensor) -> Sent:
        """Return where the forward loop sends its spikes, its argument `sent`: to the readout, and packed to `words`.

        `words` is int64 [T, B, blocks of 64].
        """
        return bits_of(words), self.block.readout_arguments(self.output, self.carry)

    def last(self) -> Tensor:
        """Return the potential [B, M] after the last step."""
        return self.block.without_padding(self.carry).u

    def outcome(self, output: Tensor, last: Tensor) -> LayerRun:
        """Return the readout's run, given its output [T, B, M] and last potential [B, M] with autograd history."""
        return scan.layer_run(self.plan, LayerOutcome(output, None, last, None, None), self.begin, keep_u=self.keep_u)

    def gradients(self, columns: np.ndarray, bias: np.ndarray) -> list[Tensor | None]:
        """Return the gradients of weight and bias (None without one), given their padded sums over the batch."""
        classes = self.plan.shape[2]
        d_bias = torch.from_numpy(bias)[:classes] if self.learns_bias else None
        return [torch.from_numpy(columns)[:, :classes].T, d_bias]

    def backward_argument(self, output: Tensor | None, last: Tensor | None, words: Tensor) -> ReadoutBack:
        """Return the readout as the backward loop takes it, without the sums that each part of the batch has.

        `output` and `last` are the gradients of the readout's output and last potential, or None; `words` are the
        packed spikes that it received.
        """
        if last is not None:
            output = torch.zeros_like(self.output) if output is None else output.clone()
            output[-1] += last
        _, back = no_readout(self.block.number)
        gradient, per_step = self.block.gradient_rows(output)
        return back._replace(
            gradient=gradient, per_step=per_step, weights=self.block.padded_back_weights(), decay=self.block.decay,
            words=bits_of(words),
        )  # fmt: skip


BLOCK = 32
"""Samples that run through all steps together, with their state in the cache; fixed, so sums have one order."""


class Inputs(NamedTuple):
    """Holds the differentiable inputs of a pass: a current, or the weights that it is computed with from events."""

    current: Tensor | None  # of all steps [T, B, ...]; None where events arrive
    weight: Tensor | None = None  # [M, K], where K inputs arrive as events
    bias: Tensor | None = None
    matrix: Tensor | None = None  # recurrent current [M, M] that a spike of each neuron causes
    behind_matrix: Tensor | None = None  # recurrent weights that the matrix was computed from
    readout_weight: Tensor | None = None
    readout_bias: Tensor | None = None


class Run:
    """Holds what a pass of a layer takes besides its differentiable inputs.

    `layer`: the layer that runs. `source`: generated source of its step. `layout`: how its features are flattened.
    `begin`: state before the first step. `shape`: of the current of all steps [T, B, ...]. `keep_u`: whether potentials
    are wanted. `arriving`: events from which the loops compute the current; None if the current is an input.
    """

    def __init__(
        self,
        layer: EngineLayer,
        source: WrittenSource,
        layout: Layout,
        begin: Any,
        shape: Sequence[int],
        *,
        keep_u: bool,
        arriving: ArrivingEvents | None = None,
    ) -> None:
        self.layer, self.source, self.layout, self.begin = layer, source, layout, begin
        self.keep_u, self.arriving = keep_u, arriving
        self.keep_output = True
        self.readout: JoinedReadout | None = None  # the readout that the same loop computes, if any
        self.program = source.program
        self.steps, self.batch = shape[:2]
        currents = layer.neuron.currents  # of each neuron
        self.features = torch.Size(shape[2:] if currents == 1 else [shape[2] // currents])
        self.width = self.features.numel()
        self.blocks = -(-self.batch // BLOCK)  # number of blocks of samples; the last may be smaller
        self.fed_begin: Tensor | None = None  # input of the recurrent weights in the first step [B, M]
        if "fed" in self.program.outputs:
            self.fed_begin = layer.neuron.fed_back(begin).detach()

    def over(self, steps: int) -> Run:
        """Return a copy of this run for so many steps, starting from the state that `begin` now has."""
        other = copy.copy(self)
        other.steps = steps
        if "fed" in self.program.outputs:
            other.fed_begin = self.layer.neuron.fed_back(self.begin).detach()
        return other

    def rows(self, dtype: torch.dtype) -> list[Tensor]:
        """Return each parameter tensor of the step, expanded to [parts, M], with autograd history."""
        rows = []
        for given in self.program.given:
            expanded = given.expanded(self.features).to(dtype)
            rows.append(self.layout.flat(expanded) if given.parts == 1 else expanded)
        return rows


class ForwardPass:
    """Runs all steps of a layer forward by compiled loops, and holds the arrays for the backward pass.

    `inputs`: its differentiable inputs, flat; `rows`: its parameter tensors, from `Run.rows`.
    """

    def __init__(self, run: Run, inputs: Inputs, rows: Iterable[Tensor]) -> None:
        self.run = run
        program = run.program
        like = next(tensor for tensor in inputs if tensor is not None)
        self.like = like.new_empty(0)
        self.matrix = None if inputs.matrix is None else inputs.matrix.detach()
        self.rows = self.like.new_zeros(sum(given.parts for given in program.given), run.source.pitch)
        for given, row in zip(program.given, rows, strict=True):
            self.rows[given.first : given.first + given.parts, : run.width] = row.detach()
        number = FLOATS[like.dtype]
        self.numbers = np.array([*run.source.constants, 0.0], number)  # never empty, which numba cannot type
        self.driven, self.sent, _, _ = absent_neighbours(number)
        self.of_current = run.batch  # rows of the current per step; 0 if each step overwrites the last one's
        if run.arriving is None:
            current: Tensor = inputs.current.detach()  # type: ignore[union-attr]
        else:
            self.driven = run.arriving.forward_argument()
            self.of_current = run.batch if program.learns else 0
            current = self._over_time(len(like), steps=run.steps if program.learns else 1)
        self.arrays = {"current": current}
        if self.matrix is not None:
            self.arrays["recurrent"] = self._over_time(current.shape[-1])
        self._add_states_and_outputs()
        self.words = torch.empty(0, dtype=torch.int64)
        if run.readout is not None:
            self.words = self.like.new_empty(run.steps, run.batch, -(-run.width // 64), dtype=torch.int64)
            self.sent = run.readout.forward_argument(self.words)
        self.output = self.arrays["out_output"] if run.keep_output else self.like
        self.centred = self.arrays.get("out_centred", self.like)

    def _add_states_and_outputs(self) -> None:
        """Add to `arrays` the states, begun with that before the first step, and the outputs of all steps.

        All states are stored where the backward pass needs them, else one that each step overwrites.
        """
        run, program = self.run, self.run.program
        stored_steps = run.steps + 1 if program.learns else 1
        for k, field in enumerate(run.begin):
            flat = run.layout.flat(field.detach())
            state = self.like.new_empty(stored_steps, *flat.shape)
            state[0] = flat
            self.arrays[f"state_{k}"] = state
        for name in program.outputs:
            k = program.field_of(name)  # an output that equals this field of the state shares its memory
            states = None if k is None else self.arrays[f"state_{k}"][1:].detach()
            self.arrays[f"out_{name}"] = self._over_time(run.width) if states is None else states

    @functools.cached_property
    def loops(self) -> Loops:
        return loops(self.run.source)

    def _over_time(self, width: int, *, steps: int | None = None) -> Tensor:
        """Create an uninitialised array [steps, B, width]; None means all steps."""
        return self.like.new_empty(self.run.steps if steps is None else steps, self.run.batch, width)

    def advance(self) -> None:
        """Run all steps forward; with a recurrent matrix one by one, since each needs the last one's output."""
        run = self.run
        self.draw(run.program.used_noises[0], reverse=False)
        arrays = self.in_rows(forward_arrays(run.program), self.arrays)
        rows, entries = self.rows.numpy().reshape(-1), run.steps * run.batch * run.width

        def call(first: int, last: int) -> None:
            in_parts(
                self.loops.forward, run.blocks, entries, *arrays, self.driven, self.sent, rows, self.numbers, first,
                last, int(run.program.learns), self.of_current, run.batch, BLOCK, run.width,
            )  # fmt: skip

        if self.matrix is None:
            call(0, run.steps)
            return
        for step in range(run.steps):
            fed = self.fed_before(step)
            torch.mm(fed, self.matrix, out=self.arrays["recurrent"][step])
            call(step, step + 1)

    def fed_before(self, step: int) -> Tensor:
        """Return what the recurrent matrix multiplies in a step: the fed-back output of the step before [B, M]."""
        return self.run.fed_begin if step == 0 else self.arrays["out_fed"][step - 1]  # type: ignore[return-value]

    def last(self) -> list[Tensor]:
        """Return a copy of each field of the state after the last step."""
        return [self.arrays[f"state_{place}"][-1].clone() for place in range(len(self.run.begin))]

    def draw(self, used: Iterable[int], *, reverse: bool) -> None:
        """Draw the noise of all steps, in the order in which the reference engine draws it.

        `used`: numbers of the program's noises that the pass uses. `reverse`: whether it is the backward pass, which
        goes from the last step to the first.
        """
        program = self.run.program
        wanted = [(k, program.noises[k]) for k in used if program.noises[k].is_backward == reverse]
        if not wanted:
            return
        like = self.like.new_empty(self.run.batch, *self.run.features)
        for k, _ in wanted:
            self.arrays[f"noise_{k}"] = self._over_time(self.run.width)
        # Several noises may be computed from one draw; a draw that no noise uses moves its generator all the same.
        draws = {noise.draw: noise.stream for noise in program.noises if noise.is_backward == reverse}
        order = range(self.run.steps)
        for step in reversed(order) if reverse else order:
            drawn = {draw: torch.ops.fastspiking.draw(stream, like) for draw, stream in draws.items()}
            for k, noise in wanted:
                values = drawn[noise.draw]
                for function, arguments, keywords in noise.calls:
                    values = function(values, *arguments, **keywords)
                self.arrays[f"noise_{k}"][step] = self.run.layout.flat(values)

    @staticmethod
    def in_rows(names: Iterable[str], arrays: dict[str, Tensor]) -> list[np.ndarray]:
        """Return the named arrays [T, B, width] as the loops take them, [T B, width]."""
        return [arrays[name].numpy().reshape(-1, arrays[name].shape[-1]) for name in names]
