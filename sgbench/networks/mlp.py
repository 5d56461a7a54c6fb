"""Chains of dense layers."""

import itertools
from collections.abc import Sequence

from sgbench.networks.base import Chain, DenseLayer, Provided, hidden_sizes, readout_layer, require_recurrence


class Mlp(Chain):
    r"""Wires a chain of dense layers of any depth, each optionally recurrent, and a readout.

    .. math:: I^l[t] = W^l s^{l-1}[t] + V^l s^l[t-1] + b^l

    for the current I and spikes s of layer l, feed-forward weights W, recurrent weights V and biases b. Layers run
    one after another, each over all time steps.

    Args:
        provided: parts of the run to build from.
        hidden: number of neurons of each hidden layer.
        recurrence: recurrence of hidden layers, "none", "one_to_one" or "all_to_all" (with self-connections).
        recurrence_gradient: "full" or "cut" (no gradient through recurrent spikes).
        bias: whether layers have biases.

    Raises:
        InputError: an empty chain, or a value out of range.

    >>> from sgbench.composition.compose import compose
    >>> from sgbench.training.build import build
    >>> network = build(compose(["experiment=digits", "network.hidden=[32,16]"])).network
    >>> [tuple(layer.weight.shape) for layer in network.layers]
    [(32, 64), (16, 32), (10, 16)]
    """

    def __init__(
        self, provided: Provided, *, hidden: Sequence[int], recurrence: str, recurrence_gradient: str, bias: bool
    ) -> None:
        super().__init__()
        require_recurrence(recurrence, recurrence_gradient)
        sizes = [provided.n_inputs, *hidden_sizes(hidden, bias)]
        layers = [
            DenseLayer(
                f"hidden{position}",
                n_in,
                n_out,
                provided.make_neuron(n_out),
                recurrence=recurrence,
                recurrence_gradient=recurrence_gradient,
                bias=bias,
            )
            for position, (n_in, n_out) in enumerate(itertools.pairwise(sizes))
        ]
        layers.append(readout_layer(sizes[-1], provided, bias=bias))
        self.set_up(layers, provided)
