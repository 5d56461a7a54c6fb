"""Batches, and the outputs and states of a network over time, as networks, losses and metrics exchange them.

T is the number of time steps, B the batch size, N of neurons, C of classes or outputs. Time is the first axis.
`lengths` holds the valid steps of each sample: losses, rates and counts ignore later steps, which are padding.
"""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from fastspiking.signals.spikes import Signal

Target = Literal["class", "class_per_step", "trace", "spikes"]
"""What a sample's target is: a class, a class for each step, an output for each step, or output spikes."""
UNLABELLED = -1
"""Class of a step without a label, which is neither trained on nor scored."""
Keep = frozenset[str]
"""Which sequences a network keeps in its trajectory: `SPIKES`, `POTENTIAL`, both or `NOTHING`."""
NOTHING: Keep = frozenset()
SPIKES = "spikes"
POTENTIAL = "u"


class Batch(NamedTuple):
    """Holds a batch of samples as a network takes them."""

    x: Signal  # input [T, B, N], dense or sparse
    target: Tensor  # classes [B], classes of steps [B, T], or traces or spikes [B, T, C]
    lengths: Tensor  # number of valid steps of each sample [B], 1 to T
    position: Tensor  # index of each sample in its split [B]


@dataclass(frozen=True)
class Trajectory:
    """Holds outputs, spikes, potentials and last states of a network that was run over all time steps."""

    output: Tensor  # of the readout layer [T, B, C]
    lengths: Tensor  # number of valid steps of each sample [B]
    spikes: tuple[Tensor, ...] = ()  # of each spiking layer [T, B, N]; empty unless kept
    u: tuple[Tensor, ...] = ()  # membrane potential minus threshold of each layer [T, B, N]; empty unless kept
    state: tuple[Any, ...] = ()  # state of each layer after the last step
    # Time of each output's first spike in steps [B, C], infinite without one; None if spikes lie on whole steps.
    times: Tensor | None = None


def valid_steps(lengths: Tensor, steps: int) -> Tensor:
    """Return a mask [T, B] of the steps within each sample; lengths: valid steps [B], steps: T.

    >>> import torch
    >>> valid_steps(torch.tensor([1, 2]), 2).int().tolist()
    [[1, 1], [0, 1]]
    """
    return torch.arange(steps, device=lengths.device)[:, None] < lengths[None, :]


def labels_inside(target: Tensor, lengths: Tensor) -> Tensor:
    """Replace the classes of steps [B, T] after each sample's end by `UNLABELLED`; lengths: valid steps [B].

    >>> import torch
    >>> labels_inside(torch.tensor([[2, 0, 1]]), torch.tensor([2])).tolist()
    [[2, 0, -1]]
    """
    return target.masked_fill(~valid_steps(lengths, target.shape[1]).T, UNLABELLED)


def scored_target(batch: Batch) -> Tensor:
    """Return the targets of a batch, where classes of steps after a sample's end are `UNLABELLED`."""
    by_step = batch.target.ndim == 2  # noqa: PLR2004 - samples and steps
    return labels_inside(batch.target, batch.lengths) if by_step else batch.target


def all_valid(lengths: Tensor, steps: int, *, wait: bool = False) -> bool:
    """Return whether every sample reaches the last step; False without a check if lengths are on an accelerator.

    Reading them would wait for the accelerator's queued work, which takes longer than applying a mask.

    `lengths`: valid steps of each sample [B]. `steps`: number of steps T. `wait`: whether to check on an accelerator
    too.

    >>> all_valid(torch.tensor([2, 2]), 2), all_valid(torch.tensor([1, 2]), 2)
    (True, False)
    """
    return (wait or lengths.device.type == "cpu") and bool((lengths >= steps).all())


def inside(output: Tensor, lengths: Tensor) -> Tensor:
    """Set outputs [T, B, N] to zero after each sample's end; return them uncopied if all reach the last step.

    >>> inside(torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]]]), torch.tensor([1, 2])).tolist()
    [[[1.0], [2.0]], [[0.0], [4.0]]]
    """
    if all_valid(lengths, len(output)):
        return output
    return output.masked_fill(~valid_steps(lengths, len(output))[..., None], 0.0)


def join(parts: list[Trajectory]) -> Trajectory:
    """Join the trajectories of consecutive windows of time; the state is that of the last window."""
    last = parts[-1]
    return Trajectory(
        output=torch.cat([part.output for part in parts]),
        lengths=last.lengths,
        spikes=tuple(torch.cat(pieces) for pieces in zip(*(part.spikes for part in parts), strict=True)),
        u=tuple(torch.cat(pieces) for pieces in zip(*(part.u for part in parts), strict=True)),
        state=last.state,
    )


def detached(state: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the states of all layers detached, so that no gradient flows to earlier steps."""
    return tuple(type(layer_state)(*(field.detach() for field in layer_state)) for layer_state in state)
