"""Calibration of a recurrent network's surrogate width by passing steps, measured before training.

Passing steps are the mean number of steps over which a layer passes gradient on; see `diagnosis.passing`. They are
measured with a seed that is not reported.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch

from fastspiking.signals.trajectory import POTENTIAL, SPIKES, Batch, valid_steps
from sgbench.composition.plan import RunPlan
from sgbench.diagnosis.passing import RecurrentLayer, passing_steps, width_for
from sgbench.errors import InputError
from sgbench.networks.base import Network
from sgbench.records.calibration import Calibration, LayerSteps, Reset, is_auto
from sgbench.records.spec import Protocol, RunSpec
from sgbench.surrogates.base import Surrogate
from sgbench.training.build import Parts, build
from sgbench.training.train_step import Epochs

TARGETS: dict[Reset, float] = {"attached": 2.8, "detached": 1.0}
"""Maps the gradient of the reset to the passing steps that lost least accuracy in the study of surrogates."""
BATCHES = 4
"""Most batches of the first epoch's training data that are measured."""
FIRST_SEED = 100
"""Smallest seed for calibration where a protocol names no tuning seeds; seeds of the protocol are skipped."""
TOLERANCE = 0.1
"""Relative difference from the target that rounding a width to two significant digits may leave."""
WIDTH = "width_fwhm"


def calibrate(spec: RunSpec) -> RunSpec:
    """Replace `width_fwhm=auto` in a spec by a measured width [threshold units]; return other specs unchanged."""
    return calibrate_specs([spec])[0]


def calibrate_specs(specs: Iterable[RunSpec]) -> list[RunSpec]:
    """Calibrate several specs, as `calibrate` does one; those that differ in the seed alone share a measurement."""
    by_method: dict[str, Calibration] = {}
    calibrated = []
    for spec in specs:
        if not is_auto(spec.method.parameters["surrogate"]):
            calibrated.append(spec)
            continue
        key = spec.method.model_dump_json()
        if key not in by_method:
            by_method[key] = calibration_of(spec)
        found = by_method[key]
        calibrated.append(with_width(spec, found.width_fwhm).model_copy(update={"calibration": found}))
    return calibrated


def calibrate_plan(plan: RunPlan) -> RunPlan:
    """Replace `width_fwhm=auto` in a plan's specs by measured widths."""
    return replace(plan, specs=tuple(calibrate_specs(plan.specs)))


def calibration_of(spec: RunSpec, target: float | None = None) -> Calibration:
    """Find the surrogate width at which the mean passing steps of recurrent layers equal a target.

    Weights and samples are those of the protocol's first tuning seed, whatever the spec's seed. The width found is
    measured again, so that initial weights that depend on it are noticed.

    `spec`: of a recurrent network with a fixed width, trained by back-propagation through time. `target`: passing
    steps; None means those of `TARGETS` for the spec's gradient of the reset.
    """
    _require_fixed(spec)
    is_attached = spec.method.parameters["neuron"].get("reset_gradient") == "attached"
    reset: Reset = "attached" if is_attached else "detached"
    target = TARGETS[reset] if target is None else target
    first = measure_first_pass(with_width(spec, 1.0))  # any width: it does not change the potentials
    width = width_for(first.layers, first.surrogate, target)
    second = measure_first_pass(with_width(spec, width), first)
    steps = [passing_steps(layer, second.surrogate) for layer in second.layers]
    mean = sum(steps) / len(steps)
    if abs(mean - target) > TOLERANCE * target:
        raise InputError(
            f"init={spec.method.choices['init']}: weights depend on the width, which passing steps cannot choose "
            f"then ({mean:.2g} for {target:g} at width {width:g}); use init=kaiming"
        )
    return Calibration(
        width_fwhm=width,
        target=target,
        reset_gradient=reset,
        seed=seed_for_choosing(spec.method.protocol),
        samples=sum(len(batch.lengths) for batch in first.batches),
        layers=layer_steps(second.layers, steps),
    )


class FirstPass(NamedTuple):
    """Holds the measurements of one forward pass of a recurrent network with its initial weights."""

    layers: tuple[RecurrentLayer, ...]  # potentials of each recurrent layer
    surrogate: Surrogate  # of the first hidden layer; all have the same width
    batches: tuple[Batch, ...]  # training data that were run
    weights: dict[str, torch.Tensor]  # the network's initial state_dict


def measure_first_pass(spec: RunSpec, before: FirstPass | None = None) -> FirstPass:
    """Run a recurrent network forward with the initial weights and the data of the first tuning seed.

    `spec`: of the network; its seed is not used. `before`: the same network's pass with another width, or None. Its
    batches are used again, and if all weights are equal its potentials too, since a width does not change the forward
    pass.
    """
    spec = spec.model_copy(update={"seed": seed_for_choosing(spec.method.protocol)})
    parts = build(spec)
    _require_recurrent(parts.network)
    weights = {name: value.clone() for name, value in parts.network.state_dict().items()}
    if before is not None and _equal_tensors(weights, before.weights):
        return before._replace(surrogate=_surrogate(parts.network))
    if before is None:
        parts.data.setup()
        batches = tuple(itertools.islice(parts.data.epoch(0), BATCHES))
    else:
        batches = before.batches
    layers = _recurrent_layers(parts, batches, spec)
    return FirstPass(layers, _surrogate(parts.network), batches, weights)


def _equal_tensors(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def seed_for_choosing(protocol: Protocol) -> int:
    """Return the protocol's first tuning seed; if it names none, a seed that is not reported."""
    if protocol.tuning_seeds is not None:
        return protocol.tuning_seeds[0]
    return next(seed for seed in itertools.count(FIRST_SEED) if seed not in protocol.seeds)


def with_width(spec: RunSpec, width: float) -> RunSpec:
    """Return a copy of a spec whose surrogate has this width [threshold units]."""
    method = spec.method
    surrogate = {**method.parameters["surrogate"], WIDTH: width}
    parameters = {**method.parameters, "surrogate": surrogate}
    return spec.model_copy(update={"method": method.model_copy(update={"parameters": parameters})})


def layer_steps(layers: Sequence[RecurrentLayer], steps: Sequence[float]) -> tuple[LayerSteps, ...]:
    return tuple(
        LayerSteps(name=layer.name, passing_steps=float(f"{own:.4g}")) for layer, own in zip(layers, steps, strict=True)
    )


def _require_fixed(spec: RunSpec) -> None:
    """Check that a method's surrogate has a width that stays fixed, and is all that back-propagation uses."""
    choices, parameters = spec.method.choices, spec.method.parameters
    if not parameters["surrogate"]:
        raise InputError(
            f"network={choices['network']}: has no spiking neurons, so that there is no width to choose; use "
            f"network=mlp"
        )
    if WIDTH not in parameters["surrogate"]:
        raise InputError(f"surrogate={choices['surrogate']}: has no width that could be chosen; use surrogate=atan")
    for group, required, reason in (
        ("steepness", "fixed", "a width that is learnt or scheduled does not stay what was chosen"),
        ("firing", "step", "what is sent has a slope of its own"),
        ("rule", "bptt", "passing steps are about gradients through the whole sequence"),
    ):
        if choices.get(group) != required:
            raise InputError(f"{group}={choices.get(group)}: {reason}; use {group}={required}")
    if parameters["rule"].get("window") is not None:
        raise InputError(
            f"rule.window={parameters['rule']['window']}: passing steps are about gradients through the whole "
            f"sequence; use rule.window=null"
        )


def _require_recurrent(network: Network) -> None:
    """Raise an InputError unless a hidden layer is recurrent, and passes gradient on through its recurrent spikes."""
    hidden = network.hidden_layers if network.spiking else []
    recurrent = [layer for layer in hidden if layer.recurrence != "none"]
    if not recurrent:
        raise InputError(
            "the network is not recurrent, and passing steps choose a width for recurrent ones alone; use "
            "network.recurrence=all_to_all, or see: sgbench recommend"
        )
    if any(layer.cut for layer in recurrent):
        raise InputError(
            "network.recurrence_gradient=cut: recurrent spikes pass no gradient on, whatever the width; see: "
            "sgbench recommend"
        )


def _surrogate(network: Network) -> Surrogate:
    """Return the surrogate of the first hidden layer; an InputError if its neurons have none."""
    surrogate = getattr(network.hidden_layers[0].neuron, "surrogate", None)
    if not isinstance(surrogate, Surrogate):
        raise InputError("the neurons have no surrogate, whose width could be chosen; use neuron=leaky")
    return surrogate


@torch.no_grad()
def _recurrent_layers(parts: Parts, batches: Sequence[Batch], spec: RunSpec) -> tuple[RecurrentLayer, ...]:
    """Run the network on batches; return the potentials of each recurrent layer in the samples' valid steps."""
    network = parts.network
    Epochs(parts.steepness, spec.method.protocol.epochs, spec.seed).begin(network, "train", 0)
    hidden = list(network.hidden_layers)
    recurrent = [index for index, layer in enumerate(hidden) if layer.recurrence != "none"]
    potentials: list[list[torch.Tensor]] = [[] for _ in recurrent]
    fired, samples = 0, 0
    for batch in batches:
        x, lengths = batch.x.to(parts.device), batch.lengths.to(parts.device)
        trajectory = network.unroll(x, lengths, keep=frozenset({POTENTIAL, SPIKES}))
        if min(len(trajectory.u), len(trajectory.spikes)) < len(hidden):
            raise InputError("a hidden layer does not show its potentials; use network=mlp")
        is_valid = valid_steps(lengths, x.shape[0])  # [steps, samples]
        samples += len(lengths)
        for of_layer, index in zip(potentials, recurrent, strict=True):
            of_layer.append(trajectory.u[index][is_valid])
            fired += int((trajectory.spikes[index][is_valid] != 0).sum())
    if not fired:
        raise InputError(
            "no recurrent neuron fires in the batch, so that nothing is passed on; start louder (init.gain=3)"
        )
    return tuple(
        RecurrentLayer(hidden[index].name, torch.cat(of_layer), samples * hidden[index].neurons)
        for of_layer, index in zip(potentials, recurrent, strict=True)
    )
