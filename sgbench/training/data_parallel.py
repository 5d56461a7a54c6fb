"""Averages of losses and gradients over the processes that train together, each on its share of every batch."""

import io
from typing import Any

import torch

from fastspiking.signals.spikes import SparseSpikes, dense
from fastspiking.signals.trajectory import Batch
from sgbench.errors import NonFiniteError
from sgbench.networks.base import Network, check_finite
from sgbench.rules.base import Progress

ELSEWHERE = "a process that trains on another share of the batch: a number is not finite"


class Together:
    r"""Averages losses and gradients over the processes that train together, weighted by their numbers of samples.

    .. math:: g = \sum_p n_p g_p \Big/ \sum_p n_p

    Process p has n_p samples and the gradient g_p of their mean loss. For independent samples g is the gradient of
    the whole batch, equal to that of a single process up to rounding.

    `rank`: number of this process; process 0 scores and stores. `count`: number of processes. `group`: process group of
    torch.distributed that exchanges tensors.
    """

    def __init__(self, rank: int, count: int, group: Any) -> None:
        self.rank, self.count, self.group = rank, count, group

    def share(self, batch: Batch) -> Batch:
        """Return this process's share of a batch: every `count`-th sample; all of them if they are fewer."""
        if len(batch.target) < self.count:
            return batch
        own_samples = slice(self.rank, None, self.count)
        x = dense(batch.x)[:, own_samples]  # [steps, samples, channels]
        is_sparse = isinstance(batch.x, SparseSpikes)
        # All other fields have samples first.
        return Batch(SparseSpikes.of(x) if is_sparse else x, *(field[own_samples] for field in batch[1:]))

    def averaged(self, network: Network, progress: Progress, samples: int) -> Progress:
        """Set the network's gradients to those of the whole batch; return its mean loss with the own trajectory.

        All processes exchange one flat tensor: gradients and loss times samples, samples, number of errors.
        """
        weights = list(network.parameters())
        error = _non_finite_error(network, progress)
        gradients = [torch.zeros_like(w) if w.grad is None else w.grad for w in weights]
        weighted = torch.cat([values.reshape(-1) for values in [*gradients, progress.loss]]) * samples
        sums = torch.cat([weighted, weighted.new_tensor([samples, error is not None])])
        self.group.allreduce([sums]).wait()
        if error is not None:
            raise error
        total_samples, errors = sums[-2:]
        if errors > 0:
            raise NonFiniteError(ELSEWHERE)
        means = sums[:-2] / total_samples
        *mean_gradients, mean_loss = means.split([weight.numel() for weight in weights] + [1])
        for weight, gradient in zip(weights, mean_gradients, strict=True):
            if weight.grad is None:
                continue  # in every process; an optimiser skips it, but would decay it if it were 0
            weight.grad = gradient.view(weight.shape).clone(memory_format=torch.contiguous_format)
        return Progress(mean_loss.view(()), progress.trajectory)

    def send(self, message: Any) -> None:
        """Send a tree of numbers and tensors from process 0 to the others."""
        buffer = io.BytesIO()
        torch.save(message, buffer)
        content = torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8)
        self.group.broadcast(torch.tensor([len(content)]), 0).wait()
        self.group.broadcast(content, 0).wait()

    def receive(self) -> Any:
        """Wait for the next message of process 0, and return it."""
        size = torch.zeros(1, dtype=torch.int64)
        self.group.broadcast(size, 0).wait()
        content = torch.zeros(int(size), dtype=torch.uint8)
        self.group.broadcast(content, 0).wait()
        return torch.load(io.BytesIO(content.numpy().tobytes()), weights_only=True)


def _non_finite_error(network: Network, progress: Progress) -> NonFiniteError | None:
    """Return the error of potentials that are not finite, to be raised once the other processes know of it."""
    try:
        check_finite(network, progress.trajectory)
    except NonFiniteError as error:
        return error
    return None
