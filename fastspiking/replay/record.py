"""Records one call of a network as its author wrote it: the front end of a replay.

The call really runs. Meanwhile a `TorchFunctionMode` sees each operation on tensors and appends it to a `Trace`;
neurons and custom autograd functions are appended whole, since their inside is replaced or opaque. Whatever a trace
cannot tell from one call alone (values read into Python, hidden draws, foreign tensors) ends it as `NotReplayable`:
better as written than wrong.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from fastspiking.replay.guards import Guards
from fastspiking.replay.neurons import NeuronAdapter, watched
from fastspiking.replay.recordable import (
    ABOUT_SHAPE,
    ATTRIBUTES_OF_SHAPE,
    COUNTERS,
    REFUSED,
    SIZED_BY_VALUES,
    functions_recorded,
    has_boolean_index,
    has_changed,
    is_getter,
    kept_statistics,
    name_of,
    other_rng_states,
    require_no_inference,
    require_plain,
    rng_state,
    storage_of,
)
from fastspiking.replay.trace import (
    CentredCall,
    Leaf,
    Meta,
    NotReplayable,
    Ref,
    Trace,
    TraceNode,
    refs_in,
    tensors_in,
    with_refs,
)


class CallRecorder(TorchFunctionMode):
    """Appends each operation on tensors to `trace` while a network's forward runs.

    After the first reason against a replay, in `failed`, nothing more is recorded, and the forward just runs on.
    `guards` notes the attributes that the forward reads and writes.
    """

    def __init__(self, network: nn.Module, guards: Guards) -> None:
        super().__init__()
        self.trace = Trace()
        self.refs: dict[int, Ref] = {}  # by id(tensor); after a change in place the same tensor has a new one
        self.alive: list[Any] = []  # so that no new tensor gets the identity of an old one
        self.views: dict[int, set[int]] = {}  # ids of the tensors that share a storage
        self.stale_views: dict[int, str] = {}  # ids of views whose memory another view has changed, and how
        self.failed = ""  # why the call cannot be replayed
        self.constants: set[Ref] = set()  # the same in every call, since computed from numbers alone
        self.others: list[Any] = []  # neurons of other networks in this process
        self.buffers_of_others: list[dict[str, Any]] = []  # before the call
        self.buffers: dict[int, str] = {}  # names of the network's own buffers, by id
        self.paused = 0  # depth of `pause`; operations of ours are not the network's
        self.guards = guards
        self.draws = rng_state()
        self.network = network

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Register as leaves all tensors that exist before the call: parameters, buffers, states and the input."""
        self.guards.on_tensor = self.register_leaf
        self._register_other_networks()
        for path, module in self.network.named_modules():
            own = vars(module) if self.guards.adapter.state_fields(module) else {}
            for place, tensor in {**module._parameters, **module._buffers, **own}.items():
                if isinstance(tensor, Tensor):
                    self.register_leaf(Leaf("attribute", (path, place)), tensor)
            self.buffers |= {id(tensor): name for name, tensor in module._buffers.items() if tensor is not None}
        for place, tensor in enumerate(tensors_in((args, kwargs))):
            self.register_leaf(Leaf("input", (place,)), tensor)
        self.guards.follow_forwards()

    def _register_other_networks(self) -> None:
        """Note the states of neurons of other networks, which a forward may set to rest as well."""
        own = {id(module) for module in self.network.modules()}
        self.others = [each for each in self.guards.adapter.all_neurons() if id(each) not in own]
        self.buffers_of_others = [dict(each._buffers) for each in self.others]
        for number, each in enumerate(self.others):
            for name, tensor in each._buffers.items():
                if tensor is not None and not tensor.is_inference():  # such a state cannot enter a replay
                    self.register_leaf(Leaf("other", (number, name)), tensor)

    def end(self, out: Any, held: dict[str, tuple[nn.Module, dict[str, Any]]]) -> None:
        """Complete the trace by what the call returned and what it stored; `held`: modules and their buffers before."""
        if self.guards.failed:
            raise NotReplayable(self.guards.failed)
        self._require_no_draws()
        trace = self.trace
        require_plain(out, "returns")
        trace.out = with_refs(out, self.ref)
        for (path, name), value in self.guards.written_attributes().items():
            require_plain(value, f"keeps '{name}' as")
            trace.writes[path, name] = with_refs(value, self.ref)
        for path, (module, buffers) in held.items():
            for name, tensor in module._buffers.items():
                if tensor is buffers.get(name) or (path, name) in trace.writes or tensor is None:
                    continue
                trace.writes[path, name] = self.ref(tensor)
        for each, buffers in zip(self.others, self.buffers_of_others, strict=True):
            if any(each._buffers.get(name) is not tensor for name, tensor in buffers.items()):
                self.guards.reset_kinds.add(type(each))
        self.guards.finish(self.network)

    def register_leaf(self, leaf: Leaf, tensor: Tensor) -> None:
        """Note where a tensor comes from; one that is found at two places must be the same at both in each replay."""
        ref = self.refs.get(id(tensor))
        if ref is None:
            self.trace.leaves[self._new_ref(tensor)] = leaf
            return
        before = self.trace.leaves.get(ref)
        if before is None:  # an operation made it
            return
        if {leaf.kind, before.kind} == {"input", "attribute"}:
            raise NotReplayable("its input is a tensor of its own")
        if before != leaf:
            self.guards.aliases.append((before, leaf))

    def _new_ref(self, tensor: Tensor) -> Ref:
        require_no_inference([tensor])
        ref = self.refs[id(tensor)] = self.trace.new(Meta.of(tensor))
        self.alive.append(tensor)
        self.views.setdefault(storage_of(tensor), set()).add(id(tensor))
        return ref

    def ref(self, tensor: Tensor) -> Ref:
        """Return the `Ref` of a tensor that an operation takes; it must have been seen before."""
        if id(tensor) in self.stale_views:
            raise NotReplayable(f"it {self.stale_views[id(tensor)]}, and uses another view of the same memory later")
        if id(tensor) not in self.refs:
            raise NotReplayable("it uses a tensor that comes from elsewhere (numpy, a list, a global cache)")
        return self.refs[id(tensor)]

    def attempt(self, step: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Do a step of recording and return its result; if it raises `NotReplayable`, note why and record no more."""
        if self.failed:
            return None
        try:
            with self.pause():
                return step(*args, **kwargs)
        except NotReplayable as why:
            self.failed = str(why)
            return None

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.paused or self.failed:
            return func(*args, **kwargs)
        given = list(tensors_in((args, kwargs)))
        self.attempt(self._require_recordable, func, given)
        self.attempt(self._require_no_draws)
        if self.failed:
            return func(*args, **kwargs)
        before = [tensor._version for tensor in given]  # torch counts changes in place
        with self.pause():
            out = func(*args, **kwargs)
            makes_tensors = any(True for _ in tensors_in(out))
            if not makes_tensors and not has_changed(given, before):
                self.attempt(self._require_shape_query, func, given, out)
            else:
                self.attempt(self._record, func, args, kwargs, given, before, out)
        return out

    @contextmanager
    def pause(self) -> Iterator[None]:
        self.paused += 1
        try:
            yield
        finally:
            self.paused -= 1

    def _require_recordable(self, func: Any, given: list[Tensor]) -> None:
        require_no_inference(given)
        name = name_of(func)
        if name in REFUSED and not (name == "requires_grad_" and not given):
            raise NotReplayable(f"it calls {name} on a tensor")
        if name in SIZED_BY_VALUES:
            raise NotReplayable(f"it calls {name}, whose result has a size that depends on values")

    def _require_no_draws(self) -> None:
        if not torch.equal(self.draws, rng_state()):
            raise NotReplayable("it draws random numbers, or seeds a generator, outside of torch's operations")

    def _require_shape_query(self, func: Any, given: list[Tensor], out: Any) -> None:
        """Let a call that makes no tensor pass if its answer is the same for all values of the tensors given.

        That is so of shapes and types, and of tensors computed from constants alone. `item()`, `bool()` and their
        like end the recording, since Python may branch on the answer.
        """
        if not given:
            return
        name = name_of(func)
        asks_shape = name in (ATTRIBUTES_OF_SHAPE if is_getter(func) else ABOUT_SHAPE)
        if not is_getter(func) and not asks_shape and all(self.ref(each) in self.constants for each in given):
            return
        if name == "__setitem__" or not (asks_shape or out is NotImplemented):
            raise NotReplayable(f"it reads numbers out of a tensor ({name}), so that it may branch on data")
        for tensor in given if name != "device" else ():  # other tensors of the network tell when it moves
            self.trace.shaped.add(self.ref(tensor))

    def _record(self, func: Any, args: Any, kwargs: Any, given: list[Tensor], before: list[int], out: Any) -> None:
        """Append an operation that has run; `before`: versions of the tensors `given`, by which changes are seen."""
        changed = [at for at, version in enumerate(before) if given[at]._version != version]
        drawn = rng_state()
        has_drawn = not torch.equal(drawn, self.draws) or any(
            isinstance(each, torch.Generator) for each in (*args, *kwargs.values())
        )
        self.draws = drawn
        if is_getter(func) and name_of(func) == "grad":
            raise NotReplayable("it reads a gradient")
        if has_boolean_index(func, args):
            raise NotReplayable("it picks elements by a mask, so that a size depends on values")
        statistics = kept_statistics(func, args, kwargs)
        if statistics:
            if not all(id(tensor) in self.buffers for tensor in statistics):
                raise NotReplayable("it keeps running statistics in a tensor that is no buffer of the network")
            return self._add("effect", func, args, kwargs, out)
        if name_of(func) == "detach_":
            return self._detach(given[0])
        if changed:
            return self._change(func, args, kwargs, given, changed, out, has_drawn=has_drawn)
        if isinstance(out, Tensor) and id(out) in self.refs:
            return None  # the same object, such as x.contiguous()
        return self._add("random" if has_drawn else "op", func, args, kwargs, out)

    def _detach(self, target: Tensor) -> None:
        """Record `detach_`, which changes a tensor's gradient and no value, as a detached copy."""
        ref = self.ref(target)
        if ref in self.trace.leaves:
            if self.trace.metas[ref.number].learns:
                raise NotReplayable("it detaches a state of the call before in place")
            return
        new = self.refs[id(target)] = self.trace.new(Meta.of(target))
        self._append("op", torch.Tensor.detach, ((ref,), {}), new)

    def _change(
        self, func: Any, args: Any, kwargs: Any, given: list[Tensor], changed: list[int], out: Any, *, has_drawn: bool
    ) -> None:
        """Record a change in place as an operation that makes a new tensor; older views of its memory turn stale."""
        target = given[changed[0]]
        if len({id(given[at]) for at in changed}) > 1:
            raise NotReplayable(f"it changes several tensors at once ({name_of(func)})")
        ref = self.ref(target)
        if ref in self.trace.leaves:
            if self.buffers.get(id(target)) in COUNTERS and name_of(func) == "add_":
                self._add("effect", func, args, kwargs, None)
                return
            raise NotReplayable(f"it changes a tensor in place that it did not make ({name_of(func)})")
        if isinstance(out, Tensor) and out is not target:  # such as an output buffer that it returns a view of
            raise NotReplayable(f"it changes a tensor in place that it goes on to use ({name_of(func)})")
        place = next(at for at, tensor in enumerate(tensors_in((args, kwargs))) if tensor is target)
        stored = with_refs((args, kwargs), self.ref)
        for other in self.views[storage_of(target)] - {id(target)}:
            self.stale_views[other] = f"writes into a tensor ({name_of(func)})"
        new = self.refs[id(target)] = self.trace.new(Meta.of(target))
        self._append("random" if has_drawn else "op", func, stored, new, writes=place)

    def _add(self, kind: str, func: Any, args: Any, kwargs: Any, out: Any) -> None:
        self._append(kind, func, with_refs((args, kwargs), self.ref), with_refs(out, self._result_ref))

    def _append(
        self, kind: str, func: Any, given: tuple[Any, Any], out: Any, *, where: str | None = None, **more: Any
    ) -> None:
        """Add an operation to the trace; one of constants alone is itself constant."""
        where = self.guards.where if where is None else where
        node = TraceNode(kind, func, *given, out, torch.is_grad_enabled(), where, **more)
        self.alive.append(func)
        self.trace.nodes.append(node)
        if kind == "op" and all(ref in self.constants for ref in node.inputs):
            self.constants.update(node.outs)

    # --- calls that are recorded as one operation

    def call_as_one(
        self, name: str, call: Callable[..., Any], args: Any, kwargs: Any, given: Any, note: Callable[[Any, Any], None]
    ) -> Any:
        """Make a call whose inside is not recorded, and return its result.

        `given`: what the operation reads. `note(refs, out)`: appends it, with a `Ref` for each of what is given.
        """
        if self.paused or self.failed:
            return call(*args, **kwargs)
        self.attempt(self._require_no_draws)
        stored = self.attempt(with_refs, given, self.ref)
        with self.pause():
            tensors = list(tensors_in((args, kwargs)))
            before = [tensor._version for tensor in tensors]
            out = call(*args, **kwargs)
            self.attempt(self._finish_call_as_one, name, note, stored, out, changed=has_changed(tensors, before))
        return out

    def _finish_call_as_one(
        self, name: str, note: Callable[[Any, Any], None], stored: Any, out: Any, *, changed: bool
    ) -> None:
        if changed:
            raise NotReplayable(f"{name} changes its input in place")
        if not torch.equal(self.draws, rng_state()):
            raise NotReplayable(f"{name} draws random numbers in its step")
        note(stored, out)

    def call_forward(
        self, name: str, module: nn.Module, forward: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Any:
        """Stand in for the forward of neurons that hold their state: record current, and state before and after."""
        fields = self.guards.adapter.state_fields(module)

        def note(stored: Any, out: Any) -> None:
            after = tuple(self._result_ref(getattr(module, each)) for each in fields)
            made = with_refs(out, self._result_ref)
            for left in filter(torch.is_tensor, vars(module).values()):  # where the network may read it
                self._result_ref(left)
            self._append("neurons", forward, (stored[:1], {}), made, where=name, states=stored[1:], after=after)

        current = args[0] if args else kwargs.get(next(iter(inspect.signature(forward).parameters)))
        given = kwargs | dict(zip(fields, args[1:], strict=False))
        states = [getattr(module, each) if given.get(each) is None else given[each] for each in fields]
        return self.call_as_one(f"'{name}'", forward, args, kwargs, (current, *states), note)

    def call_step(self, name: str, module: nn.Module, method: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Stand in for `step` and `centred` of neurons that have them."""

        def note(stored: Any, out: Any) -> None:
            made = with_refs(out, self._result_ref)
            if kwargs:
                raise NotReplayable(f"'{name}' is called with options")
            if method.__name__ == "centred":
                if not any(made == ref for ref in refs_in(stored)):  # a readout's is its state
                    self._append("op", CentredCall(name), (stored[:1], {}), made, where=name)
                return
            current, state = stored
            if not all(isinstance(field, Ref) for field in (*state, *made[1])):
                raise NotReplayable(f"'{name}' has a state that holds more than tensors")
            own = {"states": tuple(state), "after": tuple(made[1])}
            self._append("neurons", type(state), ((current,), {}), made[0], where=name, **own)

        return self.call_as_one(f"'{name}'", method, args, kwargs, args, note)

    def _result_ref(self, tensor: Tensor) -> Ref:
        known = self.refs.get(id(tensor))  # an operation may return its input
        return self._new_ref(tensor) if known is None else known

    def apply(self, call: Any, kind: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Stand in for `apply` of a `torch.autograd.Function` of this kind; `call` is torch's own."""

        def note(stored: Any, out: Any) -> None:
            if any(id(tensor) in self.refs for tensor in tensors_in(out)):
                raise NotReplayable(f"{kind.__name__} returns its own input")
            self._append("op", kind.apply, stored, with_refs(out, self._result_ref))

        return self.call_as_one(kind.__name__, call, args, kwargs, (args, kwargs), note)


class Recorded(NamedTuple):
    """Holds what one recorded call gave."""

    out: Any  # what forward returned
    trace: Trace
    guards: Guards  # values outside of its input that it read
    failed: str  # why it cannot be replayed; empty if it can


def record(network: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], adapter: NeuronAdapter) -> Recorded:
    """Call a network once, as it is written, and return what it returned with the trace of the call.

    What the network raises is raised. A call that cannot be replayed says why in `failed`.
    """
    guards = Guards(network, adapter)
    recorder = CallRecorder(network, guards)
    recorder.attempt(recorder.begin, args, kwargs)
    held = {path: (module, dict(module._buffers)) for path, module in network.named_modules()}
    others = other_rng_states()
    with (
        guards.watching(),
        watched(network, adapter, recorder.call_forward, recorder.call_step),
        functions_recorded(recorder),
        recorder,
    ):
        out = network(*args, **kwargs)
    if other_rng_states() != others:
        recorder.failed = recorder.failed or "it draws random numbers outside of torch"
    recorder.attempt(recorder.end, out, held)
    return Recorded(out, recorder.trace, guards, recorder.failed)
