"""The plan by which a recorded call runs again: the back end of a replay.

`Plan` turns the units of `schedule` into steps: groups of operations on stacked tensors, and runs of the engine, into
which linear layers and the next neurons are fused where only spikes pass between them. `run` executes the steps.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fastspiking.choose import Engine
from fastspiking.errors import InputError
from fastspiking.numba_events import sparse_form
from fastspiking.replay.groups import ConvolvedImages, Group, NeuronSequence, pooled_side, stride_and_padding
from fastspiking.replay.neurons import NeuronAdapter
from fastspiking.replay.recordable import name_of
from fastspiking.replay.schedule import (
    PIECES,
    Unit,
    ancestors,
    before_detach,
    dependencies_of,
    schedule,
    strongly_connected,
)
from fastspiking.replay.simplify import uses_of
from fastspiking.replay.stacking import Gather, Key, OneByOne, ReplayValues
from fastspiking.replay.trace import CentredCall, NotReplayable, Ref, Trace, refs_in

SPARSE_SHARE = 0.25
"""Largest share of non-zero inputs for which matrix products process them one by one, as events."""


class EngineRun:
    """Runs layers one after another by one call of the engine: sequences of neurons with the weights before them."""

    def __init__(self, parts: list[NeuronSequence], plan: Plan) -> None:
        self.parts, self.grad = parts, parts[0].unit.first.grad
        first = parts[0]
        self.input = first.input if first.linear is None else Gather([n.args[0] for n in first.linear.nodes], plan)
        self.engine = plan.engine
        linears = [part.linear.nodes for part in parts if part.linear is not None]
        self.nodes = [node for nodes in (*linears, *(part.unit.nodes for part in parts)) for node in nodes]

    @property
    def reads(self) -> set[Ref]:
        """Return the tensors that it takes, weights and initial states among them."""
        given = {ref for node in self.nodes for ref in (*refs_in(node.args), *refs_in(node.kwargs))}
        return given | {ref for part in self.parts for ref in part.states or () if ref is not None}

    def run(self, values: ReplayValues) -> None:
        """Run the layers on the engine, and again if neurons that were taken for silent fire."""
        plan = values.plan
        with plan.mode(self.grad):
            x = self.input(values)
            x = x.unsqueeze(1) if self.parts[0].unbatched else x
            states = [self._state(part, values) for part in self.parts]
            runs = self._unrolled(x, states, values)
            triples = zip(self.parts, runs, states, strict=True)
            fired = [part.neurons.has_fired(part.of(plan), run.output, state) for part, run, state in triples]
            if any(fired):  # neurons taken for silent integrators are not: run them again, with their reset
                runs = self._unrolled(x, states, values)
            for part, run in zip(self.parts, runs, strict=True):
                self._keep(part, run, values)

    def _unrolled(self, x: Tensor, states: list[Any], values: ReplayValues) -> list[Any]:
        """Run the layers on the engine from these states, and return what each computed."""
        plan = values.plan
        weights = [(None, None) if part.linear is None else part.linear.weights(values) for part in self.parts]
        layers = [part.neurons.layer(part.of(plan), *own) for part, own in zip(self.parts, weights, strict=True)]
        signal = sparse_form(x, SPARSE_SHARE) if self.parts[0].linear is not None else x
        engine = Engine(self.engine_for(states, layers), x.device)
        return engine.unroll(  # type: ignore[no-any-return]
            layers,
            signal,
            states,
            window=self.parts[0].window,
            keep_u=any(part.needs_potential for part in self.parts),
            keep_spikes=any(part.needs_spikes for part in self.parts[:-1]),
        )

    def engine_for(self, states: list[Any], layers: list[Any]) -> str:
        """Return the engine to use: the one asked for, or the reference engine where an initial state needs it.

        The other engines compute the last spikes from the potential. A user may hand in spikes that do not follow
        from it.
        """
        for part, state, layer in zip(self.parts, states, layers, strict=True):
            given = state if part.holds_spikes else None
            if given is not None and not torch.equal((layer.neuron.centred(given) > 0).to(given.s.dtype), given.s):
                return "reference"
        return self.engine

    def _state(self, part: NeuronSequence, values: ReplayValues) -> Any:
        """Return the state that the neurons start from in this call; None for their rest."""
        if part.states is None:
            return None
        states = tuple(values.get(ref) for ref in part.states if ref is not None)
        given = tuple(each[None] for each in states) if part.unbatched else states
        return part.neurons.neuron.state(given) if part.holds else part.unit.first.func(*given)

    def _keep(self, part: NeuronSequence, run: Any, values: ReplayValues) -> None:
        """Store what later steps read of a layer: spikes and potentials of all steps, stacked, and its last state."""
        out, u = (each.squeeze(1) if part.unbatched and each is not None else each for each in (run.output, run.u))
        if out is not None:
            spikes, potential = part.neurons.results(part.of(values.plan), out, u, with_spikes=part.needs_spikes)
            if spikes is not None:
                values.stacks[part.spikes_key] = spikes.to(part.spikes_dtype)
            if potential is not None and part.needs_potential:
                values.stacks[part.potential_key] = potential
        for name, ref in part.final.items():
            value = getattr(run.state, name)
            values.single[ref] = value.squeeze(0) if part.unbatched else value


class PartRun(NamedTuple):
    """Says how a part of a network runs, and why."""

    name: str
    how: str
    is_step_by_step: bool

    @property
    def line(self) -> str:
        return f"{self.name}: {self.how}"


class Plan:
    """Says how a recorded call runs on other values.

    A tensor of the trace is found by its `Ref`: in `slots` as member n of a stack that a step makes for all time
    steps at once, or else on its own.
    """

    def __init__(self, network: nn.Module, trace: Trace, engine: str, adapter: NeuronAdapter) -> None:
        self.network, self.trace, self.engine, self.adapter = network, trace, engine, adapter
        self.grad = torch.is_grad_enabled()
        self.makers = trace.makers()
        self.slots: dict[Ref, tuple[Key, int]] = {}  # (stack, position in it) of a tensor
        self.members: dict[Key, list[Ref]] = {}  # tensors of each stack, in order
        self.pieces: dict[int, Key] = {}  # stacks made by unbind, split or chunk, by id of the node
        self.by_steps: list[PartRun] = []  # parts that run as recorded, step by step
        self.steps: list[Any] = []  # what `run` executes, in order
        self.outer_uses = uses_of(trace)  # how often each tensor is read, but for states that the engine hands on
        # Of neurons with a `step`: state to potential minus threshold, which the engine returns without their state.
        self.centred = {tuple(node.args[0]): node.out for node in trace.nodes if isinstance(node.func, CentredCall)}
        for state in self.centred:
            self.outer_uses.subtract(state)
        self.calls = Counter(node.where for node in trace.nodes if node.kind == "neurons")
        self._compile(schedule(trace))  # fills slots, members, pieces and steps
        used = self._drop_dead_steps()
        self.leaves = {ref: leaf for ref, leaf in trace.leaves.items() if ref in used}

    def _drop_dead_steps(self) -> set[Ref]:
        """Drop steps whose results nobody reads, such as zeros for resting states; return all tensors that are read."""
        used, kept = set(self.trace.results()), []
        for step in reversed(self.steps):
            has_effect = any(node.kind in ("random", "effect") for node in step.nodes)
            if has_effect or not used.isdisjoint(ref for node in step.nodes for ref in node.outs):
                kept.append(step)
                used |= step.reads if isinstance(step, EngineRun) else {r for node in step.nodes for r in node.inputs}
        self.steps = kept[::-1]
        return used | ancestors(self.trace, self.trace.shaped)

    def mode(self, grad: bool) -> Any:
        return contextlib.nullcontext() if grad == torch.is_grad_enabled() else torch.set_grad_enabled(grad)

    def _compile(self, units: list[Unit]) -> None:
        """Turn units of the recorded call into steps of the plan, then join those that the engine runs as one."""
        for unit in units:
            if unit.neurons:
                self._discount_states(unit)
        for unit in units:
            if unit.loops:
                self._emit_loop(unit)
            elif unit.neurons:
                self._emit_neurons(unit)
            elif unit.batched:
                self._emit_group(unit)
            else:
                self._emit_single(unit)
        self._fuse_convolutions()
        self._fuse_layers()

    def _discount_states(self, sequence: Unit) -> None:
        """Take from `outer_uses` the states that pass from call to call, and what only their detached forms read."""
        for node in sequence.nodes[1:]:
            for ref in node.states:
                self.outer_uses[ref] -= 1  # type: ignore[index]
                source = before_detach(ref, self.makers)
                if source != ref and not self.outer_uses[ref]:  # type: ignore[index]
                    self.outer_uses[source] -= 1  # type: ignore[index]

    def _emit_loop(self, loop: Unit) -> None:
        """Run operations as recorded that need each other's results in turn, and say so in `by_steps`."""
        names = list(dict.fromkeys(node.where for node in loop.nodes if node.kind == "neurons"))
        listed = ", ".join(names) or loop.nodes[0].where or "forward"
        how = "step by step, since what it receives depends on what it sent a step before"
        self.by_steps.append(PartRun(listed, how, is_step_by_step=True))
        self.steps.append(OneByOne(loop.nodes, self))

    def _emit_neurons(self, unit: Unit) -> None:
        """Run a sequence of neurons on the engine; step by step if the engine refuses them."""
        try:
            self.steps.append(NeuronSequence(unit, self))
        except InputError as reason:
            if unit.cuts:
                raise NotReplayable(str(reason)) from reason
            for ref in (ref for node in unit.nodes for ref in node.outs):
                self.slots.pop(ref, None)
            self.by_steps.append(PartRun(unit.first.where, f"step by step: {reason}", is_step_by_step=True))
            self.steps.append(OneByOne(unit.nodes, self))

    def _emit_group(self, unit: Unit) -> None:
        """Run equal operations at once; as recorded where their arguments cannot be stacked."""
        if isinstance(unit.first.func, CentredCall) and all(node.out in self.slots for node in unit.nodes):
            return  # the engine returns it
        try:
            group = Group(unit, self)
        except NotImplementedError:
            self.steps.append(OneByOne(unit.nodes, self))
            return
        for at, node in enumerate(unit.nodes):
            for slot, ref in enumerate(node.outs):
                self.slots[ref] = (unit.number, slot), at
                self.members.setdefault((unit.number, slot), []).append(ref)
        self.steps.append(group)

    def _emit_single(self, unit: Unit) -> None:
        """Add a step for an operation that is run by itself, and note where its pieces lie."""
        node = unit.first
        outs = node.outs
        if isinstance(node.func, CentredCall) and node.out in self.slots:
            return
        if name_of(node.func) in PIECES and len(outs) > 1 and len({self.trace.metas[ref.number] for ref in outs}) == 1:
            key = self.pieces[id(node)] = (unit.number, "pieces")
            self.members[key] = outs
            self.slots |= {ref: (key, at) for at, ref in enumerate(outs)}
        self.steps.append(OneByOne([node], self))

    def _fuse_convolutions(self) -> None:
        """Replace convolutions by those over events, each fused with a max pooling that alone reads its results."""
        groups = [step for step in self.steps if isinstance(step, Group) and step.picks is None and step.dims]
        pools = {step.columns[0].whole(self): step for step in groups if pooled_side(step) > 1}
        for step in groups:
            if stride_and_padding(step) == (0, 0):
                continue
            pool = pools.get((step.number, 0))
            if pool and (pool.node.grad != step.node.grad or any(self.outer_uses[node.out] > 1 for node in step.nodes)):
                pool = None
            self.steps[self.steps.index(step)] = ConvolvedImages(step, pool)
            if pool:
                self.steps.remove(pool)

    def _fuse_layers(self) -> None:
        """Fuse into each sequence the linear layer before it, and into one run the sequences that only these separate.

        Two sequences are joined if the sender emits plain spikes, both have the same gradient mode and window, and
        weights and initial states depend on no neurons, which then have not run yet.
        """
        by_number = {step.number: step for step in self.steps if isinstance(step, Group)}
        parts = [step for step in self.steps if isinstance(step, NeuronSequence)]
        by_spikes = {part.spikes_key: part for part in parts}
        taken: set[int] = set()
        runs = {id(part): [part] for part in parts}
        for part in parts:
            key = part.input.whole(self)
            group = by_number.get(key[0]) if key is not None else None
            if group is None or not self._is_only_input_of(group, part):
                continue
            part.linear = group
            taken.add(id(group))
            sender = by_spikes.get(group.columns[0].whole(self))
            if sender is None or sender.unbatched:
                continue
            if not sender.neurons.sends_output:
                continue
            chain = runs[id(sender)]
            alike = (sender.unit.first.grad, sender.window) == (part.unit.first.grad, part.window)
            fixed = [*group.columns[1:], *(part.states or ())]
            if alike and chain[-1] is sender and self._independent_of_neurons(fixed):
                inner = {node.args[0] for node in part.linear.nodes}
                used = ((ref, self.outer_uses[ref]) for ref in self.members[sender.spikes_key])
                sender.needs_spikes = any(count - (ref in inner) > 0 for ref, count in used)
                chain.append(part)
                runs[id(part)] = chain
        self._order_engine_runs(runs, taken)

    def _order_engine_runs(self, runs: dict[int, list[NeuronSequence]], taken: set[int]) -> None:
        """Put runs of the engine in place of their sequences, and order all steps by what they read.

        `runs`: sequences of each run, by id of each of them; `taken`: ids of the linear layers that are in runs.
        """
        steps = []
        for step in self.steps:
            if isinstance(step, NeuronSequence):
                chain = runs[id(step)]
                if chain[-1] is step:
                    steps.append(EngineRun(chain, self))
            elif id(step) not in taken:
                steps.append(step)
        place = {id(node): number for number, node in enumerate(self.trace.nodes)}
        nodes = [list(step.nodes) for step in steps]
        needs = [each - {at} for at, each in enumerate(dependencies_of(nodes, self.trace, place))]
        self.steps = [steps[at] for members in strongly_connected(needs) for at in members]

    def _is_only_input_of(self, group: Group, part: NeuronSequence) -> bool:
        """Return whether a group is a linear layer with fixed weights whose results only this sequence reads."""
        node = group.node
        if name_of(node.func) != "linear" or node.grad != part.unit.first.grad or group.picks is not None:
            return False
        rank = len(self.trace.metas[node.args[0].number].shape)
        fixed = not isinstance(group.columns[0], Ref) and all(isinstance(each, Ref) for each in group.columns[1:])
        alone = all(self.outer_uses[node.out] == 1 for node in group.nodes)
        return fixed and alone and rank == (1 if part.unbatched else 2) and isinstance(node.args[0], Ref)

    def _independent_of_neurons(self, refs: Sequence[Any]) -> bool:
        """Return whether tensors are computed from no neurons."""
        found = ancestors(self.trace, [ref for ref in refs if isinstance(ref, Ref)])
        return not any(self.makers[ref].kind == "neurons" for ref in found if ref in self.makers)

    # --- running

    def run(self, inputs: list[Tensor], fetch: Callable[[Any, list[Tensor]], Tensor]) -> tuple[Any, dict[Any, Any]]:
        """Replay the call: return what it returns, and what it stores in the network by (path, attribute).

        `inputs`: tensors of the input in order; `fetch(leaf, inputs)`: present value of a leaf.
        """
        values = ReplayValues(self)
        for ref, leaf in self.leaves.items():
            values.single[ref] = fetch(leaf, inputs)
        for step in self.steps:
            step.run(values)
        return values.filled(self.trace.out), values.filled(self.trace.writes)

    def describe(self) -> list[PartRun]:
        """Return how each part with neurons runs: those on an engine first."""
        runs = []
        for step in self.steps:
            if isinstance(step, EngineRun):
                for part in step.parts:
                    layer = part.neurons.layer(part.of(self), None, None)
                    name, why = Engine(self.engine, torch.device("cpu")).pick(layer)
                    how = f"{name} engine, all {len(part.unit.nodes)} steps at once"
                    if name == "reference":
                        how = f"step by step on the reference engine: {why}"
                    runs.append(PartRun(part.name, how, is_step_by_step=name == "reference"))
        return [*runs, *dict.fromkeys(self.by_steps)]
