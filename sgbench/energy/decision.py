"""Early decisions: accuracy and operations of a network that answers before a sample's end."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fastspiking.signals.trajectory import SPIKES, Batch, Trajectory
from sgbench.energy.count import Kind, OperationCounter
from sgbench.errors import InputError
from sgbench.losses.base import Loss
from sgbench.networks.base import Network
from sgbench.records.counts import OpCounts


@dataclass(frozen=True)
class Decision:
    """Holds a rule for when a network answers, with its accuracy and operation counts."""

    rule: str  # e.g. "step 5" or "confidence 0.9"
    accuracy: float
    steps: float  # mean number of steps until the answer
    counts: OpCounts  # of the steps until each sample's answer


class DecisionTimes:
    """Evaluates rules for early answers, accumulated over batches.

    With rule "step n", the network answers after n steps; with "confidence c", as soon as the largest softmax of
    its class scores reaches c. It answers at a sample's end at the latest. The scores after n steps are those of
    the loss for a sample that ends there. Operations after the answer do not count.

    `network`: whose layers all compute step by step. `loss`: computes class scores. `input_kind`: whether the encoder's
    output is declared binary or real. `bits`: of weights and states. `steps`: number of steps of the longest sample;
    each gives a rule. `confidences`: thresholds from 0 to 1; each gives a rule.
    """

    def __init__(
        self, network: Network, loss: Loss, input_kind: Kind, *, bits: int, steps: int, confidences: Sequence[float]
    ) -> None:
        for layer in [*network.hidden_layers, network.readout]:
            if layer.neuron.sees_all_steps:
                raise InputError(f"layer '{layer.name}' takes all time steps at once: no decision before the end")
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
        """Run the network on one batch, and add its answers and operations under each rule."""
        trajectory = self.network.unroll(batch.x, batch.lengths, keep=frozenset({SPIKES}))
        steps = batch.x.shape[0]
        ends = [batch.lengths.clamp(max=step) for step in range(1, steps + 1)]
        by_end = [self.loss.logits(replace(trajectory, lengths=end)) for end in ends]
        scores = torch.stack(by_end)  # [T, B, C]
        for step, (end, score) in enumerate(zip(ends, scores, strict=True), start=1):
            self._answer(f"step {step}", batch, trajectory, end, score)
        reached = scores.softmax(2).amax(2)  # confidence [T, B]
        for confidence in self.confidences:
            is_sure = reached >= confidence
            first = torch.where(is_sure.any(0), is_sure.int().argmax(0) + 1, batch.lengths)
            end = torch.minimum(first, batch.lengths)
            score = scores[end - 1, torch.arange(len(end))]
            self._answer(f"confidence {confidence:g}", batch, trajectory, end, score)

    def _answer(self, rule: str, batch: Batch, trajectory: Trajectory, end: Tensor, score: Tensor) -> None:
        """Add a batch's right answers and operations under one rule.

        `rule`: its name. `batch`: samples and classes. `trajectory`: of the network on the whole samples. `end`: number
        of steps until each sample's answer [B]. `score`: class scores of the answers [B, C].
        """
        self.hits[rule] += int((score.argmax(1) == batch.target).sum())
        self.counters[rule].update(batch._replace(lengths=end), trajectory)

    def decisions(self) -> list[Decision]:
        """Return for each rule its accuracy, its mean steps until the decision, and the operations up to then."""
        decisions = []
        for rule, counter in self.counters.items():
            if not counter.samples:
                raise InputError("no sample was seen: nothing was decided")
            mean = counter.steps / counter.samples
            decisions.append(Decision(rule, self.hits[rule] / counter.samples, mean, counter.result()))
        return decisions
