"""What learning by a rule takes: memory, products, and from where a synapse has to hear."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from sgbench.records.base import Amount, Natural, Strict, Text
from sgbench.records.diagnosis import Cosine

Need = Literal["own_trace", "own_error", "errors_of_others", "weights_of_others", "future"]
"""What a hidden synapse has to know beside the two neurons that it joins in the present step: what it or its neuron
remembers; an error that belongs to its neuron or layer alone; errors of other neurons, outputs included; weights of
other synapses; later steps."""
NEEDS: tuple[Need, ...] = get_args(Need)


class EpochAgreement(Strict):
    """Says how near the rule's gradient of one layer's weights came to that of back-propagation after an epoch."""

    epoch: Natural
    layer: Text = Field(max_length=100)
    cosine: Cosine | None  # None where one of the two is zero
    norm_ratio: (
        Amount | None
    )  # norm of the rule's gradient by that of back-propagation; None where that is zero


class Learning(Strict):
    """Holds what the rule of a run remembers and multiplies, counted from sizes, not measured."""

    memory_bytes: Natural
    """Held to learn from one whole batch, beside the weights, their gradients and the batch itself."""
    weight_products: Amount
    """Multiply-accumulates a sample and step that make gradients of weights."""
    error_products: Amount
    """Multiply-accumulates a sample and step that carry errors to neurons."""
    locality: Annotated[tuple[Need, ...], Field(max_length=len(NEEDS))]
    """In the order of the vocabulary; empty where nothing hidden learns."""
    agreement: tuple[EpochAgreement, ...] | None = Field(default=None, min_length=1, max_length=1_000_000)
    """None: nobody asked for it."""
