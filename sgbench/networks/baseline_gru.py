"""Gated recurrent units."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import Tensor, nn

from sgbench.networks.base import Provided
from sgbench.networks.baseline import Baseline, PlainLayer, Size, dense_parameters, linear, undrawn
from sgbench.signals.spikes import Signal, dense

GATES = 3


class Gru(Baseline):
    r"""Wires gated recurrent units in as many layers and with about as many parameters as a spiking network.

    .. math::
        r &= \sigma(W_r x + b_r + V_r h + c_r), \quad z = \sigma(W_z x + b_z + V_z h + c_z) \\
        n &= \tanh(W_n x + b_n + r (V_n h + c_n)), \qquad h \leftarrow (1 - z) n + z h, \qquad y = W h + b

    Args:
        provided: what the builder gives.
        parameters: how many to have, or None for those of the spiking network that the others describe.
        match_hidden: neurons per hidden layer of that network.
        match_recurrence: "none", "one_to_one" or "all_to_all".
        match_bias: whether its layers have biases.

    Raises:
        InputError: a value out of range, or more parameters in one unit a layer than it may have.

    Source: Cho et al. 2014, arXiv:1406.1078, as `torch.nn.GRU`.
    """

    def __init__(
        self,
        provided: Provided,
        *,
        parameters: int | None,
        match_hidden: Sequence[int] | None,
        match_recurrence: str | None,
        match_bias: bool | None,
    ) -> None:
        n_inputs, n_outputs = provided.n_inputs, provided.n_outputs
        size = Size(parameters, match_hidden, match_recurrence, match_bias)
        widths = size.widths(
            lambda widths: parameters_of([n_inputs, *widths, n_outputs]), n_inputs, n_outputs
        )
        layers = [
            PlainLayer(f"hidden{index}", width, undrawn(nn.GRU, before, width), nn.Identity())
            for index, (before, width) in enumerate(zip([n_inputs, *widths], widths, strict=False))
        ]
        super().__init__([*layers, linear(widths[-1], n_outputs)], provided)

    def seen(self, x: Signal, lengths: Tensor) -> Tensor:
        """Return every step of the input."""
        return dense(x)


def parameters_of(sizes: Sequence[int]) -> int:
    """Count the parameters of gated layers of these sizes and a linear readout; torch has two biases a gate.

    >>> parameters_of([3, 2, 1])
    45
    """
    gated = sum(
        GATES * (before * width + width * width + 2 * width)
        for before, width in itertools.pairwise(sizes[:-1])
    )
    return gated + dense_parameters(sizes[-2:])
