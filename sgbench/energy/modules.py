"""Exact operation counts of torch networks: baselines without spikes, and spiking networks of snnTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from sgbench.energy import module_functions as functions
from sgbench.energy import module_layers as layers
from sgbench.energy import module_recurrent as recurrent
from sgbench.energy.module_layers import Received
from sgbench.energy.tally import StoredWeights, Tally
from sgbench.errors import InputError
from sgbench.neurons.base import Operations
from sgbench.records.counts import Count, OpCounts

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
MOST_LETTERS = 100  # in the name of a layer or source in a record


class ModuleCounter:
    """Counts the operations of a torch network, module by module, while it runs.

    A connection adds if its source is binary, and multiplies if it is real. Binary are the outputs of spiking
    modules, also after reshaping or max-pooling, and the network's input if `input_kind` says so; the values
    themselves do not matter. A sum of two activations between modules is a residual addition. Totals are integers.

    Args:
        network: in evaluation mode.
        input_kind: "binary" or "real", of the network's input.
        bits: of a weight and of a state variable.
        fold_batch_norm: whether batch normalisation counts as folded into the weights before it.

    Raises:
        InputError: on a call, a module or function is not known; the line names it.

    >>> network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    >>> counter = ModuleCounter(network, input_kind="real", bits=32, fold_batch_norm=False)
    >>> output = counter(torch.ones(10, 3), samples=5, steps=10)  # five samples of two steps each
    >>> [group.dense.total for layer in counter.result().layers for group in layer.synapses]
    [120, 80]
    """

    def __init__(self, network: nn.Module, *, input_kind: str, bits: int, fold_batch_norm: bool) -> None:
        if input_kind not in ("binary", "real"):
            raise InputError(f"input_kind={input_kind!r}: one of binary, real is needed")
        self.network = network
        self.input_kind = input_kind
        self.bits = bits
        self.fold_batch_norm = fold_batch_norm
        self.names = {module: name or type(module).__name__ for name, module in network.named_modules()}
        self.within = dict(_within_spiking(network))
        self.tallies: dict[str, Tally] = {}  # by name of the module or function call
        self.samples, self.steps, self.input_events = 0, 0, 0
        self.origin = WeakTensorKeyDictionary()  # maps a tensor to (name of its source, "binary" or "real")
        self.inside = 0  # number of known modules that are running, in which function calls are not counted
        self.around: list[nn.Module] = []  # running modules made of parts, the innermost last

    def __call__(self, *inputs: Tensor, samples: int, steps: int) -> Any:
        """Run the network once, count its operations, and return its output.

        Args:
            inputs: arguments of the network.
            samples: number of samples that begin with this call; 0 if it continues those of the last call.
            steps: number of time steps in this call, summed over its samples.

        Raises:
            InputError: there are fewer steps than samples, or a module or function is not known.
        """
        if steps < samples:
            raise InputError(
                f"steps={steps}: fewer than samples={samples}; steps are those of all samples together, so "
                f"{steps} of each are {steps * samples}"
            )
        self.samples += samples
        self.steps += steps
        handles = []
        for tensor in inputs:
            self.origin[tensor] = ("input", self.input_kind)
            self.input_events += int(torch.count_nonzero(tensor))
        for module in self.names:
            handles.append(module.register_forward_pre_hook(self._begin))
            handles.append(module.register_forward_hook(self._end))
        try:
            with torch.no_grad(), _FunctionWatcher(self):
                return self.network(*inputs)
        finally:
            self.inside = 0
            self.around.clear()
            for handle in handles:
                handle.remove()

    def result(self) -> OpCounts:
        """Return the operations of all calls so far, module by module.

        Raises:
            InputError: nothing was counted.
        """
        if not self.tallies or not self.samples:
            raise InputError("nothing was counted: call the counter with input first")
        return OpCounts(
            samples=self.samples,
            steps=self.steps,
            input_events=Count(total=self.input_events),
            layers=tuple(tally.result(self.bits) for tally in self.tallies.values()),
        )

    def tally(self, name: str, module: str, neurons: int) -> Tally:
        """Return the tally called `name`; create it on first use, for a class `module` with so many neurons."""
        return self.tallies.setdefault(name, Tally(name, module, max(1, neurons)))

    def received(self, module: nn.Module, x: Tensor) -> Received:
        """Return a module's input x with its origin.

        A module inside a spiking one, e.g. its recurrent weights, receives that one's last spikes. A tensor without
        a known origin, e.g. an initial state, is a real-valued constant.
        """
        if module in self.within:
            return Received(x, self.within[module], "binary")
        origin = self.origin.get(x)
        source, kind = ("constant", "real") if origin is None else origin
        return Received(x, source, kind)

    def _begin(self, module: nn.Module, _inputs: tuple[Any, ...]) -> None:
        """Note that a module begins to run (a hook before its call); refuse an unknown one without parts."""
        if known(module):
            self.inside += 1
        elif next(module.children(), None) is None:
            raise InputError(
                f"'{self.names[module]}': the counter does not know the layer {full_name(module)}"
            )
        else:
            self.around.append(module)

    def _end(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        """Count the operations of a known module that has run (a hook after its call)."""
        if not known(module):
            self.around.pop()
            return
        with torch._C.DisableTorchFunction():  # so that the counter's own torch calls are not counted
            _count(self, module, inputs, output)
        self.inside -= 1


def _within_spiking(network: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """Yield (inner module, name of the spiking module) for all modules inside spiking ones."""
    for name, module in network.named_modules():
        if full_name(module) in KNOWN:
            for inner in module.modules():
                if inner is not module:
                    yield inner, name or type(module).__name__


def known(module: nn.Module) -> bool:
    """Return whether the counter has a rule for the operations of a module's class.

    These are classes of torch, by their type, and classes of snnTorch, by name, since that need not be installed.
    """
    counted = (
        *(nn.Linear, *layers.CONVOLUTIONS, *layers.BATCH_NORMS, nn.LayerNorm, nn.GroupNorm, *layers.POOLS),
        *(*layers.COMPARING, *layers.FUNCTIONS, *layers.PASSING, *recurrent.SEQUENCES, *recurrent.CELLS),
    )
    name = full_name(module)
    return type(module) in counted or name in KNOWN or name.endswith(f".{ONE_TO_ONE}")


def _count(counter: ModuleCounter, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
    """Count the operations of a known module's call with `inputs`, and note the origin of its outputs."""
    name = counter.names[module]
    received = counter.received(module, inputs[0])
    first = output[0] if isinstance(output, tuple) else output
    if isinstance(module, layers.PASSING):  # the output has the origin of the input
        if module.training and isinstance(module, nn.Dropout | nn.Dropout1d | nn.Dropout2d | nn.Dropout3d):
            raise InputError(f"'{name}': {type(module).__name__} in training mode; call eval() first")
        counter.origin[first] = (received.source, received.kind)
        return
    is_spiking = full_name(module) in KNOWN
    if isinstance(module, recurrent.SEQUENCES):
        state = inputs[1] if len(inputs) > 1 else None
        recurrent.sequence(module, received, state, name, counter.tally)
        name = f"{name}.l{module.num_layers - 1}"
    else:
        rows = received.x.shape[0] if first.dim() > 1 else 1
        tally = counter.tally(name, type(module).__name__, first.numel() // max(1, rows))
        _layer(counter, module, inputs, received, first, tally)
    kind = received.kind if layers.keeps_kind(module) else "real"
    outputs = output if isinstance(output, tuple) else (output,)
    for value in outputs:
        if isinstance(value, Tensor):
            counter.origin[value] = (name, "binary" if is_spiking and value is first else kind)


def _layer(
    counter: ModuleCounter,
    module: nn.Module,
    inputs: tuple[Any, ...],
    received: Received,
    output: Tensor,
    tally: Tally,
) -> None:
    """Add the operations of one call of a module to its tally, by the function for its class."""
    handlers: dict[tuple[type, ...], Callable[[Any], None]] = {
        (nn.Linear,): lambda layer: layers.linear(layer, received, output, tally),
        layers.CONVOLUTIONS: lambda layer: layers.convolution(layer, received, output, tally),
        layers.BATCH_NORMS: lambda layer: layers.batch_norm(
            layer, output, tally, folded=counter.fold_batch_norm
        ),
        (nn.LayerNorm, nn.GroupNorm): lambda layer: layers.layer_norm(layer, output, tally),
        layers.POOLS: lambda layer: layers.pool(layer, received, output, tally),
        (*layers.COMPARING, *layers.FUNCTIONS): lambda layer: layers.activation(layer, output, tally),
        recurrent.CELLS: lambda layer: recurrent.cell(layer, received, _hidden(inputs), tally),
    }
    for kinds, handle in handlers.items():
        if isinstance(module, kinds):
            return handle(module)
    if full_name(module) in KNOWN:
        return count_neurons(module, received.x, output, tally)
    return count_one_to_one(module, received.x, received.source, tally)


def _hidden(inputs: tuple[Any, ...]) -> Tensor | None:
    """Return the hidden state among a cell's arguments `inputs`; None if there is none."""
    state = inputs[1] if len(inputs) > 1 else None
    return state[0] if isinstance(state, tuple) else state


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
        """Count a function call between modules.

        Args:
            name: of the function.
            args: its positional arguments.
            by_name: its keyword arguments.
            output: its result.

        Raises:
            InputError: the function is not known, and an argument comes from a module or the network's input.
        """
        arguments = [*args, *by_name.values()]
        flat = [
            value for part in arguments for value in (part if isinstance(part, list | tuple) else (part,))
        ]
        known = [value for value in flat if isinstance(value, Tensor) and value in self.counter.origin]
        origins = [self.counter.origin[value] for value in known]
        if name in ADDING and len(origins) > 1:
            tally = self.counter.tally("residual additions", "add", 1)
            tally.counts["residual_additions"] += output.numel()
            self.counter.origin[output] = ("residual additions", "real")
        elif name in FREE or (origins and name in DROPPING and not _is_training_dropout(name, args, by_name)):
            self._mark_output(origins, output)
        elif len(known) == 1 and functions.is_counted(name) and isinstance(output, Tensor):
            (origin,) = origins
            self._function(name, Received(known[0], *origin), (args[1:], by_name), output)
        elif origins:
            raise InputError(
                f"the counter does not know '{name}' between modules of {type(self.counter.network).__name__}; "
                "use a module in its place"
            )

    def _function(
        self, name: str, received: Received, arguments: tuple[tuple[Any, ...], dict[str, Any]], output: Tensor
    ) -> None:
        """Count a call that `functions.count_function` knows, and note the origin of its output."""
        label = self._label(name, received.source)
        tally = self.counter.tally(
            label, name, output.numel() // max(1, output.shape[0] if output.dim() else 1)
        )
        with torch._C.DisableTorchFunction():
            kind = functions.count_function(name, received, arguments, output, tally)
        self.counter.origin[output] = (label, kind)

    def _label(self, name: str, source: str) -> str:
        """Return a name for a function's calls, the same in every step: MODULE.FUNCTION(SOURCE)."""
        inside = self.counter.around[-1] if self.counter.around else self.counter.network
        prefix = "" if inside is self.counter.network else f"{self.counter.names[inside]}."
        room = MOST_LETTERS - len(f"{prefix}{name}()")
        return f"{prefix}{name}({source[: max(0, room)]})"[:MOST_LETTERS]

    def _mark_output(self, origins: list[tuple[str, str]], output: Any) -> None:
        """Note the joint origin of an output: all sources, and "real" if one of them is real.

        Args:
            origins: (name of the source, "binary" or "real") of each input.
            output: a tensor, or several.
        """
        if not origins:
            return
        kind = "real" if any(origin_kind == "real" for _, origin_kind in origins) else "binary"
        source = "+".join(dict.fromkeys(source for source, _ in origins))[:MOST_LETTERS]
        for value in output if isinstance(output, list | tuple) else (output,):
            if isinstance(value, Tensor):
                self.counter.origin[value] = (source, kind)


def _is_training_dropout(name: str, args: tuple[Any, ...], by_name: dict[str, Any]) -> bool:
    """Return False for a call of dropout that passes values on.

    Raise InputError if it is called for training, and drops values.
    """
    # The third argument is called training, or train; by default, alpha dropouts do not train and others do.
    positional = dict(enumerate(args)).get(2, not name.endswith("alpha_dropout"))
    if by_name.get("training", by_name.get("train", positional)):
        raise InputError(f"'{name}' drops values; call it with training=self.training, and eval() before")
    return False


KNOWN: dict[str, Operations] = {  # multiplications, additions, comparisons and state words of an update
    "snntorch._neurons.leaky.Leaky": Operations(1, 2, 1, 1),  # beta u; + I, - theta s; > theta; u
    "snntorch._neurons.rleaky.RLeaky": Operations(1, 3, 1, 1),  # the same, and V s joins
    "snntorch._neurons.synaptic.Synaptic": Operations(2, 3, 1, 2),  # alpha i, beta u; + I, + i, - theta s
    "snntorch._neurons.rsynaptic.RSynaptic": Operations(2, 4, 1, 2),
}
ONE_TO_ONE = "RecurrentOneToOne"  # snnTorch's class of one-to-one recurrent weights, in any of its modules


def full_name(module: nn.Module) -> str:
    """Return the full name of a module's class.

    >>> full_name(nn.ReLU())
    'torch.nn.modules.activation.ReLU'
    """
    return f"{type(module).__module__}.{type(module).__qualname__}"


def count_neurons(module: nn.Module, current: Tensor, spikes: Tensor, tally: Tally) -> None:
    """Add the operations of one step of spiking neurons, with these input currents and output spikes."""
    per_update = KNOWN[full_name(module)]
    updates = spikes.numel()
    tally.counts["neuron_updates"] += updates
    tally.counts["neuron_updates_with_input"] += int(torch.count_nonzero(current))
    tally.counts["neuron_multiplications"] += per_update.multiplications * updates
    tally.counts["neuron_additions"] += per_update.additions * updates
    tally.counts["neuron_comparisons"] += per_update.comparisons * updates
    tally.counts["state_reads"] += per_update.state_words * updates
    tally.counts["state_writes"] += per_update.state_words * updates
    tally.counts["spikes_sent"] += int(torch.count_nonzero(spikes))


def count_one_to_one(module: nn.Module, x: Tensor, source: str, tally: Tally) -> None:
    """Add the operations of one-to-one recurrent weights: each spike in x reaches the neuron that sent it."""
    weights = StoredWeights(
        sum(weight.numel() for weight in module.parameters()),
        sum(int((weight == 0).sum()) for weight in module.parameters()),
    )
    active = int(torch.count_nonzero(x))
    tally.connect(
        source, "one_to_one", "binary", effective=active, dense=x.numel(), weights=weights, fan_in=1
    )
