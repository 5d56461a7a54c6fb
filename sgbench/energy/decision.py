"""Time to decision: what accuracy an answer before the end has, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sgbench.energy.count import Kind, OperationCounter
from sgbench.errors import InputError
from sgbench.losses.base import Loss
from sgbench.networks.base import Network
from sgbench.records.counts import OpCounts
from sgbench.signals.trajectory import SPIKES, Batch, Trajectory


@dataclass(frozen=True)
class Decision:
    """Describes one rule for when to answer, with what it reaches and costs."""

    rule: str  # "step 5", or "confidence 0.9"
    accuracy: float
    steps: float  # mean over samples
    counts: OpCounts  # up to each sample's answer


class DecisionTimes:
    """Answers after every step, and as soon as an answer is sure enough, streamed over batches.

    The class scores of a prefix are those that the loss gives for a sample that ends there; a sample is sure
    enough when the largest softmax of its scores reaches a confidence, and answers at its end otherwise. Counts
    stop at the answer, so they are what an event-driven machine that stops there executes.

    Args:
        network: whose layers go step by step.
        loss: that makes class scores.
        input_kind: what the encoder declares.
        bits: of weights and states.
        steps: of the longest sample.
        confidences: each between 0 and 1.

    Raises:
        InputError: a layer takes all time steps at once, so that nothing can be known early, or the loss gives no
            class of a sample.
    """

    def __init__(
        self,
        network: Network,
        loss: Loss,
        input_kind: Kind,
        *,
        bits: int,
        steps: int,
        confidences: Sequence[float],
    ) -> None:
        for layer in [*network.hidden_layers, network.readout]:
            if layer.neuron.sees_all_steps:
                raise InputError(
                    f"layer '{layer.name}' takes all time steps at once: no decision before the end"
                )
        if "class" not in loss.targets:
            raise InputError(f"loss {type(loss).__name__}: gives no class of a sample, so nothing is decided")
        self.network, self.loss = network, loss
        self.confidences = confidences
        rules = [f"step {step}" for step in range(1, steps + 1)] + [
            f"confidence {confidence:g}" for confidence in confidences
        ]
        self.counters = {rule: OperationCounter(network, input_kind, bits=bits) for rule in rules}
        self.hits = dict.fromkeys(rules, 0)

    @torch.no_grad()
    def update(self, batch: Batch) -> None:
        """Add the answers of one batch after every step."""
        trajectory = self.network.unroll(batch.x, batch.lengths, keep=frozenset({SPIKES}))
        steps = batch.x.shape[0]
        ends = [batch.lengths.clamp(max=step) for step in range(1, steps + 1)]
        scores = torch.stack(
            [self.loss.logits(replace(trajectory, lengths=end)) for end in ends]
        )  # [T, B, C]
        for step, (end, score) in enumerate(zip(ends, scores, strict=True), start=1):
            self._answer(f"step {step}", batch, trajectory, end, score)
        sure = scores.softmax(2).amax(2)  # [T, B]
        for confidence in self.confidences:
            first = torch.where(
                (sure >= confidence).any(0), (sure >= confidence).int().argmax(0) + 1, batch.lengths
            )
            end = torch.minimum(first, batch.lengths)
            score = scores[end - 1, torch.arange(len(end))]
            self._answer(f"confidence {confidence:g}", batch, trajectory, end, score)

    def _answer(self, rule: str, batch: Batch, trajectory: Trajectory, end: Tensor, score: Tensor) -> None:
        """Score and count a batch that a rule ends at these steps."""
        self.hits[rule] += int((score.argmax(1) == batch.target).sum())
        self.counters[rule].update(batch._replace(lengths=end), trajectory)

    def decisions(self) -> list[Decision]:
        """List every decision rule with the accuracy, time and operations that it came to.

        Raises:
            InputError: no sample was seen.
        """
        decisions = []
        for rule, counter in self.counters.items():
            if not counter.samples:
                raise InputError("no sample was seen: nothing was decided")
            mean = counter.steps / counter.samples
            decisions.append(Decision(rule, self.hits[rule] / counter.samples, mean, counter.result()))
        return decisions
