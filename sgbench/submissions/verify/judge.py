"""What only data sets and losses can say of a submission; see `sgbench.leaderboard.store.answers.Judge`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from sgbench.errors import InputError
from sgbench.leaderboard.deviation import Reference, References
from sgbench.leaderboard.store.answers import Answers
from sgbench.leaderboard.store.outputs import Outputs
from sgbench.submissions.verify.again import loss_of, wanted
from sgbench.submissions.verify.recompose import recompose
from sgbench.training.build import build


class DataJudge:
    """Asks the data sets that are on this machine, each once.

    Args:
        references: of the protocols.
        data: whether it asks any; a tier that compares with them itself needs it not said twice.
    """

    def __init__(self, references: References, *, data: bool = True) -> None:
        self._references = references
        self._data = data
        self._wanted: dict[tuple[str, int], Answers | None] = {}

    def loss_of(self, outputs: Outputs, reference: Reference) -> float:
        """The loss that a protocol fixes."""
        return loss_of(outputs, reference)

    def wanted(self, reference: Reference, seed: int) -> Answers | None:
        """What the test split of a seed wants; None where its files are not here."""
        protocol = reference.protocol
        # Only where every seed draws data of its own does the seed matter.
        key = (protocol.name, seed if protocol.draw == "per_seed" else protocol.seeds[0])
        if key not in self._wanted:
            self._wanted[key] = self._load(reference, key[1]) if self._data else None
        return self._wanted[key]

    def _load(self, reference: Reference, seed: int) -> Answers | None:
        with tempfile.TemporaryDirectory() as folder:
            try:
                spec = recompose(reference.method, seed, runs_dir=Path(folder), references=self._references)
                data = build(spec).data
                data.setup()
            except InputError:
                return None
            return wanted(data, reference)
