"""Diagnoses the network of a run, given by its record or by overrides."""

import itertools
import logging
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from fastspiking.signals.streams import generator
from fastspiking.signals.trajectory import Batch
from sgbench.diagnosis import advice
from sgbench.diagnosis.advice import NOTHING, why_not_fine
from sgbench.diagnosis.landscape import (
    LoopSamples,
    Plane,
    WeightLoss,
    closed_loops,
    line_between,
    plane,
    two_directions,
    whole_loss,
)
from sgbench.diagnosis.panels import checked_panels, diagnose_network
from sgbench.diagnosis.traces import trace
from sgbench.diagnosis.widths import WidthMeasures, width_measures
from sgbench.errors import InputError, require_count, require_number
from sgbench.records.diagnosis import PANELS, Diagnosis, LinePoint
from sgbench.training.build import on_device
from sgbench.training.stored_run import StoredRun, load_selected, prepare_pass, stored_run

log = logging.getLogger("sgbench")
WEIGHTS = ("initial", "selected")
REMEDIES = (
    "train longer (protocol.epochs=100) or with another learning rate (optimizer.lr=0.01), start louder "
    "(init.gain=1.5), or let time count (network.recurrence=all_to_all, or another encoder)"
)


def diagnose(
    *overrides: str,
    weights: str = "initial",
    panels: Sequence[str] = PANELS,
    batches: int = 4,
    config_dirs: Sequence[Path] = (),
    allow_targets: Sequence[str] = (),
) -> Diagnosis:
    """Diagnose why a network does or does not learn, before its training or after it.

    Four narrow layers that hardly fire; composing and building them takes seconds:

    >>> words = ["experiment=digits", "protocol.hidden=[64,64,64,64]", "surrogate=triangle", "width_fwhm=0.5"]
    >>> found = diagnose(*words, panels=["flow", "activity"])  # doctest: +SKIP
    >>> found.outlook, found.layers[0].name  # doctest: +SKIP
    ('dead', 'hidden0')

    Args:
        overrides: the folder of a run, or Hydra overrides, e.g. "experiment=digits", "surrogate=triangle".
        weights: "initial" or, for a finished run, "selected".
        panels: "agreement" of the gradient with references, its "flow" through layers and steps, "activity".
        batches: most batches of the validation split.
        config_dirs: folders with entries of your own.
        allow_targets: exact names of classes outside the catalogue that may be imported.

    Returns:
        What was measured by layer, `outlook` and `advice`.

    Raises:
        InputError: overrides cannot be composed, or a record, weights or data are missing.
        NonFiniteError: weights are NaN or infinite.
    """
    run = stored_run(overrides, config_dirs=config_dirs, allow_targets=allow_targets)
    return diagnose_run(run, weights, panels, batches)


def diagnose_run(run: StoredRun, weights: str, panels: Sequence[str], batches: int) -> Diagnosis:
    """Diagnose the network of a rebuilt run.

    `weights`: "initial", or "selected", which the network keeps. `panels`: names from `PANELS`. `batches`: most batches
    of the validation split.
    """
    panels = checked_panels(panels)
    require_count("--batches", batches)
    epoch = 0
    if weights == "selected":
        load_selected(run)
        epoch = 0 if run.record is None else run.record.best_epoch or 0
    elif weights != "initial":
        raise InputError(f"--weights {weights}: one or both of {', '.join(WEIGHTS)} are needed")
    prepare_pass(run, "train", epoch)
    found = diagnose_network(
        run.parts.network,
        run.parts.rule,
        validation_batches(run, batches),
        run.parts.objective,
        generator=generator(run.spec.seed, "diagnosis", weights),
        panels=panels,
        weights_name=weights,
        split="validation",
    )
    hidden_layers = found.layers[:-1]  # the last one is the readout
    if found.outlook == "fine" and (reason := why_not_fine(hidden_layers)):
        found = found.model_copy(update={"outlook": None, "reasons": {**found.reasons, "outlook": reason}})
    if weights == "initial":
        found = _add_passing_steps_advice(found, run)
    return _report_nothing_learnt(found, run) if run.is_at_chance else found


def measure_widths(run: StoredRun, *, weights: str, batches: int) -> list[WidthMeasures]:
    """Measure in each layer and step of a run's network the statistics from which adaptive widths are chosen.

    `run`: a rebuilt run. `weights`: "initial" or "selected". `batches`: most batches of the validation split.
    """
    require_count("--batches", batches)
    _load_weights(run, weights)
    network, objective = run.parts.network, run.parts.objective
    return width_measures([trace(network, batch, objective) for batch in validation_batches(run, batches)])


def _add_passing_steps_advice(found: Diagnosis, run: StoredRun) -> Diagnosis:
    """Add to the advice of a diagnosis what its passing steps predict for training.

    It is known for recurrent networks with a detached reset and surrogates of peak 1; others are left unchanged.
    """
    parameters = run.spec.method.parameters
    if parameters["neuron"].get("reset_gradient") != "detached":
        return found
    if parameters["surrogate"].get("normalisation") != "peak1":
        return found
    steps = [layer.passing_steps for layer in found.layers if layer.recurrent and layer.passing_steps]
    if not steps:
        return found
    return found.model_copy(update={"advice": (*found.advice, advice.sentence(fmean(steps)))})


def _report_nothing_learnt(found: Diagnosis, run: StoredRun) -> Diagnosis:
    """Put first in a diagnosis's advice that the run ended at chance; an outlook "fine" is withdrawn."""
    measure, validation = run.measure, run.record and run.record.validation
    unit = "" if measure.is_loss else " %"
    sentence = (
        f"nothing was learnt: a validation {measure.kind} of {measure.text(measure.of(validation))}{unit} is no "
        f"better than guessing, {measure.text(measure.guess)}{unit}: {REMEDIES}"
    )
    changes: dict[str, Any] = {"advice": (sentence, *(line for line in found.advice if line != NOTHING))}
    if found.outlook == "fine":
        reason = "the gradient stands out in nothing, and yet the run ended no better than guessing"
        changes |= {"outlook": None, "reasons": {**found.reasons, "outlook": reason}}
    return found.model_copy(update=changes)


def validation_batches(run: StoredRun, count: int) -> list[Batch]:
    """Load the first `count` batches of the validation split onto the run's device."""
    run.parts.data.setup()
    batches = itertools.islice(run.parts.data.evaluation("validation"), count)
    return [on_device(batch, run.parts.device) for batch in batches]


def scan_line(run: StoredRun, *, batches: int, points: int, first: float, last: float) -> tuple[LinePoint, ...]:
    """Compute the loss along the line through the initial and the selected weights of a run.

    `batches`: number of batches of the loss. `points`: points on the line. `first`, `last`: alpha of the first
    and the last point; the initial weights have alpha = 0, the selected ones alpha = 1.
    """
    prepare_pass(run, "train", 0)
    loss = whole_loss(run.parts.network, validation_batches(run, batches), run.parts.objective)
    initial = loss.weights()
    selected = loss.weights_of(load_selected(run))
    return line_between(loss, initial, selected, points=points, first=first, last=last)


def integrate_loops(
    run: StoredRun, *, weights: str, batches: int, radius: float, points: int, planes: int
) -> list[LoopSamples]:
    """Integrate the surrogate gradient of a run around closed loops in random planes.

    `weights`: centre of the loops, "initial" or "selected". `batches`: number of batches of the loss. `radius`: as a
    fraction of the norm of the weights. `points`: on each loop. `planes`: number of random planes, one loop in each.
    """
    loss = loss_of_weights(run, weights, batches)
    random = generator(run.spec.seed, "diagnosis", "loop")
    return closed_loops(loss, random, radius=radius, points=points, planes=planes)


def scan_plane(run: StoredRun, *, weights: str, towards: str | None, batches: int, radius: float, points: int) -> Plane:
    """Compute the loss of a run on a grid in a plane of weights, centre + a first + b second.

    `run`: a rebuilt run. `weights`: centre of the plane, "initial" or "selected". `towards`: "selected" takes the first
    direction from the centre to the selected weights, which then lie at a = 1; the second has the same length. None
    draws both directions at random. `batches`: number of validation batches over which the loss is averaged. `radius`:
    length of random directions, as a fraction of the norm of the weights. `points`: number of points along each side.
    """
    if towards not in (None, "selected"):
        raise InputError(f"--towards {towards}: selected is needed, or nothing for two random directions")
    length = require_number("--radius", radius, low=0, open_low=True)
    loss = loss_of_weights(run, weights, batches)
    centre = loss.weights()
    length *= centre.norm().item() or 1.0
    direction = None
    if towards == "selected":
        direction = loss.weights_of(load_selected(run)) - centre
        if not bool(direction.any()):
            raise InputError("--towards selected: the middle are the selected weights; use --weights initial")
        length = direction.norm().item()
    first, second = length * two_directions(
        len(centre), generator(run.spec.seed, "diagnosis", "plane"), first=direction
    )
    ends = (-1.0, 1.0) if direction is None else (-0.5, 1.5)  # along a direction, the centre is at 0, its end at 1
    return plane(loss, centre, first, second, points=points, ends=ends)


def loss_of_weights(run: StoredRun, weights: str, batches: int) -> WeightLoss:
    """Return the mean loss of a run over its first validation batches, as a function of the network's weights.

    `weights`: "initial" or "selected", which are loaded first. `batches`: number of batches.
    """
    require_count("--batches", batches)
    _load_weights(run, weights)
    return whole_loss(run.parts.network, validation_batches(run, batches), run.parts.objective)


def _load_weights(run: StoredRun, weights: str) -> None:
    """Prepare a run's network for a training pass with its "initial" or "selected" weights."""
    if weights == "selected":
        load_selected(run)
    elif weights != "initial":
        raise InputError(f"--weights {weights}: one of {', '.join(WEIGHTS)} is needed")
    prepare_pass(run, "train", 0)
