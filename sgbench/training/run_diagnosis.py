"""What a run measures of its own learning: diagnoses, agreement with back-propagation, and cost.

Nothing of it changes the run: diagnoses and comparisons are made on copies of the network.
"""

import copy
import logging
from typing import Any

import torch

from fastspiking.signals.streams import generator
from sgbench.diagnosis.agreement import bptt_gradients, compare, rule_gradients
from sgbench.diagnosis.panels import diagnose_network
from sgbench.errors import InputError, SgbenchError, one_printable_line
from sgbench.networks.base import Network
from sgbench.records.content import EpochAgreement, Learning
from sgbench.records.counts import OpCounts
from sgbench.records.diagnosis import Diagnosis
from sgbench.records.spec import Method, RunSpec
from sgbench.rules.base import LearningRule
from sgbench.rules.demand import sizes_of
from sgbench.training.build import DTYPES, Parts, some_batches
from sgbench.training.train_step import Epochs

log = logging.getLogger("sgbench")


class RunDiagnoses:
    """Diagnoses copies of a run's network on validation data, without effect on the run.

    `spec`: specification of the run. Its `trainer.diagnose` names the panels (none: no diagnosis), and its
    `trainer.diagnose_every` the number of epochs between two diagnoses. `parts`: objects of the run.
    """

    def __init__(self, spec: RunSpec, parts: Parts) -> None:
        self.panels, self.every = spec.trainer.diagnose, spec.trainer.diagnose_every
        self.seed, self.parts = spec.seed, parts
        self.epochs = Epochs(parts.steepness, spec.method.protocol.epochs, spec.seed)
        self.found: list[Diagnosis] = []

    def diagnose_initial(self) -> None:
        self._diagnose("initial", 0)

    def diagnose_epoch(self, epoch: int) -> None:
        if self.every is not None and (epoch + 1) % self.every == 0:
            self._diagnose(f"epoch {epoch}", epoch)

    def diagnose_selected(self, epoch: int) -> None:
        """Diagnose the weights of the selected epoch, which must be loaded into the network."""
        self._diagnose("selected", epoch)

    def _diagnose(self, weights: str, epoch: int) -> None:
        """Diagnose a copy of the network under a name of its weights; a failure is only logged."""
        if not self.panels:
            return
        network = copy.deepcopy(self.parts.network)
        self.epochs.begin(network, "train", epoch)
        try:
            diagnosis = diagnose_network(
                network,
                self.parts.rule,
                some_batches(self.parts),
                self.parts.objective,
                generator=generator(self.seed, "diagnosis", weights),
                panels=self.panels,
                weights_name=weights,
                split="validation",
            )
        except SgbenchError as error:
            log.warning("no diagnosis of the %s weights: %s", weights, one_printable_line(error))
            return
        self.found.append(diagnosis)

    def state_dict(self) -> list[dict[str, Any]]:
        return [diagnosis.model_dump() for diagnosis in self.found]

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        self.found = [Diagnosis.model_validate(tree) for tree in state]


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
    is_cut = method.parameters["network"].get("recurrence_gradient") == "cut"
    try:
        demand = rule.demand(network, sizes_of(counts, steps=network.trained_steps(protocol.steps), cut=is_cut))
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

    `spec`: of the run; without `trainer.watch_agreement` nothing is compared. `parts`: objects of the run.
    """

    def __init__(self, spec: RunSpec, parts: Parts) -> None:
        self.is_on, self.parts = spec.trainer.watch_agreement, parts
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
            if reference.numel():  # 0 for a layer without weights
                values, _ = compare(gradients[layer], reference)
                self.found.append(
                    EpochAgreement(
                        epoch=epoch, layer=layer, cosine=values.get("cosine"), norm_ratio=values.get("norm_ratio")
                    )
                )

    def state_dict(self) -> list[dict[str, Any]]:
        return [agreement.model_dump() for agreement in self.found]

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        self.found = [EpochAgreement.model_validate(tree) for tree in state]
