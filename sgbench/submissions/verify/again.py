"""Makes tables of targets and of a network's predictions, scores tables again, and compares two."""

from collections.abc import Iterable

import numpy as np
import torch
from hydra.utils import get_class
from torch import Tensor

from fastspiking.signals.trajectory import Trajectory, scored_target
from sgbench.datasets.batches import SpikingData
from sgbench.errors import InputError
from sgbench.leaderboard.deviation import ProtocolReference
from sgbench.leaderboard.store.outputs import Outputs
from sgbench.leaderboard.store.prediction_tables import PredictionTable, parse_prediction_table, same_steps
from sgbench.leaderboard.store.predictions import Predictions
from sgbench.training.run_folder import predictions_table

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
