"""What a training took: the products that back-propagation has to form, beside the seconds and bytes measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sgbench.errors import InputError
from sgbench.records.counts import OpCounts, SynapseCounts
from sgbench.records.record import RunRecord


@dataclass(frozen=True)
class TrainingCost:
    """Multiply-accumulates through connections over a whole training, as a clocked machine forms them.

    Neurons' own arithmetic and the optimiser's are left out: they grow with neurons and weights, not synapses.
    """

    epochs: int  # that ran, the selected one and those after it
    samples: int  # of the training split, each seen once an epoch
    forward: int
    weight_gradients: int
    input_gradients: int
    validation: int  # forward passes that select the epoch
    adjoint_updates: int  # of neurons, backward; as many as forward
    seconds: float
    peak_bytes: int | None

    @property
    def total(self) -> int:
        """All products."""
        return self.forward + self.weight_gradients + self.input_gradients + self.validation

    @property
    def per_second(self) -> float | None:
        """Products a second while it was trained, validation included."""
        return self.total / self.seconds if self.seconds else None


def training_cost(record: RunRecord, sizes: Mapping[str, int]) -> TrainingCost:
    r"""Of a finished run under back-propagation through time, or of its frozen controls.

    With :math:`D` synapses, :math:`S` samples of :math:`T` steps and :math:`E` epochs:

    .. math::
        \mathrm{forward} = E S T D, \qquad
        \mathrm{weights} = E S T D_\mathrm{learnt}, \qquad
        \mathrm{inputs} = E S T D_\mathrm{crossed}

    Crossed are the connections behind which something learns: none from the input, and none among neurons whose
    recurrent spikes are cut. Every step of the protocol counts, padding included, as a clocked machine runs it.

    Args:
        record: of the run.
        sizes: samples of the training and of the validation split.

    Raises:
        InputError: a rule whose operations are not known, or connections that were not counted.

    Source: Griewank & Walther 2008, Evaluating Derivatives, chapter 4 (the reverse mode forms each product of the
    forward pass twice again).
    """
    counts = record.counts
    if counts is None:
        raise InputError(f"a {record.status} run without operation counts: no cost of training")
    learnt, crossed = _behind(record, counts)
    once = record.method.protocol.steps * len(record.curve)
    seen = once * sizes["train"]
    synapses = sum(_synapses(group, counts) for layer in counts.layers for group in layer.synapses)
    return TrainingCost(
        epochs=len(record.curve),
        samples=sizes["train"],
        forward=seen * synapses,
        weight_gradients=seen * sum(_synapses(group, counts) for group in learnt),
        input_gradients=seen * sum(_synapses(group, counts) for group in crossed),
        validation=once * sizes["validation"] * synapses,
        adjoint_updates=seen * sum(layer.neurons for layer in counts.layers) if len(learnt) > 1 else 0,
        seconds=record.timing.fit_s,
        peak_bytes=record.peak_memory_bytes,
    )


def _behind(record: RunRecord, counts: OpCounts) -> tuple[list[SynapseCounts], list[SynapseCounts]]:
    """The connections whose weights have a gradient, and those that a gradient crosses to their source."""
    rule = record.method.choices["rule"]
    groups = [group for layer in counts.layers for group in layer.synapses]
    if rule == "frozen":
        last = counts.layers[-1].synapses
        return (list(last), []) if record.method.parameters["rule"]["learn"] == "readout" else ([], [])
    if rule != "bptt":
        raise InputError(
            f"rule={rule}: the operations of its training depend on the neuron's state and are not counted; only "
            f"those of bptt and frozen are"
        )
    cut = record.method.parameters["network"].get("recurrence_gradient") == "cut"
    own = {id(group) for layer in counts.layers for group in layer.synapses if group.source == layer.name}
    crossed = [group for group in groups if group.source != "input" and not (cut and id(group) in own)]
    return groups, crossed


def _synapses(group: SynapseCounts, counts: OpCounts) -> int:
    """Synapses of a group, from the operations of a clocked machine."""
    if group.dense.total is None:
        raise InputError(f"connections from {group.source}: {group.dense.reason}")
    return group.dense.total // counts.steps
