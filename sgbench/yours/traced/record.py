"""Records one call of a network as its author wrote it, operation by operation, loops unrolled."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import snntorch
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sgbench.yours.spiking_modules import given_states, state_names, states_of, watched
from sgbench.yours.traced.operations import (
    ABOUT_SHAPE,
    ATTRIBUTES_OF_SHAPE,
    COUNTERS,
    REFUSED,
    SIZED_BY_VALUES,
    draws,
    functions_recorded,
    has_boolean_index,
    is_change,
    is_getter,
    kept_statistics,
    name_of,
    storage_of,
)
from sgbench.yours.traced.reads import Reads
from sgbench.yours.traced.requirements import other_draws, require_plain
from sgbench.yours.traced.trace import (
    CentredCall,
    Leaf,
    Meta,
    Ref,
    Trace,
    TraceNode,
    Unproven,
    refs_in,
    tensors_in,
    with_refs,
)


class CallRecorder(TorchFunctionMode):
    """Records operations on tensors while a network's forward runs.

    `reads`: notes the attributes that the forward reads and writes.
    """

    def __init__(self, network: nn.Module, reads: Reads) -> None:
        super().__init__()
        self.trace = Trace()
        self.refs: dict[int, Ref] = {}
        self.alive: list[Any] = []  # so that no new tensor gets the identity of an old one
        self.by_storage: dict[int, set[int]] = {}
        self.stale: dict[int, str] = {}
        self.failed = ""
        self.constants: set[Ref] = set()  # the same in every call, since computed from numbers alone
        self.others: list[Any] = []
        self.before: list[dict[str, Any]] = []
        self.buffers: dict[int, str] = {}
        self.paused = 0
        self.reads = reads
        self.draws = draws()
        self.network = network

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.reads.on_tensor = self.at
        self._note_others()
        for path, module in self.network.named_modules():
            own = vars(module) if state_names(module) else {}
            for place, tensor in {**module._parameters, **module._buffers, **own}.items():
                if isinstance(tensor, Tensor):
                    self.at(Leaf("attribute", (path, place)), tensor)
            self.buffers |= {id(tensor): name for name, tensor in module._buffers.items() if tensor is not None}
        for place, tensor in enumerate(tensors_in((args, kwargs))):
            self.at(Leaf("input", (place,)), tensor)
        self.reads.open_functions()

    def _note_others(self) -> None:
        """Note the states of neurons of other networks, which `snntorch.utils.reset` sets to rest as well."""
        own = {id(module) for module in self.network.modules()}
        self.others = [each for each in snntorch.SpikingNeuron.instances if id(each) not in own]
        self.before = [dict(each._buffers) for each in self.others]
        for number, each in enumerate(self.others):
            for name, tensor in each._buffers.items():
                if tensor is not None:
                    self.at(Leaf("other", (number, name)), tensor)

    def end(self, out: Any, held: dict[str, tuple[nn.Module, dict[str, Any]]]) -> None:
        if self.reads.failed:
            raise Unproven(self.reads.failed)
        self._require_no_draws()
        trace = self.trace
        require_plain(out, "returns")
        trace.out = with_refs(out, self.ref)
        for (path, name), value in self.reads.written().items():
            require_plain(value, f"keeps '{name}' as")
            trace.writes[path, name] = with_refs(value, self.ref)
        for path, (module, buffers) in held.items():
            for name, tensor in module._buffers.items():
                if tensor is buffers.get(name) or (path, name) in trace.writes or tensor is None:
                    continue
                trace.writes[path, name] = self.ref(tensor)
        for each, buffers in zip(self.others, self.before, strict=True):
            if any(each._buffers.get(name) is not tensor for name, tensor in buffers.items()):
                self.reads.reset_kinds.add(type(each))  # utils.reset is for all networks
        self.reads.close(self.network)

    def at(self, leaf: Leaf, tensor: Tensor) -> None:
        known = self.refs.get(id(tensor))
        if known is None:
            self.trace.leaves[self._known(tensor)] = leaf
        elif known in self.trace.leaves:
            if {leaf.kind, self.trace.leaves[known].kind} == {"input", "attribute"}:
                raise Unproven("its input is a tensor of its own")
            if self.trace.leaves[known] != leaf:
                self.reads.twins.append((self.trace.leaves[known], leaf))

    def _known(self, tensor: Tensor) -> Ref:
        if tensor.is_inference():
            raise Unproven("it computes under torch.inference_mode")
        ref = self.refs[id(tensor)] = self.trace.new(Meta.of(tensor))
        self.alive.append(tensor)
        self.by_storage.setdefault(storage_of(tensor), set()).add(id(tensor))
        return ref

    def ref(self, tensor: Tensor) -> Ref:
        if id(tensor) in self.stale:
            raise Unproven(f"it {self.stale[id(tensor)]}, and uses another view of the same memory later")
        if id(tensor) not in self.refs:
            raise Unproven("it uses a tensor that comes from elsewhere (numpy, a list, a global cache)")
        return self.refs[id(tensor)]

    def give_up(self, step: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Do a step of recording; where it shows that the call cannot be replayed, record no more."""
        if self.failed:
            return None
        try:
            with self.pause():
                return step(*args, **kwargs)
        except Unproven as why:
            self.failed = str(why)
            return None

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.paused or self.failed:
            return func(*args, **kwargs)
        given = list(tensors_in((args, kwargs)))
        self.give_up(self._require_recordable, func, given)
        self.give_up(self._require_no_draws)
        before = [tensor._version for tensor in given]
        with self.pause():
            out = func(*args, **kwargs)
            if not any(True for _ in tensors_in(out)) and not is_change(given, before):
                self.give_up(self._note_about, func, given, out)
            else:
                self.give_up(self._record, func, args, kwargs, given, before, out)
        return out

    @contextmanager
    def pause(self) -> Iterator[None]:
        self.paused += 1
        try:
            yield
        finally:
            self.paused -= 1

    def _require_recordable(self, func: Any, given: list[Tensor]) -> None:
        name = name_of(func)
        if name in REFUSED and not (name == "requires_grad_" and not given):
            raise Unproven(f"it calls {name} on a tensor")
        if name in SIZED_BY_VALUES:
            raise Unproven(f"it calls {name}, whose result has a size that depends on values")

    def _require_no_draws(self) -> None:
        if not torch.equal(self.draws, draws()):
            raise Unproven("it draws random numbers, or seeds a generator, outside of torch's operations")

    def _note_about(self, func: Any, given: list[Tensor], out: Any) -> None:
        if not given:
            return
        name = name_of(func)
        if not is_getter(func) and name not in ABOUT_SHAPE and all(self.ref(each) in self.constants for each in given):
            return
        of_shape = ATTRIBUTES_OF_SHAPE if is_getter(func) else ABOUT_SHAPE
        known = name in of_shape or out is NotImplemented
        if name == "__setitem__" or not known:
            raise Unproven(f"it reads numbers out of a tensor ({name}), so that it may branch on data")
        for tensor in given if name != "device" else ():  # other tensors of the network tell when it moves
            self.trace.shaped.add(self.ref(tensor))

    def _record(self, func: Any, args: Any, kwargs: Any, given: list[Tensor], before: list[int], out: Any) -> None:
        changed = [at for at, version in enumerate(before) if given[at]._version != version]
        drawn = draws()
        has_drawn = not torch.equal(drawn, self.draws) or any(
            isinstance(each, torch.Generator) for each in (*args, *kwargs.values())
        )
        self.draws = drawn
        if is_getter(func) and name_of(func) == "grad":
            raise Unproven("it reads a gradient")
        if has_boolean_index(func, args):
            raise Unproven("it picks elements by a mask, so that a size depends on values")
        statistics = kept_statistics(func, args, kwargs)
        if statistics:
            if not all(id(tensor) in self.buffers for tensor in statistics):
                raise Unproven("it keeps running statistics in a tensor that is no buffer of the network")
            return self._add("effect", func, args, kwargs, out)
        if name_of(func) == "detach_":
            return self._detach(given[0])
        if changed:
            return self._change(func, args, kwargs, given, changed, out, has_drawn=has_drawn)
        if isinstance(out, Tensor) and id(out) in self.refs:
            return None  # the same object, such as x.contiguous()
        return self._add("random" if has_drawn else "op", func, args, kwargs, out)

    def _detach(self, target: Tensor) -> None:
        ref = self.ref(target)
        if ref in self.trace.leaves:
            if self.trace.metas[ref.number].learns:
                raise Unproven("it detaches a state of the call before in place")
            return
        new = self.refs[id(target)] = self.trace.new(Meta.of(target))
        self._append("op", torch.Tensor.detach, ((ref,), {}), new)

    def _change(
        self, func: Any, args: Any, kwargs: Any, given: list[Tensor], changed: list[int], out: Any, *, has_drawn: bool
    ) -> None:
        target = given[changed[0]]
        if len({id(given[at]) for at in changed}) > 1:
            raise Unproven(f"it changes several tensors at once ({name_of(func)})")
        ref = self.ref(target)
        if ref in self.trace.leaves:
            if self.buffers.get(id(target)) in COUNTERS and name_of(func) == "add_":
                self._add("effect", func, args, kwargs, None)
                return
            raise Unproven(f"it changes a tensor in place that it did not make ({name_of(func)})")
        made = out if isinstance(out, Tensor) else target
        if made is not target:
            raise Unproven(f"it changes a tensor in place that it goes on to use ({name_of(func)})")
        place = next(at for at, tensor in enumerate(tensors_in((args, kwargs))) if tensor is target)
        stored = with_refs((args, kwargs), self.ref)
        for other in self.by_storage[storage_of(target)] - {id(target)}:
            self.stale[other] = f"writes into a tensor ({name_of(func)})"
        new = self.refs[id(target)] = self.trace.new(Meta.of(target))
        self._append("random" if has_drawn else "op", func, stored, new, writes=place)

    def _add(self, kind: str, func: Any, args: Any, kwargs: Any, out: Any) -> None:
        self._append(kind, func, with_refs((args, kwargs), self.ref), with_refs(out, self._made))

    def _append(
        self, kind: str, func: Any, given: tuple[Any, Any], out: Any, *, where: str | None = None, **more: Any
    ) -> None:
        where = self.reads.where if where is None else where
        node = TraceNode(kind, func, *given, out, torch.is_grad_enabled(), where, **more)
        self.alive.append(func)
        self.trace.nodes.append(node)
        if kind == "op" and all(ref in self.constants for ref in node.inputs):
            self.constants.update(node.outs)

    # --- calls that are recorded as one operation

    def as_one(
        self, name: str, call: Callable[..., Any], args: Any, kwargs: Any, given: Any, note: Callable[[Any, Any], None]
    ) -> Any:
        """Make a call that becomes one operation by `note(refs, out)`, with those of the tensors that it is given."""
        if self.paused or self.failed:
            return call(*args, **kwargs)
        self.give_up(self._require_no_draws)
        stored = self.give_up(with_refs, given, self.ref)
        with self.pause():
            tensors = list(tensors_in((args, kwargs)))
            before = [tensor._version for tensor in tensors]
            out = call(*args, **kwargs)
            self.give_up(self._noted, name, note, stored, out, changed=is_change(tensors, before))
        return out

    def _noted(self, name: str, note: Callable[[Any, Any], None], stored: Any, out: Any, *, changed: bool) -> None:
        if changed:
            raise Unproven(f"{name} changes its input in place")
        if not torch.equal(self.draws, draws()):
            raise Unproven(f"{name} draws random numbers in its step")
        note(stored, out)

    def watch(
        self, name: str, module: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        def note(stored: Any, out: Any) -> None:
            after = tuple(self._made(state) for state in states_of(module))
            made = with_refs(out, self._made)
            self._made(vars(module)["reset"])  # which `sgbench.use` looks at
            self._append("neurons", forward, (stored[:1], {}), made, where=name, states=stored[1:], after=after)

        with self.pause():
            given = (args[0] if args else kwargs.get("input_"), *given_states(module, args, kwargs))
        return self.as_one(f"'{name}'", forward, args, kwargs, given, note)

    def watch_ours(
        self, name: str, module: nn.Module, method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        def note(stored: Any, out: Any) -> None:
            made = with_refs(out, self._made)
            if kwargs:
                raise Unproven(f"'{name}' is called with options")
            if method.__name__ == "centred":
                if not any(made == ref for ref in refs_in(stored)):  # a readout's is its state
                    self._append("op", CentredCall(name), (stored[:1], {}), made, where=name)
                return
            current, state = stored
            if not all(isinstance(field, Ref) for field in (*state, *made[1])):
                raise Unproven(f"'{name}' has a state that holds more than tensors")
            own = {"states": tuple(state), "after": tuple(made[1])}
            self._append("neurons", type(state), ((current,), {}), made[0], where=name, **own)

        return self.as_one(f"'{name}'", method, args, kwargs, args, note)

    def _made(self, tensor: Tensor) -> Ref:
        return self.refs[id(tensor)] if id(tensor) in self.refs else self._known(tensor)

    def apply(self, call: Any, kind: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        def note(stored: Any, out: Any) -> None:
            if any(id(tensor) in self.refs for tensor in tensors_in(out)):
                raise Unproven(f"{kind.__name__} returns its own input")
            self._append("op", kind.apply, stored, with_refs(out, self._made))

        return self.as_one(kind.__name__, call, args, kwargs, (args, kwargs), note)


class Recorded(NamedTuple):
    """Holds what one recorded call gave."""

    out: Any  # what forward returned
    trace: Trace
    reads: Reads  # values outside of its input that it read
    failed: str  # why it cannot be replayed; empty if it can


def record(network: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Recorded:
    """Call a network as it is written, once, and follow it. What the network raises is raised."""
    reads = Reads(network)
    recorder = CallRecorder(network, reads)
    recorder.give_up(recorder.begin, args, kwargs)
    held = {path: (module, dict(module._buffers)) for path, module in network.named_modules()}
    others = other_draws()
    with reads.noted(), watched(network, recorder.watch, recorder.watch_ours), functions_recorded(recorder), recorder:
        out = network(*args, **kwargs)
    if other_draws() != others:
        recorder.failed = recorder.failed or "it draws random numbers outside of torch"
    recorder.give_up(recorder.end, out, held)
    return Recorded(out, recorder.trace, reads, recorder.failed)
