"""Exact operation counts of ordinary torch networks: baselines without spikes, and snnTorch's."""

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

MOVING = (
    "view",
    "reshape",
    "flatten",
    "unflatten",
    "permute",
    "transpose",
    "t",
    "squeeze",
    "unsqueeze",
    "movedim",
)
PARTING = (
    "cat",
    "stack",
    "chunk",
    "split",
    "unbind",
    "narrow",
    "select",
    "swapaxes",
    "expand",
    "__getitem__",
)
KEEPING = ("contiguous", "detach", "clone", "float", "double", "half", "type_as", "requires_grad_")
LOOKING = ("__get__", "__set__", "__len__", "size", "dim", "numel", "stride", "is_contiguous")
FREE = frozenset((*MOVING, *PARTING, *KEEPING, *LOOKING, "zeros_like", "new_zeros"))
"""Functions that move or make values and compute none."""
ADDING = frozenset(("add", "__add__", "__radd__", "__iadd__", "add_"))

DROPPING = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")
"""Functions that hand on what they get unless they train."""
MOST_LETTERS = 100
"""Of a layer's or a source's name in a record."""


class ModuleCounter:
    """Counts what the modules of a network do while it runs.

    What is multiplied and what only added follows from what a layer's source declares (spikes of a spiking
    module, whether passed on, reshaped or pooled by maximum; real values else), never from the values. A sum of
    two activations between modules is a residual addition. Every total is an exact integer.

    Args:
        network: in evaluation mode.
        input_kind: "binary" or "real", of the network's input.
        bits: of a weight and of a state.
        fold_batch_norm: whether batch normalisation is taken as folded into the weights before it.

    Raises:
        InputError: while running, at the first module or function that it does not know, by name.

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
        self.tallies: dict[str, Tally] = {}
        self.samples, self.steps, self.input_events = 0, 0, 0
        self.origin = WeakTensorKeyDictionary()  # of a tensor: the module that made it, and what it holds
        self.inside = 0  # known modules under way: what they compute is counted as theirs
        self.around: list[nn.Module] = []  # modules of parts under way, the innermost last

    def __call__(self, *inputs: Tensor, samples: int, steps: int) -> Any:
        """Run the network once and count what its modules do.

        Args:
            inputs: of its forward.
            samples: that begin with this call: 0 where it goes on with those of the call before.
            steps: time steps of all samples in this call together.

        Raises:
            InputError: fewer steps than samples, of which each has one at least.
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
            with torch.no_grad(), _Watch(self):
                return self.network(*inputs)
        finally:
            self.inside = 0
            self.around.clear()
            for handle in handles:
                handle.remove()

    def result(self) -> OpCounts:
        """Return the operations counted so far, by module.

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
        """Return the tally of one module, created on first use."""
        return self.tallies.setdefault(name, Tally(name, module, max(1, neurons)))

    def received(self, module: nn.Module, x: Tensor) -> Received:
        """Return a module's input with its origin; one that no module made, e.g. a first state, is real-valued.

        A module inside a spiking one, e.g. its recurrent weights, receives the last spikes of that one.
        """
        if module in self.within:
            return Received(x, self.within[module], "binary")
        origin = self.origin.get(x)
        source, kind = ("constant", "real") if origin is None else origin
        return Received(x, source, kind)

    def _begin(self, module: nn.Module, _inputs: tuple[Any, ...]) -> None:
        """Note that a known module has begun; refuse an unknown one without parts."""
        if known(module):
            self.inside += 1
        elif next(module.children(), None) is None:
            raise InputError(
                f"'{self.names[module]}': the counter does not know the layer {full_name(module)}"
            )
        else:
            self.around.append(module)

    def _end(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        """Count what a known module has done."""
        if not known(module):
            self.around.pop()
            return
        # What counting itself calls must not be counted.
        with torch._C.DisableTorchFunction():
            _count(self, module, inputs, output)
        self.inside -= 1


def _within_spiking(network: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """Yield the modules inside spiking ones, each with the spiking module's name."""
    for name, module in network.named_modules():
        if full_name(module) in KNOWN:
            for inner in module.modules():
                if inner is not module:
                    yield inner, name or type(module).__name__


def known(module: nn.Module) -> bool:
    """Return whether the counter knows what a module does."""
    counted = (
        nn.Linear,
        *layers.CONVOLUTIONS,
        *layers.BATCH_NORMS,
        nn.LayerNorm,
        nn.GroupNorm,
        *layers.POOLS,
        *layers.COMPARING,
        *layers.FUNCTIONS,
        *layers.PASSING,
        *recurrent.SEQUENCES,
        *recurrent.CELLS,
    )
    name = full_name(module)
    return type(module) in counted or name in KNOWN or name.endswith(f".{ONE_TO_ONE}")


def _count(counter: ModuleCounter, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
    """Count one call by the function for its kind of module, and note what the module sends on."""
    name = counter.names[module]
    received = counter.received(module, inputs[0])
    first = output[0] if isinstance(output, tuple) else output
    # A module that does nothing hands on where its input comes from.
    if isinstance(module, layers.PASSING):
        if module.training and isinstance(module, nn.Dropout | nn.Dropout1d | nn.Dropout2d | nn.Dropout3d):
            raise InputError(f"'{name}': {type(module).__name__} in training mode; call eval() first")
        counter.origin[first] = (received.source, received.kind)
        return
    # Another one is counted.
    spikes = full_name(module) in KNOWN
    if isinstance(module, recurrent.SEQUENCES):
        state = inputs[1] if len(inputs) > 1 else None
        recurrent.sequence(module, received, state, name, counter.tally)
        name = f"{name}.l{module.num_layers - 1}"
    else:
        rows = received.x.shape[0] if first.dim() > 1 else 1
        tally = counter.tally(name, type(module).__name__, first.numel() // max(1, rows))
        _layer(counter, module, inputs, received, first, tally)
    # What comes out has its origin here.
    kind = received.kind if layers.keeps_kind(module) else "real"
    outputs = output if isinstance(output, tuple) else (output,)
    for value in outputs:
        if isinstance(value, Tensor):
            counter.origin[value] = (name, "binary" if spikes and value is first else kind)


def _layer(
    counter: ModuleCounter,
    module: nn.Module,
    inputs: tuple[Any, ...],
    received: Received,
    output: Tensor,
    tally: Tally,
) -> None:
    """Count one pass of a module by the rule of its class."""
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
    """Return the hidden state that a cell was called with."""
    state = inputs[1] if len(inputs) > 1 else None
    return state[0] if isinstance(state, tuple) else state


class _Watch(TorchFunctionMode):
    """Watches what a network computes between its modules."""

    def __init__(self, counter: ModuleCounter) -> None:
        super().__init__()
        self.counter = counter

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        output = func(*args, **given)
        if self.counter.inside == 0:
            self._on_function(getattr(func, "__name__", str(func)), args, given, output)
        return output

    def _on_function(self, name: str, args: tuple[Any, ...], given: dict[str, Any], output: Any) -> None:
        """Count an operation between modules, or refuse it where it is not known."""
        each = [*args, *given.values()]
        flat = [value for part in each for value in (part if isinstance(part, list | tuple) else (part,))]
        known = [value for value in flat if isinstance(value, Tensor) and value in self.counter.origin]
        origins = [self.counter.origin[value] for value in known]
        if name in ADDING and len(origins) > 1:
            tally = self.counter.tally("residual additions", "add", 1)
            tally.counts["residual_additions"] += output.numel()
            self.counter.origin[output] = ("residual additions", "real")
        elif name in FREE or (origins and name in DROPPING and not _is_training_dropout(name, args, given)):
            self._mark_output(origins, output)
        elif len(known) == 1 and functions.is_counted(name) and isinstance(output, Tensor):
            (origin,) = origins
            self._function(name, Received(known[0], *origin), (args[1:], given), output)
        elif origins:
            raise InputError(
                f"the counter does not know '{name}' between modules of {type(self.counter.network).__name__}; "
                "use a module in its place"
            )

    def _function(
        self, name: str, received: Received, given: tuple[tuple[Any, ...], dict[str, Any]], output: Tensor
    ) -> None:
        """Count a function that does what a module does, or adds values up."""
        label = self._label(name, received.source)
        tally = self.counter.tally(
            label, name, output.numel() // max(1, output.shape[0] if output.dim() else 1)
        )
        with torch._C.DisableTorchFunction():
            kind = functions.count_function(name, received, given, output, tally)
        self.counter.origin[output] = (label, kind)

    def _label(self, name: str, source: str) -> str:
        """Name a function's calls by the module they stand in and their source: the same in every time step."""
        inside = self.counter.around[-1] if self.counter.around else self.counter.network
        prefix = "" if inside is self.counter.network else f"{self.counter.names[inside]}."
        kept = MOST_LETTERS - len(f"{prefix}{name}()")
        return f"{prefix}{name}({source[: max(0, kept)]})"[:MOST_LETTERS]

    def _mark_output(self, origins: list[tuple[str, str]], output: Any) -> None:
        """Mark an output with the sources that it was computed from: real-valued if one of them is.

        Args:
            origins: of each input the module that made it, and "binary" or "real".
            output: a tensor, or several.
        """
        if not origins:
            return
        kind = "real" if any(origin_kind == "real" for _, origin_kind in origins) else "binary"
        source = "+".join(dict.fromkeys(source for source, _ in origins))[:MOST_LETTERS]
        for value in output if isinstance(output, list | tuple) else (output,):
            if isinstance(value, Tensor):
                self.counter.origin[value] = (source, kind)


def _is_training_dropout(name: str, args: tuple[Any, ...], given: dict[str, Any]) -> bool:
    """Return whether a call of dropout trains.

    Raises:
        InputError: it does.
    """
    # The third argument is called training, or train; those of alpha do not train unless asked to.
    by_place = dict(enumerate(args)).get(2, not name.endswith("alpha_dropout"))
    if given.get("training", given.get("train", by_place)):
        raise InputError(f"'{name}' drops values; call it with training=self.training, and eval() before")
    return False


KNOWN: dict[str, Operations] = {
    "snntorch._neurons.leaky.Leaky": Operations(1, 2, 1, 1),  # beta u; + I, - theta s; > theta; u
    "snntorch._neurons.rleaky.RLeaky": Operations(1, 3, 1, 1),  # the same, and V s joins
    "snntorch._neurons.synaptic.Synaptic": Operations(2, 3, 1, 2),  # alpha i, beta u; + I, + i, - theta s
    "snntorch._neurons.rsynaptic.RSynaptic": Operations(2, 4, 1, 2),
}
ONE_TO_ONE = "RecurrentOneToOne"


def full_name(module: nn.Module) -> str:
    """Return where a module's class is defined, as its full name.

    >>> full_name(nn.ReLU())
    'torch.nn.modules.activation.ReLU'
    """
    return f"{type(module).__module__}.{type(module).__qualname__}"


def count_neurons(module: nn.Module, current: Tensor, spikes: Tensor, tally: Tally) -> None:
    """Count one step of a layer of spiking neurons; a current that is not 0 counts as input."""
    done = KNOWN[full_name(module)]
    updates = spikes.numel()
    tally.counts["neuron_updates"] += updates
    tally.counts["neuron_updates_with_input"] += int(torch.count_nonzero(current))
    tally.counts["neuron_multiplications"] += done.multiplications * updates
    tally.counts["neuron_additions"] += done.additions * updates
    tally.counts["neuron_comparisons"] += done.comparisons * updates
    tally.counts["state_reads"] += done.state_words * updates
    tally.counts["state_writes"] += done.state_words * updates
    tally.counts["spikes_sent"] += int(torch.count_nonzero(spikes))


def count_one_to_one(module: nn.Module, x: Tensor, source: str, tally: Tally) -> None:
    """Count the operations of one-to-one recurrent weights: each spike reaches the neuron that sent it."""
    weights = StoredWeights(
        sum(weight.numel() for weight in module.parameters()),
        sum(int((weight == 0).sum()) for weight in module.parameters()),
    )
    active = int(torch.count_nonzero(x))
    tally.connect(
        source, "one_to_one", "binary", effective=active, dense=x.numel(), weights=weights, fan_in=1
    )
