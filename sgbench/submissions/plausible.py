"""Checks that the numbers of a record are consistent, since it could have been written by hand."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sgbench.records.content import FINAL
from sgbench.records.counts import OpCounts
from sgbench.records.record import RunRecord

MAX_AHEAD = timedelta(days=1)


def consistency_problems(record: RunRecord) -> Iterator[str]:
    """Yield a line with the remedy for each inconsistency in a record; of a failed run only the date is checked."""
    if datetime.fromisoformat(record.provenance.created_utc) > datetime.now(UTC) + MAX_AHEAD:
        yield "was made in the future; correct the clock and repeat the run"
    if record.status == "failed":
        return
    yield from _selection_problems(record)
    yield from _test_access_problems(record)
    if record.timing.fit_s <= 0 or record.timing.total_s < record.timing.fit_s:
        yield "its training took no time, or more than all of the run; hand in the run's own record"
    missing = sorted({"sgbench", "torch"} - record.provenance.versions.keys())
    if missing:
        yield f"names no version of {' and '.join(missing)}; hand in the run's own record"
    if record.weights_sha256 is None:
        yield "names no weights; repeat the run with this version"
    yield from _count_problems(record)


def _selection_problems(record: RunRecord) -> Iterator[str]:
    """Yield what contradicts the protocol's way to choose an epoch: a curve cut short, or another best epoch."""
    protocol, epoch = record.method.protocol, record.best_epoch
    if protocol.patience is None and len(record.curve) != protocol.epochs:
        yield f"its curve has {len(record.curve)} epochs of {protocol.epochs}; hand in the whole run"
    if epoch is None or epoch >= len(record.curve):
        return  # reported by the schema
    sign = -1 if protocol.monitor == "validation_loss" else 1
    scores = [sign * getattr(line, protocol.monitor) for line in record.curve]
    if scores[epoch] < max(scores):
        yield f"best_epoch {epoch} is not the one that {protocol.monitor} selects, {scores.index(max(scores))}"


def _test_access_problems(record: RunRecord) -> Iterator[str]:
    """Yield a line unless the test split was used only in the last step, and at most once a start of the run."""
    if record.test_selected is not None:
        yield (
            "its test split was scored after every epoch (test_selected): a run that shows what selecting on it "
            "flatters cannot be told from one that does; repeat it with trainer.watch_test_score=false force=true"
        )
        return
    if record.test_access is None:
        return
    early = next((stage for stage in record.test_access if stage != FINAL), None)
    if early is not None:
        yield f"its test split was touched at a stage other than the last ({early}); repeat the run without that"
    times, resumed = record.test_access.count(FINAL), record.timing.resumed
    if times > 1 + resumed:
        yield f"its test split was touched {times} times, and the run was resumed {resumed} times; repeat it"


def _count_problems(record: RunRecord) -> Iterator[str]:
    """Yield a line for each inconsistent count.

    A clocked machine executes every synapse in every step, so dense counts are multiples of neurons times steps.
    """
    counts = record.counts
    if counts is None:
        return
    for layer in counts.layers:
        for group in layer.synapses:
            dense = group.dense.total
            whole = group.wiring != "convolution"  # neurons at the border of an image have fewer synapses
            if whole and dense is not None and dense % (layer.neurons * counts.steps):
                yield f"counts: {layer.name} has no whole number of synapses from {group.source} to each neuron"
    yield from _square_problems(counts)


def _square_problems(counts: OpCounts) -> Iterator[str]:
    """Yield a line for each sum of squares over samples that no counts with the stated total can have."""
    if counts.spread is None:
        return
    operations = [group.effective.total for layer in counts.layers for group in layer.synapses]
    spikes = [layer.spikes_sent.total for layer in counts.layers]
    for name, parts in (("synaptic_operations", operations), ("spikes_sent", spikes)):
        squares = getattr(counts.spread, f"{name}_squared").total
        if squares is None or None in parts:
            continue
        total = sum(part or 0 for part in parts)
        # By Cauchy and Schwarz total^2 <= samples * squares, and squares <= total^2 as no number is negative.
        if not total**2 <= squares * counts.samples or squares > total**2:
            yield f"counts.spread: {name}_squared {squares} is not of {counts.samples} samples with {total} in all"
