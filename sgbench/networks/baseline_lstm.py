"""A baseline of long short-term memory (LSTM)."""

from typing import ClassVar

from torch import nn

from sgbench.networks.baseline import GatedBaseline, build_undrawn


class Lstm(GatedBaseline):
    r"""Wires long short-term memory in as many layers and with about as many parameters as a spiking network.

    .. math::
        i &= \sigma(W_i x + b_i + V_i h + c_i), \quad f = \sigma(W_f x + b_f + V_f h + c_f), \quad
        o = \sigma(W_o x + b_o + V_o h + c_o) \\
        m &\leftarrow f m + i \tanh(W_m x + b_m + V_m h + c_m), \qquad h \leftarrow o \tanh m, \qquad y = W h + b

    for the input x of a layer, its cells m, hidden values h, weights W and V, biases b and c, and the readout's
    output y.

    Args:
        parameters: wanted number of parameters, or None to match the spiking network that `match_*` describe.
        match_hidden: neurons per hidden layer of that network.
        match_recurrence: its recurrence, "none", "one_to_one" or "all_to_all".
        match_bias: whether its layers have biases.

    Raises:
        InputError: a value out of range, or far too many parameters even with one unit per layer.

    Source: Hochreiter & Schmidhuber 1997, Neural Computation 9(8), as `torch.nn.LSTM`.
    """

    gates: ClassVar[int] = 4

    @staticmethod
    def body(inputs: int, units: int) -> nn.Module:
        return build_undrawn(nn.LSTM, inputs, units)
