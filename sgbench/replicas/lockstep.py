"""Training of replicas in lockstep: passes over batches are stacked where possible, and steps are made together."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence

import torch

from fastspiking.signals.trajectory import Batch
from sgbench.errors import NonFiniteError, SgbenchError
from sgbench.replicas.batched_optimizer import batched_optimizer_of
from sgbench.replicas.messages import Stopped
from sgbench.replicas.passes import Stack, StackedPasses, why_not_stacked
from sgbench.replicas.replica import Evaluation, Replica
from sgbench.rules.base import Progress
from sgbench.training.train_step import check_optimizer_state


class Lockstep:
    """Trains replicas whose parameters have equal shapes and whose optimisers are of one class.

    A row is the position of a replica among the members.
    """

    def __init__(self, members: Sequence[Replica]) -> None:
        self.members = list(members)
        networks = [member.parts.network for member in members]
        self.stack = Stack(networks, batched_optimizer_of([member.parts.optimizer for member in members]))
        for row, member in enumerate(members):
            if member.optimizer_state is not None:
                self.stack.load_row(row, member.optimizer_state)
        self.limits = [member.training.loop.clip_norm for member in members]
        self.clips = any(math.isfinite(limit) for limit in self.limits)
        self.norms: list[float] = []  # gradient norm of each row in the present step
        self.one_by_one = why_not_stacked(self.members)  # the reason; None if passes are stacked
        self.passes = StackedPasses(self.members, self.stack) if self.one_by_one is None else None

    def train_batch(self, batches: Sequence[Batch]) -> dict[int, Exception]:
        """Train each member on its own batch; return the errors of members that failed, by row."""
        for numbers, member in zip(self.stack.optimizer.numbers, self.members, strict=True):
            numbers["lr"] = member.training.learning_rate()
        if self.passes is not None and self.passes.prepare(batches):
            return self._train_stacked(self.passes, batches)
        return self._train_one_by_one(batches)

    def _train_stacked(self, passes: StackedPasses, batches: Sequence[Batch]) -> dict[int, Exception]:
        """Train all members in one stacked pass; return errors by row.

        A member whose numbers may not be finite repeats its pass alone, and then fails with the error that a single
        run would get.
        """
        began_s = time.perf_counter()
        losses, state_sums = passes.run(batches)  # [rows]
        failures: dict[int, Exception] = {}
        rows = list(range(len(self.members)))
        for row in self._not_finite(rows, losses + state_sums):
            loop, batch = self.members[row].training.loop, batches[row]
            try:
                for progress in loop.rule.gradients(loop.network, batch, loop.objective):
                    loop.check(progress)
            except NonFiniteError as error:
                failures[row] = error
            for weight in self.stack.parameters[row]:
                weight.grad = None
        self._step([row for row in rows if row not in failures])
        share_s = (time.perf_counter() - began_s) / len(self.members)
        for row, (member, batch) in enumerate(zip(self.members, batches, strict=True)):
            member.spend(share_s)
            if row not in failures:
                member.training.record_loss(batch, losses[row])
        return failures

    def _train_one_by_one(self, batches: Sequence[Batch]) -> dict[int, Exception]:
        """Train members with a pass of its own for each, but all steps together; return errors by row."""
        failures: dict[int, Exception] = {}
        passes, totals = [], []  # of each member: the rule's iterator over updates, and the sum of their losses
        for member, batch in zip(self.members, batches, strict=True):
            loop = member.training.loop
            passes.append(loop.rule.gradients(loop.network, batch, loop.objective))
            totals.append(torch.zeros((), dtype=batch.x.dtype))
        running = set(range(len(self.members)))
        while running:
            reached = self._advance(passes, running, failures)
            running = set(reached)
            if reached:
                self._move(reached, failures)
                running -= failures.keys()
            for row in running:
                totals[row] += reached[row].loss
        for row, (member, batch) in enumerate(zip(self.members, batches, strict=True)):
            if row not in failures:
                member.training.record_loss(batch, totals[row])
        return failures

    def _advance(
        self, passes: Sequence[Iterator[Progress]], running: set[int], failures: dict[int, Exception]
    ) -> dict[int, Progress]:
        """Advance the rule of each running row to its next gradient, and collect that in the stack.

        Returns what each rule yielded, by row, without rules that have ended; errors are added to `failures`.
        """
        reached = {}
        for row in sorted(running):
            with self.members[row].clock():
                try:
                    progress = next(passes[row], None)
                except Exception as error:
                    failures[row] = error
                    continue
            if progress is not None:
                reached[row] = progress
                self.stack.collect(row)
        return reached

    def _move(self, reached: dict[int, Progress], failures: dict[int, Exception]) -> None:
        """Make the optimiser step of the rows that have a gradient, if their numbers are finite.

        `reached` is what their rules yielded; errors of the others are added to `failures`.
        """
        began_s = time.perf_counter()
        losses = torch.stack([progress.loss for progress in reached.values()])
        state_sums = [_sum_of_states(self.members[row], progress) for row, progress in reached.items()]
        for row in self._not_finite(list(reached), losses + torch.stack(state_sums)):
            try:
                with self.stack.gradients_in_network(row):
                    self.members[row].training.loop.check(reached[row])
            except NonFiniteError as error:
                failures[row] = error
        self._step([row for row in reached if row not in failures])
        share_s = (time.perf_counter() - began_s) / len(reached)
        for row in reached:
            self.members[row].spend(share_s)

    def _not_finite(self, rows: Sequence[int], sums: torch.Tensor) -> list[int]:
        """Return the rows with numbers that may not be finite, and set `norms`.

        `sums` is the loss plus a sum of states of each of `rows`; weights and gradients are those of the stack.
        """
        sums_are_finite, weights_are_finite = torch.isfinite(sums).tolist(), self.stack.are_finite()
        self.norms = self.stack.gradients.norm(dim=1).tolist()
        return [
            row
            for row, is_finite in zip(rows, sums_are_finite, strict=True)
            if not (is_finite and weights_are_finite[row] and math.isfinite(self.norms[row]))
        ]

    def _step(self, rows: Sequence[int]) -> None:
        """Clip gradients, and make the optimiser step of some rows."""
        for row in rows:
            norms = self.members[row].training.loop.norms
            if norms is not None:
                norms.add(self.stack.gradients_of(row))
        if self.clips:
            self.stack.clip(self.norms, self.limits)
        self.stack.step(rows)

    def check_optimizer(self) -> dict[int, Exception]:
        """Return errors, by row, of members whose optimiser state is not finite."""
        failures: dict[int, Exception] = {}
        for row in range(len(self.members)):
            try:
                check_optimizer_state({name: tensor[row] for name, tensor in self.stack.optimizer.state.items()})
            except NonFiniteError as error:
                failures[row] = error
        return failures

    def without(self, rows: set[int]) -> Lockstep | None:
        """Return a lockstep of the members that are not in these rows, with their optimiser state; None if none."""
        remaining = [member for row, member in enumerate(self.members) if row not in rows]
        if not remaining:
            return None
        state = self.stack.snapshot()
        for row, member in enumerate(self.members):
            member.optimizer_state = Stack.row_of(state, row)
        return Lockstep(remaining)


def _sum_of_states(member: Replica, progress: Progress) -> torch.Tensor:
    """Return the sum of a member's last membrane potentials, which is not finite if one of them is not."""
    layers = member.parts.network.layers
    total = torch.zeros((), dtype=progress.loss.dtype)
    for layer, state in zip(layers, progress.trajectory.state, strict=True):
        total = total + layer.neuron.centred(state).detach().sum()  # type: ignore[union-attr, operator]
    return total


EXPECTED = (SgbenchError, ArithmeticError, ValueError, RuntimeError, MemoryError)
"""Errors that end one member while the others continue."""


def validate_member(member: Replica, batches: Iterator[Batch], stop: Callable[[], bool]) -> Exception | None:
    """Score a member's validation split and end its epoch; return the error if that fails, else None."""
    with member.clock():
        try:
            member.training.begin_scoring("validation", selected=False)
            for batch in _until(stop, batches):
                member.training.score(batch)
            member.training.end_epoch()
        except EXPECTED as error:
            return error
    return None


def watch_member(member: Replica, evaluation: Evaluation, stop: Callable[[], bool]) -> Exception | None:
    """Score a member's test split after an epoch if the run watches it; return the error if that fails, else None."""
    if not member.spec.watches_test:
        return None
    began_s = time.perf_counter()
    try:
        with member.parts.data.watched(member.training.epoch):
            member.training.watch(_until(stop, evaluation(member.parts.data, "test")))
    except EXPECTED as error:
        return error
    finally:
        member.spent_s += time.perf_counter() - began_s
    return None


def _until(stop: Callable[[], bool], batches: Iterator[Batch]) -> Iterator[Batch]:
    """Yield batches; raise `Stopped` as soon as `stop` returns true."""
    for batch in batches:
        if stop():
            raise Stopped
        yield batch
