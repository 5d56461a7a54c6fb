"""What a training took: the products that its rule has to form, beside the seconds and bytes measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sgbench.errors import InputError
from sgbench.records.content import Learning
from sgbench.records.counts import OpCounts, SynapseCounts
from sgbench.records.record import RunRecord

ON_RATES = ("converted",)
"""Networks whose training is one pass a sample."""
BY_EVENTS = ("event_driven", "first_spike")
"""Networks that multiply at spikes alone."""


@dataclass(frozen=True)
class TrainingCost:
    """Counts the multiply-accumulates through connections over a whole training, as a clocked machine forms them.

    Neurons' own arithmetic and the optimiser's are left out: they grow with neurons and weights, not synapses.
    """

    epochs: int  # that ran, the selected one and those after it
    samples: int  # of the training split, each seen once an epoch
    forward: int
    weight_gradients: int
    input_gradients: int
    validation: int  # forward passes that select the epoch
    adjoint_updates: int  # of neurons, backward or by local Jacobians; as many as forward
    seconds: float
    peak_bytes: int | None
    memory_bytes: int  # that the rule holds to learn from one batch, by its sizes

    @property
    def total(self) -> int:
        """Sum the products of forward, backward and validation passes."""
        return self.forward + self.weight_gradients + self.input_gradients + self.validation

    @property
    def per_second(self) -> float | None:
        """Return the products a second during training, validation included."""
        return self.total / self.seconds if self.seconds else None


def training_cost(record: RunRecord, learning: Learning | None, sizes: Mapping[str, int]) -> TrainingCost:
    r"""Compute the cost of a finished run's training from what its rule multiplies in each step.

    With :math:`D` synapses, :math:`S` samples of :math:`T` steps, :math:`E` epochs and the rule's own products of a
    step :math:`W` for weights and :math:`R` for errors:

    .. math::
        \mathrm{forward} = E S T D, \qquad
        \mathrm{weights} = E S T W, \qquad
        \mathrm{inputs} = E S T R

    Every step of the protocol counts, padding included, as a clocked machine runs it; a converted network is
    trained on rates, in one pass a sample. Networks with times between steps multiply where a spike arrives, as
    often as in the test split: once forward, once for the weight, and once for the time of a hidden layer's spike.

    Args:
        record: of the run.
        learning: what its rule takes; None where that is not known.
        sizes: samples of the training and of the validation split.

    Raises:
        InputError: a rule that does not say what it takes, or connections that were not counted.

    Source: Griewank & Walther 2008, Evaluating Derivatives, chapter 4 (the reverse mode forms each product of the
    forward pass twice again).
    """
    counts = record.counts
    if counts is None:
        raise InputError(f"a {record.status} run without operation counts: no cost of training")
    synapses = [sum(_synapses(group, counts) for group in layer.synapses) for layer in counts.layers]
    if learning is None:
        rule = record.method.choices["rule"]
        raise InputError(f"rule={rule}: what its training multiplies is not known; give it a `demand`")
    if record.method.choices["network"] in BY_EVENTS:
        return _by_events(record, counts, learning, sizes)
    # Steps of one sample over all epochs; what trains on rates makes one an epoch.
    once = record.method.protocol.steps * len(record.curve)
    on_rates = record.method.choices["network"] in ON_RATES
    seen = (len(record.curve) if on_rates else once) * sizes["train"]
    below = learning.weight_products > synapses[-1]  # something hidden learns
    return TrainingCost(
        epochs=len(record.curve),
        samples=sizes["train"],
        forward=seen * sum(synapses),
        weight_gradients=round(seen * learning.weight_products),
        input_gradients=round(seen * learning.error_products),
        validation=once * sizes["validation"] * sum(synapses),
        adjoint_updates=seen * sum(layer.neurons for layer in counts.layers) if below else 0,
        seconds=record.timing.fit_s,
        peak_bytes=record.peak_memory_bytes,
        memory_bytes=learning.memory_bytes,
    )


def _by_events(
    record: RunRecord, counts: OpCounts, learning: Learning, sizes: Mapping[str, int]
) -> TrainingCost:
    """Compute the cost where only arriving spikes are multiplied."""
    groups = [group for layer in counts.layers for group in layer.synapses]
    arriving = [(group.source == "input", _arriving(group) / counts.samples) for group in groups]
    once, epochs = sum(count for _, count in arriving), len(record.curve)
    timed = sum(count for from_input, count in arriving if not from_input)
    seen = epochs * sizes["train"]
    fired = sum(layer.spikes_sent.total or 0 for layer in counts.layers) / counts.samples
    return TrainingCost(
        epochs=epochs,
        samples=sizes["train"],
        forward=round(seen * once),
        weight_gradients=round(seen * once),
        input_gradients=round(seen * timed),
        validation=round(epochs * sizes["validation"] * once),
        adjoint_updates=round(seen * fired),
        seconds=record.timing.fit_s,
        peak_bytes=record.peak_memory_bytes,
        memory_bytes=learning.memory_bytes,
    )


def _arriving(group: SynapseCounts) -> int:
    """Return how many events went through a group's synapses."""
    if group.effective.total is None:
        raise InputError(f"connections from {group.source}: {group.effective.reason}")
    return group.effective.total


def _synapses(group: SynapseCounts, counts: OpCounts) -> int:
    """Compute a group's number of synapses from the operations of a clocked machine."""
    if group.dense.total is None:
        raise InputError(f"connections from {group.source}: {group.dense.reason}")
    return group.dense.total // counts.steps
