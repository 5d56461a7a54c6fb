"""Classes that nothing learns any more, since the loss looks at their output only where it is at rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from sgbench.diagnosis.traces import TracedBatch
from sgbench.rules.base import Objective
from sgbench.signals.trajectory import Batch


def lost_classes(
    traced: Sequence[TracedBatch], batches: Sequence[Batch], objective: Objective
) -> Iterator[str]:
    r"""Yield a sentence on the classes whose output gets a gradient at steps alone in which it is exactly 0.

    Until a spike reaches a readout that does not fire, its outputs are 0 whatever its weights are. Where
    :math:`\partial L / \partial y_c[t]` is 0 at every other step of every sample, no weight into class c changes.

    Args:
        traced: the network over each batch.
        batches: the same, with their targets.
        objective: whose loss it is.
    """
    if traced[0].layers[-1].counts_spikes or objective.loss.on_times:
        return
    reached = torch.stack(
        [_reached(one, batch, objective) for one, batch in zip(traced, batches, strict=True)]
    ).any(0)
    lost = [str(place) for place in (~reached).nonzero().flatten().tolist()]
    if lost and len(lost) < len(reached):
        samples = sum(len(batch.target) for batch in batches)
        yield (
            f"class{'es' if len(lost) > 1 else ''} {', '.join(lost)}: of {samples} samples the loss looks at the "
            f"output only before the first spike arrives, where it is 0, so nothing is learnt of it: "
            f"loss=max_since_input, or a smaller optimizer.lr"
        )


def _reached(one: TracedBatch, batch: Batch, objective: Objective) -> Tensor:
    """Find the outputs [C] at which the loss has a gradient at a step in which they are not 0."""
    with torch.enable_grad():  # a diagnosis may be made between epochs, where gradients are off
        output = one.trajectory.output.detach().requires_grad_()
        loss = objective.loss.whole(replace(one.trajectory, output=output), batch.target)
        (gradient,) = torch.autograd.grad(loss, output, materialize_grads=True)
    return ((gradient != 0) & (output.detach() != 0)).flatten(0, 1).any(0)
