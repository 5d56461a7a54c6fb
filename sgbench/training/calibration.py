"""The width of a recurrent network by passing steps, measured before training with a seed that reports nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch

from sgbench.composition.plan import RunPlan
from sgbench.diagnosis.passing import RecurrentLayer, passing_steps, width_for
from sgbench.errors import InputError
from sgbench.networks.base import Network
from sgbench.records.calibration import Calibration, LayerSteps, Reset, is_auto
from sgbench.records.spec import Protocol, RunSpec
from sgbench.signals.trajectory import POTENTIAL, SPIKES, Batch, valid_steps
from sgbench.surrogates.base import Surrogate
from sgbench.training.build import Parts, build
from sgbench.training.epochs import Epochs

TARGETS: dict[Reset, float] = {"attached": 2.8, "detached": 1.0}
"""Passing steps that lost least on the recurrent tasks of the study of surrogates, by the gradient of the reset."""
BATCHES = 4
"""Of the first epoch's training data, at most."""
FIRST_SEED = 100
"""Where a protocol names no tuning seeds: the first from here on that is none of its seeds."""
TOLERANCE = 0.1
"""Relative difference from the target that two significant digits of a width may leave."""
WIDTH = "width_fwhm"


def calibrated(spec: RunSpec) -> RunSpec:
    """Replace `width_fwhm=auto` by a measured width [threshold units]; another spec is returned unchanged.

    Raises:
        InputError: the method is none that passing steps choose a width for.
    """
    return calibrated_specs([spec])[0]


def calibrated_specs(specs: Iterable[RunSpec]) -> list[RunSpec]:
    """Put measured widths in place of `width_fwhm=auto`, one for each method whatever its seeds.

    Raises:
        InputError: as `calibrated`.
    """
    found: dict[str, Calibration] = {}
    done = []
    for spec in specs:
        if not is_auto(spec.method.parameters["surrogate"]):
            done.append(spec)
            continue
        key = spec.method.model_dump_json()
        if key not in found:
            found[key] = calibration_of(spec)
        done.append(with_width(spec, found[key].width_fwhm).model_copy(update={"calibration": found[key]}))
    return done


def calibrated_plan(plan: RunPlan) -> RunPlan:
    """Put measured widths in place of `width_fwhm=auto` in a plan.

    Raises:
        InputError: as `calibrated`.
    """
    return replace(plan, specs=tuple(calibrated_specs(plan.specs)))


def calibration_of(spec: RunSpec, target: float | None = None) -> Calibration:
    """Measure one forward pass and find the width at which passing steps are the target.

    The weights and samples are those of the protocol's first tuning seed, whatever the spec's seed. The width is
    tried out in the end, so that weights that depend on it are noticed.

    Args:
        spec: of a recurrent network with a fixed width, by back-propagation through time.
        target: passing steps; None takes `TARGETS` by the gradient of the reset.

    Raises:
        InputError: one line that says what keeps passing steps from choosing a width.
    """
    _require_fixed(spec)
    reset = reset_of(spec)
    wanted = TARGETS[reset] if target is None else target
    first = measured(with_width(spec, 1.0))
    width = width_for(first.layers, first.surrogate, wanted)
    tried = measured(with_width(spec, width), first)
    steps = [passing_steps(layer, tried.surrogate) for layer in tried.layers]
    has = sum(steps) / len(steps)
    if abs(has - wanted) > TOLERANCE * wanted:
        raise InputError(
            f"init={spec.method.choices['init']}: weights depend on the width, which passing steps cannot choose "
            f"then ({has:.2g} for {wanted:g} at width {width:g}); use init=kaiming"
        )
    return Calibration(
        width_fwhm=width,
        target=wanted,
        reset_gradient=reset,
        seed=seed_for_choosing(spec.method.protocol),
        samples=sum(len(batch.lengths) for batch in first.batches),
        layers=layer_steps(tried.layers, steps),
    )


class FirstPass(NamedTuple):
    """Holds what recurrent layers did in one forward pass as training begins."""

    layers: tuple[RecurrentLayer, ...]  # recurrent ones
    surrogate: Surrogate  # of the first hidden layer; all have the same width
    batches: tuple[Batch, ...]  # that were run
    weights: dict[str, torch.Tensor]  # as training begins, and whatever else is saved of the network


def measured(spec: RunSpec, before: FirstPass | None = None) -> FirstPass:
    """Run a recurrent network forward as training begins, with weights and data of the first tuning seed.

    Args:
        spec: of the network; its seed plays no part.
        before: the same network's pass with another width. Its batches are taken, and its potentials too where all
            weights are equal: the width does not act forward.

    Raises:
        InputError: no layer is recurrent with its whole gradient, or none of its neurons fires.
    """
    choosing = spec.model_copy(update={"seed": seed_for_choosing(spec.method.protocol)})
    parts = build(choosing)
    _require_recurrent(parts.network)
    weights = {name: value.clone() for name, value in parts.network.state_dict().items()}
    if before is not None and _equal_tensors(weights, before.weights):
        return before._replace(surrogate=_surrogate(parts.network))
    if before is None:
        parts.data.setup()
        batches = tuple(itertools.islice(parts.data.epoch(0), BATCHES))
    else:
        batches = before.batches
    layers = _recurrent_layers(parts, batches, choosing)
    return FirstPass(layers, _surrogate(parts.network), batches, weights)


def _equal_tensors(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    """Return whether two networks have the same tensors under the same names."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def seed_for_choosing(protocol: Protocol) -> int:
    """Return the first tuning seed; where none are named, the first from 100 on that is none of the seeds."""
    if protocol.tuning_seeds is not None:
        return protocol.tuning_seeds[0]
    return next(seed for seed in itertools.count(FIRST_SEED) if seed not in protocol.seeds)


def reset_of(spec: RunSpec) -> Reset:
    """Return whether the gradient goes through the reset of hidden neurons; where none says so, it does not."""
    return "attached" if spec.method.parameters["neuron"].get("reset_gradient") == "attached" else "detached"


def with_width(spec: RunSpec, width: float) -> RunSpec:
    """Return the spec of a run whose surrogate has a width."""
    method = spec.method
    surrogate = {**method.parameters["surrogate"], WIDTH: width}
    parameters = {**method.parameters, "surrogate": surrogate}
    return spec.model_copy(update={"method": method.model_copy(update={"parameters": parameters})})


def layer_steps(layers: Sequence[RecurrentLayer], steps: Sequence[float]) -> tuple[LayerSteps, ...]:
    """Name the layer of each number of passing steps, to four significant digits."""
    return tuple(
        LayerSteps(name=layer.name, passing_steps=float(f"{own:.4g}"))
        for layer, own in zip(layers, steps, strict=True)
    )


def require_spikes(fired: int) -> None:
    """Refuse to choose a width where no recurrent neuron fires.

    Raises:
        InputError: one line with the remedy.
    """
    if not fired:
        raise InputError(
            "no recurrent neuron fires in the batch, so that nothing is passed on; start louder (init.gain=3)"
        )


def _require_fixed(spec: RunSpec) -> None:
    """Refuse a method whose slope has no width, changes while it learns, or is not what is back-propagated.

    Raises:
        InputError: the first thing that is wrong.
    """
    choices, parameters = spec.method.choices, spec.method.parameters
    if not parameters["surrogate"]:
        raise InputError(
            f"network={choices['network']}: has no spiking neurons, so that there is no width to choose; use "
            f"network=mlp"
        )
    if WIDTH not in parameters["surrogate"]:
        raise InputError(
            f"surrogate={choices['surrogate']}: has no width that could be chosen; use surrogate=atan"
        )
    for group, plain, why in (
        ("steepness", "fixed", "a width that is learnt or scheduled does not stay what was chosen"),
        ("firing", "step", "what is sent has a slope of its own"),
        ("rule", "bptt", "passing steps are about gradients through the whole sequence"),
    ):
        if choices.get(group) != plain:
            raise InputError(f"{group}={choices.get(group)}: {why}; use {group}={plain}")
    if parameters["rule"].get("window") is not None:
        raise InputError(
            f"rule.window={parameters['rule']['window']}: passing steps are about gradients through the whole "
            f"sequence; use rule.window=null"
        )


def _require_recurrent(network: Network) -> None:
    """Refuse a network without recurrent layers, or with a recurrent gradient that is cut.

    Raises:
        InputError: one line with the remedy.
    """
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
    """Return the surrogate of the first hidden layer; all have the same width."""
    surrogate = getattr(network.hidden_layers[0].neuron, "surrogate", None)
    if not isinstance(surrogate, Surrogate):
        raise InputError("the neurons have no surrogate, whose width could be chosen; use neuron=leaky")
    return surrogate


@torch.no_grad()
def _recurrent_layers(parts: Parts, batches: Sequence[Batch], spec: RunSpec) -> tuple[RecurrentLayer, ...]:
    """Run the batches forward as training begins, and collect the potentials of recurrent layers.

    Raises:
        InputError: no recurrent neuron fires.
    """
    network = parts.network
    Epochs(parts.steepness, spec.method.protocol.epochs, spec.seed).begin(network, "train", 0)
    hidden = list(network.hidden_layers)
    recurrent = [index for index, layer in enumerate(hidden) if layer.recurrence != "none"]
    seen: list[list[torch.Tensor]] = [[] for _ in recurrent]
    fired, samples = 0, 0
    for batch in batches:
        x, lengths = batch.x.to(parts.device), batch.lengths.to(parts.device)
        run = network.unroll(x, lengths, keep=frozenset({POTENTIAL, SPIKES}))
        if min(len(run.u), len(run.spikes)) < len(hidden):
            raise InputError("a hidden layer does not show its potentials; use network=mlp")
        valid = valid_steps(lengths, x.shape[0])
        samples += len(lengths)
        for kept, index in zip(seen, recurrent, strict=True):
            kept.append(run.u[index][valid])
            fired += int((run.spikes[index][valid] != 0).sum())
    require_spikes(fired)
    return tuple(
        RecurrentLayer(hidden[index].name, torch.cat(kept), samples * hidden[index].neurons)
        for kept, index in zip(seen, recurrent, strict=True)
    )
