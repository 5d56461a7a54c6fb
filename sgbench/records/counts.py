"""Operation counts of one run over its whole test set: exact integers, or the reason why there is none.

Joules are not stored: a target's prices are applied when a board is built, so a new target prices old rows.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sgbench.records.base import Natural, Positive, Strict

OperationKind = Literal["accumulate", "multiply_accumulate"]


class Count(Strict):
    """An exact total over all test samples and time steps, or the reason why it was not counted.

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


def _later(what: str) -> Count:
    return Count(reason=f"not counted because this record predates {what}")


class SynapseCounts(Strict):
    """Operations through one group of connections into a layer.

    The kind follows from what the source declares (binary spikes: `accumulate`; real values:
    `multiply_accumulate`), never from the values that happened to flow.
    """

    source: str = Field(max_length=100)
    wiring: Literal["all_to_all", "one_to_one"]
    operation: OperationKind
    weight_bits: int = Field(ge=1, le=64)
    effective: Count  # triggered by non-zero inputs: what an event-driven machine executes
    dense: Count  # what a clocked machine executes


class LayerCounts(Strict):
    """All operations of one layer."""

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


class OpCounts(Strict):
    """Counts of a whole network over its test set; divide by `samples` for one inference."""

    samples: Positive
    steps: Positive  # summed over samples, each to its own length
    input_events: Count  # non-zero inputs that reached the first layer
    layers: tuple[LayerCounts, ...] = Field(min_length=1)
