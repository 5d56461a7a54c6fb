"""What a network built from names and numbers says of a record, before anything runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load

from sgbench.energy.count import OperationCounter
from sgbench.energy.plain import counter_of
from sgbench.errors import InputError
from sgbench.networks.base import Network
from sgbench.records.counts import LayerCounts, OpCounts
from sgbench.records.record import RunRecord
from sgbench.training.build import DTYPES, Parts

SHOWN = 3
"""How many differences a message spells out."""
SHOWN_CHARS = 40
Amount = int | str | None


class Difference(NamedTuple):
    """Names one number of a record that its network contradicts."""

    place: str  # in the record, e.g. counts.layers.0.state_reads
    claimed: Amount
    recounted: Amount

    def __str__(self) -> str:
        return f"{self.place} is {_amount_text(self.claimed)}, its network has {_amount_text(self.recounted)}"


def load_weights(network: Network, data: bytes, name: str) -> None:
    """Put stored weights into a network that has exactly their names and shapes.

    Args:
        network: in place.
        data: a safetensors file that was looked at before; see `sgbench.submissions.weights.parse_weights`.
        name: of the file, for messages.

    Raises:
        InputError: a tensor is missing, or is none of the network.
    """
    try:
        network.load_state_dict(load(data))
    except (RuntimeError, ValueError, KeyError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{name}: does not fit the network of the method: {reason}") from error


def misfits(record: RunRecord, parts: Parts) -> Iterator[Difference]:
    """Yield everything in a finished record that the shapes and the stored weights of its network contradict.

    Events are taken as claimed, since they need a run; all that follows from them and from the shapes is counted.

    Args:
        record: whose counts are looked at.
        parts: of its method, the network with the record's own weights.
    """
    parameters = parts.network.deployed_numbers
    if record.parameters != parameters:
        yield Difference("parameters", record.parameters, parameters)
    bits = DTYPES[record.method.protocol.precision].itemsize * 8
    counter = counter_of(parts.network, parts.encoder.output, bits=bits)
    if record.counts is not None and isinstance(counter, OperationCounter):
        counts = record.counts.model_copy(update={"spread": None})
        yield from differences(counts, _following(counts, counter).model_copy(update={"spread": None}))


def _following(claimed: OpCounts, counter: OperationCounter) -> OpCounts:
    """Compute the counts that follow for the counter's network if the claimed events occurred."""
    counter.samples, counter.steps = claimed.samples, claimed.steps
    for total, layer in zip(counter.totals, claimed.layers, strict=False):
        total.update(_events(layer))
    counter.totals[0]["events"] = claimed.input_events.total or 0
    return counter.result()


def _events(layer: LayerCounts) -> dict[str, int]:
    """Return the counts of a layer that only a run can tell, by the counter's names; recurrent ones come last."""
    through = [group.effective.total or 0 for group in layer.synapses]
    return {
        "spikes": layer.spikes_sent.total or 0,
        "reached": layer.neuron_updates_with_input.total or 0,
        **dict(zip(("arriving", "returning"), through, strict=False)),
    }


def differences(claimed: OpCounts, recounted: OpCounts) -> Iterator[Difference]:
    """Yield all numbers, names and reasons in which two counts differ, in the order of the record."""
    ours, theirs = (
        dict(_amounts(recounted.model_dump(), "counts")),
        dict(_amounts(claimed.model_dump(), "counts")),
    )
    for place in dict.fromkeys([*theirs, *ours]):
        if theirs.get(place) != ours.get(place):
            yield Difference(place, theirs.get(place), ours.get(place))


def _amounts(tree: object, place: str) -> Iterator[tuple[str, Amount]]:
    """Yield every leaf by its place; a count is its total, or the reason why there is none."""
    if isinstance(tree, dict):
        if tree.keys() == {"total", "reason"}:
            yield place, tree["reason"] if tree["total"] is None else tree["total"]
            return
        for key, value in tree.items():
            yield from _amounts(value, f"{place}.{key}")
    elif isinstance(tree, list | tuple):
        for index, value in enumerate(tree):
            yield from _amounts(value, f"{place}.{index}")
    else:
        assert tree is None or isinstance(tree, int | str)  # noqa: S101 - counts hold nothing else
        yield place, tree


def summary(contradicted: Iterable[Difference]) -> str | None:
    """Describe the first differences in one line, or return None where there is none.

    >>> summary([Difference("parameters", 1, 68)])
    'parameters is 1, its network has 68'
    """
    lines = [str(difference) for difference in contradicted]
    if not lines:
        return None
    more = f"; and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return f"{'; '.join(lines[:SHOWN])}{more}"


def _amount_text(value: Amount) -> str:
    """Write a value as plain text, whatever characters a stranger put in it."""
    if value is None:
        return "none"
    return " ".join(re.sub(r"[^A-Za-z0-9_.+-]", " ", str(value)).split())[:SHOWN_CHARS].strip()
