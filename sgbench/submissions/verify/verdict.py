"""Composes runs of a method anew, scores its predictions again, and says whether the claims hold."""

import math
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from hydra.utils import get_class
from torch import Tensor

from fastspiking.signals.trajectory import Trajectory, scored_target
from sgbench.composition.compose import compose
from sgbench.datasets.batches import SpikingData
from sgbench.errors import InputError
from sgbench.leaderboard.deviation import ProtocolReference, References, method_deviations
from sgbench.leaderboard.score import Measure
from sgbench.leaderboard.store.predictions import (
    Outputs,
    Predictions,
    PredictionTable,
    parse_prediction_table,
    same_steps,
)
from sgbench.records.content import Scores
from sgbench.records.method import with_new_parameters
from sgbench.records.record import RunRecord
from sgbench.records.spec import Method, RunSpec, choice_overrides
from sgbench.records.submission import Tier
from sgbench.submissions.verify.network import load_weights, misfits, summary
from sgbench.training.artefacts import predictions_table
from sgbench.training.build import Parts, build

SAME_OUTPUT = 0.01
"""Tolerance of a sample's outputs, as root mean square relative to the spread of all outputs."""
SAME_STEPS = 0.01
"""Share of a sample's steps whose output spikes may differ, since rounding may delay a spike by a step."""


@dataclass(frozen=True)
class TierOutcome:
    """Holds the outcome of a tier of verification.

    Claimed and verified scores are means over the verified seeds: accuracies, or losses if the board compares losses.
    """

    tier: Tier
    passed: bool
    seeds: tuple[int, ...]
    claimed_accuracy: float | None
    verified_accuracy: float | None
    agreement: float | None  # share of equal predictions
    tolerance: float | None  # largest allowed difference of the means
    statement: str  # the result in a sentence
    claimed_loss: float | None = None
    verified_loss: float | None = None


def outcome(
    tier: Tier,
    measure: Measure,
    passed: bool,
    seeds: Sequence[int],
    scores: tuple[Sequence[float], Sequence[float]],
    statement: str,
    *,
    agreement: float | None = None,
    tolerance: float | None = None,
) -> TierOutcome:
    """Make an outcome with the means of claimed and verified scores.

    `tier`: tier of the verification. `measure`: the score that the board compares. `passed`: whether the claim holds.
    `seeds`: the verified seeds. `scores`: claimed and verified scores, whose means are taken. `statement`: the result
    in a sentence. `agreement`: share of equal predictions, if they were compared. `tolerance`: largest allowed
    difference of the means, if there is one; of accuracies at most 1.
    """
    claimed, verified = map(mean, scores)
    by_loss = measure.is_loss
    return TierOutcome(
        tier=tier,
        passed=passed,
        seeds=tuple(seeds),
        claimed_accuracy=None if by_loss else claimed,
        verified_accuracy=None if by_loss else verified,
        agreement=agreement,
        tolerance=tolerance if tolerance is None or by_loss else min(tolerance, 1.0),
        statement=statement,
        claimed_loss=claimed if by_loss else None,
        verified_loss=verified if by_loss else None,
    )


def mean(values: Sequence[float]) -> float:
    """Compute the mean of scores with an exact sum."""
    return math.fsum(values) / len(values)


def score_of(scores: Scores) -> float:
    """Return the accuracy, or the loss of a task without classes."""
    return scores.loss if scores.accuracy is None else scores.accuracy


def recompose(method: Method, seed: int, *, runs_dir: Path, references: References) -> RunSpec:
    """Compose the run of a method from its entries and numbers.

    The entries alone are composed, which gives the classes; then the method's numbers, checked to be parameters of
    these entries, replace the defaults. The device is the CPU, so that all verifiers compute the same.
    """
    reference = references.of(method.protocol.name)
    first_deviation = next(method_deviations(method, seed, reference), None)
    if first_deviation is not None:
        raise InputError(f"{method.protocol.name}: {first_deviation}")
    overrides = [f"protocol={method.protocol.name}", f"seed={seed}", "trainer.device=cpu", "trainer.progress=false"]
    spec = compose(
        [*overrides, *choice_overrides(method.choices)],
        config_dirs=references.config_dirs,
        allow_targets=references.allow_targets,
    )
    paths = spec.paths.model_copy(update={"runs_dir": str(runs_dir)})
    complete = with_new_parameters(method, spec.method)
    return spec.model_copy(update={"method": complete, "paths": paths, "loggers": {}, "group": None})


def predicted_table(parts: Iterable[tuple[Tensor, Tensor, Tensor]], reference: ProtocolReference) -> PredictionTable:
    """Return a network's predictions as a parsed table.

    `parts` are (index, target, output) of each batch, as `predictions_table` takes them.
    """
    return parse_prediction_table(predictions_table(list(parts)), "what was inferred again", reference)


def target_table(data: SpikingData, reference: ProtocolReference) -> PredictionTable:
    """Make a table with the targets of the test split; its predictions are all zero and mean nothing."""
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


def score_again(submitted: PredictionTable, truth: PredictionTable, reference: ProtocolReference) -> float:
    """Compute the accuracy, or the loss of outputs, of a submitted table with the targets of `truth`."""
    if isinstance(submitted, Outputs):
        return loss_of(Outputs(np.asarray(truth.target, dtype=float), submitted.output), reference)
    return float((submitted.prediction == truth.target).mean())


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

    `references`: references of the protocols. `data`: whether to load data sets; without them no target is known.
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
        data_seed = seed if protocol.draw == "per_seed" else protocol.seeds[0]
        key = (protocol.name, data_seed)
        if key not in self._wanted:
            self._wanted[key] = self._load(reference, data_seed) if self._data else None
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
            first_seed = self._references.of(method.protocol.name).protocol.seeds[0]
            self._specs[key] = recompose(method, first_seed, runs_dir=Path(), references=self._references)
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
