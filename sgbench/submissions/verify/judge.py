"""Implements `Judge` of the prediction tables with data sets, losses and networks."""

import tempfile
from pathlib import Path

from sgbench.errors import InputError
from sgbench.leaderboard.deviation import ProtocolReference, References
from sgbench.leaderboard.store.outputs import Outputs
from sgbench.leaderboard.store.prediction_tables import PredictionTable
from sgbench.records.record import RunRecord
from sgbench.records.spec import Method, RunSpec
from sgbench.submissions.verify.again import loss_of, target_table
from sgbench.submissions.verify.network import load_weights, misfits, summary
from sgbench.submissions.verify.recompose import recompose
from sgbench.training.build import Parts, build


class DataJudge:
    """Computes targets from the data sets on this machine, each loaded once, and builds networks to check records.

    `references`: references of the protocols.
    """

    def __init__(self, references: References, *, data: bool = True) -> None:
        self._references = references
        self._data = data
        self._wanted: dict[tuple[str, int], PredictionTable | None] = {}
        self._specs: dict[str, RunSpec] = {}  # maps methods, as JSON, to their composed runs

    def loss_of(self, outputs: Outputs, reference: ProtocolReference) -> float:
        return loss_of(outputs, reference)

    def wanted(self, reference: ProtocolReference, seed: int) -> PredictionTable | None:
        """Return a table with the targets of a seed's test split; None if its data are not on this machine."""
        protocol = reference.protocol
        # The seed matters only if each seed draws its own data.
        key = (protocol.name, seed if protocol.draw == "per_seed" else protocol.seeds[0])
        if key not in self._wanted:
            self._wanted[key] = self._load(reference, key[1]) if self._data else None
        return self._wanted[key]

    def impossible(self, method: Method) -> str | None:
        """Return why a method's network cannot be built from its entries and numbers; None if it can."""
        try:
            self._parts(method, self._references.of(method.protocol.name).protocol.seeds[0])
        except InputError as error:
            return str(error)
        return None

    def misfit(self, record: RunRecord, weights: bytes, name: str) -> str | None:
        """Return which numbers of a finished record disagree with its network and weights (of file `name`), or None."""
        parts = self._parts(record.method, record.seed)
        load_weights(parts.network, weights, name)
        return summary(misfits(record, parts))

    def _parts(self, method: Method, seed: int) -> Parts:
        key = method.model_dump_json()
        if key not in self._specs:
            first = self._references.of(method.protocol.name).protocol.seeds[0]
            self._specs[key] = recompose(method, first, runs_dir=Path(), references=self._references)
        return build(self._specs[key].model_copy(update={"seed": seed}))

    def _load(self, reference: ProtocolReference, seed: int) -> PredictionTable | None:
        with tempfile.TemporaryDirectory() as folder:
            try:
                spec = recompose(reference.method, seed, runs_dir=Path(folder), references=self._references)
                data = build(spec).data
                data.setup()
            except InputError:
                return None
            return target_table(data, reference)
