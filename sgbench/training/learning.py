"""The cost of learning of a run's rule, and its agreement with back-propagation after each epoch."""

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
from sgbench.training.build import DTYPES, Parts, some_batches
from sgbench.training.epochs import Epochs


def learning_of(
    network: Network,
    rule: LearningRule,
    method: Method,
    counts: OpCounts,
    agreement: tuple[EpochAgreement, ...] | None = None,
) -> Learning | None:
    """Compute what a run's learning rule needs: memory, multiplications per step, and signals of other neurons.

    Returns the memory [bytes] for one batch, the multiplications per step and sample that update weights or traces and
    those that send errors back, and the signals that each synapse needs (its locality). None if the rule does not state
    these, or the counts lack connections.
    """
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


class RunAgreement:
    """Compares the rule's gradient with that of back-propagation after each epoch, on validation data.

    A copy of the network is used, so nothing of the run changes.

    `spec`: of the run; without `trainer.watch_agreement` nothing is compared. `parts`: objects of the run.
    """

    def __init__(self, spec: RunSpec, parts: Parts) -> None:
        self.is_on = spec.trainer.watch_agreement
        self.parts = parts
        self.epochs = Epochs(parts.steepness, spec.method.protocol.epochs, spec.seed)
        self.found: list[EpochAgreement] = []

    def compare_epoch(self, epoch: int) -> None:
        """Compare the rule's gradient with back-propagation's at the weights after an epoch."""
        if not self.is_on:
            return
        network, objective = copy.deepcopy(self.parts.network), self.parts.objective
        self.epochs.begin(network, "train", epoch)
        batches = some_batches(self.parts)
        with torch.enable_grad():  # scoring has disabled it
            gradients = rule_gradients(network, self.parts.rule, batches, objective)
            references = bptt_gradients(network, batches, objective)
        for layer, reference in references.items():
            if reference.numel():
                values, _ = compare(gradients[layer], reference)
                self.found.append(
                    EpochAgreement(
                        epoch=epoch, layer=layer, cosine=values.get("cosine"), norm_ratio=values.get("norm_ratio")
                    )
                )

    def state_dict(self) -> list[dict[str, Any]]:
        """Return the comparisons so far, for a checkpoint."""
        return [agreement.model_dump() for agreement in self.found]

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        """Restore the comparisons so far from a checkpoint."""
        self.found = [EpochAgreement.model_validate(tree) for tree in state]
