"""Construction of a run's objects from its spec: the one place where names become classes."""

import functools
import importlib
import inspect
import itertools
import re
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer

from fastspiking.choose import Choice, Engine
from fastspiking.signals.streams import generator
from fastspiking.signals.trajectory import Batch
from sgbench.datasets.base import DataSet
from sgbench.datasets.batches import SpikingData
from sgbench.datasets.redrawn import draw
from sgbench.encoders.base import Encoder
from sgbench.errors import InputError
from sgbench.firing.base import Firing
from sgbench.networks.base import Network, Provided, surrogates
from sgbench.records.spec import RunSpec
from sgbench.rules.base import LearningRule, Objective
from sgbench.schedules.base import Moment, RateSchedule
from sgbench.steepness.base import Steepness
from sgbench.surrogates.base import Surrogate
from sgbench.training.compatibility import check_parts

DECORATED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
"""Methods of `Optimizer` that torch excludes from compilation; each would import the compiler at its first call."""
PROVIDED: dict[str, tuple[str, ...]] = {
    "augmentation": (), "callback": ("run_dir",), "dataset": (), "dropout": (), "encoder": ("image",), "firing": (),
    "init": (), "logger": ("spec", "run_dir"), "loss": (), "network": ("provided",),
    "neuron": ("surrogate", "features", "generator"), "normalisation": (), "optimizer": ("params",),
    "regulariser": (), "rule": ("dt_s",), "schedule": (), "weights": (), "steepness": (), "surrogate": (),
}  # fmt: skip
"""Maps each group of the catalogue to the arguments that the builder provides; YAML files set all others."""

OTHER_FORMS = ("foreach", "capturable", "differentiable")
"""Options of torch's Adam that exclude its fused form."""
ADAM, DECOUPLED = "torch.optim.Adam", "decoupled_weight_decay"
DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.float32}
"""Maps `protocol.precision` to the type of weights, states and input."""
COARSE = {"bfloat16": torch.bfloat16}
"""Maps `protocol.precision` to the type of feed-forward products, where that is coarser."""


@dataclass(frozen=True)
class Parts:
    """Holds all objects of a run."""

    data: SpikingData
    encoder: Encoder
    network: Network
    rule: LearningRule
    steepness: Steepness
    objective: Objective
    optimizer: Optimizer
    schedule: RateSchedule
    engine: Choice
    device: torch.device


def construct(where: str, target: str, parameters: Mapping[str, Any], **provided: Any) -> Any:
    """Import a class or function and call it with its parameters, and those provided arguments that it has.

    `where`: group of the catalogue, for messages. `target`: dotted path, which was checked against the allow-list when
    the spec was composed. `parameters`: keyword arguments from the spec. `provided`: further arguments; those that the
    signature lacks are dropped.
    """
    module, _, name = target.rpartition(".")
    try:
        callee = getattr(importlib.import_module(module), name)
        if where == "dataset" and inspect.isclass(callee) and not issubclass(callee, DataSet):
            callee = _adapt_tonic(callee)
        accepted = inspect.signature(callee).parameters
    except Exception as error:  # importing a user's file runs it
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        remedy = "; pip install 'sgbench[tonic]'" if getattr(error, "name", None) == "tonic" else ""
        raise InputError(f"{where}: target {target} cannot be imported: {reason}{remedy}") from error
    if inspect.isabstract(callee):
        missing = sorted(callee.__abstractmethods__)
        raise InputError(
            f"{where}: {target} does not define {', '.join(missing)}; write what its base class says of it "
            f"({'; '.join(_described_method(callee, name) for name in missing)}), as docs/worked_entries.md shows"
        )
    known = {key: value for key, value in provided.items() if key in accepted}
    try:
        return callee(**known, **parameters)
    except InputError as error:
        if where != "readout":
            raise
        # A neuron does not know that it is the readout, whose key the user sets.
        raise InputError(re.sub(r"\bneuron\.", "readout.", str(error))) from error
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RuntimeError, MemoryError) as error:
        raise InputError(f"{where} ({target}): {' '.join(str(error).split())}") from error


def _adapt_tonic(dataset_class: type) -> Any:
    """Return a factory that wraps a user's own `tonic.Dataset` as a `DataSet`; return any other class unchanged."""
    if not hasattr(dataset_class, "sensor_size"):
        return dataset_class
    from sgbench.datasets.tonic_sets import OwnTonic  # only here, as few runs need it

    return functools.partial(OwnTonic, dataset_class)


def _described_method(owner: type, name: str) -> str:
    """Return a method's name with the first line of its docstring, for messages."""
    docstring = inspect.getdoc(getattr(owner, name)) or "no description"
    return f"{name}: {docstring.splitlines()[0].removesuffix('.')}"


def data_of(spec: RunSpec, dtype: torch.dtype) -> SpikingData:
    """Build a run's data set with its encoder and augmentation; `setup()` loads it later."""
    protocol = spec.method.protocol
    data_set: DataSet = _part(spec, "dataset")
    if protocol.draw == "per_seed":
        data_set = draw(data_set, spec.seed)
    encoder: Encoder = _part(spec, "encoder", image=data_set.image)
    return SpikingData(
        data_set,
        encoder,
        augmentation=_part(spec, "augmentation"),
        first=protocol.first_samples,
        data_dir=Path(spec.paths.data_dir),
        batch_size=protocol.batch_size,
        seed=spec.seed,
        dtype=dtype,
    )


def build(spec: RunSpec) -> Parts:
    """Build all objects of a run, on its device and in its precision; `parts.data.setup()` loads the data later."""
    protocol = spec.method.protocol
    dtype = DTYPES[protocol.precision]
    device = pick_device(spec.trainer.device)
    engine = Engine(spec.engine, device)
    data = data_of(spec, dtype)
    data_set, encoder = data.data_set, data.encoder
    steepness: Steepness = _part(spec, "steepness")
    rule: LearningRule = _part(spec, "rule", dt_s=protocol.dt_s)
    try:
        network = build_network(spec, data_set, encoder, engine, steepness)
    except InputError as error:
        raise InputError(rule.add_rule_to_remedies(str(error))) from error
    rule.begin(network, generator(spec.seed, "initialisation", "rule"))
    network.to(device=device, dtype=dtype)
    if protocol.precision in COARSE:
        network.coarsen(COARSE[protocol.precision])
    objective = Objective(loss=_part(spec, "loss"), regulariser=_part(spec, "regulariser"))
    check_parts(spec, data_set, network, rule, objective)
    rule.check(network, objective)
    schedule: RateSchedule = _part(spec, "schedule")
    first_batch = Moment(epoch=0, epochs=protocol.epochs, batch=0, batches=1, losses=())
    schedule.factor(first_batch)  # raises an error if the schedule does not fit the protocol
    return Parts(
        data=data,
        encoder=encoder,
        network=network,
        rule=rule,
        steepness=steepness,
        objective=objective,
        optimizer=optimizer_of(spec, network.parameters(), device),
        schedule=schedule,
        engine=network.runs_on(),
        device=device,
    )


def build_network(spec: RunSpec, data_set: DataSet, encoder: Encoder, engine: Engine, steepness: Steepness) -> Network:
    """Build the network with its initial weights, in float64 so that these depend on the seed alone."""
    firing: Firing = _part(spec, "firing")
    weights = generator(spec.seed, "initialisation")

    def make_surrogate() -> Surrogate:
        surrogate: Surrogate = _part(spec, "surrogate")
        firing.begin(surrogate)
        return surrogate

    def make_neurons(group: str, features: int) -> Any:
        neuron = _part(spec, group, surrogate=make_surrogate(), features=features, generator=weights)
        for surrogate in surrogates(neuron):
            steepness.begin(surrogate)
        return neuron

    provided = Provided(
        n_inputs=encoder.channels(data_set.n_inputs),
        n_outputs=data_set.outputs(),
        make_neuron=functools.partial(make_neurons, "neuron"),
        make_readout=functools.partial(make_neurons, "readout"),
        init=_part(spec, "init"),
        generator=weights,
        engine=engine,
        data_image=encoder.image_of(data_set.image),
    )
    network: Network = _part(spec, "network", provided=provided)
    network.normalise(_part(spec, "normalisation"))
    network.drop(_part(spec, "dropout"))
    network.quantise(_part(spec, "weights"))
    return network


def optimizer_of(spec: RunSpec, weights: Iterable[torch.nn.Parameter], device: torch.device) -> Optimizer:
    """Build the optimiser of some weights; Adam on a CPU is fused unless the spec chooses another form."""
    target, values = spec.targets["optimizer"], dict(spec.method.parameters["optimizer"])
    form_is_free = values.get("fused", False) is None and not any(values.get(form) for form in OTHER_FORMS)
    if form_is_free and target in (ADAM, f"{ADAM}W") and device.type == "cpu":
        values["fused"] = True
    if DECOUPLED in values and DECOUPLED not in inspect.signature(torch.optim.Adam).parameters:
        is_decoupled = values.pop(DECOUPLED)  # an argument that torch 2.6 lacks: its AdamW is the decoupled Adam
        target = f"{ADAM}W" if is_decoupled else target
    leave_uncompiled()
    optimizer: Optimizer = construct("optimizer", target, values, params=list(weights))
    for stepping in (optimizer, getattr(optimizer, "base", None)):  # Sam steps by another optimiser, its `base`
        if isinstance(stepping, Optimizer):
            step_uncompiled(stepping)
    if values.get("fused"):
        optimizer.register_step_pre_hook(lay_out_gradients)
    return optimizer


def lay_out_gradients(optimizer: Optimizer, *_: object) -> None:
    """Copy each gradient whose memory layout differs from its weight's, since torch's fused step assumes the same.

    A layer's weights are stored by columns, which engines read; a rule may compute gradients by rows.
    """
    for group in optimizer.param_groups:
        for weight in group["params"]:
            if weight.grad is not None and weight.grad.stride() != weight.stride():
                weight.grad = torch.empty_like(weight).copy_(weight.grad)


def _part(spec: RunSpec, group: str, **provided: Any) -> Any:
    """Construct the chosen object of a group, e.g. "loss", with the spec's parameters; see `construct`."""
    return construct(group, spec.targets[group], spec.method.parameters[group], **provided)


def pick_device(wanted: str) -> torch.device:
    """Return the device of this name; "auto" is CUDA if there is such a device, else the CPU."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise InputError("trainer.device=cuda: torch finds no CUDA device; use trainer.device=cpu")
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


PROBED = 4
"""Number of validation batches on which a run is diagnosed during training."""


def some_batches(parts: Parts) -> list[Batch]:
    """Return the first `PROBED` validation batches, on the run's device."""
    batches = itertools.islice(parts.data.evaluation("validation"), PROBED)
    return [on_device(batch, parts.device) for batch in batches]


def on_device(batch: Batch, device: torch.device) -> Batch:
    """Copy a batch to a device; a copy from pinned memory goes on while the device computes."""
    x, *other_fields = batch
    return Batch(x.to(device, non_blocking=True), *(field.to(device, non_blocking=True) for field in other_fields))


def leave_uncompiled() -> None:
    """Let torch's optimisers be made and cleared without an import of the compiler, which takes long.

    Torch looks up the uncompiled version of each method of `DECORATED` in `__dynamo_disable`, and asks the compiler
    for it only if that is missing. Since nobody compiles these methods, this version is the method itself.
    """
    for name in DECORATED:
        method = getattr(getattr(Optimizer, name), "__wrapped__", None)
        if method is not None and not hasattr(method, "__dynamo_disable"):
            method.__dynamo_disable = method


def step_uncompiled(optimizer: Optimizer) -> None:
    """Let an optimiser step without an import of the compiler; its hooks and its numbers stay what they are."""
    step = type(optimizer).step
    while (inner := getattr(step, "__wrapped__", None)) is not None:
        if step.__code__.co_name == "_use_grad":  # torch's wrapper, which imports the compiler in each step
            mode = torch.enable_grad if optimizer.defaults.get("differentiable") else torch.no_grad
            plain = mode()(inner)
            optimizer.step = types.MethodType(Optimizer.profile_hook_step(plain), optimizer)  # type: ignore[method-assign]
            return
        step = inner
