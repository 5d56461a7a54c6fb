"""Gated recurrent units."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from sgbench.networks.baseline import GatedBaseline, undrawn


class Gru(GatedBaseline):
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

    gates: ClassVar[int] = 3

    @staticmethod
    def body(inputs: int, units: int) -> nn.Module:
        """Build one layer of `torch.nn.GRU`."""
        return undrawn(nn.GRU, inputs, units)
