"""Long short-term memory."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from sgbench.networks.baseline import GatedBaseline, undrawn


class Lstm(GatedBaseline):
    r"""Wires long short-term memory in as many layers and with about as many parameters as a spiking network.

    .. math::
        i &= \sigma(W_i x + b_i + V_i h + c_i), \quad f = \sigma(W_f x + b_f + V_f h + c_f), \quad
        o = \sigma(W_o x + b_o + V_o h + c_o) \\
        m &\leftarrow f m + i \tanh(W_m x + b_m + V_m h + c_m), \qquad h \leftarrow o \tanh m, \qquad y = W h + b

    Args:
        provided: what the builder gives.
        parameters: how many to have, or None for those of the spiking network that the others describe.
        match_hidden: neurons per hidden layer of that network.
        match_recurrence: "none", "one_to_one" or "all_to_all".
        match_bias: whether its layers have biases.

    Raises:
        InputError: a value out of range, or more parameters in one unit a layer than it may have.

    Source: Hochreiter & Schmidhuber 1997, Neural Computation 9(8), as `torch.nn.LSTM`.
    """

    gates: ClassVar[int] = 4

    @staticmethod
    def body(inputs: int, units: int) -> nn.Module:
        """Build one layer of `torch.nn.LSTM`."""
        return undrawn(nn.LSTM, inputs, units)
