"""Makes the tables of a method's page: seeds, layers, energy, verifications and provenance."""

import math
from collections.abc import Callable, Sequence

from sgbench.energy.price import price
from sgbench.energy.text import joules_interval, price_words
from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Charts, Series, line_of, thinned, value_text
from sgbench.records.content import EpochScores, LayerActivity
from sgbench.records.counts import Count, LayerCounts
from sgbench.records.record import RunRecord
from sgbench.statistics.intervals import Scale, summarise
from sgbench.tables import NONE, inert, number_text
from sgbench.tables.table import Cell, Column, Note, Table, number, numbers, texts

SHOWN_COMMIT = 12


def seed_table(records: Sequence[RunRecord], board: Board, *, claim: str = "") -> Table:
    """Build a table with one line for each seed: scores, selected epoch, costs, and why a run failed."""
    is_loss = board.measure.is_loss
    columns = (Column("seed", is_number=True), *texts("status"))
    columns += () if is_loss else numbers("test accuracy, %", "validation accuracy, %")
    columns += numbers("test loss", "validation loss", "selected epoch", "training, s")
    caption = f"Every seed; its training time is {claim}" if claim else "Every seed"
    return Table(caption, (*columns, *texts("failure")), tuple(_seed(record, is_loss=is_loss) for record in records))


def _seed(record: RunRecord, *, is_loss: bool) -> tuple[Cell, ...]:
    """Return a seed's cells; accuracies are left out where the score is a loss."""
    splits = (record.test, record.validation)
    accuracies = [None if scores is None else scores.accuracy for scores in splits]
    losses = [None if scores is None else scores.loss for scores in splits]
    failure = record.failure
    return (
        Cell(str(record.seed), float(record.seed)),
        Cell(record.status),
        *([] if is_loss else [number(accuracy, f"{100 * (accuracy or 0):.2f}") for accuracy in accuracies]),
        *(number(loss, f"{loss or 0:.4g}") for loss in losses),
        number(record.best_epoch, str(record.best_epoch)),
        number(record.timing.fit_s, number_text(record.timing.fit_s)),
        Cell(NONE if failure is None else f"{inert(failure.kind)}: {inert(failure.message)}"),
    )


def layer_table(records: Sequence[RunRecord]) -> Table | None:
    """Build the table of each layer's activity and counts; None if no record has any."""
    activity: dict[str, list[LayerActivity]] = {}
    counts: dict[str, list[tuple[LayerCounts, int]]] = {}  # with the count of samples
    for record in records:
        for layer_activity in record.test.activity if record.test else ():
            activity.setdefault(layer_activity.name, []).append(layer_activity)
        for layer in record.counts.layers if record.counts else ():
            counts.setdefault(layer.name, []).append((layer, record.counts.samples if record.counts else 1))
    names = list(dict.fromkeys([*counts, *activity]))
    if not names:
        return None
    columns = (
        *texts("layer"),
        *numbers("neurons", "rate, Hz", "spikes a neuron and step", "silent, %", "always firing, %"),
        *numbers("spikes", "synaptic operations", "neuron updates"),
    )
    rows = tuple(_layer(name, activity.get(name, []), counts.get(name, [])) for name in names)
    return Table("Layers on the test split, an inference, means over seeds", columns, rows)


def _layer(name: str, activity: Sequence[LayerActivity], counts: Sequence[tuple[LayerCounts, int]]) -> tuple[Cell, ...]:
    """Return a layer's cells, means over seeds."""
    rates = [
        (mean([layer.rate_hz for layer in activity]), 1.0),
        (mean([layer.rate_per_step for layer in activity]), 1.0),
        (mean([layer.dead_fraction for layer in activity]), 100.0),
        (mean([layer.saturated_fraction for layer in activity]), 100.0),
    ]
    operations = [
        _mean_count(counts, lambda layer: [layer.spikes_sent]),
        _mean_count(counts, lambda layer: [group.effective for group in layer.synapses]),
        _mean_count(counts, lambda layer: [layer.neuron_updates]),
    ]
    neurons = counts[0][0].neurons if counts else None
    return (
        Cell(inert(name), is_code=True),
        number(neurons, f"{neurons or 0:,}"),
        *(number(rate, number_text((rate or 0.0) * unit)) for rate, unit in rates),
        *(number(count, number_text(count or 0.0)) for count in operations),
    )


def mean(values: Sequence[float]) -> float | None:
    """Compute a mean, or return None for no values.

    >>> mean([1.0, 3.0]), mean([])
    (2.0, None)
    """
    return math.fsum(values) / len(values) if values else None


def _mean_count(
    counts: Sequence[tuple[LayerCounts, int]], pick: Callable[[LayerCounts], Sequence[Count]]
) -> float | None:
    """Average a layer's count per inference over seeds; None if a seed was not counted.

    `counts`: the layer's counts and the count of samples of each seed. `pick`: returns the counts that are added.
    """
    per_inference = []
    for layer, samples in counts:
        totals = [count.total for count in pick(layer)]
        if None in totals:
            return None
        per_inference.append(sum(total for total in totals if total is not None) / samples)
    return mean(per_inference)


def energy_tables(row: MethodRow, board: Board) -> list[Table]:
    """Build a table for each of the board's targets, of the energy of each layer's operations."""
    counts = row.costs.counts
    if counts is None:
        return []
    columns = (*texts("layer", "operation"), *numbers("count", "energy"), *texts("price"))
    tables = []
    for target in board.targets:
        estimate = price(counts, target=target, dt_s=board.protocol.dt_s)
        rows = tuple(
            (
                Cell(NONE if term.layer is None else inert(term.layer), is_code=True),
                Cell(term.operation.replace("_", " ")),
                number(term.count_per_inference, number_text(term.count_per_inference)),
                Cell(joules_interval(term.energy_nj), term.energy_nj.value),
                Cell(price_words(term)),
            )
            for term in estimate.by_layer or estimate.terms
        )
        gaps = [Note(f"left out: {gap}") for gap in estimate.missing]
        notes = (*(Note(f"no total: {inert(reason)}") for reason in estimate.reasons), *gaps)
        total = joules_interval(estimate.dynamic_nj)
        caption = f"{target.name}: dynamic energy of an inference, {total}{' (a part)' if gaps else ''}"
        tables.append(Table(caption, columns, rows, head=1, notes=notes))
    return tables


def verification_table(row: MethodRow, board: Board) -> Table | None:
    """Build the table of claimed and verified scores, one line for each check; None without a check."""
    checks = () if row.listing is None else row.listing.provenance.verifications
    if not checks:
        return None
    measure = board.measure
    columns = (*texts("tier", "passed", "by", "seeds"), *numbers("claimed", "verified"), *texts("what was found"))
    rows = tuple(
        (
            Cell(check.tier),
            Cell("yes" if check.passed else "no"),
            Cell(check.verifier),
            Cell(", ".join(map(str, check.seeds))),
            Cell(measure.text(check.claimed), check.claimed),
            Cell(measure.text(check.verified), check.verified),
            Cell(check.statement),
        )
        for check in checks
    )
    return Table(f"Claimed and verified, {measure.title}", columns, rows)


def provenance_table(records: Sequence[RunRecord], *, claim: str = "") -> Table:
    """Build the table of each seed's code, processor and data; `claim` is a note on who states them."""
    columns = (Column("seed", is_number=True), *texts("commit", "made", "engine", "device", "processor"))
    columns += texts("python", "torch", "data")
    rows = []
    for record in records:
        provenance = record.provenance
        commit = NONE if provenance.commit is None else provenance.commit[:SHOWN_COMMIT]
        changed = " with changes" if provenance.clean is False else ""
        row = (
            Cell(str(record.seed), float(record.seed)),
            Cell(commit + changed, is_code=True),
            Cell(provenance.created_utc),
            Cell(inert(provenance.engine)),
            Cell(inert(provenance.device)),
            Cell(inert(provenance.processor)),
            Cell(inert(provenance.python)),
            Cell(inert(provenance.versions.get("torch", NONE))),
            Cell(NONE if provenance.data_sha256 is None else provenance.data_sha256[:SHOWN_COMMIT], is_code=True),
        )
        rows.append(row)
    return Table(f"Provenance, {claim}" if claim else "Provenance", columns, tuple(rows))


MEAN = "mean"
"""Name of the line with the mean of all finished seeds."""
Pick = Callable[[EpochScores], float | None]


def curve_charts(records: Sequence[RunRecord], board: Board, *, claim: str = "") -> Charts:
    """Build charts of the validation score and training loss of every epoch, each with the mean of finished seeds.

    `records`: records of the method. `board`: board of the method. `claim`: note on who states the values that no check
    repeats; empty for none.
    """
    if board.measure.is_loss:
        first = _chart(records, "validation loss", lambda epoch: epoch.validation_loss, "positive")
    else:
        first = _chart(records, "validation accuracy", lambda epoch: epoch.validation_accuracy, "share")
    loss = _chart(records, "training loss", lambda epoch: epoch.train_loss, "positive")
    note = f"; {claim}" if claim else ""
    caption = f"Every epoch of every seed{note}. The mean and its 95 % interval are of the epochs that all have."
    return Charts(caption, (first, loss))


def _chart(records: Sequence[RunRecord], title: str, pick: Pick, scale: Scale) -> Chart:
    """Make the chart of one score over epochs; `pick` returns it from an epoch's scores, `scale` is its range."""
    unit = 100.0 if scale == "share" else 1.0
    curves = [(record, _points(record, pick)) for record in records]
    seeds = [
        line_of(f"seed {record.seed}", [(x, unit * y) for x, y in points], key="each seed", tone="soft")
        for record, points in curves
    ]
    finished = [dict(points) for record, points in curves if record.failure is None and points]
    shared = sorted(set.intersection(*map(set, finished))) if len(finished) > 1 else []
    means = [_mean(epoch, [curve[epoch] for curve in finished], unit, scale) for epoch in shared]
    mean = Series(MEAN, thinned(means), is_line=True, is_marked=False, has_band=True)
    values = [point.y for series in seeds for point in series.points]
    is_log = scale == "positive" and min(values, default=0.0) > 0 and max(values) > 10 * min(values)
    ends = (min(values), max(values)) if values else None  # intervals of few seeds can be far wider
    y_axis = ChartAxis(f"{title}, %" if scale == "share" else title, is_log, ends=ends)
    return Chart(f"{title} of every epoch", ChartAxis("epoch"), y_axis, (*seeds, mean))


def _points(record: RunRecord, pick: Pick) -> list[tuple[float, float]]:
    pairs = [(float(epoch.epoch), pick(epoch)) for epoch in record.curve]
    return [(epoch, y) for epoch, y in pairs if y is not None and math.isfinite(y)]


def _mean(epoch: float, values: Sequence[float], unit: float, scale: Scale) -> ChartPoint:
    """Make the point of the mean over seeds at an epoch, with its interval; `unit` multiplies scores."""
    is_inside = all(value > 0 and (scale != "share" or value < 1) for value in values)  # else the scale has no end
    summary = summarise(values, scale=scale if is_inside else "real")
    ends = None if summary.ends is None else (unit * summary.ends[0], unit * summary.ends[1])
    y = unit * summary.mean
    return ChartPoint(epoch, y, f"epoch {epoch:g}, {value_text(y, ends)}", y_ends=ends)
