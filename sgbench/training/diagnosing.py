"""Diagnoses of a run on its way: at its first weights, every so many epochs, and at the selected ones."""

from __future__ import annotations

import copy
import logging
from typing import Any

from sgbench.diagnosis.panels import diagnose_network
from sgbench.errors import SgbenchError, one_printable_line
from sgbench.records.diagnosis import Diagnosis
from sgbench.records.spec import RunSpec
from sgbench.signals.streams import generator
from sgbench.training.build import Parts
from sgbench.training.epochs import Epochs
from sgbench.training.probes import some_batches

log = logging.getLogger("sgbench")


class Diagnosing:
    """Diagnoses a copy of a run's network on validation data, so that the run itself stays as it is.

    Args:
        spec: whose `trainer.diagnose` names the panels, none for no diagnosis.
        parts: of the run.
    """

    def __init__(self, spec: RunSpec, parts: Parts) -> None:
        self.panels = spec.trainer.diagnose
        self.every = spec.trainer.diagnose_every
        self.seed = spec.seed
        self.parts = parts
        self.epochs = Epochs(parts.steepness, spec.method.protocol.epochs, spec.seed)
        self.found: list[Diagnosis] = []

    def before(self) -> None:
        """Diagnose the weights that training begins with."""
        self._diagnose("initial", 0)

    def after(self, epoch: int) -> None:
        """Diagnose the weights after an epoch, if diagnoses are due after this one."""
        if self.every is not None and (epoch + 1) % self.every == 0:
            self._diagnose(f"epoch {epoch}", epoch)

    def selected(self, epoch: int) -> None:
        """Diagnose the selected weights, which the network now has."""
        self._diagnose("selected", epoch)

    def _diagnose(self, weights: str, epoch: int) -> None:
        """Diagnose a copy of the network; a diagnosis that fails is reported, and the run goes on."""
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
        """Return the diagnoses so far, for a checkpoint."""
        return [diagnosis.model_dump() for diagnosis in self.found]

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        """Restore the diagnoses so far from a checkpoint."""
        self.found = [Diagnosis.model_validate(tree) for tree in state]
