"""What a training took: the products that its rule has to form, beside the seconds and bytes measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

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
    r"""Of a finished run, by what its rule multiplies in each step.

    With :math:`D` synapses, :math:`S` samples of :math:`T` steps and :math:`E` epochs:

    .. math::
        \mathrm{forward} = E S T D, \qquad
        \mathrm{weights} = E S T D_\mathrm{learnt}, \qquad
        \mathrm{inputs} = E S T (D_\mathrm{crossed} + D_\mathrm{feedback})

    Crossed are the connections behind which something learns and over which an error goes back: none from the
    input, none among neurons whose recurrent spikes are cut, and none to other layers where each layer has
    feedback of its own. Feedback are the weights from the outputs straight to hidden layers; a local readout counts
    twice, on the way to its loss and back. Every step of the protocol counts, padding included, as a clocked
    machine runs it.

    Args:
        record: of the run.
        sizes: samples of the training and of the validation split.

    Raises:
        InputError: eligibilities forward in time, a rule of the user's own, or connections that were not counted.

    Source: Griewank & Walther 2008, Evaluating Derivatives, chapter 4 (the reverse mode forms each product of the
    forward pass twice again).
    """
    counts = record.counts
    if counts is None:
        raise InputError(f"a {record.status} run without operation counts: no cost of training")
    learnt, crossed, feedback = _behind(record, counts)
    once = record.method.protocol.steps * len(record.curve)
    seen = once * sizes["train"]
    synapses = sum(_synapses(group, counts) for layer in counts.layers for group in layer.synapses)
    return TrainingCost(
        epochs=len(record.curve),
        samples=sizes["train"],
        forward=seen * synapses,
        weight_gradients=seen * sum(_synapses(group, counts) for group in learnt),
        input_gradients=seen * (sum(_synapses(group, counts) for group in crossed) + feedback),
        validation=once * sizes["validation"] * synapses,
        adjoint_updates=seen * sum(layer.neurons for layer in counts.layers) if len(learnt) > 1 else 0,
        seconds=record.timing.fit_s,
        peak_bytes=record.peak_memory_bytes,
    )


class _Behind(NamedTuple):
    """What a rule multiplies on its way back."""

    learnt: list[SynapseCounts]  # connections whose weights have a gradient
    crossed: list[SynapseCounts]  # those over which an error goes back to their source
    feedback: int = 0  # products of a step with weights that are there for errors alone


def _behind(record: RunRecord, counts: OpCounts) -> _Behind:
    rule, settings = record.method.choices["rule"], record.method.parameters["rule"]
    groups = [group for layer in counts.layers for group in layer.synapses]
    own = [group for layer in counts.layers for group in layer.synapses if group.source == layer.name]
    cut = record.method.parameters["network"].get("recurrence_gradient") == "cut"
    recurrent = [] if cut else own
    hidden = sum(layer.neurons for layer in counts.layers[:-1])
    straight = counts.layers[-1].neurons * hidden
    if rule == "frozen":
        return _Behind(list(counts.layers[-1].synapses) if settings["learn"] == "readout" else [], [])
    if rule in ("bptt", "feedback_alignment", "ostl"):
        among = {id(group) for group in own}
        between = [group for group in groups if group.source != "input" and id(group) not in among]
        return _Behind(groups, [*between, *recurrent])
    if rule in ("direct_feedback", "superspike") or (rule == "eprop" and settings["form"] == "unrolled"):
        return _Behind(groups, recurrent, straight)
    if rule == "local":
        return _Behind(groups, recurrent, 2 * straight)
    if rule == "eprop":
        raise InputError(
            "rule=eprop: the operations of its training depend on the neuron's state where it goes forward in time "
            "and are not counted; those of rule.form=unrolled are"
        )
    raise InputError(f"rule={rule}: what its training multiplies is not known")


def _synapses(group: SynapseCounts, counts: OpCounts) -> int:
    """Synapses of a group, from the operations of a clocked machine."""
    if group.dense.total is None:
        raise InputError(f"connections from {group.source}: {group.dense.reason}")
    return group.dense.total // counts.steps
