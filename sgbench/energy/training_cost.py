"""The cost of a training: multiply-accumulates of its learning rule, measured seconds and memory."""

from collections.abc import Mapping
from dataclasses import dataclass

from sgbench.errors import InputError
from sgbench.records.content import Learning
from sgbench.records.counts import OpCounts, SynapseCounts
from sgbench.records.record import RunRecord

ON_RATES = ("converted",)
"""Names of networks that are trained on rates, in one pass a sample."""
BY_EVENTS = ("event_driven", "first_spike")
"""Names of networks with continuous spike times, which multiply only when a spike arrives."""


@dataclass(frozen=True)
class TrainingCost:
    """Holds the multiply-accumulates of connections in a whole training on a clocked machine, and its resources.

    The arithmetic of neurons and of the optimiser is left out; it grows with neurons and weights, not synapses.
    """

    epochs: int  # all that ran, also after the selected one
    samples: int  # in the training split
    forward: int  # multiply-accumulates of forward passes
    weight_gradients: int  # multiply-accumulates of gradients of weights
    input_gradients: int  # multiply-accumulates that send errors backwards
    validation: int  # multiply-accumulates of forward passes on the validation split
    adjoint_updates: int  # updates of neurons in the backward pass, or of their local Jacobians
    seconds: float  # measured duration of the training, with validation
    peak_bytes: int | None  # measured peak memory; None if it was not measured
    memory_bytes: int  # computed memory that the rule needs for one batch

    @property
    def total(self) -> int:
        return self.forward + self.weight_gradients + self.input_gradients + self.validation

    @property
    def per_second(self) -> float | None:
        """Return the multiply-accumulates per second of training; None if no time was measured."""
        return self.total / self.seconds if self.seconds else None


def training_cost(record: RunRecord, learning: Learning | None, sizes: Mapping[str, int]) -> TrainingCost:
    r"""Compute the cost of a finished run's training.

    With :math:`D` synapses, :math:`S` samples of :math:`T` steps, :math:`E` epochs, and the rule's products in a
    step :math:`W` for weights and :math:`R` for errors:

    .. math::
        \mathrm{forward} = E S T D, \qquad
        \mathrm{weights} = E S T W, \qquad
        \mathrm{inputs} = E S T R

    All steps of the protocol count, with padding, as a clocked machine runs them. A converted network is trained on
    rates, in one pass a sample (T = 1). A network with continuous spike times multiplies when a spike arrives, with
    the rates of the test split: once forward, once for the weight, and once for the time of a hidden layer's spike.

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
    epochs = len(record.curve)
    steps = record.method.protocol.steps * epochs  # of one sample over all epochs
    on_rates = record.method.choices["network"] in ON_RATES
    train_steps = (epochs if on_rates else steps) * sizes["train"]
    trains_hidden = learning.weight_products > synapses[-1]  # more than those of the readout
    return TrainingCost(
        epochs=epochs,
        samples=sizes["train"],
        forward=train_steps * sum(synapses),
        weight_gradients=round(train_steps * learning.weight_products),
        input_gradients=round(train_steps * learning.error_products),
        validation=steps * sizes["validation"] * sum(synapses),
        adjoint_updates=train_steps * sum(layer.neurons for layer in counts.layers) if trains_hidden else 0,
        seconds=record.timing.fit_s,
        peak_bytes=record.peak_memory_bytes,
        memory_bytes=learning.memory_bytes,
    )


def _by_events(record: RunRecord, counts: OpCounts, learning: Learning, sizes: Mapping[str, int]) -> TrainingCost:
    """Compute the cost of training a network that multiplies only when a spike arrives; see `training_cost`."""
    groups = [group for layer in counts.layers for group in layer.synapses]
    # Spikes through synapses in one sample, of all layers and of hidden ones.
    arriving = [(group.source == "input", _arriving(group) / counts.samples) for group in groups]
    from_all, epochs = sum(count for _, count in arriving), len(record.curve)
    from_hidden = sum(count for from_input, count in arriving if not from_input)
    passes = epochs * sizes["train"]
    spikes = sum(layer.spikes_sent.total or 0 for layer in counts.layers) / counts.samples
    return TrainingCost(
        epochs=epochs,
        samples=sizes["train"],
        forward=round(passes * from_all),
        weight_gradients=round(passes * from_all),
        input_gradients=round(passes * from_hidden),
        validation=round(epochs * sizes["validation"] * from_all),
        adjoint_updates=round(passes * spikes),
        seconds=record.timing.fit_s,
        peak_bytes=record.peak_memory_bytes,
        memory_bytes=learning.memory_bytes,
    )


def _arriving(group: SynapseCounts) -> int:
    """Return the events that arrived through a group of synapses; InputError if they were not counted."""
    if group.effective.total is None:
        raise InputError(f"connections from {group.source}: {group.effective.reason}")
    return group.effective.total


def _synapses(group: SynapseCounts, counts: OpCounts) -> int:
    """Return the number of synapses of a group; InputError if it was not counted."""
    if group.dense.total is None:
        raise InputError(f"connections from {group.source}: {group.dense.reason}")
    return group.dense.total // counts.steps
