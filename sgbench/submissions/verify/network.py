"""Compares a record with a network built from its method and weights, without running it."""

import math
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load

from sgbench.energy.count import OperationCounter
from sgbench.energy.modules import counter_of
from sgbench.errors import InputError
from sgbench.networks.base import Network
from sgbench.records.content import Scores
from sgbench.records.counts import LayerCounts, OpCounts
from sgbench.records.record import RunRecord
from sgbench.training.build import DTYPES, Parts

SHOWN = 3
"""Most differences that a message lists."""
SHOWN_CHARS = 40
Amount = int | str | None


class Difference(NamedTuple):
    """Names one number of a record that disagrees with its network."""

    key: str  # dotted key in the record, e.g. counts.layers.0.state_reads
    claimed: Amount  # the number in the record
    recounted: Amount  # the number of its network

    def __str__(self) -> str:
        return f"{self.key} is {_amount_text(self.claimed)}, its network has {_amount_text(self.recounted)}"


def load_weights(network: Network, data: bytes, name: str) -> None:
    """Load stored weights into a network with exactly their names and shapes."""
    try:
        network.load_state_dict(load(data))
    except (RuntimeError, ValueError, KeyError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{name}: does not fit the network of the method: {reason}") from error


def misfits(record: RunRecord, parts: Parts) -> Iterator[Difference]:
    """Yield the numbers of a finished record that disagree with the shapes and weights of its network.

    Events are taken as claimed, since counting them needs a run; everything that follows from them is recomputed.
    """
    parameters = parts.network.deployed_numbers
    if record.parameters != parameters:
        yield Difference("parameters", record.parameters, parameters)
    bits = DTYPES[record.method.protocol.precision].itemsize * 8
    counter = counter_of(parts.network, parts.encoder.output, bits=bits)
    if record.counts is not None and isinstance(counter, OperationCounter):
        counts = record.counts.model_copy(update={"spread": None})
        recounted = _counts_from_events(counts, counter).model_copy(update={"spread": None})
        yield from differences(counts, recounted)


def _counts_from_events(claimed: OpCounts, counter: OperationCounter) -> OpCounts:
    counter.samples, counter.steps = claimed.samples, claimed.steps
    for total, layer in zip(counter.totals, claimed.layers, strict=False):
        total.update(_events(layer))
    counter.totals[0]["events"] = claimed.input_events.total or 0
    return counter.result()


def _events(layer: LayerCounts) -> dict[str, int]:
    """Map the counter's names to the counts of a layer that only a run can measure.

    Arriving events are those through the first group of synapses, returning ones those through recurrent synapses.
    """
    events = {"spikes": layer.spikes_sent.total or 0, "reached": layer.neuron_updates_with_input.total or 0}
    for name, group in zip(("arriving", "returning"), layer.synapses, strict=False):  # not every layer is recurrent
        events[name] = group.effective.total or 0
    return events


def differences(claimed: OpCounts, recounted: OpCounts) -> Iterator[Difference]:
    """Yield all numbers, names and reasons in which two counts differ, in the order of the record."""
    ours = dict(_amounts(recounted.model_dump(), "counts"))
    theirs = dict(_amounts(claimed.model_dump(), "counts"))
    for key in dict.fromkeys([*theirs, *ours]):
        if theirs.get(key) != ours.get(key):
            yield Difference(key, theirs.get(key), ours.get(key))


def _amounts(tree: object, path: str) -> Iterator[tuple[str, Amount]]:
    """Yield (dotted key, value) of every leaf of a tree at `path`; of a count its total, or why it has none."""
    if isinstance(tree, dict):
        if tree.keys() == {"total", "reason"}:
            yield path, tree["reason"] if tree["total"] is None else tree["total"]
            return
        for key, value in tree.items():
            yield from _amounts(value, f"{path}.{key}")
    elif isinstance(tree, list | tuple):
        for index, value in enumerate(tree):
            yield from _amounts(value, f"{path}.{index}")
    else:
        assert tree is None or isinstance(tree, int | str)  # noqa: S101 - counts hold nothing else
        yield path, tree


def summary(found: Iterable[Difference]) -> str | None:
    """Describe the first three differences in one line; None without any.

    >>> summary([Difference("parameters", 1, 68)])
    'parameters is 1, its network has 68'
    """
    lines = [str(difference) for difference in found]
    if not lines:
        return None
    more = f"; and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return f"{'; '.join(lines[:SHOWN])}{more}"


def _amount_text(value: Amount) -> str:
    if value is None:
        return "none"
    return " ".join(re.sub(r"[^A-Za-z0-9_.+-]", " ", str(value)).split())[:SHOWN_CHARS].strip()


COUNT_TOLERANCE = 0.01
"""Relative tolerance of a spike-dependent count, since rounding depends on the processor."""
LEAST_LOSS = 0.01
"""Relative tolerance of a loss, since rounding depends on the processor."""
DISAGREEMENT = 0.001
"""Share of predictions that may differ."""
ROUNDING = 1e-9
SMALL_LOSS = 1e-3
"""Absolute tolerance of a loss of classes, which one sample changes by more than rounding does."""
SPIKE_DEPENDENT = (
    "input_events",
    "spikes_sent",
    "neuron_updates_with_input",
    "effective",
    "weight_reads",
    "delay_operations",
)
SUMS_OF_SQUARES = ("synaptic_operations_squared", "spikes_sent_squared")
"""Sums over samples of squared spike-dependent counts; all counts but spike-dependent ones follow from shapes."""


def count_differences(record: RunRecord, counts: OpCounts, test: Scores, validation: Scores) -> Iterator[str]:
    """Yield a line for each number of a record that running its stored weights again does not give, up to rounding."""
    if record.counts is not None:
        for difference in differences(record.counts, counts):
            if not _within(difference, counts):
                yield str(difference)
    for name, claimed, again in (("test", record.test, test), ("validation", record.validation, validation)):
        if claimed is not None:
            yield from _scores(name, claimed, again)
            yield from _activity(name, claimed, again, counts)


def _within(difference: Difference, counts: OpCounts) -> bool:
    """Return whether rounding on another processor explains a difference; true only of spike-dependent counts.

    `counts` are those of the rerun. Sums of squares that an older record lacks are no difference.
    """
    claimed, again = difference.claimed, difference.recounted
    if not isinstance(claimed, int) or not isinstance(again, int):
        return difference.key.startswith("counts.spread") and claimed is None  # the record predates it
    name = difference.key.rpartition(".")[2]
    if name not in SPIKE_DEPENDENT and name not in SUMS_OF_SQUARES:
        return False
    relative = COUNT_TOLERANCE if name in SPIKE_DEPENDENT else (1 + COUNT_TOLERANCE) ** 2 - 1
    slack = COUNT_TOLERANCE * counts.samples * _operations_per_event(difference.key, counts)
    return abs(claimed - again) <= max(relative * max(claimed, again), slack)


def _operations_per_event(key: str, counts: OpCounts) -> int:
    """Return the most operations that one event can add to a count, squared for a sum of squares.

    So the tolerance of a layer that hardly fires is one event in 100 samples. `key` is the dotted key of the count.
    """
    *parents, name = key.split(".")
    if name in ("input_events", "spikes_sent", "spikes_sent_squared"):
        return 1
    if name == "synaptic_operations_squared":
        return sum(layer.neurons * (layer.synapses_per_pair or 1) for layer in counts.layers) ** 2
    layer = counts.layers[int(parents[2])]  # counts.layers.<index>
    return layer.neurons * (layer.synapses_per_pair or 1)


def _scores(name: str, claimed: Scores, again: Scores) -> Iterator[str]:
    """Yield a line for each score on the split `name` that differs by more than rounding explains."""
    if (claimed.samples, claimed.labels) != (again.samples, again.labels):
        yield f"{name}.samples is {claimed.samples}, its network has {again.samples}"
    small = ROUNDING if claimed.accuracy is None else SMALL_LOSS
    if not math.isclose(claimed.loss, again.loss, rel_tol=LEAST_LOSS, abs_tol=small):
        yield f"{name}.loss is {claimed.loss:.4g}, its network has {again.loss:.4g}"
    if claimed.accuracy is not None and again.accuracy is not None:
        one_sample = 1 / (claimed.labels or claimed.samples)
        if abs(claimed.accuracy - again.accuracy) > max(one_sample, DISAGREEMENT) + ROUNDING:
            yield f"{name}.accuracy is {claimed.accuracy:.4f}, its network has {again.accuracy:.4f}"


def _activity(name: str, claimed: Scores, repeated: Scores, counts: OpCounts) -> Iterator[str]:
    """Yield a line for each layer whose activity on the split `name` differs between record and rerun.

    Allowed are 1 % of a rate, or one spike in 100 samples, and one silent or saturated neuron, or one in 100.
    """
    stated_layers, actual_layers = ({line.name: line for line in scores.activity} for scores in (claimed, repeated))
    if stated_layers.keys() != actual_layers.keys():
        yield f"{name}.activity is of {len(stated_layers)} layers, its network has {len(actual_layers)}, or other names"
        return
    neurons = {layer.name: layer.neurons for layer in counts.layers}
    for layer in actual_layers:
        one_neuron = 1 / neurons[layer]
        for field in ("rate_per_step", "dead_fraction", "saturated_fraction"):
            stated, actual = getattr(stated_layers[layer], field), getattr(actual_layers[layer], field)
            if field == "rate_per_step":
                allowed = COUNT_TOLERANCE * max(stated, actual, one_neuron * counts.samples / counts.steps)
            else:
                allowed = max(one_neuron, COUNT_TOLERANCE)
            if abs(stated - actual) > allowed + ROUNDING:
                yield f"{name}.activity: {field} of {layer} is {stated:.4g}, its network has {actual:.4g}"
