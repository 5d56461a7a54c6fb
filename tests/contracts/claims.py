"""What a rule says of its gradient, run as it stands: the rule's numbers beside those of its reference.

The contract tests judge them, and `python -m benchmarks rules_table` writes their largest differences down.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import yaml
from torch import Tensor

from fastspiking.signals.trajectory import Batch
from sgbench.rules.base import Claim, LearningRule
from sgbench.training.build import Parts, build
from tests.contracts.gradients import REFERENCES, Gradients, seeded
from tests.contracts.rows import batch_of
from tests.entries import class_of, spec_with

SIZES: dict[str, Any] = {
    "protocol.steps": 5,
    "protocol.batch_size": 4,
    "protocol.hidden": [6, 5],
    "protocol.precision": "float64",
    "init.gain": 2.0,
    "network.bias": True,
}
NEURONS: tuple[dict[str, Any], ...] = (
    {"neuron.reset": "subtract", "neuron.reset_gradient": "attached"},
    {"neuron.reset": "zero", "neuron.reset_gradient": "detached"},
)


def rule_class(name: str) -> type[LearningRule]:
    """Return the class behind a rule."""
    found: type[LearningRule] = class_of("rule", name)
    return found


def parts_of(name: str, claim: Claim, **changes: Any) -> tuple[Parts, Batch]:
    """Return a run in which a rule's claim holds, and a batch for it."""
    choices, values = {"rule": name}, dict(SIZES)
    for word in claim.overrides:
        key, _, value = word.partition("=")
        key = key.removeprefix("neuron@")
        (values if "." in key else choices)[key] = yaml.safe_load(value)
    spec = spec_with(choices, values | changes)
    parts = build(spec)
    return parts, batch_of(parts, spec)


def gradients(parts: Parts, batch: Batch, rule: LearningRule | None = None) -> dict[str, Tensor | None]:
    """Return what a rule adds to `.grad` by parameter, over all its yields; None where it leaves none.

    What is drawn is drawn from the start of its streams, as in each epoch of a run.
    """
    parts.network.zero_grad()
    seeded(parts.network)
    for _ in (rule or parts.rule).gradients(parts.network, batch, parts.objective):
        pass
    return {name: weight.grad for name, weight in parts.network.named_parameters()}


def claimed(claim: Claim, parts: Parts) -> Iterator[str]:
    """Yield the parameters that a claim is about."""
    last = f"layers.{len(parts.network.layers) - 1}."
    for name, _ in parts.network.named_parameters():
        if claim.weights == "all" or (claim.weights == "readout") == name.startswith(last):
            yield name


class Compared(NamedTuple):
    """A parameter's gradient by a rule, and by a reference."""

    name: str
    found: Tensor | None
    expected: Tensor

    @property
    def error(self) -> float:
        """The largest difference over the largest gradient; no gradient counts as 0."""
        found = torch.zeros_like(self.expected) if self.found is None else self.found
        return ((found - self.expected).abs().max() / self.expected.abs().max()).item()


def compared(name: str, claim: Claim) -> list[Compared]:
    """Return the gradients that a claim is about, of two ways in which spikes reset.

    The reference has to have a gradient in every such parameter, or nothing would be compared.
    """
    assert claim.reference in REFERENCES, f"{name}: no test runs {claim.reference}"
    rows = []
    for changes in NEURONS:
        parts, batch = parts_of(name, claim, **changes)
        found = gradients(parts, batch)
        seeded(parts.network)
        expected: Gradients = REFERENCES[claim.reference](parts.network, batch, parts.objective)
        rows += [Compared(weight, found[weight], expected[weight]) for weight in claimed(claim, parts)]
    assert rows
    assert all(row.expected.any() for row in rows), f"{name}: {claim} compares with nothing"
    return rows
