"""Distributions of potentials and gradients, for loggers that were asked to show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from pytorch_lightning.loggers import Logger, TensorBoardLogger
from torch import Tensor

from sgbench.networks.base import Network
from sgbench.signals.trajectory import POTENTIAL, Batch, valid_steps
from sgbench.training.gradient_norms import GradientNorms

BINS = 64


def wanting(loggers: Sequence[Logger]) -> list[Logger]:
    """Return the loggers that were asked for histograms."""
    return [logger for logger in loggers if getattr(logger, "histograms", False)]


@torch.no_grad()
def potentials(network: Network, batch: Batch) -> dict[str, Tensor]:
    """Return each layer's membrane potentials minus threshold within the samples' steps, all in one row.

    Args:
        network: whose noise has begun for a pass.
        batch: of any split.
    """
    trajectory = network.unroll(batch.x, batch.lengths, keep=frozenset({POTENTIAL}))
    inside = valid_steps(batch.lengths, batch.x.shape[0])
    names = [layer.name for layer in [*network.hidden_layers, network.readout]]
    return {name: u[inside].reshape(-1) for name, u in zip(names, trajectory.u, strict=False)}


def log_histograms(
    loggers: Sequence[Logger], network: Network, norms: GradientNorms, batch: Batch, step: int
) -> None:
    """Hand potentials of one batch and gradients of the last step to the loggers that want them.

    Args:
        loggers: all of the run.
        network: after an epoch.
        norms: with the gradients of the last step.
        batch: of the validation split.
        step: of the loggers' axis.
    """
    rows = {f"potential/{name}": values for name, values in potentials(network, batch).items()}
    rows |= {f"gradient/{name}": values for name, values in norms.last.items()}
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            for key, values in rows.items():
                logger.experiment.add_histogram(key, values.cpu(), step, bins="auto")
        else:
            logger.log_metrics({key: _of_wandb(values) for key, values in rows.items()}, step=step)


def _of_wandb(values: Tensor) -> Any:
    """Return counts in equal bins between the least and the largest."""
    import wandb

    return wandb.Histogram(np_histogram=np.histogram(values.double().cpu().numpy(), bins=BINS))
