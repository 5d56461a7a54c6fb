"""Makes tables of targets and of a network's predictions, scores tables again, and compares two."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from hydra.utils import get_class
from torch import Tensor

from fastspiking.signals.trajectory import Trajectory, scored_target
from sgbench.datasets.batches import SpikingData
from sgbench.errors import InputError
from sgbench.leaderboard.deviation import ProtocolReference, References
from sgbench.leaderboard.store.predictions import (
    Outputs,
    Predictions,
    PredictionTable,
    parse_prediction_table,
    same_steps,
)
from sgbench.records.record import RunRecord
from sgbench.records.spec import Method, RunSpec
from sgbench.submissions.verify.network import load_weights, misfits, summary
from sgbench.submissions.verify.outcome import recompose
from sgbench.training.artefacts import predictions_table
from sgbench.training.build import Parts, build

SAME_OUTPUT = 0.01
"""Tolerance of a sample's outputs, as root mean square relative to the spread of all outputs."""
SAME_STEPS = 0.01
"""Share of a sample's steps whose output spikes may differ, since rounding may delay a spike by a step."""


def predicted_table(parts: Iterable[tuple[Tensor, Tensor, Tensor]], reference: ProtocolReference) -> PredictionTable:
    """Return a network's predictions as a parsed table.

    `parts` are (index, target, output) of each batch, as `predictions_table` takes them.
    """
    return parse_prediction_table(predictions_table(list(parts)), "what was inferred again", reference)


def target_table(data: SpikingData, reference: ProtocolReference) -> PredictionTable:
    """Return a table of the test's targets with empty predictions, in the form of a submission's."""
    with data.last_step():
        if reference.labels_steps:  # the encoder knows where each sample ends
            pairs = [(batch.position, scored_target(batch)) for batch in data.evaluation("test")]
        else:
            target = data.splits["test"].target
            pairs = [(torch.arange(len(target)), target)]
    classes = () if reference.classes is None else (reference.classes,)
    return predicted_table(
        [(index, target, torch.zeros(*target.shape, *classes)) for index, target in pairs], reference
    )


def score_again(given: PredictionTable, truth: PredictionTable, reference: ProtocolReference) -> float:
    if isinstance(given, Outputs):
        return loss_of(Outputs(np.asarray(truth.target, dtype=float), given.output), reference)
    return float((given.prediction == truth.target).mean())


def loss_of(outputs: Outputs, reference: ProtocolReference) -> float:
    """Compute the loss of a protocol on stored outputs.

    >>> from sgbench.leaderboard.deviation import compose_reference
    >>> outputs = Outputs(np.zeros((2, 3, 1)), np.full((2, 3, 1), 0.5))
    >>> loss_of(outputs, compose_reference("mackey_glass_v1"))
    0.25
    """
    choice = reference.method.choices["loss"]
    target = reference.entries["loss"][choice].target
    if target is None:
        raise InputError(f"loss '{choice}' names no class; mend its file")
    loss = get_class(target)(**reference.method.parameters["loss"])
    samples, steps, _ = outputs.output.shape
    output, wanted_output = (
        torch.as_tensor(column, dtype=torch.float64) for column in (outputs.output, outputs.target)
    )
    lengths = torch.full((samples,), steps)
    trajectory = Trajectory(output.transpose(0, 1), lengths, spikes=(), u=(), state=())
    return loss.whole(trajectory, wanted_output).item()


def agreement(again: PredictionTable, claimed: PredictionTable, name: str) -> float:
    """Compute the share of equal predictions in two tables; for outputs, the share of samples that agree.

    A sample's output spikes agree if at most 1 % of its steps differ; other outputs if their root mean square
    difference is at most 1 % of the standard deviation of all. `name` is the claimed table's file, for messages.
    """
    if again.target.shape != claimed.target.shape or not same_steps(again, claimed):
        raise InputError(f"{name} has not one answer for each that its network gives")
    if isinstance(again, Predictions) and isinstance(claimed, Predictions):
        return float((again.prediction == claimed.prediction).mean())
    if not isinstance(again, Outputs) or not isinstance(claimed, Outputs):
        raise InputError(f"{name} answers another kind of question")
    if np.isin(claimed.output, (0, 1)).all():
        differing = (again.output != claimed.output).any(axis=2).mean(axis=1)
        return float((differing <= SAME_STEPS).mean())
    distance = np.sqrt(((again.output - claimed.output) ** 2).mean(axis=(1, 2)))
    return float((distance <= SAME_OUTPUT * claimed.output.std()).mean())


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
        """Build the protocol's data and return its targets; None if the data are not here."""
        with tempfile.TemporaryDirectory() as folder:
            try:
                spec = recompose(reference.method, seed, runs_dir=Path(folder), references=self._references)
                data = build(spec).data
                data.setup()
            except InputError:
                return None
            return target_table(data, reference)
