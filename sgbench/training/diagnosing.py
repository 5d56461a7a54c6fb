"""Diagnoses of a run during training: of its initial weights, after some epochs, and of its selected weights."""

import copy
import logging
from typing import Any

from fastspiking.signals.streams import generator
from sgbench.diagnosis.panels import diagnose_network
from sgbench.errors import SgbenchError, one_printable_line
from sgbench.records.diagnosis import Diagnosis
from sgbench.records.spec import RunSpec
from sgbench.training.build import Parts, some_batches
from sgbench.training.epochs import Epochs

log = logging.getLogger("sgbench")


class RunDiagnoses:
    """Diagnoses copies of a run's network on validation data, without effect on the run.

    `spec`: of the run; `trainer.diagnose` names the panels (none: no diagnosis), `trainer.diagnose_every` after how
    many epochs they are made. `parts`: objects of the run.
    """

    def __init__(self, spec: RunSpec, parts: Parts) -> None:
        self.panels = spec.trainer.diagnose
        self.every = spec.trainer.diagnose_every
        self.seed = spec.seed
        self.parts = parts
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
        """Return the diagnoses so far, for a checkpoint."""
        return [diagnosis.model_dump() for diagnosis in self.found]

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        """Restore the diagnoses so far from a checkpoint."""
        self.found = [Diagnosis.model_validate(tree) for tree in state]
