"""What flows between networks, losses and metrics.

Legend: T time steps, B batch, N neurons, C classes. Time comes first. `lengths` says at which step each sample
ends: losses, rates and counts stop there, so that nothing depends on padding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from sgbench.signals.spikes import Signal

Target = Literal["class", "class_per_step", "trace", "spikes"]
"""What a sample asks for: a class, a class in every step, an output of every step, or output spikes."""
UNLABELLED = -1
"""In place of a step's class: the step has no label, so it is neither learnt from nor scored."""
Keep = frozenset[str]
NOTHING: Keep = frozenset()
SPIKES = "spikes"
POTENTIAL = "u"


class Batch(NamedTuple):
    """Holds a batch of samples as a network takes them."""

    x: Signal  # [T, B, N] input: dense or packed
    target: Tensor  # [B] class indices; of each step [B, T]; of traces and spikes [B, T, C], samples first
    lengths: Tensor  # [B] number of valid steps, 1..T
    position: Tensor  # [B] of each sample in its split


@dataclass(frozen=True)
class Trajectory:
    """Holds outputs, spikes, potentials and last states of a network that was run over all time steps."""

    output: Tensor  # [T, B, C] of the readout layer
    lengths: Tensor  # [B]
    spikes: tuple[Tensor, ...]  # per spiking layer [T, B, N], where kept; otherwise empty
    u: tuple[Tensor, ...]  # per layer, membrane potential minus threshold [T, B, N], where kept
    state: tuple[Any, ...]  # per layer, the state after the last step
    times: Tensor | None = None
    """Of each output's first spike [B, C], in steps from the start, infinite where it sends none; None where spikes
    have no times but their steps."""


def valid_steps(lengths: Tensor, steps: int) -> Tensor:
    """Mark the steps [T, B] that lie within each sample.

    >>> import torch
    >>> valid_steps(torch.tensor([1, 2]), 2).int().tolist()
    [[1, 1], [0, 1]]
    """
    return torch.arange(steps, device=lengths.device)[:, None] < lengths[None, :]


def labels_inside(target: Tensor, lengths: Tensor) -> Tensor:
    """Remove from the classes of steps [B, T] those after each sample's end.

    >>> import torch
    >>> labels_inside(torch.tensor([[2, 0, 1]]), torch.tensor([2])).tolist()
    [[2, 0, -1]]
    """
    return target.masked_fill(~valid_steps(lengths, target.shape[1]).T, UNLABELLED)


def scored_target(batch: Batch) -> Tensor:
    """Return the targets of a batch; classes of steps lose those after a sample's end."""
    by_step = batch.target.ndim == 2  # noqa: PLR2004 - samples and steps
    return labels_inside(batch.target, batch.lengths) if by_step else batch.target


def all_valid(lengths: Tensor, steps: int, *, wait: bool = False) -> bool:
    """Return whether no sample ends before the last step, as far as that is known at once.

    On a CPU it costs little. An accelerator would have to end its work first, and a mask takes less than that.

    Args:
        lengths: of the samples [B].
        steps: T.
        wait: whether an accelerator is waited for.

    >>> all_valid(torch.tensor([2, 2]), 2), all_valid(torch.tensor([1, 2]), 2)
    (True, False)
    """
    return (wait or lengths.device.type == "cpu") and bool((lengths >= steps).all())


def inside(output: Tensor, lengths: Tensor) -> Tensor:
    """Set outputs [T, B, N] to zero after each sample's end; where all reach the last step nothing is copied.

    A sum over time then has one gradient for all steps, which the engines take as such.

    >>> inside(torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]]]), torch.tensor([1, 2])).tolist()
    [[[1.0], [2.0]], [[0.0], [4.0]]]
    """
    if all_valid(lengths, len(output)):
        return output
    return output.masked_fill(~valid_steps(lengths, len(output))[..., None], 0.0)


def join(parts: list[Trajectory]) -> Trajectory:
    """Join the trajectories of consecutive windows of time into one; the state is that of the last."""
    last = parts[-1]
    return Trajectory(
        output=torch.cat([part.output for part in parts]),
        lengths=last.lengths,
        spikes=tuple(torch.cat(pieces) for pieces in zip(*(part.spikes for part in parts), strict=True)),
        u=tuple(torch.cat(pieces) for pieces in zip(*(part.u for part in parts), strict=True)),
        state=last.state,
    )


def detached(state: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the same states of all layers without the history that gradients would flow through."""
    return tuple(type(layer_state)(*(field.detach() for field in layer_state)) for layer_state in state)
