"""What a run's rule takes to learn, and how its gradient agrees with back-propagation from epoch to epoch."""

from __future__ import annotations

import copy
from typing import Any

import torch

from sgbench.diagnosis.agreement import bptt_gradients, compare, rule_gradients
from sgbench.errors import InputError
from sgbench.networks.base import Network
from sgbench.records.content import EpochAgreement, Learning
from sgbench.records.counts import OpCounts
from sgbench.records.spec import Method, RunSpec
from sgbench.rules.base import LearningRule
from sgbench.rules.demand import sizes_of
from sgbench.training.build import DTYPES, Parts
from sgbench.training.epochs import Epochs
from sgbench.training.probes import some_batches


def learning_of(
    network: Network,
    rule: LearningRule,
    method: Method,
    counts: OpCounts,
    agreement: tuple[EpochAgreement, ...] | None = None,
) -> Learning | None:
    """Compute what the rule of a run takes; None where the rule does not say, or connections were not counted."""
    protocol = method.protocol
    cut = method.parameters["network"].get("recurrence_gradient") == "cut"
    try:
        demand = rule.demand(network, sizes_of(counts, steps=network.trained_steps(protocol.steps), cut=cut))
    except InputError:
        return None
    if demand is None:
        return None
    return Learning(
        memory_bytes=round(demand.numbers * protocol.batch_size * DTYPES[protocol.precision].itemsize),
        weight_products=demand.weight_products,
        error_products=demand.error_products,
        locality=demand.needs,
        agreement=agreement,
    )


class Agreeing:
    """Compares the rule's gradient with that of back-propagation after each epoch, on validation data.

    A copy of the network is compared, so nothing of the run changes.

    Args:
        spec: whose `trainer.watch_agreement` asks for it.
        parts: of the run.
    """

    def __init__(self, spec: RunSpec, parts: Parts) -> None:
        self.wanted = spec.trainer.watch_agreement
        self.parts = parts
        self.epochs = Epochs(parts.steepness, spec.method.protocol.epochs, spec.seed)
        self.found: list[EpochAgreement] = []

    def after(self, epoch: int) -> None:
        """Compare the rule's gradient with back-propagation's at the weights after an epoch."""
        if not self.wanted:
            return
        network, objective = copy.deepcopy(self.parts.network), self.parts.objective
        self.epochs.begin(network, "train", epoch)
        batches = some_batches(self.parts)
        with torch.enable_grad():  # it is called between passes that need none
            gradients = rule_gradients(network, self.parts.rule, batches, objective)
            references = bptt_gradients(network, batches, objective)
        for layer, wanted in references.items():
            if wanted.numel():
                values, _ = compare(gradients[layer], wanted)
                self.found.append(
                    EpochAgreement(
                        epoch=epoch,
                        layer=layer,
                        cosine=values.get("cosine"),
                        norm_ratio=values.get("norm_ratio"),
                    )
                )

    def state_dict(self) -> list[dict[str, Any]]:
        """Return the comparisons so far, for a checkpoint."""
        return [agreement.model_dump() for agreement in self.found]

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        """Restore the comparisons so far from a checkpoint."""
        self.found = [EpochAgreement.model_validate(tree) for tree in state]
