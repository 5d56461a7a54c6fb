"""Compares a record with a network built from its method and weights, without running it."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load

from sgbench.energy.count import OperationCounter
from sgbench.energy.modules import counter_of
from sgbench.errors import InputError
from sgbench.networks.base import Network
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
    through = [group.effective.total or 0 for group in layer.synapses]
    return {
        "spikes": layer.spikes_sent.total or 0,
        "reached": layer.neuron_updates_with_input.total or 0,
        **dict(zip(("arriving", "returning"), through, strict=False)),
    }


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
