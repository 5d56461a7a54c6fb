"""Exact operation counts of torch networks: baselines without spikes, and spiking networks of snnTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from fastspiking.signals.spikes import dense
from fastspiking.signals.trajectory import Batch, Trajectory
from sgbench.energy import module_operations as operations
from sgbench.energy import module_units as units
from sgbench.energy.count import Kind, OperationCounter
from sgbench.energy.module_operations import Received, Tally
from sgbench.errors import InputError
from sgbench.networks.base import Network
from sgbench.networks.baseline import Baseline
from sgbench.networks.watching import is_snntorch, tensors_in
from sgbench.records.counts import Count, LayerCounts, OpCounts

FREE = frozenset(
    (
        *("view", "reshape", "flatten", "unflatten", "permute", "transpose", "t", "squeeze", "unsqueeze"),
        *("movedim", "cat", "stack", "chunk", "split", "unbind", "narrow", "select", "swapaxes", "expand"),
        *("__getitem__", "contiguous", "detach", "clone", "float", "double", "half", "type_as"),
        *("requires_grad_", "__get__", "__set__", "__len__", "size", "dim", "numel", "stride"),
        *("is_contiguous", "zeros_like", "new_zeros"),
    )
)
"""Names of torch functions that move, copy or create values, without arithmetic."""
ADDING = frozenset(("add", "__add__", "__radd__", "__iadd__", "add_"))

DROPPING = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")
"""Names of torch functions that pass values on unless they are called for training."""
LOOKING = frozenset(("__eq__", "__ne__", "__repr__", "__format__", "item", "tolist", "is_floating_point", "__bool__"))
"""Names of functions that look at values, and of which no arithmetic of a network comes."""
MOST_LETTERS = 100  # in the name of a layer or source in a record


ONE_TO_ONE = "RecurrentOneToOne"  # snnTorch's class of one-to-one recurrent weights, in any of its modules


class ModuleCounter:
    """Counts the operations of a torch network, module by module, while it runs.

    A connection adds if its source is binary, and multiplies if it is real. Binary are the outputs of spiking
    modules, also after reshaping or max-pooling, and the network's input if `input_kind` says so; the values
    themselves do not matter. A sum of two activations between modules is a residual addition. Totals are integers.

    `network`: in evaluation mode; `bits`: of a weight and of a state variable; `leave_out`: whether modules and
    functions that are not known are noted in `unknown`, in place of an error.

    >>> network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    >>> counter = ModuleCounter(network, input_kind="real", bits=32, fold_batch_norm=False)
    >>> output = counter(torch.ones(10, 3), samples=5, steps=10)  # five samples of two steps each
    >>> [group.dense.total for layer in counter.result().layers for group in layer.synapses]
    [120, 80]
    """

    def __init__(
        self, network: nn.Module, *, input_kind: str, bits: int, fold_batch_norm: bool, leave_out: bool = False
    ) -> None:
        if input_kind not in ("binary", "real"):
            raise InputError(f"input_kind={input_kind!r}: one of binary, real is needed")
        self.network = network
        self.input_kind = input_kind
        self.bits = bits
        self.fold_batch_norm = fold_batch_norm
        self.leave_out = leave_out
        self.unknown: dict[str, str] = {}  # maps names of what was not counted to what it is
        self.names = {module: name or type(module).__name__ for name, module in network.named_modules()}
        self.spiking = [module for module in network.modules() if is_snntorch(module)]
        self.within = {  # maps recurrent weights of a spiking module to its name
            inner: self.names[module]
            for module in self.spiking
            if isinstance(getattr(module, "recurrent", None), nn.Module)
            for inner in module.recurrent.modules()  # type: ignore[union-attr]
        }
        self.tallies: dict[str, Tally] = {}  # by name of the module or function call
        self.samples, self.steps, self.input_events = 0, 0, 0
        self.origin = WeakTensorKeyDictionary()  # maps a tensor to (name of its source, "binary" or "real")
        self.inside = 0  # number of known modules that are running, in which function calls are not counted
        self.around: list[nn.Module] = []  # running modules made of parts, the innermost last

    def __call__(self, *inputs: Any, samples: int, steps: int) -> Any:
        """Run the network once, count its operations, and return its output.

        Args:
            inputs: arguments of the network; tensors, or what holds them.
            samples: number of samples that begin with this call; 0 if it continues those of the last call.
            steps: number of time steps in this call, summed over its samples.
        """
        if steps < samples:
            raise InputError(
                f"steps={steps}: fewer than samples={samples}; steps are those of all samples together, so "
                f"{steps} of each are {steps * samples}"
            )
        self.samples += samples
        self.steps += steps
        for tensor in tensors_in(inputs):
            self.origin[tensor] = ("input", self.input_kind)
            self.input_events += int(torch.count_nonzero(tensor))
        handles = []
        for module in self.names:
            handles.append(module.register_forward_pre_hook(self._begin))
            handles.append(module.register_forward_hook(self._end, with_kwargs=True))
        try:
            with torch.no_grad(), _FunctionWatcher(self):
                return self.network(*inputs)
        finally:
            self.inside = 0
            self.around.clear()
            for handle in handles:
                handle.remove()

    def result(self) -> OpCounts:
        """Return the counts of all modules called so far; InputError if none could be counted."""
        if not self.tallies or not self.samples:
            unknown = " of " + ", ".join(f"{name} ({what})" for name, what in self.unknown.items())
            raise InputError(f"nothing was counted{unknown if self.unknown else ': call the counter with input first'}")
        return OpCounts(
            samples=self.samples,
            steps=self.steps,
            input_events=Count(total=self.input_events),
            layers=tuple(tally.result(self.bits) for tally in self.tallies.values()),
        )

    def tally(self, name: str, module: str, neurons: int) -> Tally:
        """Return the tally called `name`; create it on first use, for a class `module` with so many neurons."""
        return self.tallies.setdefault(name, Tally(name, module, max(1, neurons)))

    def _leave_out(self, name: str, what: str, message: str) -> None:
        """Note that a module is not counted, or refuse it if nothing may be left out."""
        if not self.leave_out:
            raise InputError(message)
        self.unknown[name] = what

    def _received(self, module: nn.Module, x: Tensor) -> Received:
        """Return a module's input x with its origin.

        Recurrent weights receive their layer's last spikes. A tensor without a known origin, e.g. an initial
        state, is a real-valued constant.
        """
        if module in self.within:
            return Received(x, self.within[module], "binary")
        return Received(x, *(self.origin.get(x) or ("constant", "real")))

    def _begin(self, module: nn.Module, _inputs: tuple[Any, ...]) -> None:
        """Note that a module begins to run (a hook before its call); leave an unknown one without parts out."""
        if _is_known(module):
            self.inside += 1
        elif next(module.children(), None) is None or is_snntorch(module):
            name = self.names[module]
            kind = f"{type(module).__module__}.{type(module).__qualname__}"
            message = f"'{name}': the counter does not know the layer {kind}"
            self._leave_out(name, type(module).__name__, message)
            self.inside += 1
        else:
            self.around.append(module)

    def _end(self, module: nn.Module, args: tuple[Any, ...], by_name: dict[str, Any], output: Any) -> None:
        """Count a module that has run; of a container only its parts count, and of an unknown module nothing."""
        if self.names[module] not in self.unknown and not _is_known(module):
            self.around.pop()
            return
        inputs = (*args, *by_name.values())
        with torch._C.DisableTorchFunction():  # so that the counter's own torch calls are not counted
            if self.names[module] in self.unknown:
                self._mark(output, self.names[module], is_snntorch(module))
            elif not any(self.names[each] in self.unknown and module in each.modules() for each in self.spiking):
                self._count(module, inputs, output)
        self.inside -= 1

    def _mark(self, output: Any, name: str, is_spiking: bool, kind: str = "real") -> None:
        for place, value in enumerate(tensors_in(output)):
            self.origin[value] = (name, "binary" if is_spiking and place == 0 else kind)

    def _count(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        """Count one call of a module, as its forward hook, and note which layer its output comes from."""
        name = self.names[module]
        received = self._received(module, inputs[0])
        first = next(tensors_in(output))
        if isinstance(module, operations.PASSING):  # the output has the origin of the input
            if module.training and isinstance(module, operations.DROPOUTS):
                raise InputError(f"'{name}': {type(module).__name__} in training mode; call eval() first")
            self.origin[first] = (received.source, received.kind)
            return
        if isinstance(module, units.SEQUENCES):
            state = inputs[1] if len(inputs) > 1 else None
            units.count_sequence(module, received, state, name, self.tally)
            name = f"{name}.l{module.num_layers - 1}"
        else:
            rows = received.x.shape[0] if first.dim() > 1 else 1
            tally = self.tally(name, type(module).__name__, first.numel() // max(1, rows))
            self._layer(module, inputs, received, first, tally)
        kind = received.kind if operations.keeps_kind(module) else "real"
        self._mark(output, name, units.neuron_operations(module) is not None and not units.is_graded(module), kind)

    def _layer(self, module: Any, inputs: tuple[Any, ...], received: Received, output: Tensor, tally: Tally) -> None:
        """Add the operations of one call of a module to its tally, by the function for its class."""
        if isinstance(module, operations.BATCH_NORMS):
            if module.training:
                raise InputError(f"'{tally.name}': a {type(module).__name__} in training mode; call eval() first")
            tally.counts["normalisation_operations"] += 0 if self.fold_batch_norm else output.numel()
        elif isinstance(module, units.CELLS):
            state = inputs[1] if len(inputs) > 1 else None
            hidden = state[0] if isinstance(state, tuple) else state
            units.count_cell(module, received, hidden, tally)
        elif units.neuron_operations(module) is not None:
            units.count_neurons(module, received, output, tally)
        elif type(module).__name__ == ONE_TO_ONE:
            units.count_one_to_one(module, received, tally)
        else:
            count = next(count for kinds, count in operations.COUNTED.items() if isinstance(module, kinds))
            count(module, received, output, tally)


def _is_known(module: nn.Module) -> bool:
    kinds = (kind for group in operations.COUNTED for kind in group)
    counted = (*kinds, *operations.BATCH_NORMS, *operations.PASSING, *units.SEQUENCES, *units.CELLS)
    is_neuron = units.neuron_operations(module) is not None
    return type(module) in counted or is_neuron or type(module).__name__ == ONE_TO_ONE


class _FunctionWatcher(TorchFunctionMode):
    """Counts torch functions that a network calls between its modules."""

    def __init__(self, counter: ModuleCounter) -> None:
        super().__init__()
        self.counter = counter

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        by_name = kwargs or {}
        output = func(*args, **by_name)
        if self.counter.inside == 0:
            self._on_function(getattr(func, "__name__", str(func)), args, by_name, output)
        return output

    def _on_function(self, name: str, args: tuple[Any, ...], by_name: dict[str, Any], output: Any) -> None:
        """Count a function call between modules, if an argument comes from a module or the network's input."""
        counter = self.counter
        known = [value for value in tensors_in([*args, *by_name.values()]) if value in counter.origin]
        origins = [counter.origin[value] for value in known]
        if name in ADDING and len(origins) > 1:
            tally = counter.tally("residual additions", "add", 1)
            tally.counts["residual_additions"] += output.numel()
            counter.origin[output] = ("residual additions", "real")
        elif name in FREE or (origins and name in DROPPING and not _is_training_dropout(name, args, by_name)):
            self._pass_on(origins, output)
        elif len(known) == 1 and isinstance(output, Tensor) and operations.is_counted(name):
            (origin,) = origins
            self._function(name, Received(known[0], *origin), (args[1:], by_name), output)
        elif origins and not (counter.leave_out and name in LOOKING):
            where = type(counter.network).__name__
            message = f"the counter does not know '{name}' between modules of {where}; use a module in its place"
            counter._leave_out(name, f"a function between modules of {where}", message)
            counter._mark(output, name, is_spiking=False)

    def _function(
        self, name: str, received: Received, arguments: tuple[tuple[Any, ...], dict[str, Any]], output: Tensor
    ) -> None:
        """Count one call of a torch function on a layer's output, and note where the result comes from."""
        label = self._label(name, received.source)
        neurons = output.numel() // max(1, output.shape[0] if output.dim() else 1)
        tally = self.counter.tally(label, name, neurons)
        with torch._C.DisableTorchFunction():
            kind = operations.count_function(name, received, arguments, output, tally)
        self.counter.origin[output] = (label, kind)

    def _label(self, name: str, source: str) -> str:
        """Name a call by the module around it, the function and its source, cut to the letters that a record allows."""
        inside = self.counter.around[-1] if self.counter.around else self.counter.network
        prefix = "" if inside is self.counter.network else f"{self.counter.names[inside]}."
        room = MOST_LETTERS - len(f"{prefix}{name}()")
        return f"{prefix}{name}({source[: max(0, room)]})"[:MOST_LETTERS]

    def _pass_on(self, origins: list[tuple[str, str]], output: Any) -> None:
        """Note where a result comes from that is not counted itself; it is real if one of its sources is."""
        if origins:
            kind = "real" if any(origin_kind == "real" for _, origin_kind in origins) else "binary"
            source = "+".join(dict.fromkeys(source for source, _ in origins))[:MOST_LETTERS]
            self.counter._mark(output, source, is_spiking=False, kind=kind)


def _is_training_dropout(name: str, args: tuple[Any, ...], by_name: dict[str, Any]) -> bool:
    # The third argument is called training, or train; by default, alpha dropouts do not train and others do.
    positional = dict(enumerate(args)).get(2, not name.endswith("alpha_dropout"))
    if by_name.get("training", by_name.get("train", positional)):
        raise InputError(f"'{name}' drops values; call it with training=self.training, and eval() before")
    return False


def counter_of(network: Network, input_kind: Kind, *, bits: int) -> OperationCounter | PlainCounter:
    """Return a counter for a network: `PlainCounter` for a baseline, else `OperationCounter`; bits: of a weight."""
    if isinstance(network, Baseline):
        return PlainCounter(network, input_kind, bits=bits)
    return OperationCounter(network, input_kind, bits=bits)


class PlainCounter:
    """Counts the operations of a baseline's torch layers in the valid steps of samples.

    A baseline that computes once on a whole sample counts as one step a sample; if it first sums its input over
    time, these additions count too. Values of 0 cause no effective operation, as in spiking networks.

    Its arguments are those of `counter_of`.
    """

    def __init__(self, network: Baseline, input_kind: Kind, *, bits: int) -> None:
        self.network = network
        self.bits = bits
        self.samples = self.steps = self.events = 0
        self.kind: Kind = "real" if network.sums_up else input_kind
        self.counter = ModuleCounter(network.chain(), input_kind=self.kind, bits=bits, fold_batch_norm=False)
        self.neurons = {layer.name: layer.neurons for layer in network.plain_layers}
        for layer in network.plain_layers:
            self.counter.names |= {layer.body: layer.name, layer.after: layer.name}

    def update(self, batch: Batch, trajectory: Trajectory) -> None:
        """Run the baseline on one batch, samples of equal length together; `trajectory` is not used."""
        x = dense(batch.x)
        for length in batch.lengths.unique().tolist():
            chosen = batch.lengths == length
            part = x[:length, chosen]
            network_input = self.network.first_input(part, batch.lengths[chosen])
            count = part.shape[1]
            steps = count * network_input.shape[0]
            self.samples += count
            self.steps += steps
            self.events += int(part.count_nonzero())
            self.counter(network_input, samples=count, steps=steps)

    def result(self) -> OpCounts:
        """Return the operations of all batches so far, with the names of the baseline's layers."""
        counts = self.counter.result()
        first, *rest = (self._layer(layer) for layer in counts.layers)
        if self.network.sums_up:
            first = first.model_copy(update={"neuron_additions": Count(total=self.events)})
        return counts.model_copy(update={"input_events": Count(total=self.events), "layers": (first, *rest)})

    def _layer(self, layer: LayerCounts) -> LayerCounts:
        """Add to a layer's counts its number of neurons, each updated at every step."""
        name = layer.name.removesuffix(".l0")  # of a recurrent module's first layer
        neurons = self.neurons[name]
        updates = Count(total=neurons * self.steps)
        groups = tuple(
            group.model_copy(update={"source": group.source.removesuffix(".l0")}) for group in layer.synapses
        )
        return layer.model_copy(
            update={
                "name": name,
                "neurons": neurons,
                "synapses": groups,
                "neuron_updates": updates,
                "neuron_updates_with_input": updates,
            }
        )
