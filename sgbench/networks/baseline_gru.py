"""A baseline of gated recurrent units (GRU)."""

from typing import ClassVar

from torch import nn

from sgbench.networks.baseline import GatedBaseline, build_undrawn


class Gru(GatedBaseline):
    r"""Wires gated recurrent units in as many layers and with about as many parameters as a spiking network.

    .. math::
        r &= \sigma(W_r x + b_r + V_r h + c_r), \quad z = \sigma(W_z x + b_z + V_z h + c_z) \\
        n &= \tanh(W_n x + b_n + r (V_n h + c_n)), \qquad h \leftarrow (1 - z) n + z h, \qquad y = W h + b

    for the input x of a layer, its hidden values h, weights W and V, biases b and c, and the readout's output y.

    Args:
        parameters: wanted number of parameters, or None to match the spiking network that `match_*` describe.
        match_hidden: neurons per hidden layer of that network.
        match_recurrence: its recurrence, "none", "one_to_one" or "all_to_all".
        match_bias: whether its layers have biases.

    Raises:
        InputError: a value out of range, or far too many parameters even with one unit per layer.

    Source: Cho et al. 2014, arXiv:1406.1078, as `torch.nn.GRU`.
    """

    gates: ClassVar[int] = 3

    @staticmethod
    def body(inputs: int, units: int) -> nn.Module:
        return build_undrawn(nn.GRU, inputs, units)
