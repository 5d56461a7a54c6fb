"""Runs a user's own spiking network on sgbench's engine, as its author wrote it.

`accelerate` works like a tracing compiler. The first call of each form is recorded as a straight line of operations
(`replay.record`), from which what repeats in each time step is found (`replay.schedule`) and runs for all steps at
once, neurons on the engine (`replay.plan`). A later call replays that plan if its input has the same form and all
else that the recorded call read is unchanged (`replay.guards`); otherwise it is recorded anew, or runs as written.
"""

from __future__ import annotations

import copy
import logging
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from fastspiking.choose import ENGINES
from fastspiking.layer import traced
from fastspiking.replay.guards import Guards
from fastspiking.replay.plan import PartRun, Plan
from fastspiking.replay.record import Recorded, record
from fastspiking.replay.recordable import reason_to_bypass
from fastspiking.replay.simplify import simplify
from fastspiking.replay.trace import Leaf, Meta, NotReplayable, tensors_in
from fastspiking.replay.verify import NetworkState, difference
from sgbench.errors import InputError, one_printable_line, suggest
from sgbench.tables.shown import ShownTable, ShownText
from sgbench.tables.table import Table, plain_table
from sgbench.yours.engine_layers import NEURONS
from sgbench.yours.unroll import UnrolledPass, is_a_step

log = logging.getLogger("sgbench")
MOST_PLANS = 16
"""Number of recorded calls that are kept; the one used longest ago goes first."""
PATIENCE = 4
"""Number of calls in a row that fit no recorded one, after which calls are recorded ever more rarely."""
MOST_SKIPPED = 1024  # calls that run as written before one is recorded again
TIMING_ROUNDS = 3
NO_NEURONS = PartRun("it calls no neurons of snnTorch", "all steps at once in torch", is_step_by_step=False)
REPLAY_FAILURES = (NotReplayable, InputError, RuntimeError, TypeError, ValueError, LookupError)


class CacheEntry:
    """Holds one recorded call: the form of its input as `key`, its plan, and the guards on which that depends.

    `plan` is None for a call that runs as written, `why` then says the reason.
    """

    def __init__(self, key: Any, plan: Plan | None, guards: Guards, why: str) -> None:
        self.key, self.plan, self.guards, self.why = key, plan, guards, why

    def changed(self, inputs: list[Tensor]) -> str:
        """Return what is no longer as it was when the call was recorded, or "" if the call can be replayed."""
        if self.plan is None:  # it runs as written, whatever has changed
            return ""
        fetch = self.guards.fetch
        try:
            for ref, leaf in self.plan.leaves.items():
                if Meta.of(fetch(leaf, inputs)) != self.plan.trace.metas[ref.number]:
                    return ".".join(str(each) for each in leaf.place if each != "")
            if any(fetch(one, inputs) is not fetch(other, inputs) for one, other in self.guards.aliases):
                return "shared tensors"
        except (AttributeError, KeyError, IndexError, TypeError):  # it is no longer where it was
            return "an attribute"
        return self.guards.changed()


class Accelerated(nn.Module, ShownTable):
    """Runs a network as `forward` is written, and after a first call of each form on the engine.

    Its parameters are those of the network, so an optimiser of either updates both. Keys of its `state_dict` begin
    with `network.`; save the network's own to load it elsewhere.
    """

    def __init__(self, network: nn.Module, engine: str = "auto", *, strict: bool = False) -> None:
        super().__init__()
        self.network, self.engine, self.strict = network, engine, strict
        self.times_faster: float | None = None
        self.training = network.training
        self._entries: list[CacheEntry] = []
        self._misses = 0  # calls in a row that were recorded, since none before fitted
        self._calls_to_skip = 0  # further calls that run as written before one is recorded again
        self._changed = ""  # what the last call found changed
        self._bypassed = ""  # why the last call ran as written, whatever was recorded

    def __deepcopy__(self, memo: dict[int, Any]) -> Accelerated:
        made = memo[id(self)] = Accelerated(copy.deepcopy(self.network, memo), self.engine, strict=self.strict)
        made.times_faster, made.training = self.times_faster, self.training
        return made

    def __getstate__(self) -> dict[str, Any]:
        """Leave recorded calls out of what is pickled."""
        return {**self.__dict__, "_entries": []}

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Replay the recorded call of this form, record it the first time, or run as written if neither works."""
        why = self._reason_to_bypass()
        inputs = list(tensors_in((args, kwargs)))
        key = None if why else self._key(args, kwargs)
        if key is None:
            return self._run_as_written(why or "its input is no tensor or plain value", args, kwargs)
        entry = self._find(key, inputs)
        if entry is not None:
            return self._replay(entry, inputs, args, kwargs)
        if self._calls_to_skip > 0:
            self._calls_to_skip -= 1
            name = self._changed or "the form of its input"
            return self._run_as_written(f"{name} was another in each of the last calls", args, kwargs)
        self._misses += 1
        if self._misses > PATIENCE:
            self._calls_to_skip = min(2 ** (self._misses - PATIENCE), MOST_SKIPPED)
        return self._record(key, args, kwargs)

    def _find(self, key: Any, inputs: list[Tensor]) -> CacheEntry | None:
        """Return the recorded call that this one can replay, moved to the front; None if there is none."""
        for entry in self._entries:
            if entry.key == key:
                self._changed = entry.changed(inputs)
                if not self._changed:
                    self._misses, self._bypassed = 0, ""
                    self._entries = [entry, *(each for each in self._entries if each is not entry)]
                    return entry
        return None

    def _reason_to_bypass(self) -> str:
        """Return why this call runs as written whatever was recorded, or ""."""
        if traced():
            return "torch.func or torch.compile runs it"
        if torch.is_inference_mode_enabled():
            return "it runs under torch.inference_mode"
        if torch.is_autocast_enabled() or torch.is_autocast_enabled("cpu"):
            return "it runs under autocast"
        return reason_to_bypass(self.network)

    def _key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the form of a call: shapes, types and plain values of its input, aliases in it, and modes.

        None if the input holds what cannot be compared.
        """
        modules = [(name, type(module), module.training) for name, module in self.network.named_modules()]
        aliases = [id(tensor) for tensor in tensors_in((args, kwargs))]
        try:
            fingerprint = Guards(self.network, NEURONS).fingerprint((args, kwargs))
        except NotReplayable:
            return None
        same = tuple(aliases.index(each) for each in aliases)
        return fingerprint, tuple(modules), same, torch.is_grad_enabled(), torch.get_default_dtype()

    def _run_as_written(self, why: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._refuse([_as_written(why)])
        self._bypassed = why
        return self.network(*args, **kwargs)

    def _refuse(self, runs: list[PartRun]) -> None:
        """Under `strict`, raise an `InputError` with the first part that does not run on the engine."""
        if self.strict and runs:
            raise InputError(f"accelerate: {runs[0].line}")

    def _replay(self, entry: CacheEntry, inputs: list[Tensor], args: Any, kwargs: Any) -> Any:
        """Run a recorded call on new inputs, and write back the states that it changes."""
        if entry.plan is None:
            return self._run_as_written(entry.why, args, kwargs)
        self._refuse(entry.plan.by_steps)
        entry.guards.reset_others()
        out, writes = entry.plan.run(inputs, entry.guards.fetch)
        entry.guards.write(writes)
        return out

    def _record(self, key: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the network as written, remember how the next such call can run, and return its result."""
        self._bypassed = ""
        before = NetworkState(self.network, NEURONS)
        recorded = record(self.network, args, kwargs, NEURONS)
        entry = self._verified_entry(key, recorded, before, list(tensors_in((args, kwargs))))
        self._entries = [entry, *self._entries][:MOST_PLANS]
        self._refuse([_as_written(entry.why)] if entry.plan is None else entry.plan.by_steps)
        return recorded.out

    def _verified_entry(self, key: Any, recorded: Recorded, before: NetworkState, inputs: list[Tensor]) -> CacheEntry:
        """Plan how a recorded call runs at once, and keep the plan if it gives the same results and gradients.

        The plan starts from the state `before` the call; afterwards the network is as the recorded call left it.
        """
        guards = recorded.guards
        if recorded.failed:
            return CacheEntry(key, None, guards, recorded.failed)
        after = NetworkState(self.network, NEURONS)
        expected = recorded.out, {place: guards.fetch(Leaf("attribute", place), []) for place in recorded.trace.writes}
        try:
            before.put_back()
            simplify(recorded.trace)
            plan = Plan(self.network, recorded.trace, self.engine, NEURONS)
            tensors = {ref: guards.fetch(leaf, inputs) for ref, leaf in plan.leaves.items()}
            found = plan.run(inputs, guards.fetch)
            why = difference(expected, found, [each for each in tensors.values() if each.requires_grad])
        except REPLAY_FAILURES as error:  # whatever goes wrong here, the network itself has run
            log.debug("accelerate: not replayed", exc_info=True)
            return CacheEntry(key, None, guards, f"it cannot be replayed ({one_printable_line(error)})")
        finally:
            after.put_back()
        return CacheEntry(key, None if why else plan, guards, why)

    @property
    def as_written(self) -> str:
        """Return why the last call ran as written, or "" if it did not."""
        if self._bypassed or not self._entries:
            return self._bypassed or "it was not called yet"
        return self._entries[0].why

    @property
    def _runs(self) -> list[PartRun]:
        plan = None if self.as_written else self._entries[0].plan
        return [_as_written(self.as_written)] if plan is None else plan.describe() or [NO_NEURONS]

    @property
    def lines(self) -> list[str]:
        return [run.line for run in self._runs]

    @property
    def step_by_step(self) -> list[str]:
        """Return a line for each part that does not run over all steps at once."""
        return [run.line for run in self._runs if run.is_step_by_step]

    @property
    def runs_on(self) -> str:
        """Return how each part runs, and why, one line each."""
        return ShownText("\n".join(self.lines))

    __str__ = nn.Module.__repr__  # pyright: ignore[reportAssignmentType] - it is a module first

    def table(self) -> Table:
        rows = [(run.name, run.how) for run in self._runs]
        return plain_table("Accelerated", [("part", "runs on"), *rows], text_columns=2)

    def extra_repr(self) -> str:
        return self.runs_on


def _as_written(why: str) -> PartRun:
    """Say of the whole network that it runs as written; no part of it runs over all steps at once."""
    return PartRun("as written", why, is_step_by_step=True)


def accelerate(
    network: nn.Module, example: Any = None, *, engine: str = "auto", strict: bool = False, batch: Any = None
) -> Accelerated:
    """Run a snnTorch network as its author wrote it on the fast engine: the same results and gradients.

    A call is recorded operation by operation, loops unrolled. Spiking layers then run over all time steps on the
    engine, other operations for all steps at once, and the result has the form that `forward` returns. Weights,
    thresholds and decays are read in each call. A call with another shape, mode or attribute is recorded anew. What
    does not fit runs step by step or as written: `runs_on` says which part and why. Results and gradients of each
    recorded call are compared with the network's own before it is replayed.

    Args:
        network: a module with its loop over time in `forward`; `sgbench.unroll` makes one of a single step.
        example: an input, or a tuple of them; the network is left as it was. None records at the first call.
        engine: name of an engine; "auto" takes the fastest that can run each layer, by a fixed rule.
        strict: whether to raise an error where a part runs step by step, or the network as written.
        batch: old name of `example`.

    Returns:
        A module with the network's parameters, whose call returns what the network's returns. With an example,
        `times_faster` is the ratio of CPU times of a training step on it; nothing is chosen by it.

    Raises:
        InputError: an unknown engine; or, under `strict`, the first part that does not run over all steps at once.

    Source: snnTorch 1.0 (Eshraghian et al. 2023, Proceedings of the IEEE 111(9)).

    >>> import sgbench
    >>> import snntorch as snn
    >>> network = nn.Sequential(nn.Linear(2, 1, bias=False), snn.Leaky(beta=0.5, init_hidden=True))
    >>> _ = nn.init.constant_(network[0].weight, 0.75)
    >>> fast = accelerate(sgbench.unroll(network), torch.ones(2, 1, 2))
    >>> fast(torch.ones(2, 1, 2)).flatten().tolist()
    [1.0, 1.0]
    """
    if engine != "auto" and engine not in ENGINES:
        raise InputError(f"engine '{engine}' does not exist; {suggest(engine, ['auto', *ENGINES])}")
    example = batch if example is None else example
    if is_a_step(network):
        warnings.warn(
            "accelerate: a chain of one step, whose neurons return their states, is to be given as "
            "sgbench.unroll(network); this form goes with the next release",
            DeprecationWarning,
            stacklevel=2,
        )
        network = UnrolledPass(network)
    fast = Accelerated(network, engine, strict=strict)
    if example is not None:
        args = tuple(example) if isinstance(example, tuple | list) else (example,)
        state = NetworkState(network, NEURONS)
        try:
            fast(*args)
            fast.times_faster = _times_faster(fast, args, state)
        finally:
            state.put_back()
    return fast


def _times_faster(fast: Accelerated, args: tuple[Any, ...], state: NetworkState) -> float:
    """Measure how many times as fast as the network's own forward it is, forward and backward, in CPU time."""

    def timed_s(run: Callable[..., Any]) -> float:
        """Return the CPU time of a forward and backward pass [s]; forward alone if nothing learns."""
        begun_s = time.process_time()
        learnt = [out for out in tensors_in(run(*args)) if out.requires_grad]
        sources = [each for each in fast.network.parameters() if each.requires_grad]
        if learnt and sources:
            torch.autograd.grad([out.sum() for out in learnt], sources, allow_unused=True)
        return time.process_time() - begun_s

    def from_here(run: Callable[..., Any]) -> float:
        state.put_back()
        return timed_s(run)

    if fast.as_written:
        return 1.0
    from_here(fast)  # the first call may compile
    pairs = [(from_here(fast.network), from_here(fast)) for _ in range(TIMING_ROUNDS)]
    return statistics.median(slow_s / max(fast_s, 1e-9) for slow_s, fast_s in pairs)
