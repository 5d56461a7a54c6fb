"""Measures the robustness of a finished run: the scores of its selected weights on disturbed validation data."""

import itertools
import logging
import math
from collections.abc import Iterable, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fastspiking.signals.trajectory import Batch
from sgbench.diagnosis.robustness import DISTURBANCES, Disturbed, RobustnessCurve, Score, checked_names
from sgbench.diagnosis.text import severity_text
from sgbench.errors import InputError, require_count
from sgbench.networks.base import Network
from sgbench.plots.style import BLUE, SOFT
from sgbench.records.content import Scores
from sgbench.training.build import on_device
from sgbench.training.evaluation import Evaluation
from sgbench.training.stored_run import StoredRun, load_selected
from sgbench.training.train_step import Epochs, TrainLoop

NAMES = tuple(DISTURBANCES)
log = logging.getLogger("sgbench")


def measure_robustness(
    run: StoredRun, disturbances: Sequence[str], *, levels: Sequence[float] | None, draws: int, batches: int | None
) -> list[RobustnessCurve]:
    """Measure how the validation score of a finished run falls with each disturbance, severity by severity.

    `disturbances`: their names. `levels`: severities of one disturbance; None takes the default ones of each.
    `draws`: number of draws of each random disturbance. `batches`: most batches of the split; None takes all.
    """
    names = checked_names(disturbances)
    if batches is not None:
        require_count("--batches", batches)
    load_selected(run)
    run.parts.data.setup()
    torch.set_num_threads(run.spec.trainer.threads)

    def validation() -> Iterable[Batch]:
        first_batches = itertools.islice(run.parts.data.evaluation("validation"), batches)
        return (on_device(batch, run.parts.device) for batch in first_batches)

    disturbed = Disturbed(
        run.parts.network,
        validation,
        make_scorer(run),
        seed=run.spec.seed,
        dt_s=run.spec.method.protocol.dt_s,
        input_is_spikes=run.parts.encoder.output == "binary",
        draws=draws,
    )
    curves = disturbed.curves(names, levels)
    if batches is None:
        _compare_with_record(run, curves)
    return curves


def make_scorer(run: StoredRun) -> Score:
    """Return a function that scores a network on batches, with the spike noise and slopes of the selected epoch."""
    epochs = Epochs(run.parts.steepness, run.spec.method.protocol.epochs, run.spec.seed)
    epoch = 0 if run.record is None else run.record.best_epoch or 0

    def score(network: Network, batches: Iterable[Batch]) -> Scores:
        epochs.begin(network, "validation", epoch)
        loop = TrainLoop(network, run.parts.rule, run.parts.objective, clip_norm=None)
        evaluation = Evaluation(network, dt_s=run.spec.method.protocol.dt_s)
        for batch in batches:
            evaluation.update(batch, *loop.evaluate(batch))
        return evaluation.scores()

    return score


def _compare_with_record(run: StoredRun, curves: Sequence[RobustnessCurve]) -> None:
    """Warn if the undisturbed score, with which each curve begins, is not that of the run's record."""
    scores = None if run.record is None else run.record.validation
    curve = next((curve for curve in curves if curve.points), None)
    if scores is None or curve is None:
        return
    expected = scores.loss if curve.measure == "loss" else scores.accuracy
    undisturbed = curve.points[0].mean
    if undisturbed != expected:
        log.warning(
            "%s: undisturbed %s is %.6g, the record says %.6g; another machine or version rounds otherwise",
            run.name,
            curve.measure,
            undisturbed,
            expected or 0.0,
        )


MOST_COLUMNS = 3


def robustness_figure(measured: Sequence[RobustnessCurve]) -> Figure:
    """Draw a panel for each disturbance, with severities at equal distances and the undisturbed score on the left."""
    curves = [curve for curve in measured if curve.points]
    if not curves:
        raise InputError("--plot: nothing was measured that could be drawn")
    measure = curves[0].measure
    columns = min(MOST_COLUMNS, len(curves))
    rows = math.ceil(len(curves) / columns)
    figure = Figure(figsize=(4.4 * columns, 3.5 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).flatten()
    for panel, curve in zip(panels, curves, strict=False):
        _draw_curve(panel, curve)
    for panel in panels[len(curves) :]:
        panel.set_axis_off()
    for row in range(rows):
        panels[row * columns].set_ylabel(f"validation {measure}")
    if measure == "accuracy":
        panels[0].set_ylim(0, 1.02)
    return figure


def _draw_curve(panel: Axes, curve: RobustnessCurve) -> None:
    severities, means, lowest, highest = zip(*curve.points, strict=True)
    positions = range(len(means))
    panel.axhline(means[0], color=SOFT, linewidth=0.9, linestyle="--")
    panel.fill_between(positions, lowest, highest, color=BLUE, alpha=0.2, linewidth=0)
    panel.plot(positions, means, color=BLUE, marker="o", markersize=4, linewidth=1.6)
    area = "" if curve.area is None else f", area {curve.area:.2f}"
    panel.set_title(f"{curve.name}{area}", loc="left", fontsize=12)
    panel.set_xticks(positions, [severity_text(severity) for severity in severities])
    panel.tick_params(axis="x", labelsize=10)
    panel.set_xlabel(curve.meaning, fontsize=9)
