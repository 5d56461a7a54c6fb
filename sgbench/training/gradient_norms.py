"""Norms of each layer's gradient over an epoch, and the gradients of its last step, for loggers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sgbench.networks.base import Network


class GradientNorms:
    r"""Averages :math:`\lVert g_l \rVert_2` of each layer over the steps of an epoch, before any clipping.

    Args:
        network: whose layers are told apart.
        keep_last: whether the gradients of the last step are kept.
    """

    def __init__(self, network: Network, *, keep_last: bool = False) -> None:
        places = {id(weight): place for place, weight in enumerate(network.parameters())}
        self.layers = {
            layer.name: [places[id(weight)] for weight in layer.parameters()]
            for layer in [*network.hidden_layers, network.readout]
        }
        self.keep_last = keep_last
        self.begin()

    def begin(self) -> None:
        """Begin an epoch."""
        self.sums: dict[str, Tensor] = {}
        self.steps = 0
        self.last: dict[str, Tensor] = {}  # by layer, all entries in one row

    def add(self, gradients: Sequence[Tensor | None]) -> None:
        """Take in one step.

        Args:
            gradients: in the order of the network's parameters.
        """
        self.steps += 1
        for name, places in self.layers.items():
            present = [gradient for place in places if (gradient := gradients[place]) is not None]
            if not present:
                continue
            norm = torch.nn.utils.get_total_norm(present).detach()
            self.sums[name] = self.sums[name] + norm if name in self.sums else norm.clone()
            if self.keep_last:
                self.last[name] = torch.cat([gradient.detach().reshape(-1) for gradient in present])

    def by_layer(self) -> dict[str, float]:
        """Return the mean norm of each layer under the key of loggers."""
        return {f"gradient_norm/{name}": total.item() / self.steps for name, total in self.sums.items()}
