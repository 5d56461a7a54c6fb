"""Operation counts of one run over its whole test set: exact integers, or the reason why there is none.

Energies are not stored: a target's prices are applied when a board is built, so a new target works for old records.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from sgbench.records.base import Grown, Natural, Positive, Strict

OperationKind = Literal["accumulate", "multiply_accumulate"]
Wiring = Literal["all_to_all", "one_to_one", "convolution"]


class Count(Strict):
    """Holds an exact total over all test samples and time steps, or the reason why it was not counted.

    >>> Count(total=12).total
    12
    """

    total: Natural | None = None
    reason: str | None = Field(default=None, min_length=1, max_length=200)

    @model_validator(mode="after")
    def _exactly_one(self) -> Count:
        if (self.total is None) == (self.reason is None):
            raise ValueError("a count needs either a total or the reason why there is none")
        return self


def _later(feature: str) -> Count:
    return Count(reason=f"not counted because this record predates {feature}")


class SynapseCounts(Grown):
    """Holds operations through one group of connections into a layer.

    The kind follows from what the source declares (binary spikes: `accumulate`; real values:
    `multiply_accumulate`), never from the values that happened to flow.
    """

    LATER: ClassVar[frozenset[str]] = frozenset({"weights", "zero_weights", "fan_in"})

    source: str = Field(max_length=100)
    wiring: Wiring
    operation: OperationKind
    weight_bits: int = Field(ge=1, le=64)
    effective: Count  # triggered by non-zero inputs: what an event-driven machine executes
    dense: Count  # what a clocked machine executes
    weights: Natural | None = None  # stored numbers; many synapses of a convolution share one
    zero_weights: Natural | None = None  # of the stored ones
    fan_in: Natural | None = None  # synapses of the neuron that has most


class LayerCounts(Grown):
    """Holds all operations of one layer."""

    LATER: ClassVar[frozenset[str]] = frozenset({"synapses_per_pair", "function_evaluations"})

    name: str = Field(max_length=100)
    neuron: str = Field(max_length=100)
    neurons: Positive
    state_bits: int = Field(ge=1, le=64)
    synapses: tuple[SynapseCounts, ...]
    neuron_updates: Count  # neurons x steps
    neuron_updates_with_input: Count  # those in steps in which at least one event reached the neuron
    neuron_multiplications: Count
    neuron_additions: Count
    neuron_comparisons: Count
    spikes_sent: Count
    bias_additions: Count
    weight_reads: Count
    state_reads: Count
    state_writes: Count
    normalisation_operations: Count = Field(default_factory=lambda: _later("normalisation layers"))
    pooling_operations: Count = Field(default_factory=lambda: _later("pooling layers"))
    residual_additions: Count = Field(default_factory=lambda: _later("residual connections"))
    delay_operations: Count = Field(default_factory=lambda: _later("delays"))
    synapses_per_pair: Positive | None = None  # from one source to one neuron, where more than one: gates
    function_evaluations: Count | None = None  # sigmoid, tanh and the like; None: not looked for


class Spread(Strict):
    """Sums over samples of the squares of each sample's total: what an interval around a mean needs."""

    synaptic_operations_squared: Count
    spikes_sent_squared: Count


class OpCounts(Grown):
    """Holds the counts of a whole network over its test set; divide by `samples` for one inference."""

    LATER: ClassVar[frozenset[str]] = frozenset({"spread"})

    samples: Positive
    steps: Positive  # summed over samples, each to its own length
    input_events: Count  # non-zero inputs that reached the first layer
    layers: tuple[LayerCounts, ...] = Field(min_length=1)
    spread: Spread | None = None  # None: the record predates it
