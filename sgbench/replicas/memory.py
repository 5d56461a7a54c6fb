"""How many replicas fit into memory at a time."""

from __future__ import annotations

import math

from sgbench.networks.base import Network
from sgbench.records.spec import RunSpec

SHARE = 0.7  # of what is available to a worker; the rest is for what is not counted here
COPIES = 11
"""Of all weights: themselves, gradients, two rows of the optimiser, three kept of the last epoch, three on the way
to a checkpoint, the best."""
FIXED_BYTES = 400 << 20  # libraries, data set and batches of one process


def need_bytes(spec: RunSpec, network: Network) -> int:
    r"""Estimate the memory of one replica [bytes]: weights, copies of them, and one batch over time.

    .. math:: 11 P + T B \sum_l M_l

    numbers, with P weights, M neurons of each layer, T steps and B samples of a batch.
    """
    protocol = spec.method.protocol
    weights = list(network.parameters())
    held = sum(weight.numel() for weight in weights)
    neurons = sum(int(layer.weight.shape[0]) for layer in network.layers)  # type: ignore[union-attr, index]
    numbers = COPIES * held + protocol.steps * protocol.batch_size * neurons
    return numbers * weights[0].element_size()


def fitting(need: int, memory_bytes: int | None) -> int | None:
    """Count the replicas that fit into memory, at least one; None is as many as there are.

    >>> fitting(1 << 20, (400 + 100) << 20), fitting(1 << 40, 1 << 30), fitting(1, None)
    (70, 1, None)
    """
    if memory_bytes is None:
        return None
    return max(1, int(SHARE * max(0, memory_bytes - FIXED_BYTES) / need))


def wanted(need: int, count: int) -> int:
    """Compute the memory of a process in which so many replicas fit.

    >>> fitting(1 << 20, wanted(1 << 20, 70))
    70
    """
    return FIXED_BYTES + math.ceil(need * count / SHARE)
