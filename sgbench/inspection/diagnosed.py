"""Diagnose the network of a run, given by its record or by overrides."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from sgbench.diagnosis import levels
from sgbench.diagnosis.advice import NOTHING
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
from sgbench.inspection.stored_run import StoredRun, begin, load_selected, stored_run
from sgbench.records.diagnosis import PANELS, Diagnosis, LinePoint
from sgbench.signals.streams import generator
from sgbench.signals.trajectory import Batch

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

    Args:
        overrides: the folder of a run, or Hydra overrides, e.g. "experiment=digits", "surrogate=triangle".
        weights: "initial" or, for a finished run, "selected".
        panels: "agreement" of the gradient with references, its "flow" through layers and steps, "activity".
        batches: most batches of the validation split.
        config_dirs: folders with entries of your own.
        allow_targets: exact names of classes outside the catalogue that may be imported.

    Raises:
        InputError: overrides that do not compose, or a missing record, weights or data.
        NonFiniteError: weights are NaN or infinite.
    """
    run = stored_run(overrides, config_dirs=config_dirs, allow_targets=allow_targets)
    return diagnosed(run, weights, panels, batches)


def diagnosed(run: StoredRun, weights: str, panels: Sequence[str], batches: int) -> Diagnosis:
    """Diagnose the network of a rebuilt run.

    Args:
        run: a run; its network is left with these weights.
        weights: "initial" or "selected"; the latter replace the initial weights for good.
        panels: names from `PANELS`.
        batches: most batches of the validation split.

    Raises:
        InputError: an unknown name, or missing weights or data.
    """
    panels = checked_panels(panels)
    require_count("--batches", batches)
    epoch = 0
    if weights == "selected":
        load_selected(run)
        epoch = run.record.best_epoch or 0 if run.record is not None else 0
    elif weights != "initial":
        raise InputError(f"--weights {weights}: one or both of {', '.join(WEIGHTS)} are needed")
    begin(run, "train", epoch)
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
    found = _with_level(found, run) if weights == "initial" else found
    return _of_unlearnt(found, run) if run.is_at_chance else found


def measured_widths(run: StoredRun, *, weights: str, batches: int) -> list[WidthMeasures]:
    """Measure the statistics for adaptive widths in each layer and step of a run's network.

    Args:
        run: a rebuilt run.
        weights: "initial" or "selected".
        batches: most batches of the validation split.

    Raises:
        InputError: an unknown name, or missing weights or data.
    """
    require_count("--batches", batches)
    _put_weights(run, weights)
    network, objective = run.parts.network, run.parts.objective
    return width_measures([trace(network, batch, objective) for batch in validation_batches(run, batches)])


def _with_level(found: Diagnosis, run: StoredRun) -> Diagnosis:
    """Add to the advice what passing steps predict for a recurrent network, if its levels are known."""
    parameters = run.spec.method.parameters
    if parameters["neuron"].get("reset_gradient") != "detached":
        return found
    if parameters["surrogate"].get("normalisation") != "peak1":
        return found
    steps = [layer.passing_steps for layer in found.layers if layer.recurrent and layer.passing_steps]
    if not steps:
        return found
    return found.model_copy(update={"advice": (*found.advice, levels.sentence(fmean(steps)))})


def _of_unlearnt(found: Diagnosis, run: StoredRun) -> Diagnosis:
    """Replace the forecast of a run that is no better than guessing: nothing was learnt."""
    measure, validation = run.measure, run.record and run.record.validation
    unit = "" if measure.is_loss else " %"
    said = (
        f"nothing was learnt: a validation {measure.kind} of {measure.text(measure.of(validation))}{unit} is no "
        f"better than guessing, {measure.text(measure.guess)}{unit}: {REMEDIES}"
    )
    changes: dict[str, Any] = {"advice": (said, *(line for line in found.advice if line != NOTHING))}
    if found.outlook == "fine":
        reason = "the gradient stands out in nothing, and yet the run ended no better than guessing"
        changes |= {"outlook": None, "reasons": {**found.reasons, "outlook": reason}}
    return found.model_copy(update=changes)


def validation_batches(run: StoredRun, count: int) -> list[Batch]:
    """Load the first batches of the validation split.

    Raises:
        InputError: the data are not there.
    """
    run.parts.data.setup()
    return [
        Batch(batch.x.to(run.parts.device), *(part.to(run.parts.device) for part in batch[1:]))
        for batch in itertools.islice(run.parts.data.evaluation("validation"), count)
    ]


def scanned_line(
    run: StoredRun, *, batches: int, points: int, first: float, last: float
) -> tuple[LinePoint, ...]:
    """Scan the loss between the initial and the selected weights of a run.

    Args:
        run: a finished run.
        batches: count of validation batches over which the loss is averaged.
        points: count of points on the line.
        first: alpha of the first point; the initial weights have alpha = 0.
        last: alpha of the last point; the selected weights have alpha = 1.

    Raises:
        InputError: fewer than three points, an empty line, or missing weights or data.
    """
    begin(run, "train", 0)
    loss = whole_loss(run.parts.network, validation_batches(run, batches), run.parts.objective)
    start = loss.weights()
    end = loss.weights_of(load_selected(run))
    return line_between(loss, start, end, points=points, first=first, last=last)


def looped(
    run: StoredRun, *, weights: str, batches: int, radius: float, points: int, planes: int
) -> list[LoopSamples]:
    """Integrate the surrogate gradient of a run around closed loops in random planes.

    Args:
        run: a rebuilt run.
        weights: centre of the loops, "initial" or "selected".
        batches: count of validation batches over which the loss is averaged.
        radius: of the loops, as a fraction of the norm of the weights.
        points: count of points on each loop.
        planes: count of random planes, with one loop in each.

    Raises:
        InputError: a value out of range, or missing weights or data.
    """
    loss = loss_around(run, weights, batches)
    drawn = generator(run.spec.seed, "diagnosis", "loop")
    return closed_loops(loss, drawn, radius=radius, points=points, planes=planes)


def scanned_plane(
    run: StoredRun, *, weights: str, towards: str | None, batches: int, radius: float, points: int
) -> Plane:
    """Scan the loss of a run over a plane of weights, whose directions have the length of the radius.

    Args:
        run: a rebuilt run.
        weights: centre of the plane, "initial" or "selected".
        towards: "selected" for a first direction from the initial to the selected weights, which lie at a = 1
            if the centre is the initial ones; None: both directions are drawn.
        batches: count of validation batches over which the loss is averaged.
        radius: length of drawn directions, as a fraction of the norm of the weights.
        points: count of points along each side.

    Raises:
        InputError: a value out of range, or missing weights or data.
    """
    if towards not in (None, "selected"):
        raise InputError(f"--towards {towards}: selected is needed, or nothing for two random directions")
    length = require_number("--radius", radius, low=0, open_low=True)
    loss = loss_around(run, weights, batches)
    centre = loss.weights()
    length *= centre.norm().item() or 1.0
    way = None
    if towards == "selected":
        way = loss.weights_of(load_selected(run)) - centre
        if not bool(way.any()):
            raise InputError("--towards selected: the middle are the selected weights; use --weights initial")
        length = way.norm().item()
    first, second = length * two_directions(
        len(centre), generator(run.spec.seed, "diagnosis", "plane"), first=way
    )
    ends = (-1.0, 1.0) if way is None else (-0.5, 1.5)
    return plane(loss, centre, first, second, points=points, ends=ends)


def loss_around(run: StoredRun, weights: str, batches: int) -> WeightLoss:
    """Build the loss of a run as a function of its weights, which start at the initial or selected ones.

    Raises:
        InputError: an unknown name, or missing weights or data.
    """
    require_count("--batches", batches)
    _put_weights(run, weights)
    return whole_loss(run.parts.network, validation_batches(run, batches), run.parts.objective)


def _put_weights(run: StoredRun, weights: str) -> None:
    """Load the initial or selected weights into the network of a run, in training mode.

    Raises:
        InputError: an unknown name, or missing weights.
    """
    if weights == "selected":
        load_selected(run)
    elif weights != "initial":
        raise InputError(f"--weights {weights}: one of {', '.join(WEIGHTS)} is needed")
    begin(run, "train", 0)
