"""Gradient norms of each layer over an epoch, and histograms of potentials and gradients, for loggers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fastspiking.signals.trajectory import POTENTIAL, Batch, valid_steps
from sgbench.networks.base import Network

if TYPE_CHECKING:
    from sgbench.training.loggers import RunLogger


class GradientNorms:
    r"""Averages the norm :math:`\lVert g_l \rVert_2` of each layer's gradient over an epoch, before clipping.

    `keep_last`: whether the gradients of the last step are kept, for histograms.
    """

    def __init__(self, network: Network, *, keep_last: bool = False) -> None:
        positions = {id(weight): position for position, weight in enumerate(network.parameters())}
        self.layers = {
            layer.name: [positions[id(weight)] for weight in layer.parameters()]
            for layer in [*network.hidden_layers, network.readout]
        }
        self.keep_last = keep_last
        self.begin()

    def begin(self) -> None:
        self.sums: dict[str, Tensor] = {}  # of norms, by layer
        self.steps = 0
        self.last: dict[str, Tensor] = {}  # gradients of the last step by layer, flat

    def add(self, gradients: Sequence[Tensor | None]) -> None:
        """Add the gradients of one step, in the order of the network's parameters; None for absent ones."""
        self.steps += 1
        for name, positions in self.layers.items():
            present = [gradient for position in positions if (gradient := gradients[position]) is not None]
            if not present:
                continue
            norm = torch.nn.utils.get_total_norm(present).detach()
            self.sums[name] = self.sums[name] + norm if name in self.sums else norm.clone()
            if self.keep_last:
                self.last[name] = torch.cat([gradient.detach().reshape(-1) for gradient in present])

    def by_layer(self) -> dict[str, float]:
        return {f"gradient_norm/{name}": total.item() / self.steps for name, total in self.sums.items()}


BINS = 64


def loggers_of_histograms(loggers: Sequence[RunLogger]) -> list[RunLogger]:
    return [logger for logger in loggers if getattr(logger, "histograms", False)]


@torch.no_grad()
def potentials(network: Network, batch: Batch) -> dict[str, Tensor]:
    """Return each layer's membrane potentials minus threshold by name, flat, without steps after a sample's end."""
    trajectory = network.unroll(batch.x, batch.lengths, keep=frozenset({POTENTIAL}))
    inside = valid_steps(batch.lengths, batch.x.shape[0])
    names = [layer.name for layer in [*network.hidden_layers, network.readout]]
    return {name: u[inside].reshape(-1) for name, u in zip(names, trajectory.u, strict=False)}


def log_histograms(
    loggers: Sequence[RunLogger], network: Network, norms: GradientNorms, batch: Batch, step: int
) -> None:
    rows = {f"potential/{name}": values for name, values in potentials(network, batch).items()}
    rows |= {f"gradient/{name}": values for name, values in norms.last.items()}
    for logger in loggers:
        if hasattr(logger.experiment, "add_histogram"):  # TensorBoard's
            for key, values in rows.items():
                logger.experiment.add_histogram(key, values.cpu(), step, bins="auto")
        else:
            logger.log_metrics({key: _wandb_histogram(values) for key, values in rows.items()}, step=step)


def _wandb_histogram(values: Tensor) -> Any:
    """Return a histogram of Weights & Biases, with `BINS` equal bins from the smallest to the largest value."""
    import wandb

    return wandb.Histogram(np_histogram=np.histogram(values.double().cpu().numpy(), bins=BINS))
